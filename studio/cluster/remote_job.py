"""Run a job on a cluster worker, or locally while no cluster is available.

A run outlives its worker: a training resumes from its last checkpoint, a dream or a style transfer from its last image,
and anything else starts over, without showing again the frames already shown.
"""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

from engines.core.frames import Frame
from engines.core.messages import message
from engines.jobs import Job, JobExecution, ModelCache, ResumableJob, ResumePoint
from studio.cluster.client import AwayError, BusyError, Cluster
from studio.cluster.ray_process import LostError
from studio.cluster.worker_run import WorkerRun
from studio.runs.run import NoWorkerAvailable

logger = logging.getLogger(__name__)

# A run resumes automatically this many times; after that the user decides.
MAX_LOSSES = 1
# `RemoteJob.where` of a run on the studio's own machine.
HERE = message("the studio's machine")
# For an unwatched run, a worker sends a frame this often and skips those between.
UNWATCHED_SECONDS = 0.4


class LostTwiceError(ValueError):
    """The run lost its worker more than MAX_LOSSES times; the message is for the user."""


class RemoteJob(JobExecution):
    """A job's frames, computed by a worker of the cluster or, while that is not available, by this process.

    Args:
        unfinished: the rest of a run that ended early; None to start the job.

    Attributes:
        needs_worker: whether to wait while the cluster is not available, instead of running here.
        watched: whether the frames are shown; if not, those that no video needs may be skipped.
        steps: number of steps since the previous frame: more than 1 if frames were skipped.
        exact: whether the result must equal that of an uninterrupted run: a lost run starts over instead of resuming
            from its last image, and settings take effect at the step at which they are sent.
    """

    def __init__(self, job: Job, workshop: ModelCache, cluster: Cluster, unfinished: ResumableJob | None = None):
        super().__init__(job, workshop)
        self.needs_worker = self.exact = False
        self.watched = True
        self.steps = 1
        self._cluster = cluster
        self._remaining = unfinished or ResumableJob(job)
        self._execution: JobExecution | WorkerRun | None = None
        self._losses = 0
        self._pending: Any = self._remaining.in_force
        self._last_sent: Any = None
        self._redone_to = 0
        self._resume_point: ResumePoint | None = None
        if unfinished and unfinished.resume_point:
            self.history = unfinished.resume_point.history
            frame = unfinished.resume_point.frame
            self.progress_before = 0.0 if frame is None else frame.progress

    @property
    def where(self) -> str:  # type: ignore[override]
        """The title of the machine that it runs on, or HERE; "" before and after."""
        execution = self._execution
        return "" if execution is None else execution.where or HERE

    @property
    def workers(self) -> tuple[int, ...]:  # type: ignore[override]
        """The id of its worker; empty if it has none."""
        execution = self._execution
        return (execution.lease.id,) if isinstance(execution, WorkerRun) else ()

    @property
    def preemptible(self) -> bool:  # type: ignore[override]
        """Whether another run may go first at its yield points: not on a worker, which keeps the run's state."""
        return isinstance(self._execution, JobExecution)

    def send(self, changed: Any | None) -> Frame:
        """Return the next frame, after `changed` has taken effect; the last one again while steps are repeated.

        Raises:
            NoWorkerAvailable: its worker is lost, or none is free.
            LostTwiceError: its worker is lost, and not for the first time.
            StopIteration, ValueError: as `JobExecution.send`.
        """
        if changed is not None:
            self._pending = self._last_sent = changed
            if changed != self.history.in_force:
                # Manual steering overrides the rest of the replay.
                self.job = dataclasses.replace(self.job, steering=(), stop_at=None, interruptions=())
        try:
            execution = self._execution = self._execution or self._start_execution()
            # Steps are repeated with their original settings; settings sent since then take effect after them.
            redoing = self._redone_to < self._remaining.seen
            frame = execution.send(None if redoing else self._pending, **self._skipping(execution))
        except LostError as error:
            self._handle_loss(error)
            raise NoWorkerAvailable from None
        except (StopIteration, ValueError):
            self._close_execution()
            raise
        self._redone_to = frame.step
        self._pending = self._pending if redoing else None
        if self.last is not None and not self.last.preparing and frame.step <= self._remaining.seen:
            return self.last
        before = self._remaining.seen if self.last is None else self.last.step
        self.steps = 1 if self.watched else max(1, frame.step - before)
        self.last, self.history = frame, execution.history
        self.notices += tuple(sentence for sentence in frame.notices if sentence not in self.notices)
        self.job = dataclasses.replace(self.job, config=execution.history.config)
        if frame.position is not None and not self.exact:
            self._resume_point = ResumePoint(frame, execution.history)
        return frame

    def _skipping(self, execution: JobExecution | WorkerRun) -> dict[str, float]:
        """The argument that lets a worker skip frames, if it may."""
        return {} if self.watched or not isinstance(execution, WorkerRun) else {"seconds": UNWATCHED_SECONDS}

    def _start_execution(self) -> JobExecution | WorkerRun:
        """Start the rest of the job, on a worker or here.

        Raises:
            NoWorkerAvailable: no worker is free.
            LostError: the worker was lost while the job was sent to it.
        """
        remaining = self._remaining
        try:
            lease = self._cluster.acquire(self.job.backbone)
        except AwayError:
            if self.needs_worker:
                raise NoWorkerAvailable from None
            return JobExecution(remaining.job, self._workshop, remaining.resume_point)
        except BusyError:
            raise NoWorkerAvailable from None
        try:
            return WorkerRun(lease, remaining, self._workshop, ahead=not self.exact)
        except Exception:  # the worker is free for the next run, whatever went wrong
            lease.release()
            raise

    def _handle_loss(self, error: LostError) -> None:
        """Prepare to resume after the worker is lost; raises LostTwiceError the last time."""
        logger.warning("A run lost its worker at step %d: %s", self.last.step if self.last else 0, error)
        self._execution, self._redone_to = None, 0
        self._remaining = self._rest()
        # The newest settings may not have reached the worker.
        self._pending = self._remaining.in_force if self._last_sent is None else self._last_sent
        self._losses += 1
        if self._losses > MAX_LOSSES:
            again = message("press Train") if "checkpoint" in self.job.files else message("press Resume")
            raise LostTwiceError(
                message("This run lost its worker for the second time; {again} to resume.", again=again)
            )

    def remaining(self) -> ResumableJob | None:
        """The rest of the run after its last frame; None if it is complete."""
        if self.last is not None and self.last.step >= self.last.total:
            return None
        # The video file ends with the run: a resumed run makes another video, and shows all frames.
        new_video = self.last is not None and self.job.makes_video
        return dataclasses.replace(self._from_start(), seen=0) if new_video else self._rest()

    def _rest(self) -> ResumableJob:
        job, history = self.job, self.history
        if self.last is None:
            return self._remaining
        if "checkpoint" in job.files:
            return ResumableJob(job, ResumePoint(None, history))
        if self._resume_point is not None:
            point = self._resume_point
            # Settings that were changed after that point must be sent again.
            changed = history.in_force if history.in_force != point.history.in_force else None
            step = point.frame.step if point.frame else 0
            steering = tuple(item for item in job.steering if item[0] >= step)
            return ResumableJob(dataclasses.replace(job, steering=steering, interruptions=()), point, 0, changed)
        return self._from_start()

    def _from_start(self) -> ResumableJob:
        """The whole run, repeated without showing the frames up to the last."""
        assert self.last is not None
        history, step = self.history, self.last.step
        to_replay = tuple(item for item in self.job.steering if item[0] >= step)
        again = dataclasses.replace(self.job, config=history.config, steering=(*history.steering, *to_replay))
        return ResumableJob(again, None, step)

    @property
    def unfinished(self) -> ResumableJob | None:
        """The rest of a lost run; None if it was not lost, or resumes from its checkpoint."""
        lost = self._losses > MAX_LOSSES and "checkpoint" not in self.job.files
        return self._remaining if lost else None

    def _close_execution(self) -> None:
        execution, self._execution = self._execution, None
        if execution is not None:
            execution.close()

    def close(self) -> None:
        """Stop: no further step is done, and the worker is free for the next run."""
        self._close_execution()
