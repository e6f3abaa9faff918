"""Runs and lanes: who advances an engine, and how the page stops, steers and watches it.

A Run owns one engine's frames and is advanced by its lane's only thread, so an engine's code starts, steps and closes
on that thread and no two runs of a lane overlap. A page watches a Run and never computes: a slow page cannot slow an
engine, and only the newest frame is kept.
"""

from __future__ import annotations

import dataclasses
import logging
import statistics
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from engines.frames import Frame
from engines.jobs import ENGINES, Job, StartedJob, Workshop
from engines.recipes import Recipe
from studio.moments import Moments
from studio.previews import preview

logger = logging.getLogger(__name__)

UNWATCHED_SECONDS = 60.0
VALUES_KEPT = 240
RUNS_REMEMBERED = 30
# Films are made to be watched: no faster than they will play.
FILM_PICTURES_A_SECOND = 12
OVER = ("done", "stopped", "failed")


class Keeper(Protocol):
    """Takes a run's frames as they pass and makes its result of them; all on the lane's thread."""

    @property
    def moments(self) -> Moments: ...

    def see(self, frame: Frame) -> None: ...

    def finish(self, started: StartedJob) -> Path: ...

    def discard(self) -> None: ...


class LaneFullError(ValueError):
    """No more runs can wait; the message is a sentence for a person."""


class Run:
    """One engine at work.

    Attributes:
        id: a secret: whoever knows it may watch, steer and stop the run.
        state: "waiting", "running", "done", "stopped" or "failed".
        version: grows with every change that a page may want to show.
        job: what was asked for; its inputs are let go when the run is over.
        original: a preview of the job's first input, or None where it has none.
        frame: the newest frame; only a preview of its picture is kept when the run is over.
        curves: every metric over the run by its name, thinned to at most VALUES_KEPT values, evenly.
        moments: pictures of the run to look back at.
        error: the sentence to show when the run failed.
        result: the file that was made.
    """

    def __init__(self, started: StartedJob, keeper: Keeper):
        self.id = uuid.uuid4().hex
        self._started: StartedJob | None = started
        self._keeper = keeper
        self.job = started.job
        self.original = preview(next(iter(self.job.inputs.values()))) if self.job.inputs else None
        self.state, self.version = "waiting", 0
        self.frame: Frame | None = None
        self.curves: dict[str, list[float]] = {}
        self.moments = keeper.moments
        self._recipe: Recipe | None = None
        self.error = ""
        self.result: Path | None = None
        self.seconds = 0.0
        self._stop = threading.Event()
        self._beginning = threading.Lock()
        self._pending: Any = None
        self._steering = threading.Lock()
        self._began: float | None = None
        self._watched = time.monotonic()
        self._curve_stride = 1

    @property
    def over(self) -> bool:
        return self.state in OVER

    @property
    def seconds_left(self) -> float | None:
        """What the rest of the run will take if it goes on as it went; None while that is unknown."""
        if self._began is None or self.frame is None or self.frame.progress <= 0 or self.over:
            return None
        return (time.monotonic() - self._began) * (1 - self.frame.progress) / self.frame.progress

    def recipe_at(self, step: int) -> Recipe | None:
        """What made the picture of a step; None where there is no picture yet."""
        started, frame = self._started, self.frame
        recipe = started.recipe if started is not None and started.last is not None else self._recipe
        if recipe is None or frame is None:
            return None
        steering = tuple(item for item in recipe.steering if item[0] < step)
        return dataclasses.replace(recipe, steering=steering, stopped_at=step if step < frame.total else None)

    def stop(self) -> None:
        """End the run after the step that it is in; the last frame is its result. A waiting run ends at once."""
        self._stop.set()
        with self._beginning:
            if self.state == "waiting":
                self._close("stopped")

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

    def advance(self) -> None:
        """Run to the end. Called once, by the lane."""
        with self._beginning:
            started = self._started
            if started is None or self.over:
                return
            if self._unwatched():
                self._close("stopped")
                return
            self.state, self._began = "running", time.monotonic()
        self._changed()
        film = self.job.engine in ENGINES and ENGINES[self.job.engine].film
        pace = self.job.pace or (FILM_PICTURES_A_SECOND if film else 0)
        try:
            while not self._stop.is_set():
                frame = started.send(self._take_pending())
                self._keeper.see(frame)
                self._note_metrics(frame)
                self.frame = frame
                self._changed()
                if pace:
                    self._stop.wait(1 / pace)
                if self._unwatched():
                    logger.info("Nobody watches run %s: stopped.", self.id[:8])
                    break
        except StopIteration:
            pass
        except ValueError as error:
            self.error = str(error)
        except Exception:  # whatever a library raises must end this run alone, not the lane
            logger.exception("Run %s failed.", self.id[:8])
            self.error = "Something went wrong inside the engine; the details are in the server's log."
        self.seconds = time.monotonic() - self._began
        self._end(started)

    def _end(self, started: StartedJob) -> None:
        try:
            started.close()
            if self.frame is None:
                self._keeper.discard()
                self._close("failed" if self.error else "stopped")
                return
            self._recipe = started.recipe
            self.result = self._keeper.finish(started)
        except Exception:  # a full disk, a codec: whatever it is, the run must come to an end
            logger.exception("The result of run %s could not be written.", self.id[:8])
            self.error = self.error or "The result could not be written; is the disk full?"
        whole = (self.frame is not None and self.frame.step >= self.frame.total) or self.job.stop_at is not None
        self._close("failed" if self.error else "done" if whole and not self._stop.is_set() else "stopped")

    def _close(self, state: str) -> None:
        # Runs that are over are remembered for reloaded pages; full-size pictures would fill the memory.
        self.job = dataclasses.replace(self.job, inputs={})
        if self.frame is not None and self.frame.image is not None:
            self.frame = dataclasses.replace(self.frame, image=preview(self.frame.image))
        self._started = None
        self.state = state
        self._changed()

    def _changed(self) -> None:
        self.version += 1

    def _unwatched(self) -> bool:
        return time.monotonic() - self._watched > UNWATCHED_SECONDS

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


@dataclass(frozen=True)
class Place:
    """A waiting run's place in its lane: how many are before it, and an estimate of the wait, None if unknown."""

    before: int
    seconds: float | None


class Lane:
    """One thread that advances runs one after another."""

    def __init__(self, name: str, most_waiting: int):
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._most_waiting = most_waiting
        self._runs: list[Run] = []
        self._durations: deque[float] = deque(maxlen=10)
        self._lock = threading.Lock()

    def submit(self, run: Run) -> None:
        """Put a run at the end of the lane.

        Raises:
            LaneFullError: too many are waiting.
        """
        with self._lock:
            self._runs = [r for r in self._runs if not r.over]
            if len(self._runs) > self._most_waiting:
                raise LaneFullError("The studio is busy and its waiting line is full; try again in a minute.")
            self._runs.append(run)
        self._executor.submit(self._advance, run)

    def _advance(self, run: Run) -> None:
        try:
            run.advance()
        finally:
            with self._lock:
                # A run that was stopped says nothing of how long one takes.
                if run.state == "done":
                    self._durations.append(run.seconds)
                self._runs = [r for r in self._runs if r is not run]

    def place(self, run: Run) -> Place:
        """Where a waiting run stands. The estimate is what is left of the running one plus the median of recent runs
        for each other before it, and is None until a run has been timed."""
        with self._lock:
            ahead = [r for r in self._runs[: self._runs.index(run)] if not r.over] if run in self._runs else []
            typical = statistics.median(self._durations) if self._durations else None
        seconds = 0.0
        for other in ahead:
            left = other.seconds_left if other.state == "running" else typical
            if left is None:
                return Place(len(ahead), None)
            seconds += left
        return Place(len(ahead), seconds)

    def close(self) -> None:
        """Stop all runs and the thread."""
        with self._lock:
            runs = list(self._runs)
        for run in runs:
            run.stop()
        self._executor.shutdown(wait=True, cancel_futures=True)


class Runs:
    """The runs that a page may ask for by id, and the lane that they wait in.

    Runs that are over are remembered for a while, so that a reloaded page still finds its result.
    """

    def __init__(self, workshop: Workshop, make_keeper: Callable[[Job], Keeper], *, most_waiting: int = 20):
        self.workshop = workshop
        self.render = Lane("render", most_waiting)
        self._make_keeper = make_keeper
        self._by_id: dict[str, Run] = {}
        self._lock = threading.Lock()

    def start(self, job: Job) -> Run:
        """Queue a job.

        Raises:
            LaneFullError: too many are waiting.
        """
        run = Run(self.workshop.start(job), self._make_keeper(job))
        self.render.submit(run)
        with self._lock:
            self._by_id[run.id] = run
            over = [r for r in self._by_id.values() if r.over]
            for old in over[: max(0, len(over) - RUNS_REMEMBERED)]:
                del self._by_id[old.id]
                old.forget()
        return run

    def get(self, run_id: str | None) -> Run | None:
        """The run with this id, or None where there is none (any longer)."""
        with self._lock:
            return self._by_id.get(run_id or "")

    def close(self) -> None:
        """Stop everything; results so far are written."""
        self.render.close()
        for run in self._by_id.values():
            run.forget()
