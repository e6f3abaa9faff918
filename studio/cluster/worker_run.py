"""Run a job on a worker of the cluster, one frame per request."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engines.core.files import sha256_of
from engines.core.frames import Frame
from engines.jobs import ENGINES, Job, ModelCache, ResumableJob, RunHistory
from engines.jobs.worker import SentFile, StepResult, WorkerTask
from studio.cluster.lease import WorkerLease

# If steps are shorter than this, the next frame is requested in advance.
AHEAD_SECONDS = 0.5


class WorkerRun:
    """A job on a worker.

    Args:
        lease: the worker.
        remaining: the job, or the rest of one.
        ahead: whether to request the next frame in advance if steps are short; settings may then take effect a step
            later.

    Attributes:
        where: the title of the worker's machine.
        history: history of the run up to the newest frame.

    Raises:
        LostError: the worker is lost.
        ValueError: a file that the job needs is missing, or was corrupted in transfer.
    """

    def __init__(self, lease: WorkerLease, remaining: ResumableJob, workshop: ModelCache, *, ahead: bool = True):
        self.lease = lease
        self.where = lease.title
        job = remaining.job
        weights, files, paths = _files_to_send(job, workshop)
        writes = {name: path for name, path in job.files.items() if name in ("checkpoint", "output")}
        task = WorkerTask(
            job=dataclasses.replace(job, files={}),
            files=files,
            writes={name: path.name for name, path in writes.items()},
            weights=weights,
            resume_point=remaining.resume_point,
        )
        self._may_request_ahead, self._quick = ahead, False
        self._requested: Callable[[], Any] | None = None
        lease.begin(task, paths, writes)
        self.history = remaining.resume_point.history if remaining.resume_point else RunHistory()

    def send(self, changed: Any | None, seconds: float = 0.0) -> Frame:
        """Return the next frame; `changed` takes effect on it, or on the one after if it was requested already.

        Args:
            seconds: skip frames for this long; see `Worker.send`.

        Raises:
            StopIteration: there are no more frames.
            LostError, ValueError: as `WorkerLease.call`.
        """
        wait, self._requested = self._requested, None
        if wait is None:
            wait, changed = self.lease.start_call("send", changed, seconds), None
        if (self._quick and self._may_request_ahead) or changed is not None:
            # The worker continues while a frame is transferred and shown. Long steps are not requested in advance, so
            # that Stop waits for at most one of them.
            self._requested = self.lease.start_call("send", changed, seconds)
        result: StepResult = wait()
        self._quick = result.history.seconds - self.history.seconds < AHEAD_SECONDS
        self.history = result.history
        if result.frame is None:
            raise StopIteration
        return result.frame

    def close(self) -> None:
        """Do no further step, and release the worker."""
        self.lease.release()


def _files_to_send(job: Job, workshop: ModelCache) -> tuple[SentFile | None, dict[str, SentFile], dict[str, Path]]:
    """The files that a job reads: the network's weights, files by parameter name, and SHA-256 -> path of all."""
    weights, files, paths = None, dict[str, SentFile](), dict[str, Path]()
    path = workshop.weights_file(job.engine, job.backbone)
    if path is not None:
        # Keras's own files are looked up by the names that Keras publishes them under.
        name = path.name if path.suffix == ".h5" else ENGINES[job.engine].weights.format(job.backbone) + path.suffix
        weights = SentFile(name, sha256_of(path))
        paths[weights.sha256] = path
    for name, path in job.files.items():
        if name != "output" and path.is_file():
            files[name] = SentFile(path.name, sha256_of(path))
            paths[files[name].sha256] = path
    return weights, files, paths
