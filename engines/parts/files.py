"""Files that are whole or not there."""

from __future__ import annotations

import contextlib
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


@contextlib.contextmanager
def written_atomically(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path`, and rename it to `path` when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # a temporary file is its owner's alone; a result is for whoever serves or copies it
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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
