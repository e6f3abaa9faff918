"""Text datasets for training, and cleaning of text."""

from __future__ import annotations

import codecs
import dataclasses
import functools
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from engines.core.messages import message
from engines.core.preparation import raise_if_abandoned
from engines.data import archives
from engines.data.archives import Member, TooLargeError, is_system_file, left_out_notices

# The Large Movie Review Dataset: training and held-out files.
REVIEWS_TRAIN, REVIEWS_HELD_OUT = ("imdb_train.jsonl.gz", "imdb_unsup.jsonl.gz"), "imdb_test.jsonl.gz"
# All text is kept in memory; more than this is a mistake or an attack.
MAX_BYTES = 200 << 20
MIN_CHARACTERS = 2000
HELD_OUT = 0.1
_SUFFIXES = (".txt", ".md", ".text", ".jsonl", ".jsonl.gz")


class TooMuchError(ValueError):
    """More text than fits into memory; the message is for the user."""


@dataclass(frozen=True)
class SplitTexts:
    """Training and held-out texts, and notices about skipped files."""

    train: tuple[str, ...]
    held_out: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def without_surrogates(text: str) -> str:
    """Make a text encodable: combine surrogate pairs, which JSON may contain, and replace lone surrogates by U+FFFD."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def clean_text(text: str) -> str:
    """Clean a text: remove a byte order mark and null characters, use "\\n" for line breaks, and apply
    `without_surrogates`."""
    text = without_surrogates(text)
    return text.removeprefix("\ufeff").replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")


def decode_utf8(content: bytes, name: str) -> str:
    """Decode a UTF-8 file and clean the text; a character cut off at the start or end of the file is dropped.

    Args:
        name: name of the file in messages.

    Raises:
        ValueError: the file is not UTF-8.
    """
    # Up to three continuation bytes may remain of a cut-off character at the start.
    cut = next((i for i, byte in enumerate(content[:4]) if byte & 0xC0 != 0x80), 4)
    try:
        # An incremental decoder keeps back an incomplete character at the end.
        return clean_text(codecs.getincrementaldecoder("utf-8")().decode(content[cut if cut < 4 else 0 :]))
    except UnicodeDecodeError as error:
        raise ValueError(message("{name} is not UTF-8 text; save it as UTF-8 first.", name=name)) from error


def split_texts(data: Path) -> SplitTexts:
    """Read texts and hold out the last tenth.

    Args:
        data: a UTF-8 text file; a file with one JSON object with a "text" per line, gzipped or not; a folder or zip of
            such files; or the folder with the three files of the Large Movie Review Dataset, which has its own held-out
            part.

    Raises:
        ValueError: no usable text, too little, or too much.
    """
    if data.is_dir() and (data / REVIEWS_HELD_OUT).is_file():
        held_out = tuple(_file_texts(data / REVIEWS_HELD_OUT))
        # Some reviews are in both parts; held-out reviews must not be trained on.
        held_out_texts = set(held_out)
        train = tuple(text for name in REVIEWS_TRAIN for text in _file_texts(data / name) if text not in held_out_texts)
        if not (train and held_out):
            raise ValueError(
                message("The review files in {data} contain no text; download them again.", data=data.name)
            )
        return SplitTexts(train, held_out)
    texts, left_out = _read_texts(data)
    characters = sum(map(len, texts))
    if characters < MIN_CHARACTERS:
        raise ValueError(
            message(
                "{data} has {characters} characters; at least {least:,} are needed.",
                data=data.name,
                characters=characters,
                least=MIN_CHARACTERS,
            )
        )
    return dataclasses.replace(_split(texts, round(characters * (1 - HELD_OUT))), left_out=left_out_notices(left_out))


def _split(texts: list[str], limit: int) -> SplitTexts:
    """Split texts after `limit` characters, if possible at a space."""
    train, held_out = [], []
    for text in texts:
        if limit <= 0:
            held_out.append(text)
            continue
        if len(text) > limit:
            cut = text.rfind(" ", limit * 9 // 10, limit)
            cut = cut if cut > 0 else limit
            held_out.append(text[cut:])
            train.append(text[:cut])
        else:
            train.append(text)
        limit -= len(text)
    return SplitTexts(tuple(train), tuple(held_out))


def _files(data: Path) -> list[Path]:
    if not data.exists():
        raise ValueError(
            message(
                "{data} was not found in {folder}; choose a text file or a folder of text files.",
                data=data.name,
                folder=data.parent,
            )
        )
    if data.is_file():
        return [data]
    files = sorted(
        path
        for path in data.rglob("*")
        if path.is_file()
        and path.name.lower().endswith(_SUFFIXES)
        and not is_system_file(path.relative_to(data).as_posix())
    )
    if not files:
        raise ValueError(_no_texts(data))
    if sum(path.stat().st_size for path in files) > MAX_BYTES:
        raise TooMuchError(_too_much(data))
    return files


def _no_texts(path: Path) -> str:
    return message("{file} contains no text files; their names must end in .txt, .md or .jsonl.", file=path.name)


def _too_much(path: Path) -> str:
    return message(
        "{file} has more than {megabytes} MB of text; use part of it.", file=path.name, megabytes=MAX_BYTES >> 20
    )


def _read_texts(data: Path) -> tuple[list[str], list[tuple[str, Exception]]]:
    """The texts in a file, folder or zip, and names and errors of skipped files.

    Raises:
        ValueError: no file can be read, or there is too much text.
    """
    if data.suffix.lower() == ".zip" and data.is_file():
        return _read_several(_zip_texts(data))
    files = _files(data)
    if data.is_file():
        return list(_file_texts(data)), []
    return _read_several((path.relative_to(data).as_posix(), functools.partial(_file_texts, path)) for path in files)


def _read_several(
    files: Iterable[tuple[str, Callable[[], Iterable[str]]]],
) -> tuple[list[str], list[tuple[str, Exception]]]:
    """Read several files, each given by its name and a function that reads its texts."""
    texts: list[str] = []
    left_out: list[tuple[str, Exception]] = []
    count = 0
    for name, read_file in files:
        raise_if_abandoned()
        try:
            texts += list(read_file())
            count += 1
        except TooMuchError:
            raise
        except ValueError as error:
            left_out.append((name, error))
    if left_out and not count:
        raise left_out[0][1]
    return texts, left_out


def _zip_texts(path: Path) -> Iterator[tuple[str, Callable[[], Iterable[str]]]]:
    """Yield the name of each text file in a zip and a function that reads it before the next is requested."""
    _check_size(path)
    with archives.opened(path) as archive:
        archives.check_password(archive, path.name)
        found = [member for member in archives.members(archive) if member.name.lower().endswith(_SUFFIXES)]
        if not found:
            raise ValueError(_no_texts(path))
        remaining = MAX_BYTES
        for member in found:

            def read(member: Member = member) -> list[str]:
                nonlocal remaining
                try:
                    content = archives.read_member(archive, member.key, remaining)
                except TooLargeError:
                    raise TooMuchError(_too_much(path)) from None
                remaining -= len(content)
                return list(_texts_in(member.name, _gunzipped(path, content, member.name)))

            yield member.name, read


def _check_size(path: Path) -> None:
    if path.stat().st_size > MAX_BYTES:
        raise TooMuchError(_too_much(path))


def _file_texts(path: Path) -> Iterator[str]:
    """The texts in one file, without empty ones."""
    if not path.is_file():
        raise ValueError(
            message(
                "{file} was not found in {folder}; choose the folder that contains it.",
                file=path.name,
                folder=path.parent,
            )
        )
    _check_size(path)
    with archives.as_archive_error():
        content = path.read_bytes()
    yield from _texts_in(path.name, _gunzipped(path, content, path.name))


def _gunzipped(path: Path, content: bytes, name: str) -> bytes:
    """The contents of a file, unpacked if it is gzipped. The size in a gzip file is not trusted."""
    if not name.lower().endswith(".gz"):
        return content
    try:
        with gzip.open(io.BytesIO(content)) as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(message("{name} is damaged; download it again.", name=name)) from error
    if len(content) > MAX_BYTES:
        raise TooMuchError(_too_much(path))
    return content


def _texts_in(name: str, content: bytes) -> Iterator[str]:
    text = decode_utf8(content, name)
    if not name.lower().endswith((".jsonl", ".jsonl.gz")):
        if text := text.strip():
            yield text
        return
    for number, line in enumerate(text.split("\n"), 1):
        raise_if_abandoned()
        if not line.strip():
            continue
        try:
            value = json.loads(line)["text"]
        except (json.JSONDecodeError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(
                message('Line {number} of {name} must be a JSON object with a "text" field.', number=number, name=name)
            ) from error
        if not isinstance(value, str):
            raise ValueError(
                message('The "text" field in line {number} of {name} must be a string.', number=number, name=name)
            )
        if value := replace_html_breaks(clean_text(value)):
            yield value


def replace_html_breaks(text: str) -> str:
    """Replace HTML line breaks by line feeds."""
    return text.replace("<br />", "\n").strip()
