"""Run: advance, stop, steer and watch one job.

A Run owns one engine's frames and is advanced by one thread of its lane at a time: an engine's code starts, steps and
closes there, and no more runs overlap than the lane has room for. A page watches a Run and never computes: a slow page
cannot slow an engine, and only the newest frame is kept.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engines.core.files import FULL, cause_of, why_unwritten
from engines.core.frames import Frame
from engines.core.messages import message
from engines.jobs import ENGINES, Job, JobExecution, ResumableJob
from engines.jobs.batch import Batch
from engines.recipes import Recipe
from studio.runs.snapshots import Snapshots
from studio.wire_format import preview

logger = logging.getLogger(__name__)

UNWATCHED_SECONDS = 60.0
VALUES_KEPT = 240
# Films are made to be watched: no faster than they will play.
FILM_PICTURES_A_SECOND = 12
OVER = ("done", "stopped", "failed")
NOBODY_WATCHED = message("Nobody watched this run for a minute, so it was stopped; press Go on to go on with it.")
UNSAVED = message("The result could not be written: {cause}; press Save once that is put right.")
BROKEN = message("Something went wrong inside the engine; the details are in the server's log.")


class ResultWriter(Protocol):
    """Takes a run's frames as they pass and makes its result of them; all on the lane's thread.

    Attributes:
        moments: pictures of the run to look back at.
        results: files of the gallery that are finished before the run is.
        notices: what besides the result could not be kept, in sentences.
    """

    @property
    def moments(self) -> Snapshots: ...

    @property
    def results(self) -> tuple[Path, ...]: ...

    @property
    def notices(self) -> tuple[str, ...]: ...

    def see(self, started: JobExecution) -> None: ...

    def finish(self, started: JobExecution) -> Path | None: ...

    def discard(self) -> None: ...


class NoWorkerAvailable(Exception):  # noqa: N818 - no error: the run waits again
    """The place of a run is gone, or there is none at this moment. Raised by what it takes its frames from."""


class Run:
    """One engine at work.

    Attributes:
        id: a secret: whoever knows it may watch, steer and stop the run.
        state: "waiting", "running", "done", "stopped" or "failed".
        version: grows with every change that a page may want to show.
        job: what was asked for; its inputs are let go when the run is over.
        original: a preview of the first input of what is at work, or None where there is none to compare it with.
        frame: the newest frame; only a preview of its picture is kept when the run is over.
        curves: every metric over the run by its name, thinned to at most VALUES_KEPT values, evenly.
        moments: pictures of the run to look back at.
        error: the sentence to show when the run failed.
        notices: sentences of what else there is to say when it is over.
        results: files of the gallery that were finished on the way.
        result: the file that was made.
        seconds: how long it has worked; not what it gave way to.
        displaced: whether it waits because its place is gone.
        why: the sentence that says why it was stopped, where that was nobody's wish; "" otherwise.
        unfinished: what can be gone on with where it ended through no fault of its own.
        stage: of which tab it is, "" where of none.

    Args:
        on_end: called with the run as the last thing before it is over.
        patient: whether it goes on though nobody watches.
    """

    def __init__(
        self,
        started: JobExecution,
        keeper: ResultWriter,
        on_end: Callable[[Run], None] = lambda run: None,
        *,
        patient: bool = False,
    ):
        self.id = uuid.uuid4().hex
        self._started: JobExecution | None = started
        self._keeper, self._on_end, self._patient = keeper, on_end, patient
        self.job = started.job
        self._progress_before = started.progress_before
        self.original = original_of(started.job)
        self.state, self.version = "waiting", 0
        self.frame: Frame | None = None
        self.curves: dict[str, list[float]] = {}
        self.moments = keeper.moments
        self._recipe: Recipe | None = None
        self.error = ""
        self.notices: tuple[str, ...] = ()
        self.results: tuple[Path, ...] = ()
        self.result: Path | None = None
        self.seconds = 0.0
        self.displaced = False
        self.why = self.stage = ""
        self.unfinished: ResumableJob | None = None
        self._unsaved: JobExecution | None = None
        self._stop = threading.Event()
        self._beginning = threading.Lock()
        self._pending: Any = None
        self._steering = threading.Lock()
        self._resumed: float | None = None
        # Of the part at work, the seconds worked before it; of the part before, how long it took.
        self._part_began = 0.0
        self._part_seconds: float | None = None
        self._exhausted = False
        self._watched = time.monotonic()
        self._curve_stride = 1

    @property
    def over(self) -> bool:
        return self.state in OVER

    @property
    def ends(self) -> bool:
        """Whether it is over, or will be after the step that it is in."""
        return self.over or self._stop.is_set()

    @property
    def where(self) -> str:
        """Which machine it is on, in a few words; "" where there is only one."""
        started = self._started
        return "" if started is None else started.where

    @property
    def workers(self) -> tuple[int, ...]:
        """Which workers of a cluster do it, by their numbers."""
        started = self._started
        return () if started is None else started.workers

    @property
    def seconds_left(self) -> float | None:
        """What the rest of the run will take if it goes on as it went; None while that is unknown."""
        frame = self.frame
        if frame is None or frame.progress <= self._progress_before or self.over:
            return None
        return self._worked() * (1 - frame.progress) / (frame.progress - self._progress_before)

    @property
    def seconds_in_the_way(self) -> float | None:
        """How long whoever waits behind it has to: until it gives way, as far as the part before tells, or is over."""
        left, part = self.seconds_left, self._part_seconds
        if left is None or part is None:
            return left
        return min(left, max(0.0, part - (self._worked() - self._part_began)))

    def _worked(self) -> float:
        resumed = self._resumed
        return self.seconds + (0 if resumed is None else time.monotonic() - resumed)

    def recipe_at(self, step: int) -> Recipe | None:
        """What made the picture of a step; None where there is no picture yet."""
        started, frame = self._started, self.frame
        recipe = started.recipe if started is not None and started.last is not None else self._recipe
        if recipe is None or frame is None:
            return None
        steering = tuple(item for item in recipe.steering if item[0] < step)
        interruptions = tuple(after for after in recipe.interruptions if after < step)
        stopped_at = step if step < frame.total else None
        return dataclasses.replace(recipe, steering=steering, interruptions=interruptions, stopped_at=stopped_at)

    def stop(self) -> None:
        """End the run after the step that it is in; the last frame is its result. A waiting run ends at once."""
        self._stop.set()
        if self._taken_from_the_lane():
            self._end()

    def _taken_from_the_lane(self) -> bool:
        """Whether the run was waiting: it is whoever asks first who goes on with it."""
        with self._beginning:
            waited = self.state == "waiting"
            self.state = "running" if waited else self.state
            return waited

    def steer(self, config: Any) -> None:
        """Have the engine go on with another config from its next step; nothing happens when the run is over.

        Raises:
            ValueError: the config does not fit the run's backbone; the run goes on as it was.
        """
        started = self._started
        if started is not None:
            resolved = started.resolve(config)
            with self._steering:
                self._pending = resolved

    def _take_pending(self) -> Any:
        with self._steering:
            pending, self._pending = self._pending, None
        return pending

    def watched(self) -> None:
        """Note that somebody has just seen a frame."""
        self._watched = time.monotonic()

    def advance(self, gives_way: Callable[[], bool] = lambda: False) -> None:
        """Run to the end, or to a seam at which it gives way: then it waits again. Called by the lane until it is over.

        Args:
            gives_way: whether another run waits.
        """
        if not self._taken_from_the_lane():
            return
        if self._given_up():
            self._end()
            return
        self._resumed = time.monotonic()
        self.displaced = False
        self._changed()
        self._work(gives_way)
        self.seconds += time.monotonic() - self._resumed
        self._resumed = None
        with self._beginning:
            over = self._exhausted or self.error or self._stop.is_set() or self._given_up()
            self.state = "running" if over else "waiting"
        if over:
            self._end()
        self._changed()

    def _work(self, gives_way: Callable[[], bool]) -> None:
        """Take frames until there are no more, the run is stopped or fails, or has come to where it gives way."""
        started = self._started
        assert started is not None
        film = self.job.engine in ENGINES and ENGINES[self.job.engine].film
        pace = self.job.pace or (FILM_PICTURES_A_SECOND if film else 0)
        try:
            while not self._stop.is_set():
                at_work = started.job.inputs
                frame = started.send(self._take_pending())
                if frame is self.frame:
                    continue  # it does again what was lost
                try:
                    self._keeper.see(started)
                finally:  # should the disk be full, this frame is the result
                    self.results = self._keeper.results
                    self._note_metrics(frame)
                    if started.job.inputs is not at_work:
                        self.original = original_of(started.job)
                    self.frame = frame
                self._changed()
                if pace:
                    self._stop.wait(1 / pace)
                if self._given_up():
                    break
                if frame.seam:
                    worked = self._worked()
                    self._part_began, self._part_seconds = worked, worked - self._part_began
                # A run that has done all that it had to do does not wait to say so.
                if frame.seam and frame.step < frame.total and started.can_give_way and gives_way():
                    break
        except StopIteration:
            self._exhausted = True
        except NoWorkerAvailable:
            self.displaced = True
        except ValueError as error:
            self.error = str(error)
        except Exception as error:  # whatever a library raises must end this run alone, not the lane
            logger.exception("Run %s failed.", self.id[:8])
            full = isinstance(error, OSError) and error.errno in FULL
            self.error = message("The run had to end: {why}.", why=why_unwritten(error)) if full else BROKEN  # type: ignore[arg-type]

    def _end(self) -> None:
        """Write the result of what there is, and close."""
        started, frame = self._started, self.frame
        assert started is not None
        whole = self._exhausted or (frame is not None and frame.step >= frame.total)
        state = "done" if whole and not self._stop.is_set() else "stopped"
        self.why = "" if whole else self.why
        try:
            started.close()
            self.notices = started.notices
            if frame is None or frame.preparing:
                self._keeper.discard()
            else:
                self._recipe = started.recipe
                self._write(started)
            self.unfinished = started.left() if self.why else started.unfinished
        except Exception:  # a codec, a library: whatever it is, the run must come to an end
            logger.exception("The result of run %s could not be written.", self.id[:8])
            self.error = self.error or message("The result could not be written; the details are in the server's log.")
        self._close("failed" if self.error else state)

    def _write(self, started: JobExecution) -> None:
        """Write the result; where the disk refuses it, it is kept for another try."""
        try:
            self.result = self._keeper.finish(started)
        except OSError as error:
            logger.warning("The result of run %s could not be written: %s", self.id[:8], error)
            self._unsaved = started
            self.error = self.error or message(UNSAVED, cause=cause_of(error))
        finally:
            self.results = self._keeper.results
            self.notices = (*started.notices, *self._keeper.notices)

    @property
    def unsaved(self) -> bool:
        """Whether there is a result that could not be written yet."""
        return self._unsaved is not None

    def save(self) -> None:
        """Try once more to write a result that could not be written; nothing happens where there is none.

        Raises:
            ValueError: it cannot be written either now.
        """
        with self._beginning:
            started, self._unsaved = self._unsaved, None
        if started is None:
            return
        self.error = ""
        self._write(started)
        if self.error:
            raise ValueError(self.error)
        self.state = "done" if self.frame is not None and self.frame.step >= self.frame.total else "stopped"
        self._changed()

    def let_go(self) -> None:
        """Keep no longer in memory what could be gone on with or written yet."""
        self.unfinished = self._unsaved = None

    def _close(self, state: str) -> None:
        # Runs that are over are remembered for reloaded pages; full-size pictures would fill the memory.
        self.job = dataclasses.replace(self.job, inputs={})
        if self.frame is not None and self.frame.image is not None:
            self.frame = dataclasses.replace(self.frame, image=preview(self.frame.image))
        self._started = None
        self._on_end(self)
        self.state = state
        self._changed()

    def _changed(self) -> None:
        self.version += 1

    @property
    def unwatched(self) -> bool:
        """Whether nobody has seen a frame for so long that nobody is taken to watch."""
        return time.monotonic() - self._watched > UNWATCHED_SECONDS

    def _given_up(self) -> bool:
        """Whether it ends because nobody watches; it says so."""
        if self.why:  # it has ended for that, whoever looks now
            return True
        if self._patient or not self.unwatched:
            return False
        logger.info("Nobody watches run %s: stopped.", self.id[:8])
        self.why = NOBODY_WATCHED
        return True

    def _note_metrics(self, frame: Frame) -> None:
        if frame.step % self._curve_stride:
            return
        curves = {name: [*self.curves.get(name, []), value] for name, value in frame.metrics.items()}
        if any(len(values) > VALUES_KEPT for values in curves.values()):
            curves, self._curve_stride = {name: values[1::2] for name, values in curves.items()}, 2 * self._curve_stride
        self.curves = curves  # a new one each time: whoever watches reads it on another thread

    def forget(self) -> None:
        """Nobody will ask for this run again."""
        self.moments.forget()


def is_left_alone(job: Job) -> bool:
    """Whether a job is of those that people begin and leave: a training, a film, many pictures."""
    trains = job.engine in ENGINES and "checkpoint" in ENGINES[job.engine].files
    return trains or job.makes_film or job.makes_sheet or isinstance(job, Batch)


def original_of(job: Job) -> np.ndarray | None:
    """A preview of what a job's pictures can be compared with, (H, W, 3) uint8 RGB; None where there is nothing, as
    before a batch's first picture."""
    engine = ENGINES.get(job.engine)
    if engine is None or engine.sheet or engine.first_input not in job.inputs:
        return None
    return preview(job.inputs[engine.first_input])
