"""Reading zip files and folders: which members count, their names and their bytes.

Nothing is ever unpacked to disk.
"""

from __future__ import annotations

import contextlib
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from engines.core.files import UNREADABLE
from engines.core.messages import message

# How many files that were left out are told of one by one.
MOST_TOLD = 3
_ENCRYPTED, _NAMED_IN_UTF8 = 0x1, 0x800


class ArchiveError(ValueError):
    """A zip, or a member of one, that cannot be read; the message is a sentence for a person."""


class TooLargeError(ArchiveError):
    """A member that unpacks to more than is taken."""


@dataclass(frozen=True)
class Member:
    """A file in a zip.

    Attributes:
        key: its name as `zipfile` has it, by which it is opened.
        name: its name as a person reads it, with / between folders.
    """

    key: str
    name: str


def is_aside(name: str) -> bool:
    """Whether a name, with / between folders, is of a file that nobody put there on purpose.

    A Mac packs a `._x` beside each file x, or in a folder `__MACOSX`; names with a dot before them are hidden.
    """
    parts = PurePosixPath(name).parts
    return any(part == "__MACOSX" or (part.startswith(".") and part not in (".", "..")) for part in parts)


@contextlib.contextmanager
def readable() -> Iterator[None]:
    """Have a file that cannot be read be one that is damaged.

    Raises:
        ArchiveError: reading it raised OSError.
    """
    try:
        yield
    except OSError as error:
        why = error.strerror.lower() if error.strerror else message("an unknown error occurred")
        raise ArchiveError(
            message("This file cannot be read here ({why}); put another in its place.", why=why)
        ) from error


@contextlib.contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip, open.

    Raises:
        ArchiveError: it is not there, is no zip, or is damaged.
    """
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise ArchiveError(
            message(
                "There is no file {file} in {folder}; name the folder that holds it.",
                file=path.name,
                folder=path.parent,
            )
        ) from error
    except UNREADABLE as error:
        raise ArchiveError(
            message("{file} is not a zip file, or is damaged; make it anew.", file=path.name[:60])
        ) from error
    with archive:
        yield archive


def members(archive: zipfile.ZipFile) -> list[Member]:
    """The files in a zip, sorted by name, without folders and without what lies aside (`is_aside`)."""
    entries = archive.infolist()
    encoding = _encoding(_raw(entry) for entry in entries if not entry.flag_bits & _NAMED_IN_UTF8)
    found = []
    for entry in entries:
        name = entry.filename
        if not entry.flag_bits & _NAMED_IN_UTF8:
            name = _raw(entry).decode(encoding, "replace")
        # Some programs pack names with the other kind of stroke, a Mac those with each accent as a letter of its own.
        name = unicodedata.normalize("NFC", name.replace("\\", "/"))
        if not name.endswith("/") and not is_aside(name):
            found.append(Member(entry.filename, name))
    return sorted(found, key=lambda member: member.name)


def read_member(archive: zipfile.ZipFile, key: str, most: int) -> bytes:
    """What is in a member of a zip.

    Args:
        most: how many bytes are taken. A header may lie about a size, so no more than these are ever unpacked.

    Raises:
        TooLargeError: it has more.
        ArchiveError: it has a password, is damaged, or is packed in a way that Python does not know.
    """
    try:
        if archive.getinfo(key).flag_bits & _ENCRYPTED:
            raise ArchiveError(message("This file has a password; pack it again without one."))
        with archive.open(key) as file:
            data = file.read(most + 1)
    except ArchiveError:
        raise
    except NotImplementedError as error:
        raise ArchiveError(
            message("This file is packed in a way that is not known here; make an ordinary zip.")
        ) from error
    except UNREADABLE as error:
        raise ArchiveError(message("This file cannot be unpacked, as the zip is damaged; pack it again.")) from error
    if len(data) > most:
        raise TooLargeError(
            message("This file is larger than {megabytes} MB; make it smaller first.", megabytes=most >> 20)
        )
    return data


def told_of(left_out: Sequence[tuple[str, Exception]]) -> tuple[str, ...]:
    """Sentences that tell of files that were left out, by their names and why: of the first one by one."""
    told, rest = left_out[:MOST_TOLD], len(left_out) - MOST_TOLD
    sentences = tuple(message("{file} was left out: {why}", file=name[-60:], why=str(error)) for name, error in told)
    if rest > 0:
        sentences += (
            message("Another file was left out too.")
            if rest == 1
            else message("{count} other files were left out too.", count=rest),
        )
    return sentences


def check_password(archive: zipfile.ZipFile, name: str) -> None:
    """Refuse a zip all of whose files are encrypted.

    Raises:
        ArchiveError: it is one; the sentence calls it by `name`.
    """
    files = [entry for entry in archive.infolist() if not entry.is_dir()]
    if files and all(entry.flag_bits & _ENCRYPTED for entry in files):
        raise ArchiveError(message("{file} has a password; pack it again without one.", file=name[:60]))


def _raw(entry: zipfile.ZipInfo) -> bytes:
    """The bytes of a name that zipfile has taken for code page 437, as the format says where nothing else is said."""
    return entry.orig_filename.encode("cp437")


def _encoding(names: Iterable[bytes]) -> str:
    """The encoding that all these names are in.

    UTF-8 (Macs do not say so), else code page 437 where it gives Latin letters among others, else Korean (cp949) or
    Japanese (cp932). The two share most pairs of bytes: what is in KS X 1001, the common part of cp949, is Korean, as
    in cp932 it would be half-width katakana, which names hardly ever have.
    """
    whole = b"\n".join(name for name in names if not name.isascii())
    if not whole:
        return "cp437"
    readings = {encoding: _decoded(whole, encoding) for encoding in ("utf-8", "cp437", "euc_kr", "cp932", "cp949")}
    if readings["utf-8"] is not None:
        return "utf-8"
    if _is_latin(readings["cp437"] or ""):
        return "cp437"
    if readings["euc_kr"] is not None:
        return "cp949"
    japanese = readings["cp932"]
    if japanese is not None and not any("\uff61" <= letter <= "\uff9f" for letter in japanese):
        return "cp932"
    if readings["cp949"] is not None:
        return "cp949"
    return "cp932" if japanese is not None else "cp437"


def _decoded(names: bytes, encoding: str) -> str | None:
    try:
        return names.decode(encoding)
    except UnicodeDecodeError:
        return None


def _is_latin(names: str) -> bool:
    """Whether names read as a European language: no drawn lines or Greek, and most letters without an accent."""
    high = [letter for letter in names if not letter.isascii()]
    stems = "".join(PurePosixPath(line).stem for line in names.split("\n"))
    plain = sum(letter.isascii() and letter.isalpha() for letter in stems)
    return all(unicodedata.name(letter, "").startswith("LATIN") for letter in high) and plain > 2 * len(high)
