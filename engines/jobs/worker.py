"""Run a studio's jobs on another machine, one frame per request.

Independent of the transport. Files are sent to each machine once, identified by their SHA-256, and verified whenever
they are used; files that a job writes are sent back with the frame after which they changed.
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

# Maximum size of the files from studios that a machine keeps for later runs.
MAX_CACHE_BYTES = 10_000_000_000
_FOLDER_PREFIX = "reverie-worker-"


class ChangedFileError(ValueError):
    """A file does not match its hash; the message is for the user."""


@dataclass(frozen=True)
class SentFile:
    """Identifies a file across machines, by its name and the SHA-256 of its contents."""

    name: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class WorkerTask:
    """A job for a worker.

    Attributes:
        job: the job without its files.
        files: files that it reads, by parameter name.
        writes: names of the files that it writes, by parameter name.
        weights: the network's weights, unless they are bundled.
        resume_point: where to resume a lost job; None to start.
    """

    job: Job
    files: Mapping[str, SentFile] = field(default_factory=dict)
    writes: Mapping[str, str] = field(default_factory=dict)
    weights: SentFile | None = None
    resume_point: ResumePoint | None = None

    @property
    def needed(self) -> tuple[SentFile, ...]:
        """All files that must be on the worker's machine."""
        return (*self.files.values(), *([self.weights] if self.weights else []))


@dataclass(frozen=True)
class StepResult:
    """Result of one request.

    Attributes:
        frame: the newest frame; None at the end of the run.
        history: history of the run up to it.
    """

    frame: Frame | None
    history: RunHistory


class Worker:
    """Runs one job at a time.

    Args:
        cache: folder for received files; several workers on a machine may share it.
    """

    def __init__(self, cache: Path):
        self._cache = cache / "files"
        _remove_stale_folders()
        self._folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER_PREFIX}{os.getpid()}-"))
        self._weights = self._folder / "weights"
        self._weights.mkdir()
        self._workshop = Workshop(WeightsStore(folders=(self._weights,)))
        # SHA-256 of the weights file of each loaded network; "" for bundled weights.
        self._loaded_weights: dict[tuple[str, str], str] = {}
        self._execution: JobExecution | None = None
        self._output_files: dict[str, Path] = {}
        self._stamps: dict[str, tuple[int, int]] = {}

    def warm(self) -> None:
        """Load and trace what most runs need."""
        load_quietly()
        trace(self._workshop)

    def missing_files(self, needed: Iterable[SentFile]) -> tuple[SentFile, ...]:
        """The files that are missing or damaged on this machine."""
        return tuple(file for file in needed if not self._is_intact(file))

    def _is_intact(self, file: SentFile) -> bool:
        path = self._cache / file.sha256
        return path.is_file() and sha256_of(path) == file.sha256

    def take(self, file: SentFile, content: np.ndarray) -> None:
        """Store a received file.

        Args:
            content: (N,) uint8.

        Raises:
            ChangedFileError: the content does not match the hash.
        """
        if hashlib.sha256(content.data).hexdigest() != file.sha256:
            raise ChangedFileError(
                message("{file} was changed while being sent to a worker; start the run again.", file=file.name)
            )
        with written_atomically(self._cache / file.sha256) as opened:
            opened.write(content.data)
        make_room(self._cache, MAX_CACHE_BYTES)

    def begin(self, task: WorkerTask) -> None:
        """Start a job whose files have been received. Frames are computed when `send` requests them.

        Raises:
            ChangedFileError: a file is missing or does not match its hash.
        """
        self.close()
        load_quietly()
        for file in self.missing_files(task.needed):
            raise ChangedFileError(
                message("{file} is missing or damaged on this worker; start the run again.", file=file.name)
            )
        self._use_weights(task)
        folder = self._folder / "run"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        inputs = {name: self._link(file, folder) for name, file in task.files.items()}
        self._output_files = {name: folder / file_name for name, file_name in task.writes.items()}
        self._stamps = {name: _stamp(path) for name, path in self._output_files.items()}
        job = dataclasses.replace(task.job, files={**self._output_files, **inputs})
        self._execution = JobExecution(job, self._workshop, task.resume_point)

    def _use_weights(self, task: WorkerTask) -> None:
        """Make the task's own weights file the one that its network is loaded from."""
        engine, name = task.job.engine, task.job.backbone
        sha256 = task.weights.sha256 if task.weights else ""
        loader = ENGINES[engine].loader
        if self._loaded_weights.get((loader, name), sha256) != sha256:
            self._workshop.forget(engine, name)
        for other in self._weights.iterdir():
            other.unlink()
        if task.weights:
            self._link(task.weights, self._weights)
        if loader:
            self._loaded_weights[loader, name] = sha256

    def _link(self, file: SentFile, folder: Path) -> Path:
        """Link a cached file into a folder under its own name."""
        path, cached = folder / Path(file.name).name, self._cache / file.sha256
        try:
            os.link(cached, path)
        except OSError:  # another file system, or one without hard links
            shutil.copyfile(cached, path)
        return path

    def send(self, changed: Any | None, seconds: float = 0.0) -> StepResult:
        """The next frame, after `changed` has taken effect. Raises like `JobExecution.send`, except StopIteration.

        Args:
            seconds: compute for this long and return only the last frame, but never skip a video's frames.
        """
        execution = self._execution
        if execution is None:
            raise ValueError(message("This worker has no run to resume; start the run again."))
        deadline = time.monotonic() + seconds
        try:
            frame = execution.send(changed)
            while time.monotonic() < deadline and frame.step < frame.total and not _is_video_frame(execution, frame):
                # Do not lose a config from a skipped frame.
                config, frame = frame.config, execution.send(None)
                frame = frame if frame.config is not None else dataclasses.replace(frame, config=config)
        except StopIteration:
            return StepResult(None, execution.history)
        return StepResult(frame, execution.history)

    def changed_files(self) -> dict[str, np.ndarray]:
        """The files that the job has written since the last call, by parameter name, (N,) uint8 each."""
        changed: dict[str, np.ndarray] = {}
        for name, path in self._output_files.items():
            if (stamp := _stamp(path)) != self._stamps[name]:
                self._stamps[name] = stamp
                changed[name] = np.fromfile(path, np.uint8)
        return changed

    def close(self) -> None:
        """Stop the job."""
        if self._execution is not None:
            self._execution.close()
        self._execution, self._output_files = None, {}

    def leave(self) -> None:
        """Stop the job and delete this worker's own folder."""
        self.close()
        with contextlib.suppress(OSError):
            shutil.rmtree(self._folder)


def _remove_stale_folders() -> None:
    """Delete the folders of workers on this machine that were killed."""
    for path in Path(tempfile.gettempdir()).glob(f"{_FOLDER_PREFIX}*"):
        process = path.name.removeprefix(_FOLDER_PREFIX).partition("-")[0]
        if process.isdigit() and not psutil.pid_exists(int(process)):
            shutil.rmtree(path, ignore_errors=True)


def _is_video_frame(started: JobExecution, frame: Frame) -> bool:
    return started.job.makes_video and frame.keyframe


def _stamp(path: Path) -> tuple[int, int]:
    """Modification time and size of a file; zeros if it does not exist."""
    try:
        stat = path.stat()
    except OSError:
        return 0, 0
    return stat.st_mtime_ns, stat.st_size
