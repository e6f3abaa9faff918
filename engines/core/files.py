"""Atomic writes and hashes."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import lzma
import os
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from engines.core.messages import message

# All that numpy, zipfile and h5py raise for a damaged file.
UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    IndexError,
    EOFError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)
# What is written beside its place until it is whole: here, and by a film in the making.
_TEMPORARY = re.compile(r"\.(?P<stem>.+)-[a-z0-9_]{8}(-whole)?(\.[A-Za-z0-9]+)?")
# Of a file's name in bytes, in the name of the one that is written first: beside it there is room for more letters.
LONGEST_STEM, LONGEST_SUFFIX = 100, 16


def unfinished_neighbour(path: Path) -> tuple[int, Path]:
    """Create an empty file in the folder of `path`, to be written and renamed to it: its descriptor and its path.

    Its name begins with a dot and the stem of `path`, or a hash of that where it is so long that it might not fit.

    Raises:
        OSError: the folder is not there, or nothing can be written in it.
    """
    stem, suffix = os.fsencode(path.stem), os.fsencode(path.suffix)
    named = path.stem if len(stem) <= LONGEST_STEM else hashlib.sha256(stem).hexdigest()[:16]
    kind = path.suffix if len(suffix) <= LONGEST_SUFFIX else ""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{named}-", suffix=kind)
    return handle, Path(name)


@contextlib.contextmanager
def written_atomically(path: Path, *, lasting: bool = True) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path`, and rename it to `path` when the block ends without an error.

    Args:
        lasting: whether it must outlive a loss of power, for which one waits for the disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = unfinished_neighbour(path)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            if lasting:
                os.fsync(file.fileno())
        temporary.chmod(0o644)  # a temporary file is its owner's alone; a result is for whoever serves or copies it
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_IN_THE_WAY = (errno.ENOTDIR, errno.EEXIST)


def cause_of(error: OSError) -> str:
    """Why a file could not be written, as a part of a sentence."""
    if error.errno in FULL:
        return message("the disk is full")
    if error.errno in _FORBIDDEN:
        return message("nothing may be written there")
    if error.errno == errno.ENAMETOOLONG:
        return message("its name is too long")
    if error.errno in _IN_THE_WAY:
        return message("there is a file where its folder should be")
    if not error.strerror:
        return message("an unknown error occurred")
    return error.strerror[:1].lower() + error.strerror[1:]


def why_unwritten(error: OSError) -> str:
    """Why a file could not be written, and what to do, as the second half of a sentence."""
    if error.errno in FULL:
        return message("{cause}; make room and try again", cause=cause_of(error))
    if error.errno in (*_FORBIDDEN, *_IN_THE_WAY):
        return message("{cause}; choose another folder", cause=cause_of(error))
    if error.errno == errno.ENAMETOOLONG:
        return message("{cause}; choose a shorter one", cause=cause_of(error))
    return cause_of(error)


def temporary_for(name: str) -> str | None:
    """The stem of the file that a file of this name becomes when it is whole; None if its name is no temporary one.

    Others may name files so too: it is for whoever knows a folder to say whose they are.
    """
    found = _TEMPORARY.fullmatch(name)
    return found["stem"] if found else None


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def md5_of(path: Path) -> str:
    """The MD5 of a file, in hexadecimal: no protection against forgery, but what Keras publishes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def make_room(folder: Path, most: int) -> None:
    """Remove the files of a folder that were not touched for longest, until the rest have at most so many bytes."""
    found: list[tuple[float, int, Path]] = []
    for path in folder.iterdir():
        with contextlib.suppress(OSError):  # somebody else may be making room too
            stat = path.stat()
            found += [(stat.st_mtime, stat.st_size, path)] if path.is_file() else []
    size = sum(each for _, each, _ in found)
    for _, each, path in sorted(found):
        if size <= most:
            break
        size -= each
        path.unlink(missing_ok=True)
