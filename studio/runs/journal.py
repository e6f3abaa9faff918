"""Keep a journal of active runs on disk, so that after a crash their pages report that they were interrupted."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import re
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from engines.core.files import written_atomically

if TYPE_CHECKING:
    from studio.runs.run import Run

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[0-9a-f]{64}\.json")


class RunJournal:
    """One small file per active run, named by the SHA-256 of its id, which is a secret.

    Files found at startup belong to runs of a studio that was killed. These runs are remembered as interrupted, and the
    files are deleted.

    Args:
        folder: exists only while a run is active.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._lock = threading.Lock()
        self._interrupted = self._take_leftovers()
        if self._interrupted:
            logger.warning("Interrupted when the studio was ended: %d of its runs.", len(self._interrupted))

    def _take_leftovers(self) -> dict[str, str]:
        """Delete all files and return file name -> engine."""
        found = {}
        for path in sorted(self._folder.iterdir()) if self._folder.is_dir() else []:
            try:
                content = path.read_bytes()
                path.unlink()
                if _NAME.fullmatch(path.name):
                    found[path.name] = str(json.loads(content)["engine"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                logger.warning("%s is no record of a run: %s", path, error)
        return found

    def add(self, run: Run) -> None:
        """Add a run; if its file cannot be written, a warning is logged."""
        record = {"engine": run.job.engine, "since": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
        try:
            with self._lock, written_atomically(self._folder / _name(run.id)) as file:
                file.write(json.dumps(record).encode())
        except OSError as error:
            logger.warning("The start of a run could not be recorded: %s", error)

    def remove(self, run: Run) -> None:
        """Remove a run that is over."""
        with self._lock:
            try:
                (self._folder / _name(run.id)).unlink(missing_ok=True)
            except OSError as error:
                logger.warning("The end of a run could not be recorded: %s", error)
            with contextlib.suppress(OSError):  # not empty
                self._folder.rmdir()

    def interrupted(self, run_id: str | None) -> str:
        """Return the engine of a run that was interrupted, once; "" for any other."""
        with self._lock:
            return self._interrupted.pop(_name(run_id or ""), "")


def _name(run_id: str) -> str:
    return f"{hashlib.sha256(run_id.encode()).hexdigest()}.json"
