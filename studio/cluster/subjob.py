"""Run one part of a batch or sweep, on a thread of its own until its turn comes.

Until then its frames are buffered; afterwards the run's own thread takes them from the buffer and computes the rest.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engines.core.frames import Frame
from engines.jobs import Job, JobExecution, ModelCache, ResumableJob, RunHistory
from studio.cluster.remote_job import RemoteJob
from studio.runs.run import NoWorkerAvailable

logger = logging.getLogger(__name__)

# Maximum number of buffered keyframes; after that the part waits for its turn.
MAX_KEYFRAMES = 48
# Assumed size in bytes of a part until its image is read.
UNREAD_BYTES = 1 << 26
# A part that found no worker tries again after this.
RETRY_SECONDS = 1.0


class CatchingUp(Exception):  # noqa: N818 - not an error: the run tries again
    """Steps that were already shown are being repeated; there is no new frame yet."""


@dataclass(frozen=True)
class WorkerSlots:
    """Starts the parts of a run, and borrows slots of its queue for them.

    Attributes:
        begin: starts or resumes a job.
        acquire: takes a slot of the queue if one is free and no run waits for it; returns whether it did.
        release: returns a slot.
    """

    begin: Callable[[Job, ResumableJob | None], RemoteJob]
    acquire: Callable[[], bool]
    release: Callable[[], None]


@dataclass(frozen=True)
class BufferedFrame:
    """A frame with the state of its part at that frame.

    Attributes:
        steps: number of steps since the previous frame.
        job, history, where: as of `JobExecution`.
    """

    frame: Frame
    steps: int
    job: Job
    history: RunHistory
    where: str

    def replacing(self, before: BufferedFrame) -> BufferedFrame:
        """Return this frame merged with the one before it, which is skipped."""
        # A frame's config is set only where the engine chose settings.
        config = before.frame.config if self.frame.config is None else self.frame.config
        frame = dataclasses.replace(self.frame, config=config)
        return dataclasses.replace(self, frame=frame, steps=before.steps + self.steps)


class Subjob(JobExecution):
    """Frames of one part of a run, some of which may be prefetched.

    Args:
        job: the job of the whole run; replaced by the part's own once that is created.
        config: the settings that the part starts with.
        make_job: creates the part's own job; may raise ValueError.
        exact: see `RemoteJob`.
        run_is_idle: whether the run that the part belongs to is not requesting frames.
        on_slot_free: called on the part's thread when it has returned its slot.

    Attributes:
        steps: number of steps since the previous frame.
    """

    def __init__(
        self,
        job: Job,
        workshop: ModelCache,
        config: Any,
        make_job: Callable[[], Job],
        slots: WorkerSlots,
        *,
        exact: bool,
        run_is_idle: Callable[[], bool],
        on_slot_free: Callable[[], None],
    ):
        super().__init__(job, workshop)
        self.config = config
        self.steps = 0
        self._make_job, self._slots, self._exact = make_job, slots, exact
        self._run_is_idle, self._on_slot_free = run_is_idle, on_slot_free
        self._remote: RemoteJob | None = None
        self._newest: Frame | None = None
        self._buffer: tuple[BufferedFrame, ...] = ()  # replaced, never modified: other threads read it
        self._hidden_until = 0
        self._finished = False
        self._error: Exception | None = None
        self._thread: threading.Thread | None = None
        self._halt = threading.Event()
        self._lock = threading.Lock()
        self._prefetching = self._closed = False
        self._retry_at = 0.0

    # From its turn on

    def send(self, changed: Any | None) -> Frame:
        """Return the next frame, after `changed` has taken effect. The first call ends prefetching.

        Raises:
            CatchingUp: there is no new frame yet.
            NoWorkerAvailable, StopIteration, ValueError: as `RemoteJob.send`.
        """
        self._stop_prefetching()
        prefetched = bool(self._buffer) or self._error is not None
        if prefetched and changed is not None and changed != self.history.in_force:
            self._rewind()
        if self._buffer:
            buffered, *rest = self._buffer
            self._buffer = tuple(rest)
        elif self._error is not None:
            raise self._error
        else:
            buffered = self._next(changed, prefetching=False)
        self.last, self.steps, self.where = buffered.frame, buffered.steps, buffered.where
        self.job, self.history = buffered.job, buffered.history
        return buffered.frame

    def _stop_prefetching(self) -> None:
        """Wait for the thread to end after its step; it keeps the worker, and returns the slot."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._halt.set()
            thread.join()

    def _rewind(self) -> None:
        """Go back to the last frame that was shown: those after it were computed with other settings."""
        self._discard()
        if self.last is not None:
            again = dataclasses.replace(self.job, config=self.history.config, steering=self.history.steering)
            self._hidden_until = self.last.step
            self._remote = self._slots.begin(again, ResumableJob(again, None, self.last.step))
            self._remote.exact = self._exact

    def _discard(self) -> None:
        """Discard all that was prefetched, and release the worker."""
        remote, self._remote = self._remote, None
        self._buffer = ()
        self._newest, self._error, self._finished = None, None, False
        if remote is not None:
            remote.close()

    @property
    def workers(self) -> tuple[int, ...]:  # type: ignore[override]
        """The id of its worker; empty if it has none."""
        remote = self._remote
        return () if remote is None else remote.workers

    def _next(self, changed: Any | None, *, prefetching: bool) -> BufferedFrame:
        """Compute the next frame; raises CatchingUp if it was already shown."""
        if self._remote is None:
            self._remote = self._slots.begin(self._make_job(), None)
            self._remote.exact = self._exact
        remote = self._remote
        remote.needs_worker, remote.watched = prefetching, not prefetching
        frame = remote.send(changed)
        if frame is self._newest or frame.step <= self._hidden_until:
            raise CatchingUp
        self._newest, self._hidden_until = frame, 0
        buffered = BufferedFrame(frame, remote.steps, remote.job, remote.history, remote.where)
        if frame.step >= frame.total:
            self._finished = True
            remote.close()  # between two parts, no worker is held
        return buffered

    # Before its turn

    @property
    def can_prefetch(self) -> bool:
        """Whether it has frames to prefetch and is not doing so."""
        done = self._finished or self._error is not None
        return not self._prefetching and not done and time.monotonic() >= self._retry_at

    @property
    def size(self) -> int:
        """Size in bytes of its images."""
        remote = self._remote
        if remote is None:
            return 0 if self._error is not None else UNREAD_BYTES
        images = [*remote.job.inputs.values(), *(buffered.frame.image for buffered in self._buffer)]
        return sum(image.nbytes for image in images if image is not None)

    def prefetch(self) -> None:
        """Start or resume prefetching, on a slot that was borrowed for it."""
        self._halt.clear()
        self._prefetching = True
        self._thread = threading.Thread(target=self._prefetch, name="prefetch", daemon=True)
        self._thread.start()

    def _prefetch(self) -> None:
        try:
            while not self._halt.is_set() and not self._finished:
                if len(self._buffer) < MAX_KEYFRAMES:
                    self._prefetch_frame()
                elif self._run_is_idle():
                    # Other runs may need the worker; this part can be computed again.
                    self._discard()
                    break
                else:
                    self._halt.wait(0.2)
        except NoWorkerAvailable:
            self._retry_at = time.monotonic() + RETRY_SECONDS
        except Exception as error:  # noqa: BLE001 - raised again when its turn comes
            self._error = error
        finally:
            self._end_prefetching()

    def _prefetch_frame(self) -> None:
        with contextlib.suppress(CatchingUp):
            newest = self._next(None, prefetching=True)
            kept = self._buffer
            if kept and not _must_keep(kept[-1]):
                kept, newest = kept[:-1], newest.replacing(kept[-1])
            self._buffer = (*kept, newest)

    def _end_prefetching(self) -> None:
        with self._lock:
            self._prefetching = False
            closed = self._closed
        try:
            if self._remote is not None and (closed or self._error is not None):
                self._remote.close()
        except Exception:  # the slot must be returned whatever happens
            logger.exception("A prefetched part could not be closed.")
        finally:
            self._slots.release()
            self._on_slot_free()

    def close(self) -> None:
        """Stop: no further step is done. A part that is prefetching ends after its step."""
        with self._lock:
            self._closed = True
            prefetching = self._prefetching
        self._halt.set()
        if not prefetching and self._remote is not None:
            self._remote.close()


def _must_keep(buffered: BufferedFrame) -> bool:
    """Whether a frame must be kept although there is a newer one, because it belongs in a video."""
    return buffered.job.makes_video and buffered.frame.keyframe
