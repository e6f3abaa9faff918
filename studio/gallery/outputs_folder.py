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
SNAPSHOTS, RUNS_IN_PROGRESS, UPLOADS = "moments", "going", "uploads"
VISITORS = "visitors"  # one folder of results per visitor
# Folders that only the studio writes to. Elsewhere a temporary file is the studio's only if it has a result's name.
_OWN = ("archives", "examples", "examples/paintings", "figures", "inputs", "thumbnails", "trainings", RUNS_IN_PROGRESS)
_RESULT = re.compile(r"[a-z_]+-\d{8}-\d{6}-[0-9a-f]{12}")


class OutputsError(ValueError):
    """The outputs folder cannot be used; the message is for the user."""


def check_writable(folder: Path, named: str) -> None:
    """Create a folder if it does not exist, and check that files can be written to it.

    Args:
        folder: the folder.
        named: the flag or environment variable that set it, for the message.

    Raises:
        OutputsError: it is a file, or cannot be created or written to.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise OutputsError(f"{named}: {folder} is a file; choose a folder.")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _unwritable(folder, named, error) from error


def _unwritable(folder: Path, named: str, error: OSError) -> OutputsError:
    why = error.strerror or error
    return OutputsError(f"{named}: cannot write to {folder} ({why}); choose another folder or change its permissions.")


def lock_outputs(folder: Path) -> FileLock:
    """Create and lock the outputs folder.

    The operating system releases the lock when the process ends, even after a crash.

    Returns:
        The held lock; release it to give up the folder.

    Raises:
        OutputsError: the folder cannot be created, written to or locked, or another studio uses it.
    """
    check_writable(folder, "--outputs")
    # The lock is not bound to the current thread.
    lock = FileLock(folder / LOCK, timeout=0, thread_local=False, mode=0o644)
    try:
        lock.acquire()
    except Timeout:
        raise OutputsError(
            f"Another Reverie is already using the outputs folder {folder}; use that one, or start this one with "
            "another --outputs and --port."
        ) from None
    except OSError as error:
        if error.errno in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP):
            raise OutputsError(
                f"--outputs: files cannot be locked on the disk of {folder}; choose another disk."
            ) from error
        raise _unwritable(folder, "--outputs", error) from error
    return lock


def remove_leftovers(folder: Path) -> int:
    """Remove what killed studios left behind: partial files and snapshots of runs.

    Call it only while holding the lock: to a running studio these files are work in progress.

    Returns:
        The number of partial files.
    """
    # Snapshots are useless once their server has stopped.
    shutil.rmtree(folder / SNAPSHOTS, ignore_errors=True)
    count = 0
    for path in _half_written(folder):
        try:
            path.unlink()
            count += 1
        except OSError as error:
            logger.warning("%s was left by a run that was killed, and cannot be removed: %s", path, error)
    # Only at startup: on a running server an empty folder may be about to be filled.
    without_empty_folders(folder / UPLOADS)
    return count


def without_empty_folders(root: Path) -> None:
    """Remove all empty folders below `root`."""
    for folder, _, _ in os.walk(root, topdown=False):
        if Path(folder) != root:
            with contextlib.suppress(OSError):  # not empty
                Path(folder).rmdir()


def _half_written(folder: Path) -> Iterator[Path]:
    """Yield the studio's temporary files that were never renamed; other files may belong to the user."""
    for home in (folder, *(folder / VISITORS).glob("*")):
        for where in (home, *(home / name for name in _OWN)):
            for path in _files_in(where):
                stem = temporary_for(path.name)
                if stem is not None and (where != home or _RESULT.fullmatch(stem)):
                    yield path


def _files_in(folder: Path) -> list[Path]:
    """List the files directly in a folder; none if it is missing or unreadable."""
    try:
        return [path for path in folder.iterdir() if path.is_file()]
    except OSError:
        return []
