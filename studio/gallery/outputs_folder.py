"""The outputs folder: locked while in use, cleaned after a crash."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from engines.core.files import temporary_for

logger = logging.getLogger(__name__)

LOCK = ".reverie.lock"
# Snapshots of runs, records of runs in progress, and uploads.
MOMENTS, GOING, UPLOADS = "moments", "going", "uploads"
VISITORS = "visitors"  # a folder of results for each
# Folders that only a studio writes to. Beside them, a temporary file is a studio's only if it was to become a result.
_OWN = ("archives", "examples", "examples/paintings", "figures", "inputs", "thumbnails", "trainings", GOING)
_RESULT = re.compile(r"[a-z_]+-\d{8}-\d{6}-[0-9a-f]{12}")


class OutputsError(ValueError):
    """A folder that a studio cannot keep its results in; the message is a sentence for a person."""


def check_writable(folder: Path, named: str) -> None:
    """Make a folder if it is not there, and make sure that files can be written to it.

    Args:
        named: what names the folder: a flag, or a variable of the environment.

    Raises:
        OutputsError: they cannot.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise OutputsError(f"{named}: {folder} is a file; name a folder.")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _unwritable(folder, named, error) from error


def _unwritable(folder: Path, named: str, error: OSError) -> OutputsError:
    why = error.strerror or error
    return OutputsError(
        f"{named}: nothing can be written to the folder {folder} ({why}); name another, or change who may write there."
    )


def lock_outputs(folder: Path) -> FileLock:
    """Make the folder of results if it is not there, make sure that files can be written to it, and lock it.

    The lock is the operating system's: it ends with the process, however that ends.

    Returns:
        the lock, held; whoever releases it gives the folder up.

    Raises:
        OutputsError: the folder cannot be made or written to, or another studio has it.
    """
    check_writable(folder, "--outputs")
    # Held by this object, whichever thread asks.
    lock = FileLock(folder / LOCK, timeout=0, thread_local=False, mode=0o644)
    try:
        lock.acquire()
    except Timeout:
        raise OutputsError(
            f"Another Reverie is running with the outputs folder {folder}; use that one, or start this one with "
            "another --outputs and another --port."
        ) from None
    except OSError as error:
        if error.errno in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP):
            raise OutputsError(
                f"--outputs: {folder} is on a disk whose files cannot be locked; name a folder on another disk."
            ) from error
        raise _unwritable(folder, "--outputs", error) from error
    return lock


def remove_leftovers(folder: Path) -> int:
    """Remove what studios have left that were killed: half-written files, and the moments of their runs.

    Only for whoever holds the folder's lock: to a studio that runs, the same files are its work.

    Returns:
        how many half-written files there were.
    """
    # Moments live as long as their runs are remembered; those of an earlier server are nobody's.
    shutil.rmtree(folder / MOMENTS, ignore_errors=True)
    count = 0
    for path in _half_written(folder):
        try:
            path.unlink()
            count += 1
        except OSError as error:
            logger.warning("%s was left by a run that was killed, and cannot be removed: %s", path, error)
    # Only here: to a server that runs, a folder that is empty may be one that is just being filled.
    without_empty_folders(folder / UPLOADS)
    return count


def without_empty_folders(root: Path) -> None:
    """Remove all folders below `root` that nothing is in."""
    for folder, _, _ in os.walk(root, topdown=False):
        if Path(folder) != root:
            with contextlib.suppress(OSError):  # not empty
                Path(folder).rmdir()


def _half_written(folder: Path) -> Iterator[Path]:
    """Files that were to be renamed when they were whole, where a studio writes: whatever else is in the folder is
    somebody's own."""
    for home in (folder, *(folder / VISITORS).glob("*")):
        for where in (home, *(home / name for name in _OWN)):
            for path in _files_in(where):
                stem = temporary_for(path.name)
                if stem is not None and (where != home or _RESULT.fullmatch(stem)):
                    yield path


def _files_in(folder: Path) -> list[Path]:
    """The files of a folder, none of those below; empty where it is not there or cannot be read."""
    try:
        return [path for path in folder.iterdir() if path.is_file()]
    except OSError:
        return []
