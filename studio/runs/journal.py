"""Journal of running jobs, to report after a crash what was lost."""

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
    """A small file for each run that is at work or waits, named by the SHA-256 of its id, which is a secret.

    What is in the folder at first is of runs that a studio before this one was ended with. They are remembered as
    interrupted, and their files removed.

    Args:
        folder: there only while a run is.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._lock = threading.Lock()
        self._interrupted = self._found()
        if self._interrupted:
            logger.warning("Interrupted when the studio was ended: %d of its runs.", len(self._interrupted))

    def _found(self) -> dict[str, str]:
        """The engines of the runs that are noted, by the names of their files, which are removed."""
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
        """Note that a run goes on. Where that cannot be written the run goes on all the same."""
        said = {"engine": run.job.engine, "since": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
        try:
            with self._lock, written_atomically(self._folder / _name(run.id)) as file:
                file.write(json.dumps(said).encode())
        except OSError as error:
            logger.warning("It could not be noted that a run goes on: %s", error)

    def remove(self, run: Run) -> None:
        """Note that a run is over."""
        with self._lock:
            try:
                (self._folder / _name(run.id)).unlink(missing_ok=True)
            except OSError as error:
                logger.warning("It could not be noted that a run is over: %s", error)
            with contextlib.suppress(OSError):  # not empty
                self._folder.rmdir()

    def interrupted(self, run_id: str | None) -> str:
        """The engine of a run that was interrupted; "" for any other, and when it was asked for before."""
        with self._lock:
            return self._interrupted.pop(_name(run_id or ""), "")


def _name(run_id: str) -> str:
    return f"{hashlib.sha256(run_id.encode()).hexdigest()}.json"
