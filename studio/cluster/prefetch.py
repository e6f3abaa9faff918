"""Prefetch later parts of a run on idle workers."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from engines.core.frames import Frame
from engines.jobs import Job, JobExecution, ModelCache, ResumableJob, RunHistory
from studio.cluster.remote_job import RemoteJob
from studio.runs.run import NoWorkerAvailable

logger = logging.getLogger(__name__)

# Of a film ahead, pictures that wait for its turn; then it waits itself.
MOST_KEYFRAMES = 48
# What parts ahead hold together, inputs and frames, when no further one is begun.
MOST_BYTES = 1 << 30
# Of those, what a part counts as while its picture is not read.
UNREAD_BYTES = MOST_BYTES // 16
# Until a part ahead that had no worker asks again.
AGAIN_SECONDS = 1.0
# A part that only waits gives its worker up when its run has not been at work for so long.
IDLE_SECONDS = 5.0


class CatchingUp(Exception):  # noqa: N818 - no error: the run asks again
    """A part does again what was seen already; there is no new frame yet."""


@dataclass(frozen=True)
class WorkerSlots:
    """Where the parts of a run are done.

    Attributes:
        begin: a job begun, or what is left of it.
        borrow: takes a place for a part ahead, if there is one that nobody waits for.
        give_back: gives one back.
    """

    begin: Callable[[Job, ResumableJob | None], RemoteJob]
    borrow: Callable[[], bool]
    give_back: Callable[[], None]


@dataclass(frozen=True)
class BufferedFrame:
    """A frame as it was made: for how many steps it stands, and how its run stood."""

    frame: Frame
    steps: int
    job: Job
    history: RunHistory
    where: str

    def with_unseen(self, before: BufferedFrame) -> BufferedFrame:
        """The same where the frame before it is never seen."""
        # What the engine has chosen must be told all the same.
        config = before.frame.config if self.frame.config is None else self.frame.config
        frame = dataclasses.replace(self.frame, config=config)
        return dataclasses.replace(self, frame=frame, steps=before.steps + self.steps)


class Subjob(JobExecution):
    """One of the jobs that a run is made of: its frames, some of which may have been made before they are asked for.

    Args:
        job: what the whole run is asked for; until its own is made.
        config: what it is begun with.
        make: its own job; may raise ValueError.
        exact: see `RemoteJob`.
        idle: whether the run it belongs to is not at work.
        ended: called, on the part's thread, when that has given its place back.

    Attributes:
        steps: for how many steps the newest frame stands.
    """

    def __init__(
        self,
        job: Job,
        workshop: ModelCache,
        config: Any,
        make: Callable[[], Job],
        places: WorkerSlots,
        *,
        exact: bool,
        idle: Callable[[], bool],
        ended: Callable[[], None],
    ):
        super().__init__(job, workshop)
        self.config = config
        self.steps = 0
        self._make, self._places, self._exact = make, places, exact
        self._idle, self._ended = idle, ended
        self._made: RemoteJob | None = None
        self._newest: Frame | None = None
        self._unseen: tuple[BufferedFrame, ...] = ()  # a new one each time: other threads look at it
        self._hidden_until = 0
        self._over = False
        self._error: Exception | None = None
        self._thread: threading.Thread | None = None
        self._halt = threading.Event()
        self._lock = threading.Lock()
        self._ahead = self._closed = False
        self._again_at = 0.0

    # Asked for, when its turn has come

    def send(self, changed: Any | None) -> Frame:
        """The next frame, after `changed` has taken effect; ends what is done ahead.

        Raises:
            CatchingUp: it is not there yet.
            Displaced, StopIteration, ValueError: as `RemoteJob.send`.
        """
        self._take_over()
        made_ahead = bool(self._unseen) or self._error is not None
        if made_ahead and changed is not None and changed != self.history.in_force:
            self._go_back()
        if self._unseen:
            pulled, *unseen = self._unseen
            self._unseen = tuple(unseen)
        elif self._error is not None:
            raise self._error
        else:
            pulled = self._pull(changed, ahead=False)
        self.last, self.steps, self.where = pulled.frame, pulled.steps, pulled.where
        self.job, self.history = pulled.job, pulled.history
        return pulled.frame

    def _take_over(self) -> None:
        """Have its thread end between two frames; the worker is this run's then, and the borrowed place is given
        back."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._halt.set()
            thread.join()

    def _go_back(self) -> None:
        """Be again where it was when its last frame was seen: what came after it was made with other settings."""
        self._drop()
        if self.last is not None:
            again = dataclasses.replace(self.job, config=self.history.config, steering=self.history.steering)
            self._hidden_until = self.last.step
            self._made = self._places.begin(again, ResumableJob(again, None, self.last.step))
            self._made.exact = self._exact

    def _drop(self) -> None:
        """Forget all that was made and not seen."""
        made, self._made = self._made, None
        self._unseen = ()
        self._newest, self._error, self._over = None, None, False
        if made is not None:
            made.close()

    @property
    def workers(self) -> tuple[int, ...]:  # type: ignore[override]
        """Its worker of the cluster, if it has one."""
        made = self._made
        return () if made is None else made.workers

    def _pull(self, changed: Any | None, *, ahead: bool) -> BufferedFrame:
        """The next frame made; raises CatchingUp where it was made before."""
        if self._made is None:
            self._made = self._places.begin(self._make(), None)
            self._made.exact = self._exact
        made = self._made
        made.only_there = made.unseen = ahead
        frame = made.send(changed)
        if frame is self._newest or frame.step <= self._hidden_until:
            raise CatchingUp
        self._newest, self._hidden_until = frame, 0
        pulled = BufferedFrame(frame, made.steps, made.job, made.history, made.where)
        if frame.step >= frame.total:
            self._over = True
            made.close()  # at a seam nothing is held
        return pulled

    # Ahead of its turn

    @property
    def waits(self) -> bool:
        """Whether there is something to do ahead, and nobody does it."""
        done = self._over or self._error is not None
        return not self._ahead and not done and time.monotonic() >= self._again_at

    @property
    def size(self) -> int:
        """Bytes of the pictures that it holds."""
        made = self._made
        if made is None:
            return 0 if self._error is not None else UNREAD_BYTES
        images = [*made.job.inputs.values(), *(pulled.frame.image for pulled in self._unseen)]
        return sum(image.nbytes for image in images if image is not None)

    def go_ahead(self) -> None:
        """Begin, or go on, before its turn, on a place that was borrowed."""
        self._halt.clear()
        self._ahead = True
        self._thread = threading.Thread(target=self._work_ahead, name="part-ahead", daemon=True)
        self._thread.start()

    def _work_ahead(self) -> None:
        try:
            while not self._halt.is_set() and not self._over:
                if len(self._unseen) < MOST_KEYFRAMES:
                    self._pull_ahead()
                elif self._idle():
                    # Whoever has its run's turn may need the worker; this can be made again.
                    self._drop()
                    break
                else:
                    self._halt.wait(0.2)
        except NoWorkerAvailable:
            self._again_at = time.monotonic() + AGAIN_SECONDS
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised when its turn comes
            self._error = error
        finally:
            self._end_ahead()

    def _pull_ahead(self) -> None:
        with contextlib.suppress(CatchingUp):
            pulled = self._pull(None, ahead=True)
            kept = self._unseen
            if kept and not self._is_kept(kept[-1]):
                kept, pulled = kept[:-1], pulled.with_unseen(kept[-1])
            self._unseen = (*kept, pulled)

    def _is_kept(self, pulled: BufferedFrame) -> bool:
        """Whether a frame is to be seen though there is a newer one: it belongs in a film."""
        return pulled.job.makes_film and pulled.frame.keyframe

    def _end_ahead(self) -> None:
        with self._lock:
            self._ahead = False
            closed = self._closed
        try:
            if self._made is not None and (closed or self._error is not None):
                self._made.close()
        except Exception:  # the worker is not to be had any more
            logger.exception("A part ahead could not be closed.")
        finally:
            self._places.give_back()
            self._ended()

    def close(self) -> None:
        """Stop: no further step is done. A thread that works ahead ends after the step that it is in."""
        with self._lock:
            self._closed = True
            ahead = self._ahead
        self._halt.set()
        if not ahead and self._made is not None:
            self._made.close()


class Prefetcher:
    """The parts of a run that are begun before their turn.

    Args:
        count: how many parts there are.
        config: what a part is to be begun with, as it is now.
        make: a part's own job.
        exact: see `RemoteJob`.
    """

    def __init__(
        self,
        whole: Job,
        workshop: ModelCache,
        places: WorkerSlots,
        count: int,
        config: Callable[[int], Any],
        make: Callable[[int, Any], Job],
        *,
        exact: bool = False,
    ):
        self._whole, self._workshop, self._places, self._count = whole, workshop, places, count
        self._config, self._make, self._exact = config, make, exact
        self._parts: dict[int, Subjob] = {}
        self._next = count
        self._closed = False
        self._at_work, self._left = False, time.monotonic()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """While the run is at work."""
        self._at_work = True
        try:
            yield
        finally:
            self._left, self._at_work = time.monotonic(), False

    def _idle(self) -> bool:
        return not self._at_work and time.monotonic() - self._left > IDLE_SECONDS

    def take(self, number: int) -> Subjob:
        """The part whose turn it is."""
        with self._lock:
            self._next = number + 1
            self._leave_out_the_stale()
            return self._parts.pop(number, None) or self._begun(number)

    def look(self) -> None:
        """Begin parts ahead, where there are places."""
        with self._lock:
            self._leave_out_the_stale()
            held = sum(part.size for part in self._parts.values())
            for number in range(self._next, self._count):
                part = self._parts.get(number)
                if part is not None and not part.waits:
                    continue
                if self._closed or held > MOST_BYTES or not self._places.borrow():
                    return
                part = self._parts[number] = part or self._begun(number)
                held += part.size
                part.go_ahead()

    def _begun(self, number: int) -> Subjob:
        config = self._config(number)
        return Subjob(
            self._whole,
            self._workshop,
            config,
            lambda: self._make(number, config),
            self._places,
            exact=self._exact,
            idle=self._idle,
            ended=self.look,
        )

    def _leave_out_the_stale(self) -> None:
        """Close those that were begun with other settings than now."""
        for number, part in list(self._parts.items()):
            if part.config != self._config(number):
                self._parts.pop(number).close()

    @property
    def workers(self) -> tuple[int, ...]:
        """The workers that are at parts ahead."""
        return tuple(worker for part in list(self._parts.values()) for worker in part.workers)

    def close(self) -> None:
        """Close all, and begin no more."""
        with self._lock:
            self._closed = True
            parts, self._parts = self._parts, {}
        for part in parts.values():
            part.close()
