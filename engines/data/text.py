"""Text datasets for training, and how every text is cleaned."""

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
from engines.core.preparation import check
from engines.data import archives
from engines.data.archives import Member, TooLargeError, is_aside, told_of

# The Large Movie Review Dataset: what is trained on, and what is held out.
REVIEWS_TRAIN, REVIEWS_HELD_OUT = ("imdb_train.jsonl.gz", "imdb_unsup.jsonl.gz"), "imdb_test.jsonl.gz"
# What is more than this is a mistake or an attack; all of it is kept in memory.
MOST_BYTES = 200 << 20
LEAST_CHARACTERS = 2000
HELD_OUT = 0.1
_SUFFIXES = (".txt", ".md", ".text", ".jsonl", ".jsonl.gz")


class TooMuchError(ValueError):
    """More text than is kept in memory; the message is a sentence for a person."""


@dataclass(frozen=True)
class SplitTexts:
    """Texts to train on, and texts held out from it; sentences of the files that were left out, and why."""

    train: tuple[str, ...]
    held_out: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def without_surrogates(text: str) -> str:
    """A text that can be encoded: halves of surrogate pairs, which JSON may hold, as the characters that two of them
    make, or the replacement character U+FFFD."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def plain(text: str) -> str:
    """A text as all readers take it, whoever wrote it: `without_surrogates`, without a byte order mark before it and
    null bytes within, and with line feeds at the ends of its lines."""
    text = without_surrogates(text)
    return text.removeprefix("\ufeff").replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")


def decoded(content: bytes, name: str) -> str:
    """A file of UTF-8 as `plain` text; a character that the file's beginning or end has cut in two is left out.

    Args:
        name: of the file, for what is said of it.

    Raises:
        ValueError: it is something else.
    """
    # Up to three bytes may belong to a character that began before; a whole one never begins with such.
    cut = next((i for i, byte in enumerate(content[:4]) if byte & 0xC0 != 0x80), 4)
    try:
        # What does not end is held back.
        return plain(codecs.getincrementaldecoder("utf-8")().decode(content[cut if cut < 4 else 0 :]))
    except UnicodeDecodeError as error:
        raise ValueError(message("{name} is no text in UTF-8; save it as UTF-8 first.", name=name)) from error


def split_texts(data: Path) -> SplitTexts:
    """Texts to train on, and others.

    Args:
        data: a UTF-8 text file; a file with a JSON object with a "text" a line, packed by gzip or not; a folder or a
            zip of such files; or the folder that holds the reviews' three files, which have a held-out part of their
            own. Of all others the last tenth is held out.

    Raises:
        ValueError: nothing there that can be used, too little, or too much.
    """
    if data.is_dir() and (data / REVIEWS_HELD_OUT).is_file():
        held_out = tuple(_documents(data / REVIEWS_HELD_OUT))
        # Some reviews are in both parts; one that is scored must not have been learnt.
        known = set(held_out)
        train = tuple(text for name in REVIEWS_TRAIN for text in _documents(data / name) if text not in known)
        if not (train and held_out):
            raise ValueError(message("The files of reviews in {data} hold no texts; fetch them again.", data=data.name))
        return SplitTexts(train, held_out)
    texts, left_out = _readable(data)
    characters = sum(map(len, texts))
    if characters < LEAST_CHARACTERS:
        raise ValueError(
            message(
                "{data} holds {characters} characters of text; at least {least:,} are needed.",
                data=data.name,
                characters=characters,
                least=LEAST_CHARACTERS,
            )
        )
    return dataclasses.replace(_split(texts, round(characters * (1 - HELD_OUT))), left_out=told_of(left_out))


def _split(texts: list[str], most: int) -> SplitTexts:
    """The first `most` characters, and the rest; a text that is in both is cut at a space if one is near."""
    train, held_out = [], []
    for text in texts:
        if most <= 0:
            held_out.append(text)
            continue
        if len(text) > most:
            cut = text.rfind(" ", most * 9 // 10, most)
            cut = cut if cut > 0 else most
            held_out.append(text[cut:])
            train.append(text[:cut])
        else:
            train.append(text)
        most -= len(text)
    return SplitTexts(tuple(train), tuple(held_out))


def _files(data: Path) -> list[Path]:
    if not data.exists():
        raise ValueError(
            message(
                "There is no file {data} in {folder}; name a text file or a folder of them.",
                data=data.name,
                folder=data.parent,
            )
        )
    if data.is_file():
        return [data]
    files = sorted(
        path
        for path in data.rglob("*")
        if path.is_file() and path.name.lower().endswith(_SUFFIXES) and not is_aside(path.relative_to(data).as_posix())
    )
    if not files:
        raise ValueError(_no_texts(data))
    if sum(path.stat().st_size for path in files) > MOST_BYTES:
        raise TooMuchError(_too_much(data))
    return files


def _no_texts(path: Path) -> str:
    return message("{file} holds no text files; their names should end in .txt, .md or .jsonl.", file=path.name)


def _too_much(path: Path) -> str:
    return message(
        "{file} holds more than {megabytes} MB of text; use a part of it.", file=path.name, megabytes=MOST_BYTES >> 20
    )


def _readable(data: Path) -> tuple[list[str], list[tuple[str, Exception]]]:
    """The texts in a file, or in a folder or zip of files, and the names of those that were left out, with why.

    Raises:
        ValueError: it cannot be read; or of several files none can, or they are too much.
    """
    if data.suffix.lower() == ".zip" and data.is_file():
        return _of_several(_zipped(data))
    files = _files(data)
    if data.is_file():
        return list(_documents(data)), []
    return _of_several((path.relative_to(data).as_posix(), functools.partial(_documents, path)) for path in files)


def _of_several(
    files: Iterable[tuple[str, Callable[[], Iterable[str]]]],
) -> tuple[list[str], list[tuple[str, Exception]]]:
    """What can be read of files, each a name and what reads it."""
    texts: list[str] = []
    left_out: list[tuple[str, Exception]] = []
    read = 0
    for name, documents in files:
        check()
        try:
            texts += list(documents())
            read += 1
        except TooMuchError:
            raise
        except ValueError as error:
            left_out.append((name, error))
    if left_out and not read:
        raise left_out[0][1]
    return texts, left_out


def _zipped(path: Path) -> Iterator[tuple[str, Callable[[], Iterable[str]]]]:
    """The text files in a zip: the name of each, and what reads it while the next is not asked for."""
    _check_size(path)
    with archives.opened(path) as archive:
        archives.check_password(archive, path.name)
        found = [member for member in archives.members(archive) if member.name.lower().endswith(_SUFFIXES)]
        if not found:
            raise ValueError(_no_texts(path))
        left = MOST_BYTES
        for member in found:

            def documents(member: Member = member) -> list[str]:
                nonlocal left
                try:
                    content = archives.read_member(archive, member.key, left)
                except TooLargeError:
                    raise TooMuchError(_too_much(path)) from None
                left -= len(content)
                return list(_texts_in(member.name, _unpacked(path, content, member.name)))

            yield member.name, documents


def _check_size(path: Path) -> None:
    if path.stat().st_size > MOST_BYTES:
        raise TooMuchError(_too_much(path))


def _documents(path: Path) -> Iterator[str]:
    """The texts in one file, without those that are empty."""
    if not path.is_file():
        raise ValueError(
            message(
                "There is no file {file} in {folder}; name the folder that holds it.",
                file=path.name,
                folder=path.parent,
            )
        )
    _check_size(path)
    with archives.readable():
        content = path.read_bytes()
    yield from _texts_in(path.name, _unpacked(path, content, path.name))


def _unpacked(path: Path, content: bytes, name: str) -> bytes:
    """What is in a file; of one that is packed by gzip what it holds, which may be more than it says."""
    if not name.lower().endswith(".gz"):
        return content
    try:
        with gzip.open(io.BytesIO(content)) as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(message("{name} is damaged; fetch it again.", name=name)) from error
    if len(content) > MOST_BYTES:
        raise TooMuchError(_too_much(path))
    return content


def _texts_in(name: str, content: bytes) -> Iterator[str]:
    text = decoded(content, name)
    if not name.lower().endswith((".jsonl", ".jsonl.gz")):
        if text := text.strip():
            yield text
        return
    for number, line in enumerate(text.split("\n"), 1):
        check()
        if not line.strip():
            continue
        try:
            said = json.loads(line)["text"]
        except (json.JSONDecodeError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(
                message('Line {number} of {name} is no JSON object with a "text".', number=number, name=name)
            ) from error
        if not isinstance(said, str):
            raise ValueError(message('The "text" in line {number} of {name} is no text.', number=number, name=name))
        if said := without_breaks(plain(said)):
            yield said


def without_breaks(text: str) -> str:
    """A review with its HTML line breaks as line breaks."""
    return text.replace("<br />", "\n").strip()
