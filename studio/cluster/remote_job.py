"""Run a job on a cluster worker, or locally while there is none.

When a worker is lost the run goes on: a training from its last checkpoint, a dream or a painting from its last picture,
anything else by doing again, unseen, what it had done.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engines.core.files import sha256_of
from engines.core.frames import Frame
from engines.core.messages import message
from engines.jobs import ENGINES, Job, JobExecution, ModelCache, ResumableJob, ResumePoint, RunHistory
from engines.jobs.worker import SentFile, StepResult, WorkerTask
from studio.cluster.client import AwayError, BusyError, Cluster, LostError, WorkerPlace
from studio.runs.run import NoWorkerAvailable

logger = logging.getLogger(__name__)

# By itself a run goes on elsewhere so many times; then a person is asked.
LOSSES_BORNE = 1
# Where a run is that is done in the studio while the cluster is away.
HERE = message("this machine")
# Steps that take less are begun before they are asked for.
AHEAD_SECONDS = 0.5
# Where nobody watches, a frame is sent so often, and not each.
UNSEEN_SECONDS = 0.4


class LostTwiceError(ValueError):
    """The run's machine was lost once more than it bears; the message is a sentence for a person."""


class RemoteJob(JobExecution):
    """A job's frames, wherever they are made.

    Args:
        unfinished: what another was lost with; None to begin.

    Attributes:
        only_there: whether it waits while the cluster is away, rather than being done here.
        unseen: whether nobody watches it: frames that no film needs may be left out, see `steps`.
        steps: for how many the newest frame stands.
        exact: whether what was lost is done again, rather than gone on with from the picture as it was seen; and
            whether settings take effect at the step at which they are sent.
    """

    def __init__(self, job: Job, workshop: ModelCache, cluster: Cluster, unfinished: ResumableJob | None = None):
        super().__init__(job, workshop)
        self.only_there = self.exact = self.unseen = False
        self.steps = 1
        self._cluster = cluster
        self._rest = unfinished or ResumableJob(job)
        self._hand: JobExecution | WorkerRun | None = None
        self._losses = 0
        self._pending: Any = self._rest.in_force
        self._asked: Any = None
        self._caught_up_to = 0
        self._kept: ResumePoint | None = None
        if unfinished and unfinished.standing:
            self.history = unfinished.standing.history
            frame = unfinished.standing.frame
            self.progress_before = 0.0 if frame is None else frame.progress

    @property
    def where(self) -> str:  # type: ignore[override]
        """The machine that it is on: its address, or HERE; "" before and after."""
        hand = self._hand
        return "" if hand is None else hand.where or HERE

    @property
    def workers(self) -> tuple[int, ...]:  # type: ignore[override]
        """The worker that it is on, by its number."""
        hand = self._hand
        return (hand.place.id,) if isinstance(hand, WorkerRun) else ()

    @property
    def can_give_way(self) -> bool:  # type: ignore[override]
        """Whether another run may come between; a worker holds what it is at."""
        return isinstance(self._hand, JobExecution)

    def send(self, changed: Any | None) -> Frame:
        """The next frame, after `changed` has taken effect; the same frame again while it catches up.

        Raises:
            Displaced: its place is gone, or there is none at this moment.
            LostTwiceError: its place was lost, and not for the first time.
            StopIteration, ValueError: as `JobExecution.send`.
        """
        if changed is not None:
            self._pending = self._asked = changed
            if changed != self.history.in_force:
                # What the recipe would have done from here on no longer fits.
                self.job = dataclasses.replace(self.job, steering=(), stop_at=None, interruptions=())
        try:
            hand = self._hand = self._hand or self._taken_up()
            # What is done again is as it was: nobody had steered it yet.
            catches_up = self._caught_up_to < self._rest.seen
            frame = hand.send(None if catches_up else self._pending, **self._pace(hand))
        except LostError as error:
            self._lose(error)
            raise NoWorkerAvailable from None
        except (StopIteration, ValueError):
            self._let_go()
            raise
        self._caught_up_to = frame.step
        self._pending = self._pending if catches_up else None
        if self.last is not None and not self.last.preparing and frame.step <= self._rest.seen:
            return self.last
        before = self._rest.seen if self.last is None else self.last.step
        self.steps = max(1, frame.step - before) if self.unseen else 1
        self.last, self.history = frame, hand.history
        self.notices += tuple(sentence for sentence in frame.notices if sentence not in self.notices)
        self.job = dataclasses.replace(self.job, config=hand.history.config)
        if frame.position is not None and not self.exact:
            self._kept = ResumePoint(frame, hand.history)
        return frame

    def _pace(self, hand: JobExecution | WorkerRun) -> dict[str, float]:
        """How long a worker may leave frames out."""
        return {"seconds": UNSEEN_SECONDS} if self.unseen and isinstance(hand, WorkerRun) else {}

    def _taken_up(self) -> JobExecution | WorkerRun:
        """The rest of the job begun, where there is room.

        Raises:
            Displaced: there is none at this moment.
            LostError: the worker that took it up is gone.
        """
        rest = self._rest
        try:
            place = self._cluster.take(self.job.backbone)
        except AwayError:
            if self.only_there:
                raise NoWorkerAvailable from None
            return JobExecution(rest.job, self._workshop, rest.standing)
        except BusyError:
            raise NoWorkerAvailable from None
        try:
            return WorkerRun(place, rest, self._workshop, ahead=not self.exact)
        except Exception:  # whatever it was, the worker is for the next run; of one that is gone there is none
            place.give_back()
            raise

    def _lose(self, error: LostError) -> None:
        """Its place is gone."""
        logger.warning("A run's place is lost, step %d: %s", self.last.step if self.last else 0, error)
        self._hand, self._caught_up_to = None, 0
        self._rest = self._what_is_left()
        # What a person asked for last may have been under way.
        self._pending = self._rest.in_force if self._asked is None else self._asked
        self._losses += 1
        if self._losses > LOSSES_BORNE:
            again = message("press Train") if "checkpoint" in self.job.files else message("press Go on")
            raise LostTwiceError(
                message("The machine that this was on is lost, for the second time; {again} to go on.", again=again)
            )

    def left(self) -> ResumableJob | None:
        """What the run can be gone on with after its last frame, should it end here; None where nothing is left."""
        if self.last is not None and self.last.step >= self.last.total:
            return None
        # What a film has is in its file: another is begun.
        begun_again = self.last is not None and self.job.makes_film
        return dataclasses.replace(self._again(), seen=0) if begun_again else self._what_is_left()

    def _what_is_left(self) -> ResumableJob:
        job, history = self.job, self.history
        if self.last is None:
            return self._rest
        if "checkpoint" in job.files:
            return ResumableJob(job, ResumePoint(None, history))
        if self._kept is not None:
            # Settings that were changed since then are sent again.
            changed = history.in_force if history.in_force != self._kept.history.in_force else None
            at = self._kept.frame.step if self._kept.frame else 0
            left = tuple(item for item in job.steering if item[0] >= at)
            return ResumableJob(dataclasses.replace(job, steering=left, interruptions=()), self._kept, 0, changed)
        return self._again()

    def _again(self) -> ResumableJob:
        """The run from its beginning, with what was seen of it left out."""
        assert self.last is not None
        history, step = self.history, self.last.step
        left = tuple(item for item in self.job.steering if item[0] >= step)
        again = dataclasses.replace(self.job, config=history.config, steering=(*history.steering, *left))
        return ResumableJob(again, None, step)

    @property
    def unfinished(self) -> ResumableJob | None:
        """What a lost run can be gone on with; None where it was not lost, or its checkpoint serves."""
        lost = self._losses > LOSSES_BORNE and "checkpoint" not in self.job.files
        return self._rest if lost else None

    def _let_go(self) -> None:
        hand, self._hand = self._hand, None
        if hand is not None:
            hand.close()

    def close(self) -> None:
        """Stop: no further step is done; the worker is free for the next run."""
        self._let_go()


class WorkerRun:
    """A job on a worker.

    Args:
        ahead: whether quick steps are begun before they are asked for: settings may then take effect a step later than
            they were sent.

    Attributes:
        place: the worker's.
        where: what its machine is called.
        history: of the run up to the newest frame.

    Raises:
        LostError: it is gone.
        ValueError: its files are not there, or were changed on their way.
    """

    def __init__(self, place: WorkerPlace, rest: ResumableJob, workshop: ModelCache, *, ahead: bool = True):
        self.place = place
        self.where = place.title
        job, read, paths = rest.job, dict[str, SentFile](), dict[str, Path]()
        weights = None
        file = workshop.weights_file(job.engine, job.backbone)
        if file is not None:
            weights = SentFile(ENGINES[job.engine].weights.format(job.backbone) + file.suffix, sha256_of(file))
            # What Keras publishes has a name of its own, by which it is looked for.
            weights = weights if file.suffix != ".h5" else SentFile(file.name, weights.sha256)
            paths[weights.sha256] = file
        for name, path in job.files.items():
            if name != "output" and path.is_file():
                read[name] = SentFile(path.name, sha256_of(path))
                paths[read[name].sha256] = path
        writes = {name: path for name, path in job.files.items() if name in ("checkpoint", "output")}
        order = WorkerTask(
            job=dataclasses.replace(job, files={}),
            files=read,
            writes={name: path.name for name, path in writes.items()},
            weights=weights,
            standing=rest.standing,
        )
        self._ahead: Callable[[], Any] | None = None
        self._may_go_ahead, self._quick = ahead, False
        place.begin(order, paths, writes)
        self.history = rest.standing.history if rest.standing else RunHistory()

    def send(self, changed: Any | None, seconds: float = 0.0) -> Frame:
        """The next frame; `changed` takes effect on it, or on the one after where it was begun already.

        Args:
            seconds: see `Worker.send`.

        Raises:
            StopIteration: there are no more.
            LostError, ValueError: as `Cluster.ask`.
        """
        asked, self._ahead = self._ahead, None
        if asked is None:
            asked, changed = self.place.begun("send", changed, seconds), None
        if (self._quick and self._may_go_ahead) or changed is not None:
            # The worker goes on while a frame travels and is shown. Where steps are long, Stop need not wait for two.
            self._ahead = self.place.begun("send", changed, seconds)
        told: StepResult = asked()
        self._quick = told.history.seconds - self.history.seconds < AHEAD_SECONDS
        self.history = told.history
        if told.frame is None:
            raise StopIteration
        return told.frame

    def close(self) -> None:
        """Do no further step, and let the worker go."""
        self.place.give_back()
