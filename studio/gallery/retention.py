"""Retention: delete results by age and total size."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from studio.gallery.outputs_folder import LOCK, RUNS_IN_PROGRESS, SNAPSHOTS, VISITORS, without_empty_folders

logger = logging.getLogger(__name__)

EVERY_SECONDS = 600.0
# Archives and figures are downloaded right away or not at all.
FETCHED_WITHIN = 3600.0
_FETCHED = ("archives", "figures")
# As long as a running Gradio keeps uploads.
UPLOADED_WITHIN = 24 * 3600.0
# Drawn once and always needed.
_KEPT = ("examples",)
# Snapshots and records belong to runs, which remove them.
_OTHERS = (SNAPSHOTS, RUNS_IN_PROGRESS)


@dataclass(frozen=True)
class Bounds:
    """Limits of the outputs folder; 0 means no limit.

    Attributes:
        seconds: maximum age of a file.
        size: maximum size of all files together, in bytes.
    """

    seconds: float = 0.0
    size: int = 0

    @property
    def any(self) -> bool:
        """True if there is any limit."""
        return self.seconds > 0 or self.size > 0


def delete_old(outputs: Path, bounds: Bounds, now: float, uploads: Path) -> int:
    """Delete files that are too old, then the oldest until the rest fits; return the remaining bytes.

    Args:
        outputs: the outputs folder.
        bounds: the limits.
        now: current time in seconds since the epoch.
        uploads: folder of uploads; those older than UPLOADED_WITHIN are deleted whatever the limits.
    """
    files = []
    for path, status in _files(outputs):
        place = path.relative_to(outputs).parts[0]
        uploaded = path.is_relative_to(uploads)
        # A copy made for download keeps the modification time of its original.
        since = max(status.st_mtime, status.st_ctime) if uploaded else status.st_mtime
        fetched = place in _FETCHED or path.parent.name in _FETCHED
        most = UPLOADED_WITHIN if uploaded else FETCHED_WITHIN if fetched else math.inf
        if now - since > min(most, bounds.seconds or math.inf):
            _remove(path)
        else:
            files.append((since, status.st_size, path))
    left = sum(size for _, size, _ in files)
    # Delete uploads last, as runs may still read them.
    for _, size, path in sorted(files, key=lambda one: (one[2].is_relative_to(uploads), *one)):
        if not bounds.size or left <= bounds.size:
            break
        left -= size if _remove(path) else 0
    without_empty_folders(outputs / VISITORS)
    return left


def _remove(path: Path) -> bool:
    """Delete a file; return False if that fails, such as for an open file on Windows."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("%s cannot be removed: %s", path, error)
        return False
    return True


def _files(outputs: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for folder, names, files in os.walk(outputs):
        if Path(folder) == outputs:
            names[:] = [name for name in names if name not in (*_KEPT, *_OTHERS)]
            files = [name for name in files if name != LOCK]
        for name in files:
            path = Path(folder) / name
            with contextlib.suppress(OSError):  # deleted meanwhile
                yield path, path.stat()


def start_cleanup(outputs: Path, bounds: Bounds, uploads: Path) -> None:
    """Start a thread that calls `delete_old` now and every EVERY_SECONDS."""

    def watch() -> None:
        while True:
            try:
                delete_old(outputs, bounds, time.time(), uploads)
            except OSError:
                logger.exception("The outputs folder could not be tidied.")
            time.sleep(EVERY_SECONDS)

    threading.Thread(target=watch, name="upkeep", daemon=True).start()
