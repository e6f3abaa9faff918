"""Run a studio's jobs on another machine, one frame per request.

It knows nothing of how it is asked. Files come once to each machine, by the SHA-256 of what is in them, and are checked
whenever they are used; files that a job writes go back with the frame after which they changed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from engines.core.files import make_room, sha256_of, written_atomically
from engines.core.frames import Frame
from engines.core.messages import message
from engines.core.quiet import load_quietly
from engines.jobs.job import Job
from engines.jobs.registry import ENGINES
from engines.jobs.running import JobExecution, ResumePoint, RunHistory, Workshop
from engines.jobs.warm_up import trace
from engines.weights.store import WeightsStore

# Of files that came from a studio, kept on a machine for the next run.
MOST_BYTES = 10_000_000_000
_OWN = "reverie-worker-"


class ChangedFileError(ValueError):
    """A file is not what its name says; the message is a sentence for a person."""


@dataclass(frozen=True)
class SentFile:
    """A file as it is named between machines: by what it is called, and by the SHA-256 of what is in it."""

    name: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class WorkerTask:
    """A job for a worker.

    Attributes:
        job: without its files.
        files: that it reads, by the engine's names for them.
        writes: what it calls the files that it writes, by the engine's names for them.
        weights: its network's, where they do not come with the project.
        standing: where the same job stood that was lost; None to begin.
    """

    job: Job
    files: Mapping[str, SentFile] = field(default_factory=dict)
    writes: Mapping[str, str] = field(default_factory=dict)
    weights: SentFile | None = None
    standing: ResumePoint | None = None

    @property
    def needed(self) -> tuple[SentFile, ...]:
        """All that must be on the worker's machine."""
        return (*self.files.values(), *([self.weights] if self.weights else []))


@dataclass(frozen=True)
class StepResult:
    """What comes back from a step.

    Attributes:
        frame: the newest; None when there are no more.
        history: of the run up to it.
    """

    frame: Frame | None
    history: RunHistory


class Worker:
    """Does one job at a time.

    Args:
        cache: folder of this machine for the files that come; several workers may share it.
    """

    def __init__(self, cache: Path):
        self._cache = cache / "files"
        _remove_what_the_dead_left()
        self._own = Path(tempfile.mkdtemp(prefix=f"{_OWN}{os.getpid()}-"))
        self._weights = self._own / "weights"
        self._weights.mkdir()
        self._workshop = Workshop(WeightsStore(folders=(self._weights,)))
        # Of which file each network is that was loaded: "" for one that comes with the project.
        self._loaded: dict[tuple[str, str], str] = {}
        self._started: JobExecution | None = None
        self._written: dict[str, Path] = {}
        self._seen: dict[str, tuple[int, int]] = {}

    def warm(self) -> None:
        """Load and trace what most runs need first."""
        load_quietly()
        trace(self._workshop)

    def missing_files(self, needed: Iterable[SentFile]) -> tuple[SentFile, ...]:
        """Those of the files that are not on this machine as they should be."""
        return tuple(file for file in needed if not self._is_whole(file))

    def _is_whole(self, file: SentFile) -> bool:
        path = self._cache / file.sha256
        return path.is_file() and sha256_of(path) == file.sha256

    def take(self, file: SentFile, content: np.ndarray) -> None:
        """Keep a file that has come.

        Args:
            content: (N,) uint8.

        Raises:
            ChangedFileError: it is another than its name says.
        """
        if hashlib.sha256(content.data).hexdigest() != file.sha256:
            raise ChangedFileError(
                message("{file} was changed on its way to another machine; start the run again.", file=file.name)
            )
        with written_atomically(self._cache / file.sha256) as opened:
            opened.write(content.data)
        make_room(self._cache, MOST_BYTES)

    def begin(self, order: WorkerTask) -> None:
        """Take up a job, whose files have come; its frames are made as they are asked for.

        Raises:
            ChangedFileError: a file is missing or another than its name says.
        """
        self.close()
        load_quietly()
        for file in self.missing_files(order.needed):
            raise ChangedFileError(
                message("{file} is not on this machine as it should be; start the run again.", file=file.name)
            )
        self._use_weights(order)
        folder = self._own / "run"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        read = {name: self._linked(file, folder) for name, file in order.files.items()}
        self._written = {name: folder / said for name, said in order.writes.items()}
        self._seen = {name: _stamp(path) for name, path in self._written.items()}
        job = dataclasses.replace(order.job, files={**self._written, **read})
        self._started = JobExecution(job, self._workshop, order.standing)

    def _use_weights(self, order: WorkerTask) -> None:
        """Have the network of an order be loaded from its own file."""
        engine, name = order.job.engine, order.job.backbone
        sha256 = order.weights.sha256 if order.weights else ""
        loader = ENGINES[engine].loader
        if self._loaded.get((loader, name), sha256) != sha256:
            self._workshop.forget(engine, name)
        for other in self._weights.iterdir():
            other.unlink()
        if order.weights:
            self._linked(order.weights, self._weights)
        if loader:
            self._loaded[loader, name] = sha256

    def _linked(self, file: SentFile, folder: Path) -> Path:
        """A file under its own name in a folder."""
        path, kept = folder / Path(file.name).name, self._cache / file.sha256
        try:
            os.link(kept, path)
        except OSError:  # a folder on another disk
            shutil.copyfile(kept, path)
        return path

    def send(self, changed: Any | None, seconds: float = 0.0) -> StepResult:
        """The next frame, after `changed` has taken effect; raises as `JobExecution.send`, but at the end tells None.

        Args:
            seconds: for so long frames that nobody has to see are left out; the one that is told stands for them.
        """
        started = self._started
        if started is None:
            raise ValueError(message("This machine has no run to go on with; start it again."))
        until = time.monotonic() + seconds
        try:
            frame = started.send(changed)
            while time.monotonic() < until and frame.step < frame.total and not _belongs_in_a_film(started, frame):
                # What the engine has chosen must be told all the same.
                chosen, frame = frame.config, started.send(None)
                frame = frame if frame.config is not None else dataclasses.replace(frame, config=chosen)
        except StopIteration:
            return StepResult(None, started.history)
        return StepResult(frame, started.history)

    def changed_files(self) -> dict[str, np.ndarray]:
        """What the job has written since this was asked last, by the engine's names, (N,) uint8 each."""
        found: dict[str, np.ndarray] = {}
        for name, path in self._written.items():
            if (stamp := _stamp(path)) != self._seen[name]:
                self._seen[name] = stamp
                found[name] = np.fromfile(path, np.uint8)
        return found

    def close(self) -> None:
        """Do no further step of the job."""
        if self._started is not None:
            self._started.close()
        self._started, self._written = None, {}

    def leave(self) -> None:
        """Remove what only this worker uses."""
        self.close()
        with contextlib.suppress(OSError):
            shutil.rmtree(self._own)


def _remove_what_the_dead_left() -> None:
    """Remove the folders of workers on this machine that were ended before they could do so."""
    for path in Path(tempfile.gettempdir()).glob(f"{_OWN}*"):
        process = path.name.removeprefix(_OWN).partition("-")[0]
        if process.isdigit() and not psutil.pid_exists(int(process)):
            shutil.rmtree(path, ignore_errors=True)


def _belongs_in_a_film(started: JobExecution, frame: Frame) -> bool:
    return started.job.makes_film and frame.keyframe


def _stamp(path: Path) -> tuple[int, int]:
    """What tells that a file was written anew; zeros where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return 0, 0
    return stat.st_mtime_ns, stat.st_size
