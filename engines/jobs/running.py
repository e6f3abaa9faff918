"""Run a job: frames, steering, resuming, and the recipe of what was done."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engines.core.description import loaded
from engines.core.files import sha256_of
from engines.core.frames import Frame, Frames
from engines.core.messages import message
from engines.imaging.images import digest
from engines.jobs.job import OTHER_WEIGHTS, Job
from engines.jobs.model_cache import ModelCache
from engines.jobs.registry import ENGINES
from engines.recipes import Recipe, RecipeError


@dataclass(frozen=True, kw_only=True)
class RunHistory:
    """What a run has been up to a frame: with the job, all that its recipe says.

    Attributes:
        config: the settings that it began with, as the engine ran them; None before the first frame.
        in_force: those at the frame.
        steering: (step, config) pairs that took effect after that step.
        interruptions: the steps after which it went on from the picture as it was seen, having been lost.
        weights: SHA-256 of the network's weights.
        seconds: how long it was worked.
    """

    config: Any = None
    in_force: Any = None
    steering: tuple[tuple[int, Any], ...] = ()
    interruptions: tuple[int, ...] = ()
    weights: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class ResumePoint:
    """Where a run stood: a frame that its engine can go on from, or None where a checkpoint has it; and the history."""

    frame: Frame | None
    history: RunHistory


@dataclass(frozen=True)
class ResumableJob:
    """All that is left of a run that ended before its time, to go on from.

    Attributes:
        job: to be begun with `standing`.
        seen: up to which step its frames were seen: what comes before is done again, unseen.
        in_force: the settings that were in force, where those of `standing` are older.
    """

    job: Job
    standing: ResumePoint | None = None
    seen: int = 0
    in_force: Any = None


class JobExecution(Iterator[Frame]):
    """A job's frames, which know the recipe of what they have made so far.

    Iterate to run, `send` a config to steer, `close` to stop: as with the engine's own frames.

    Args:
        standing: where the same job stood that was lost, to go on from there; None to begin.

    Attributes:
        job: what is at work, with its config as the engine runs it.
        last: the newest frame.
        history: of the run up to it.
        notices: what a person should be told of the run when it is over, in sentences.
        where: which machine it is on, in a few words; "" where there is only one.
        workers: which workers of a cluster do it, by their numbers.
        can_give_way: whether another run may come between its seams.
        unfinished: what can be gone on with where it failed through no fault of its own; None otherwise.
        progress_before: share of the whole run's work that was done before this began.
    """

    notices: tuple[str, ...] = ()
    where: str = ""
    workers: tuple[int, ...] = ()
    can_give_way: bool = True
    unfinished: Any = None
    progress_before: float = 0.0

    def __init__(self, job: Job, workshop: ModelCache, standing: ResumePoint | None = None):
        self.job = job
        self.notices = job.notices
        self.last: Frame | None = None
        self.history = RunHistory()
        if standing is not None:
            self.history = standing.history
            self.progress_before = 0.0 if standing.frame is None else standing.frame.progress
        self._workshop = workshop
        self._standing = standing
        self._frames: Frames[Any] | None = None
        self._replay = list(job.steering)
        self._interruptions = list(job.interruptions)
        self._held: Any = None

    def __next__(self) -> Frame:
        return self.send(None)

    def send(self, changed: Any | None) -> Frame:
        """The next frame, after `changed` has taken effect.

        Raises:
            StopIteration: the run is over.
            ValueError: a sentence that says why the engine cannot go on.
        """
        began = time.monotonic()
        try:
            return self._send(changed)
        finally:
            # Only what was worked: between two frames another run may have had its turn.
            worked = self.history.seconds + time.monotonic() - began
            self.history = dataclasses.replace(self.history, seconds=worked)

    def _send(self, changed: Any | None) -> Frame:
        if self._frames is None or self.last is None:
            return self._go_on(changed, self._standing) if self._standing else self._begin(changed)
        changed, self._held = (self._held if changed is None else changed), None
        if changed == self.history.in_force:
            changed = None  # a control was touched, and says what it said before
        if changed is not None:
            # A person steers: what the recipe would have done from here on no longer fits.
            self._replay, self._interruptions = [], []
            self.job = dataclasses.replace(self.job, stop_at=None)
        if self.job.stop_at is not None and self.last.step >= self.job.stop_at:
            self.close()
            raise StopIteration
        if self._interruptions and self.last.step >= self._interruptions[0]:
            self._interruptions.pop(0)
            if self.last.position is not None:
                self._frames.close()
                return self._go_on(changed, ResumePoint(self.last, self.history))
        replayed = changed is None and bool(self._replay) and self._replay[0][0] <= self.last.step
        changed = self._replay[0][1] if replayed else changed
        before = self.last
        self.last = self._frames.send(changed)
        self.notices += self.last.notices
        if replayed:
            self._replay.pop(0)
        in_force = changed if self.last.config is None else self.last.config
        if in_force is not None:
            steering = (*self.history.steering, (before.step, in_force))
            self.history = dataclasses.replace(self.history, steering=steering, in_force=in_force)
        return self.last

    def _begin(self, changed: Any | None) -> Frame:
        """The first frame of a new run."""
        if changed is not None:  # steered before the first step: that is where this run begins
            self.job = dataclasses.replace(self.job, config=changed, steering=(), stop_at=None, interruptions=())
            self._replay, self._interruptions = [], []
        network = self._workshop.network(self.job.engine, self.job.backbone)
        config = self.resolve(self.job.config)
        self._frames = self._engine_frames(config, network)
        self.last = next(self._frames)
        if network is not None and self.job.weights not in ("", network.weights):
            self.last = dataclasses.replace(self.last, notices=(OTHER_WEIGHTS, *self.last.notices))
        self.notices += self.last.notices
        config = config if self.last.config is None else self.last.config
        self.job = dataclasses.replace(self.job, config=config)
        self.history = dataclasses.replace(
            self.history, config=config, in_force=config, weights=network.weights if network else ""
        )
        return self.last

    def _go_on(self, changed: Any | None, standing: ResumePoint) -> Frame:
        """The first frame of a run that goes on from where one was lost; `changed` takes effect after it."""
        network = self._workshop.network(self.job.engine, self.job.backbone)
        self._held = changed
        after = {} if standing.frame is None else {"after": standing.frame}
        self._frames = self._engine_frames(standing.history.in_force, network, **after)
        self.last = next(self._frames)
        self.notices += self.last.notices
        self.job = dataclasses.replace(self.job, config=standing.history.config)
        if standing.frame is not None:
            interruptions = (*standing.history.interruptions, standing.frame.step)
            self.history = dataclasses.replace(standing.history, interruptions=interruptions)
        return self.last

    def _engine_frames(self, config: Any, network: Any, **after: Frame) -> Frames[Any]:
        engine = ENGINES[self.job.engine]
        run = loaded(engine.function)
        arguments = engine.arguments(self.job.inputs) | dict(self.job.files)
        return run(config=config, backbone=network, **arguments, **after)

    def resolve(self, config: Any) -> Any:
        """A config as the engine will run it on this job's backbone.

        Raises:
            ValueError: a sentence that says why it cannot.
        """
        resolve = loaded(f"{ENGINES[self.job.engine].module}:resolve")
        return resolve(config, self._workshop.network(self.job.engine, self.job.backbone))

    def left(self) -> ResumableJob | None:
        """What the run can be gone on with after its last frame, should it end here; None where nothing is left.

        A training goes on from its checkpoint, and from a frame with a `position` whatever has one; anything else, as a
        film, whose pictures are in its file, is begun again.
        """
        job, frame, history = self.job, self.last, self.history
        if frame is None:
            return ResumableJob(job, self._standing)
        if frame.step >= frame.total:
            return None
        if "checkpoint" in job.files:
            return ResumableJob(job, ResumePoint(None, history))
        rest = tuple(self._replay)
        if frame.position is not None and not job.makes_film:
            return ResumableJob(dataclasses.replace(job, steering=rest, interruptions=()), ResumePoint(frame, history))
        return ResumableJob(dataclasses.replace(job, config=history.config, steering=(*history.steering, *rest)))

    def close(self) -> None:
        """Stop: the engine does no further step."""
        if self._frames is not None:
            self._frames.close()

    @property
    def recipe(self) -> Recipe:
        """What made the last frame. Only there once a frame is."""
        if self.last is None:
            raise RecipeError(message("There is no recipe before the first frame."))
        inputs = {name: digest(image) for name, image in self.job.inputs.items()}
        inputs |= {name: sha256_of(path) for name, path in self.job.files.items() if name == "data" and path.is_file()}
        return Recipe(
            engine=self.job.engine,
            config=dataclasses.asdict(self.history.config),
            backbone=self.job.backbone,
            weights=self.history.weights,
            inputs=inputs,
            steering=tuple((step, dataclasses.asdict(config)) for step, config in self.history.steering),
            stopped_at=self.last.step if self.last.step < self.last.total else None,
            interruptions=self.history.interruptions,
            seconds=max(0.01, round(self.history.seconds, 2)),
        )


@functools.singledispatch
def begun(job: Job, workshop: ModelCache) -> JobExecution:
    """A job, of whatever kind, as it runs; other kinds register theirs."""
    return JobExecution(job, workshop)


class Workshop(ModelCache):
    """Where jobs run."""

    def start(self, job: Job) -> JobExecution:
        """Begin a job; the work itself is done as the frames are asked for."""
        return begun(job, self)
