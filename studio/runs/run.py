"""Run: advance, stop, steer and watch one job.

A Run owns the frames of one engine. One thread of the queue at a time advances it: the engine starts, steps and closes
there, and the queue limits how many runs are concurrent. Pages only watch: they read the newest frame, compute nothing,
and cannot slow down an engine.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engines.core.files import DISK_FULL, cause_of, why_unwritten
from engines.core.frames import Frame
from engines.core.messages import message
from engines.jobs import ENGINES, Job, JobExecution, ResumableJob
from engines.jobs.batch import Batch
from engines.recipes import Recipe
from studio.runs.curves import MetricCurves
from studio.runs.snapshots import Snapshots
from studio.runs.timer import RunTimer
from studio.wire_format import preview

logger = logging.getLogger(__name__)

UNWATCHED_SECONDS = 60.0
# Videos are made no faster than they play, so that they can be watched.
VIDEO_FRAMES_PER_SECOND = 12
OVER = ("done", "stopped", "failed")
NOBODY_WATCHED = message("This run stopped because no page watched it for a minute; press Resume to continue.")
UNSAVED = message("Could not save the result: {cause}; fix this, then press Save.")
BROKEN = message("Something went wrong in the engine; see the server log for details.")


class ResultWriter(Protocol):
    """Writes the result of a run from its frames. Called on the queue's threads only.

    Attributes:
        snapshots: snapshots of the run's images.
        results: finished files in the gallery while the run continues, such as those of a batch.
        notices: sentences about what could not be written besides the result.
    """

    @property
    def snapshots(self) -> Snapshots: ...

    @property
    def results(self) -> tuple[Path, ...]: ...

    @property
    def notices(self) -> tuple[str, ...]: ...

    def add(self, execution: JobExecution) -> None:
        """Process the newest frame."""

    def finish(self, execution: JobExecution) -> Path | None:
        """Write the result and return its path; None if there is no result. Raises OSError."""

    def discard(self) -> None:
        """Delete the unfinished files of a run without a result."""


class NoWorkerAvailable(Exception):  # noqa: N818 - not an error: the run waits again
    """A job's worker is lost, or none is free. Raised by `JobExecution.send`; the run goes back to the queue."""


class Run:
    """One job that is waiting, running or over.

    Attributes:
        id: secret id; whoever knows it may watch, steer and stop the run.
        state: "waiting", "running", "done", "stopped" or "failed".
        version: incremented with every change that pages show.
        job: the job; its inputs are dropped when the run is over.
        original: a preview of the first input of the current part, (H, W, 3) uint8; None if there is none to compare
            with.
        frame: the newest frame; only a preview of its image is kept when the run is over.
        snapshots: snapshots of its images.
        error: why it failed, in a sentence.
        notices: sentences to show when it is over.
        results: finished files in the gallery while the run continues.
        result: the result file.
        waits_for_worker: whether it waits because it lost its worker.
        stop_reason: why the studio stopped it, in a sentence; "" if the user did or it was not stopped.
        unfinished: the rest of a run that was lost or that the studio stopped, to resume it; None otherwise.
        tab: name of the tab that it belongs to; "" for none.

    Args:
        writer: writes the result.
        on_end: called with the run just before it is over.
        unattended: whether it continues while no page watches it.
    """

    def __init__(
        self,
        execution: JobExecution,
        writer: ResultWriter,
        on_end: Callable[[Run], None] = lambda run: None,
        *,
        unattended: bool = False,
    ):
        self.id = uuid.uuid4().hex
        self._execution: JobExecution | None = execution
        self._writer, self._on_end, self._unattended = writer, on_end, unattended
        self.job = execution.job
        self.original = original_of(execution.job)
        self.state, self.version = "waiting", 0
        self.frame: Frame | None = None
        self.snapshots = writer.snapshots
        self._curves = MetricCurves()
        self._timer = RunTimer(execution.progress_before)
        self._recipe: Recipe | None = None
        self.error = ""
        self.notices: tuple[str, ...] = ()
        self.results: tuple[Path, ...] = ()
        self.result: Path | None = None
        self.waits_for_worker = False
        self.stop_reason = self.tab = ""
        self.unfinished: ResumableJob | None = None
        self._unsaved: JobExecution | None = None
        self._stop = threading.Event()
        self._state_lock = threading.Lock()
        self._exhausted = False
        self._watched = time.monotonic()

    @property
    def over(self) -> bool:
        """Whether it is done, stopped or failed."""
        return self.state in OVER

    @property
    def ends(self) -> bool:
        """Whether it is over, or will be after the current step."""
        return self.over or self._stop.is_set()

    @property
    def curves(self) -> Mapping[str, list[float]]:
        """Each metric's values over the run, by its name; see `MetricCurves`."""
        return self._curves.values

    @property
    def seconds(self) -> float:
        """Seconds of work, not counting waiting time."""
        return self._timer.seconds

    @property
    def where(self) -> str:
        """The title of the machine that it runs on; "" if there is only one."""
        execution = self._execution
        return "" if execution is None else execution.where

    @property
    def workers(self) -> tuple[int, ...]:
        """The ids of its workers in the cluster."""
        execution = self._execution
        return () if execution is None else execution.workers

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds of work to its end; None if unknown."""
        frame = self.frame
        return None if frame is None or self.over else self._timer.seconds_left(frame.progress)

    @property
    def seconds_to_yield(self) -> float | None:
        """Estimated seconds until another run may go first; None if unknown."""
        frame = self.frame
        return None if frame is None or self.over else self._timer.seconds_to_yield(frame.progress)

    def recipe_at(self, step: int) -> Recipe | None:
        """Return the recipe of a step's image; None if there is no image yet."""
        execution, frame = self._execution, self.frame
        recipe = execution.recipe if execution is not None and execution.last is not None else self._recipe
        if recipe is None or frame is None:
            return None
        steering = tuple(item for item in recipe.steering if item[0] < step)
        interruptions = tuple(after for after in recipe.interruptions if after < step)
        stopped_at = step if step < frame.total else None
        return dataclasses.replace(recipe, steering=steering, interruptions=interruptions, stopped_at=stopped_at)

    def stop(self) -> None:
        """End the run after the current step; the last frame is its result. A waiting run ends at once."""
        self._stop.set()
        if self._claim():
            self._end()

    def _claim(self) -> bool:
        """Change the state from waiting to running, on one thread only; returns whether it was waiting."""
        with self._state_lock:
            waited = self.state == "waiting"
            self.state = "running" if waited else self.state
            return waited

    def steer(self, config: Any) -> None:
        """Continue with another config from the next step; does nothing if the run is over.

        Raises:
            ValueError: the config does not fit the run's network; the run continues unchanged.
        """
        execution = self._execution
        if execution is not None:
            execution.steer(config)

    def watched(self) -> None:
        """Record that a page or an API client has just received a frame."""
        self._watched = time.monotonic()

    def advance(self, should_yield: Callable[[], bool] = lambda: False) -> None:
        """Run to the end, or to a yield point where another run waits. Called by the queue until the run is over.

        Args:
            should_yield: whether another run waits.
        """
        if not self._claim():
            return
        if self._is_abandoned():
            self._end()
            return
        self._timer.resume()
        self.waits_for_worker = False
        self._changed()
        self._work(should_yield)
        self._timer.pause()
        with self._state_lock:
            over = self._exhausted or self.error or self._stop.is_set() or self._is_abandoned()
            self.state = "running" if over else "waiting"
        if over:
            self._end()
        self._changed()

    def _work(self, should_yield: Callable[[], bool]) -> None:
        """Take frames until the run ends, is stopped, fails, loses its worker or yields."""
        execution = self._execution
        assert execution is not None
        video = self.job.engine in ENGINES and ENGINES[self.job.engine].video
        pace = self.job.pace or (VIDEO_FRAMES_PER_SECOND if video else 0)
        try:
            while not self._stop.is_set():
                inputs = execution.job.inputs
                frame = next(execution)
                if frame is self.frame:
                    continue  # lost steps are being repeated
                try:
                    self._writer.add(execution)
                finally:  # if the disk is full, this frame is the result
                    self.results = self._writer.results
                    self._curves.add(frame)
                    if execution.job.inputs is not inputs:
                        self.original = original_of(execution.job)
                    self.frame = frame
                self._changed()
                if pace:
                    self._stop.wait(1 / pace)
                if self._is_abandoned():
                    break
                if frame.yield_point:
                    self._timer.end_part()
                # After its last step a run must not wait again only to end.
                if frame.yield_point and frame.step < frame.total and execution.preemptible and should_yield():
                    break
        except StopIteration:
            self._exhausted = True
        except NoWorkerAvailable:
            self.waits_for_worker = True
        except ValueError as error:
            self.error = str(error)
        except Exception as error:  # a library may raise anything; only this run ends, not the queue
            logger.exception("Run %s failed.", self.id[:8])
            full = isinstance(error, OSError) and error.errno in DISK_FULL
            self.error = message("The run failed: {why}.", why=why_unwritten(error)) if full else BROKEN  # type: ignore[arg-type]

    def _end(self) -> None:
        """Write the result of the last frame, and close."""
        execution, frame = self._execution, self.frame
        assert execution is not None
        complete = self._exhausted or (frame is not None and frame.step >= frame.total)
        state = "done" if complete and not self._stop.is_set() else "stopped"
        self.stop_reason = "" if complete else self.stop_reason
        try:
            execution.close()
            self.notices = execution.notices
            if frame is None or frame.preparing:
                self._writer.discard()
            else:
                self._recipe = execution.recipe
                self._write(execution)
            self.unfinished = execution.remaining() if self.stop_reason else execution.unfinished
        except Exception:  # whatever a codec or a library raises, the run must end
            logger.exception("The result of run %s could not be written.", self.id[:8])
            self.error = self.error or message("Could not save the result; see the server log for details.")
        self._close("failed" if self.error else state)

    def _write(self, execution: JobExecution) -> None:
        """Write the result; if that fails, keep it for another try."""
        try:
            self.result = self._writer.finish(execution)
        except OSError as error:
            logger.warning("The result of run %s could not be written: %s", self.id[:8], error)
            self._unsaved = execution
            self.error = self.error or message(UNSAVED, cause=cause_of(error))
        finally:
            self.results = self._writer.results
            self.notices = (*execution.notices, *self._writer.notices)

    @property
    def unsaved(self) -> bool:
        """Whether there is a result that could not be written yet."""
        return self._unsaved is not None

    def save(self) -> None:
        """Retry writing a result that could not be written; does nothing if there is none.

        Raises:
            ValueError: it still cannot be written.
        """
        with self._state_lock:
            execution, self._unsaved = self._unsaved, None
        if execution is None:
            return
        self.error = ""
        self._write(execution)
        if self.error:
            raise ValueError(self.error)
        self.state = "done" if self.frame is not None and self.frame.step >= self.frame.total else "stopped"
        self._changed()

    def free_memory(self) -> None:
        """Free the memory that is needed to resume the run or to save its result."""
        self.unfinished = self._unsaved = None

    def _close(self, state: str) -> None:
        # Runs that are over are kept for reloaded pages; full-size images would fill the memory.
        self.job = dataclasses.replace(self.job, inputs={})
        if self.frame is not None and self.frame.image is not None:
            self.frame = dataclasses.replace(self.frame, image=preview(self.frame.image))
        self._execution = None
        self._on_end(self)
        self.state = state
        self._changed()

    def _changed(self) -> None:
        self.version += 1

    @property
    def unwatched(self) -> bool:
        """Whether no page or API client has received a frame for UNWATCHED_SECONDS."""
        return time.monotonic() - self._watched > UNWATCHED_SECONDS

    def _is_abandoned(self) -> bool:
        """Whether it must stop because it is unwatched; sets `stop_reason`."""
        if self.stop_reason:  # final, even if a page watches again
            return True
        if self._unattended or not self.unwatched:
            return False
        logger.info("Run %s stopped: no page watches it.", self.id[:8])
        self.stop_reason = NOBODY_WATCHED
        return True

    def forget(self) -> None:
        """Delete the snapshots of a run that is no longer needed."""
        self.snapshots.delete()


def may_run_unattended(job: Job) -> bool:
    """Whether a job may run unattended: a training, a video, a sweep or a batch."""
    trains = job.engine in ENGINES and "checkpoint" in ENGINES[job.engine].files
    return trains or job.makes_video or job.makes_sheet or isinstance(job, Batch)


def original_of(job: Job) -> np.ndarray | None:
    """Return a preview of the input that a job's images can be compared with, (H, W, 3) uint8 RGB; None if there is
    none, as before the first image of a batch."""
    engine = ENGINES.get(job.engine)
    if engine is None or engine.sheet or engine.first_input not in job.inputs:
        return None
    return preview(job.inputs[engine.first_input])
