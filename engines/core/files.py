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

# Everything that numpy, zipfile and h5py raise for a damaged file.
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
# Names of temporary files: of `create_temporary`, and of `VideoWriter` while it is finished.
_TEMPORARY = re.compile(r"\.(?P<stem>.+)-[a-z0-9_]{8}(-whole)?(\.[A-Za-z0-9]+)?")
# Longer parts of a name are shortened in the name of its temporary file, which has extra characters.
MAX_STEM_BYTES, MAX_SUFFIX_BYTES = 100, 16


def create_temporary(path: Path) -> tuple[int, Path]:
    """Create an empty temporary file beside `path`, to be renamed to it; returns its descriptor and path.

    Its name starts with a dot and the stem of `path`, or a hash of a stem that is too long.

    Raises:
        OSError: the folder is missing or not writable.
    """
    stem_bytes, suffix_bytes = os.fsencode(path.stem), os.fsencode(path.suffix)
    stem = path.stem if len(stem_bytes) <= MAX_STEM_BYTES else hashlib.sha256(stem_bytes).hexdigest()[:16]
    suffix = path.suffix if len(suffix_bytes) <= MAX_SUFFIX_BYTES else ""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{stem}-", suffix=suffix)
    return handle, Path(name)


@contextlib.contextmanager
def written_atomically(path: Path, *, durable: bool = True) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path`, and rename it to `path` when the block ends without an error.

    Args:
        durable: wait until the file is on disk, so that it survives a loss of power.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = create_temporary(path)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp makes files private; results are to be served and copied
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_PERMISSION_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
_NOT_A_FOLDER = (errno.ENOTDIR, errno.EEXIST)


def cause_of(error: OSError) -> str:
    """Why a file could not be written, as a clause."""
    if error.errno in DISK_FULL:
        return message("the disk is full")
    if error.errno in _PERMISSION_DENIED:
        return message("permission to write there was denied")
    if error.errno == errno.ENAMETOOLONG:
        return message("the name is too long")
    if error.errno in _NOT_A_FOLDER:
        return message("a file has the same name as the folder")
    if not error.strerror:
        return message("an unknown error occurred")
    return error.strerror[:1].lower() + error.strerror[1:]


def why_unwritten(error: OSError) -> str:
    """Why a file could not be written and what to do, as the second half of a sentence."""
    if error.errno in DISK_FULL:
        return message("{cause}; free up space and try again", cause=cause_of(error))
    if error.errno in (*_PERMISSION_DENIED, *_NOT_A_FOLDER):
        return message("{cause}; choose another folder", cause=cause_of(error))
    if error.errno == errno.ENAMETOOLONG:
        return message("{cause}; choose a shorter one", cause=cause_of(error))
    return cause_of(error)


def temporary_for(name: str) -> str | None:
    """The stem of the file for which a temporary file was created, given its name; None for other names.

    Other programs may use such names too, so callers must know that the folder is ours.
    """
    match = _TEMPORARY.fullmatch(name)
    return match["stem"] if match else None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def md5_of(path: Path) -> str:
    """MD5 of a file, in hexadecimal. Not secure, but it is the hash that Keras publishes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def make_room(folder: Path, limit: int) -> None:
    """Delete the least recently modified files of a folder until at most `limit` bytes remain."""
    files: list[tuple[float, int, Path]] = []
    for path in folder.iterdir():
        with contextlib.suppress(OSError):  # another process may have deleted it
            stat = path.stat()
            files += [(stat.st_mtime, stat.st_size, path)] if path.is_file() else []
    size = sum(file_size for _, file_size, _ in files)
    for _, file_size, path in sorted(files):
        if size <= limit:
            break
        size -= file_size
        path.unlink(missing_ok=True)
