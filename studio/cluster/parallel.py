"""Run a batch or a sweep on several machines, with results in order.

The part whose turn it is, the foremost, is pulled by the run's own thread, as any run's frames are. Those after it are
begun ahead, each on a thread and on a place of its lane that nobody waits for; when their turn comes, what they have
made so far comes at once. A part that was begun with other settings than its turn finds is begun again: nothing that
is seen, and no recipe, tells what was done ahead.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from engines.core.frames import Frame
from engines.core.messages import message
from engines.jobs import Job, JobExecution, ModelCache, ResumableJob
from engines.jobs.batch import Batch, BatchExecution
from engines.jobs.sweep import Filling, SweepConfig, resolve
from studio.cluster.prefetch import CatchingUp, Prefetcher, Subjob, WorkerSlots
from studio.cluster.remote_job import LostTwiceError


class ParallelBatch(BatchExecution):
    """A batch's frames, see `BatchExecution`; several of its pictures are made at once."""

    def __init__(self, batch: Batch, workshop: ModelCache, places: WorkerSlots):
        super().__init__(batch, workshop)
        self._asked = batch.config
        self._ahead = Prefetcher(batch, workshop, places, len(batch.pictures), lambda number: self._asked, batch.job_of)

    @property
    def where(self) -> str:  # type: ignore[override]
        """The machine that the picture at work is on."""
        part = self.part
        return "" if part is None else part.where

    @property
    def workers(self) -> tuple[int, ...]:  # type: ignore[override]
        """Those that are at its pictures."""
        part = self.part
        return (() if part is None else part.workers) + self._ahead.workers

    def send(self, changed: Any | None) -> Frame:
        """The next frame, see `BatchExecution.send`; the same again while a picture catches up.

        Raises:
            Displaced: there is no place for the picture whose turn it is at this moment.
        """
        # A control that was touched and says what it said before must not undo what was done ahead.
        if changed is not None and changed != self.resolve(self._asked):
            self._asked = changed
        with self._ahead.at_work():
            if self.part is not None:
                self._ahead.look()
            try:
                return super().send(changed)
            except CatchingUp:
                assert self.last is not None
                return self.last

    def _begun(self, number: int) -> JobExecution:
        part = self._ahead.take(number)
        self._ahead.look()
        return part

    def _pulled(self, part: JobExecution, changed: Any | None) -> tuple[Frame, int]:
        assert isinstance(part, Subjob)
        try:
            return part.send(changed), part.steps
        except LostTwiceError:
            raise ValueError(
                message("The machines that it was on were lost, twice; start it again by itself.")
            ) from None

    def close(self) -> None:
        """Stop: no further step is done, no further picture begun."""
        super().close()
        self._ahead.close()


class ParallelSweep(JobExecution):
    """A sweep's frames, see `engines.jobs.sweep.sweep`; several of its cells are made at once.

    What an engine chooses for the first cell holds for all: none is begun ahead before that is known.
    """

    def __init__(self, job: Job, workshop: ModelCache, places: WorkerSlots):
        super().__init__(job, workshop)
        self._places = places
        self._cells: Cells | None = None
        self._unsent: Any = None
        self._lost = False

    @property
    def where(self) -> str:  # type: ignore[override]
        """The machine that the cell at work is on."""
        return "" if self._cells is None else self._cells.where

    @property
    def workers(self) -> tuple[int, ...]:  # type: ignore[override]
        """Those that are at its cells."""
        return () if self._cells is None else self._cells.workers

    def send(self, changed: Any | None) -> Frame:
        """The next frame, after `changed` has taken effect; the same again while a cell catches up.

        Raises:
            Displaced: there is no place for the cell whose turn it is at this moment.
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
        # Who found no place for the first step asks again.
        if self._cells is None or self._cells.asked != config:
            self.close()
            self._cells = Cells(self.job, self._workshop, self._places, config, resolve(config, network))
        return self._cells

    @property
    def unfinished(self) -> ResumableJob | None:
        """What a sweep can be begun again with, of which a cell was lost twice."""
        if not self._lost:
            return None
        if self.history.config is None:
            return ResumableJob(self.job)
        steering = (*self.history.steering, *self._replay)
        return ResumableJob(dataclasses.replace(self.job, config=self.history.config, steering=steering))


class Cells:
    """A sweep's frames as `JobExecution` takes an engine's; unlike those, it goes on after what it raises.

    Args:
        asked: the sweep's config as it was asked for.
        config: the same as the engine will run it.
    """

    def __init__(self, job: Job, workshop: ModelCache, places: WorkerSlots, asked: SweepConfig, config: SweepConfig):
        self.asked, self.where = asked, ""
        self._filling = Filling(config)
        self._cell = -1
        self._part: Subjob | None = None
        self._ended = self._closed = False
        self._waits_for_the_first = config.chosen_on_the_way

        def cell_of(number: int) -> Any:
            return self._filling.config.cell(number)

        def job_of(number: int, config: Any) -> Job:
            return Job(engine=asked.engine, config=config, inputs=job.inputs, backbone=job.backbone, pace=job.pace)

        # The recipe of a sweep could not tell that a cell went on from a picture.
        self._ahead = Prefetcher(job, workshop, places, config.cells, cell_of, job_of, exact=True)

    def __next__(self) -> Frame:
        return self.send(None)

    def send(self, changed: SweepConfig | None) -> Frame:
        """The next frame; raises as `Subjob.send`, StopIteration after the last."""
        if self._closed:
            raise StopIteration
        with self._ahead.at_work():
            if changed is not None:
                self._filling.steer(changed)
            if self._part is None or self._ended:
                self._turn_to_next()
                changed = None  # it is in the next cell's own config
            if self._may_go_ahead:
                self._ahead.look()
            assert self._part is not None
            frame = self._part.send(None if changed is None else self._filling.config.cell(self._cell))
            self._ended = frame.step >= frame.total
            self.where = self._part.where
            return self._filling.laid(self._cell, frame, self._part.steps)

    @property
    def workers(self) -> tuple[int, ...]:
        """Those that are at the cells."""
        return (() if self._part is None else self._part.workers) + self._ahead.workers

    @property
    def _may_go_ahead(self) -> bool:
        """Whether all is known that the first cell decides for the others."""
        return self._cell > 0 or (
            self._part is not None and self._part.last is not None and not self._waits_for_the_first
        )

    def _turn_to_next(self) -> None:
        if self._cell + 1 >= self._filling.config.cells:
            raise StopIteration
        self._part = self._ahead.take(self._cell + 1)
        self._cell += 1
        self._ended = False

    def close(self) -> None:
        """Do no further step."""
        self._closed = True
        if self._part is not None:
            self._part.close()
        self._ahead.close()
