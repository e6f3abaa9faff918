"""Read zip files: which members count, their names and contents. Nothing is unpacked to disk."""

from __future__ import annotations

import contextlib
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from engines.core.files import UNREADABLE
from engines.core.messages import message

# Maximum number of skipped files that are named individually.
MAX_NOTICES = 3
_ENCRYPTED, _NAMED_IN_UTF8 = 0x1, 0x800


class ArchiveError(ValueError):
    """A zip or member that cannot be read; the message is for the user."""


class TooLargeError(ArchiveError):
    """A member that unpacks to more than the limit."""


@dataclass(frozen=True)
class Member:
    """A file in a zip.

    Attributes:
        key: name in `zipfile`, for opening it.
        name: decoded name for display, with / between folders.
    """

    key: str
    name: str


def is_system_file(name: str) -> bool:
    """Whether a path, with / between folders, is of a hidden file or of a file that macOS adds to zips: `._x` beside
    each file x, or a folder `__MACOSX`."""
    parts = PurePosixPath(name).parts
    return any(part == "__MACOSX" or (part.startswith(".") and part not in (".", "..")) for part in parts)


@contextlib.contextmanager
def as_archive_error() -> Iterator[None]:
    """Within the block, convert OSError to ArchiveError."""
    try:
        yield
    except OSError as error:
        why = error.strerror.lower() if error.strerror else message("an unknown error occurred")
        raise ArchiveError(message("This file cannot be read ({why}); replace it with another.", why=why)) from error


@contextlib.contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip.

    Raises:
        ArchiveError: it is missing, not a zip, or damaged.
    """
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise ArchiveError(
            message(
                "{file} was not found in {folder}; choose the folder that contains it.",
                file=path.name,
                folder=path.parent,
            )
        ) from error
    except UNREADABLE as error:
        raise ArchiveError(
            message("{file} is damaged or not a zip file; zip the files again.", file=path.name[:60])
        ) from error
    with archive:
        yield archive


def members(archive: zipfile.ZipFile) -> list[Member]:
    """The files in a zip, sorted by name, without folders and system files (`is_system_file`)."""
    entries = archive.infolist()
    encoding = _encoding(_raw(entry) for entry in entries if not entry.flag_bits & _NAMED_IN_UTF8)
    result = []
    for entry in entries:
        name = entry.filename
        if not entry.flag_bits & _NAMED_IN_UTF8:
            name = _raw(entry).decode(encoding, "replace")
        # Some programs use backslashes, and macOS decomposes accented letters.
        name = unicodedata.normalize("NFC", name.replace("\\", "/"))
        if not name.endswith("/") and not is_system_file(name):
            result.append(Member(entry.filename, name))
    return sorted(result, key=lambda member: member.name)


def read_member(archive: zipfile.ZipFile, key: str, limit: int) -> bytes:
    """Read a member of a zip.

    Args:
        limit: maximum size in bytes. Sizes in headers are not trusted; no more than this is unpacked.

    Raises:
        TooLargeError: it is larger.
        ArchiveError: it is encrypted, damaged, or compressed by an unsupported method.
    """
    try:
        if archive.getinfo(key).flag_bits & _ENCRYPTED:
            raise ArchiveError(message("This file is password-protected; zip it again without a password."))
        with archive.open(key) as file:
            data = file.read(limit + 1)
    except ArchiveError:
        raise
    except NotImplementedError as error:
        raise ArchiveError(
            message("This file uses an unsupported compression method; make an ordinary zip.")
        ) from error
    except UNREADABLE as error:
        raise ArchiveError(message("The zip is damaged and this file cannot be unpacked; zip it again.")) from error
    if len(data) > limit:
        raise TooLargeError(
            message("This file is larger than {megabytes} MB; make it smaller first.", megabytes=limit >> 20)
        )
    return data


def left_out_notices(left_out: Sequence[tuple[str, Exception]]) -> tuple[str, ...]:
    """Sentences about skipped files, given names and errors: one for each of the first, one for the rest."""
    named, rest = left_out[:MAX_NOTICES], len(left_out) - MAX_NOTICES
    sentences = tuple(message("{file} was skipped: {why}", file=name[-60:], why=str(error)) for name, error in named)
    if rest > 0:
        sentences += (
            message("One more file was skipped.")
            if rest == 1
            else message("{count} more files were skipped.", count=rest),
        )
    return sentences


def check_password(archive: zipfile.ZipFile, name: str) -> None:
    """Refuse a zip if all of its files are encrypted.

    Args:
        name: name of the zip in the message.

    Raises:
        ArchiveError: they are.
    """
    files = [entry for entry in archive.infolist() if not entry.is_dir()]
    if files and all(entry.flag_bits & _ENCRYPTED for entry in files):
        raise ArchiveError(message("{file} is password-protected; zip it again without a password.", file=name[:60]))


def _raw(entry: zipfile.ZipInfo) -> bytes:
    """The bytes of a name that `zipfile` has decoded as code page 437, the format's default."""
    return entry.orig_filename.encode("cp437")


def _encoding(names: Iterable[bytes]) -> str:
    """Guess the encoding of all these names.

    UTF-8 (macOS does not set the flag), else code page 437 if that gives Latin letters, else Korean (cp949) or Japanese
    (cp932). The last two share most byte pairs. Names that are valid in KS X 1001, the common part of cp949, are taken
    for Korean, since in cp932 they would be half-width katakana, which are rare in names.
    """
    joined = b"\n".join(name for name in names if not name.isascii())
    if not joined:
        return "cp437"
    decoded = {encoding: _decoded(joined, encoding) for encoding in ("utf-8", "cp437", "euc_kr", "cp932", "cp949")}
    if decoded["utf-8"] is not None:
        return "utf-8"
    if _is_latin(decoded["cp437"] or ""):
        return "cp437"
    if decoded["euc_kr"] is not None:
        return "cp949"
    japanese = decoded["cp932"]
    if japanese is not None and not any("\uff61" <= letter <= "\uff9f" for letter in japanese):
        return "cp932"
    if decoded["cp949"] is not None:
        return "cp949"
    return "cp932" if japanese is not None else "cp437"


def _decoded(names: bytes, encoding: str) -> str | None:
    try:
        return names.decode(encoding)
    except UnicodeDecodeError:
        return None


def _is_latin(names: str) -> bool:
    """Whether names look like a European language: no box-drawing or Greek characters, and mostly unaccented
    letters."""
    non_ascii = [letter for letter in names if not letter.isascii()]
    stems = "".join(PurePosixPath(line).stem for line in names.split("\n"))
    ascii_letters = sum(letter.isascii() and letter.isalpha() for letter in stems)
    return all(unicodedata.name(letter, "").startswith("LATIN") for letter in non_ascii) and ascii_letters > 2 * len(
        non_ascii
    )
