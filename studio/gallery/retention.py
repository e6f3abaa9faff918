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

from studio.gallery.outputs_folder import GOING, LOCK, MOMENTS, VISITORS, without_empty_folders

logger = logging.getLogger(__name__)

EVERY_SECONDS = 600.0
# Archives and films are fetched at once or never.
FETCHED_WITHIN = 3600.0
_FETCHED = ("archives", "figures")
# As long as Gradio keeps what was uploaded to a studio that still runs.
UPLOADED_WITHIN = 24 * 3600.0
# Drawn once, and wanted for ever.
_KEPT = ("examples",)
# Moments belong to runs that are remembered, records to runs that go on; whoever forgets these removes them.
_OTHERS = (MOMENTS, GOING)


@dataclass(frozen=True)
class Bounds:
    """What the outputs folder may hold; 0 is no bound.

    Attributes:
        seconds: how old a file may grow.
        size: of all files together, in bytes.
    """

    seconds: float = 0.0
    size: int = 0

    @property
    def any(self) -> bool:
        """Whether there is a bound at all."""
        return self.seconds > 0 or self.size > 0


def delete_old(outputs: Path, bounds: Bounds, now: float, uploads: Path) -> int:
    """Delete what is too old, and then the oldest until the rest is not too much; return the bytes that are left.

    Args:
        now: seconds since the epoch, as files have them.
        uploads: where browsers upload to; what is older there than Gradio keeps it, is deleted whatever the bounds.
    """
    files = []
    for path, status in _files(outputs):
        place = path.relative_to(outputs).parts[0]
        uploaded = path.is_relative_to(uploads)
        # A copy for a browser to fetch has the date of what it was copied from.
        since = max(status.st_mtime, status.st_ctime) if uploaded else status.st_mtime
        fetched = place in _FETCHED or path.parent.name in _FETCHED
        most = UPLOADED_WITHIN if uploaded else FETCHED_WITHIN if fetched else math.inf
        if now - since > min(most, bounds.seconds or math.inf):
            _remove(path)
        else:
            files.append((since, status.st_size, path))
    left = sum(size for _, size, _ in files)
    # Runs still read what was uploaded for them: it is the last to go.
    for _, size, path in sorted(files, key=lambda one: (one[2].is_relative_to(uploads), *one)):
        if not bounds.size or left <= bounds.size:
            break
        left -= size if _remove(path) else 0
    without_empty_folders(outputs / VISITORS)
    return left


def _remove(path: Path) -> bool:
    """Whether a file is gone; one that cannot be removed, as it is open on Windows, keeps no other."""
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
            with contextlib.suppress(OSError):  # gone meanwhile
                yield path, path.stat()


def start_cleanup(outputs: Path, bounds: Bounds, uploads: Path) -> None:
    """Tidy now and again from now on, as long as the server runs; arguments as for `tidy`."""

    def watch() -> None:
        while True:
            try:
                delete_old(outputs, bounds, time.time(), uploads)
            except OSError:
                logger.exception("The outputs folder could not be tidied.")
            time.sleep(EVERY_SECONDS)

    threading.Thread(target=watch, name="upkeep", daemon=True).start()
