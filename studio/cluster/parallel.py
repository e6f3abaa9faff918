"""Run the parts of a batch or sweep on several workers, with the same results as one after another.

The run's own thread computes the frames of the current part. Later parts are prefetched on idle workers. What was
prefetched with outdated settings is computed again, so neither frames nor recipes depend on prefetching.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from engines.core.frames import Frame
from engines.core.messages import message
from engines.jobs import Job, JobExecution, ModelCache, ResumableJob
from engines.jobs.batch import Batch, BatchExecution
from engines.jobs.sweep import SweepConfig, SweepProgress, resolve
from studio.cluster.prefetch import Prefetcher
from studio.cluster.remote_job import LostTwiceError
from studio.cluster.subjob import CatchingUp, Subjob, WorkerSlots


class ParallelBatch(BatchExecution):
    """A batch's frames, see `BatchExecution`; several of its images are computed in parallel."""

    def __init__(self, batch: Batch, workshop: ModelCache, slots: WorkerSlots):
        super().__init__(batch, workshop)
        self._settings = batch.config
        count = len(batch.images)
        self._prefetcher = Prefetcher(batch, workshop, slots, count, lambda number: self._settings, batch.job_of)

    @property
    def where(self) -> str:  # type: ignore[override]
        """The title of the machine that computes the current image."""
        part = self.part
        return "" if part is None else part.where

    @property
    def workers(self) -> tuple[int, ...]:  # type: ignore[override]
        """The ids of the workers that compute its images."""
        part = self.part
        return (() if part is None else part.workers) + self._prefetcher.workers

    def send(self, changed: Any | None) -> Frame:
        """Return the next frame, see `BatchExecution.send`; the last one again while steps are repeated.

        Raises:
            NoWorkerAvailable: there is no worker for the current image.
        """
        # Equivalent settings must not discard what was prefetched.
        if changed is not None and changed != self.resolve(self._settings):
            self._settings = changed
        with self._prefetcher.active():
            if self.part is not None:
                self._prefetcher.fill()
            try:
                return super().send(changed)
            except CatchingUp:
                assert self.last is not None
                return self.last

    def _start_part(self, number: int) -> JobExecution:
        part = self._prefetcher.pop(number)
        self._prefetcher.fill()
        return part

    def _next_frame(self, part: JobExecution, changed: Any | None) -> tuple[Frame, int]:
        assert isinstance(part, Subjob)
        try:
            return part.send(changed), part.steps
        except LostTwiceError:
            raise ValueError(message("The worker was lost twice; run this one again on its own.")) from None

    def close(self) -> None:
        """Stop: no further step is done and no further image started."""
        super().close()
        self._prefetcher.close()


class ParallelSweep(JobExecution):
    """A sweep's frames, see `engines.jobs.sweep.sweep`; several of its cells are computed in parallel."""

    def __init__(self, job: Job, workshop: ModelCache, slots: WorkerSlots):
        super().__init__(job, workshop)
        self._slots = slots
        self._cells: Cells | None = None
        self._unsent: Any = None
        self._lost = False

    @property
    def where(self) -> str:  # type: ignore[override]
        """The title of the machine that computes the current cell."""
        return "" if self._cells is None else self._cells.where

    @property
    def workers(self) -> tuple[int, ...]:  # type: ignore[override]
        """The ids of the workers that compute its cells."""
        return () if self._cells is None else self._cells.workers

    def send(self, changed: Any | None) -> Frame:
        """Return the next frame, after `changed` has taken effect; the last one again while steps are repeated.

        Raises:
            NoWorkerAvailable: there is no worker for the current cell.
            StopIteration, ValueError: as `JobExecution.send`.
        """
        self._unsent = self._unsent if changed is None else changed
        try:
            frame = super().send(self._unsent)
        except CatchingUp:
            assert self.last is not None
            return self.last
        except LostTwiceError:
            self._lost = True
            raise
        self._unsent = None
        return frame

    def _engine_frames(self, config: Any, network: Any, **after: Frame) -> Any:
        # Called again if there was no worker for the first step.
        if self._cells is None or self._cells.requested != config:
            self.close()
            self._cells = Cells(self.job, self._workshop, self._slots, config, resolve(config, network))
        return self._cells

    @property
    def unfinished(self) -> ResumableJob | None:
        """The job to start the sweep over with, if a cell lost its worker twice; else None."""
        if not self._lost:
            return None
        if self.history.config is None:
            return ResumableJob(self.job)
        steering = (*self.history.steering, *self._replay)
        return ResumableJob(dataclasses.replace(self.job, config=self.history.config, steering=steering))


class Cells:
    """A sweep's frames, with the interface of a generator; unlike one, it continues after an exception.

    Args:
        requested: the sweep's config as requested.
        config: the same config, resolved.

    Attributes:
        requested: as given.
        where: the title of the machine that computes the current cell.
    """

    def __init__(self, job: Job, workshop: ModelCache, slots: WorkerSlots, requested: SweepConfig, config: SweepConfig):
        self.requested, self.where = requested, ""
        self._progress = SweepProgress(config)
        self._cell = -1
        self._part: Subjob | None = None
        self._cell_ended = self._closed = False
        # Settings that the engine chooses for the first cell are used for all others.
        self._first_cell_chooses = config.may_still_change

        def config_of(number: int) -> Any:
            return self._progress.config.cell(number)

        def job_of(number: int, config: Any) -> Job:
            return Job(engine=requested.engine, config=config, inputs=job.inputs, backbone=job.backbone, pace=job.pace)

        # A sweep's recipe cannot record the steps at which a cell was resumed.
        self._prefetcher = Prefetcher(job, workshop, slots, config.cells, config_of, job_of, exact=True)

    def __next__(self) -> Frame:
        return self.send(None)

    def send(self, changed: SweepConfig | None) -> Frame:
        """Return the next frame; raises as `Subjob.send`, and StopIteration after the last."""
        if self._closed:
            raise StopIteration
        with self._prefetcher.active():
            if changed is not None:
                self._progress.steer(changed)
            if self._part is None or self._cell_ended:
                self._next_cell()
                changed = None  # the new cell's own config includes it
            if self._can_prefetch:
                self._prefetcher.fill()
            assert self._part is not None
            frame = self._part.send(None if changed is None else self._progress.config.cell(self._cell))
            self._cell_ended = frame.step >= frame.total
            self.where = self._part.where
            return self._progress.add_frame(self._cell, frame, self._part.steps)

    @property
    def workers(self) -> tuple[int, ...]:
        """The ids of the workers that compute the cells."""
        return (() if self._part is None else self._part.workers) + self._prefetcher.workers

    @property
    def _can_prefetch(self) -> bool:
        """Whether the settings that the first cell decides for the others are known."""
        has_first_frame = self._part is not None and self._part.last is not None
        return self._cell > 0 or (has_first_frame and not self._first_cell_chooses)

    def _next_cell(self) -> None:
        if self._cell + 1 >= self._progress.config.cells:
            raise StopIteration
        self._part = self._prefetcher.pop(self._cell + 1)
        self._cell += 1
        self._cell_ended = False

    def close(self) -> None:
        """Do no further step."""
        self._closed = True
        if self._part is not None:
            self._part.close()
        self._prefetcher.close()
