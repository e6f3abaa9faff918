"""Run a job: frames, steering, resuming, and the recipe of the result."""

from __future__ import annotations

import collections
import dataclasses
import functools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engines.core.description import import_string
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
    """What the recipe records up to a frame, besides the job.

    Attributes:
        config: the settings at the start, as the engine ran them; None before the first frame.
        in_force: the settings in force at the frame.
        steering: (step, config) pairs; each config took effect after that step.
        resumed_after: steps after which the run was lost and resumed from its last image.
        weights: SHA-256 of the network's weights.
        seconds: computing time.
    """

    config: Any = None
    in_force: Any = None
    steering: tuple[tuple[int, Any], ...] = ()
    resumed_after: tuple[int, ...] = ()
    weights: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class ResumePoint:
    """Where to resume a run: the frame to continue from (None to use the checkpoint), and the history up to it."""

    frame: Frame | None
    history: RunHistory


@dataclass(frozen=True)
class ResumableJob:
    """The remaining part of a run that ended early.

    Attributes:
        job: the job to start with `resume_point`.
        resume_point: None to start from the beginning.
        seen: the last step whose frame was shown; steps up to it are repeated without showing them.
        in_force: the settings in force, if newer than those of `resume_point`.
    """

    job: Job
    resume_point: ResumePoint | None = None
    seen: int = 0
    in_force: Any = None


class JobExecution(Iterator[Frame]):
    """A running job: an iterator over its frames that also knows its recipe so far.

    Iterate to run, `steer` with a config from any thread, `close` to stop.

    Args:
        resume_point: where to resume the job; None to start it.

    Attributes:
        job: the job, with its config as the engine runs it.
        last: the newest frame.
        history: history of the run up to it.
        notices: sentences to show when the run is over.
        where: the machine it runs on, in words; "" if there is only one.
        workers: numbers of the cluster workers that run it.
        preemptible: whether another run may go first at its yield points.
        unfinished: a `ResumableJob` if it failed through no fault of its own, else None.
        progress_before: share of the whole run's work done before this execution started.
    """

    notices: tuple[str, ...] = ()
    where: str = ""
    workers: tuple[int, ...] = ()
    preemptible: bool = True
    unfinished: Any = None
    progress_before: float = 0.0

    def __init__(self, job: Job, workshop: ModelCache, resume_point: ResumePoint | None = None):
        self.job = job
        self.notices = job.notices
        self.last: Frame | None = None
        self.history = RunHistory()
        if resume_point is not None:
            self.history = resume_point.history
            self.progress_before = 0.0 if resume_point.frame is None else resume_point.frame.progress
        self._workshop = workshop
        self._resume_point = resume_point
        self._frames: Frames[Any] | None = None
        self._replay = list(job.steering)
        self._resumed_after = list(job.interruptions)
        self._held: Any = None
        # The newest config that was steered with: appending and popping need no lock.
        self._steered: collections.deque[Any] = collections.deque(maxlen=1)

    def steer(self, config: Any) -> None:
        """Apply another config from the next frame on; the newest one wins. May be called from any thread.

        Raises:
            ValueError: the config does not fit the job's network; the run continues unchanged.
        """
        self._steered.append(self.resolve(config))

    def __next__(self) -> Frame:
        return self.send(self._steered.pop() if self._steered else None)

    def send(self, config: Any | None) -> Frame:
        """Compute the next frame, with another config if one is given.

        Args:
            config: as `resolve` returns it; None to keep the current one.

        Raises:
            StopIteration: the run is over.
            ValueError: the engine cannot continue; the message is a sentence.
        """
        started = time.monotonic()
        try:
            return self._send(config)
        finally:
            # Count computing time only: another run may go first between two frames.
            seconds = self.history.seconds + time.monotonic() - started
            self.history = dataclasses.replace(self.history, seconds=seconds)

    def _send(self, config: Any | None) -> Frame:
        if self._frames is None or self.last is None:
            return self._resume(config, self._resume_point) if self._resume_point else self._start(config)
        config, self._held = (self._held if config is None else config), None
        if config == self.history.in_force:
            config = None  # a control was moved back to its old value
        if config is not None:
            # Manual steering overrides the rest of the replay.
            self._replay, self._resumed_after = [], []
            self.job = dataclasses.replace(self.job, stop_at=None)
        if self.job.stop_at is not None and self.last.step >= self.job.stop_at:
            self.close()
            raise StopIteration
        if self._resumed_after and self.last.step >= self._resumed_after[0]:
            self._resumed_after.pop(0)
            if self.last.position is not None:
                self._frames.close()
                return self._resume(config, ResumePoint(self.last, self.history))
        replayed = config is None and bool(self._replay) and self._replay[0][0] <= self.last.step
        config = self.resolve(self._replay[0][1]) if replayed else config
        before = self.last
        self.last = self._frames.send(config)
        self.notices += self.last.notices
        if replayed:
            self._replay.pop(0)
        in_force = config if self.last.config is None else self.last.config
        if in_force is not None:
            steering = (*self.history.steering, (before.step, in_force))
            self.history = dataclasses.replace(self.history, steering=steering, in_force=in_force)
        return self.last

    def _start(self, config: Any | None) -> Frame:
        """The first frame of a new run."""
        if config is not None:  # steering before the first step replaces the initial config
            self.job = dataclasses.replace(self.job, config=config, steering=(), stop_at=None, interruptions=())
            self._replay, self._resumed_after = [], []
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

    def _resume(self, config: Any | None, resume_point: ResumePoint) -> Frame:
        """The first frame of a resumed run; `config` takes effect after it."""
        network = self._workshop.network(self.job.engine, self.job.backbone)
        self._held = config
        after = {} if resume_point.frame is None else {"after": resume_point.frame}
        self._frames = self._engine_frames(resume_point.history.in_force, network, **after)
        self.last = next(self._frames)
        self.notices += self.last.notices
        self.job = dataclasses.replace(self.job, config=resume_point.history.config)
        if resume_point.frame is not None:
            resumed_after = (*resume_point.history.resumed_after, resume_point.frame.step)
            self.history = dataclasses.replace(resume_point.history, resumed_after=resumed_after)
        return self.last

    def _engine_frames(self, config: Any, network: Any, **after: Frame) -> Frames[Any]:
        engine = ENGINES[self.job.engine]
        run = import_string(engine.function)
        arguments = engine.arguments(self.job.inputs) | dict(self.job.files)
        return run(config=config, backbone=network, **arguments, **after)

    def resolve(self, config: Any) -> Any:
        """Fill in a config's backbone-dependent defaults for this job.

        Raises:
            ValueError: the config does not fit the backbone; the message is a sentence.
        """
        resolve = import_string(f"{ENGINES[self.job.engine].module}:resolve")
        return resolve(config, self._workshop.network(self.job.engine, self.job.backbone))

    def remaining(self) -> ResumableJob | None:
        """The rest of the run after its last frame; None if it is complete.

        A training resumes from its checkpoint, and a run with a `position` from its last frame. Anything else starts
        over, including videos, whose earlier frames are only in the video's file.
        """
        job, frame, history = self.job, self.last, self.history
        if frame is None:
            return ResumableJob(job, self._resume_point)
        if frame.step >= frame.total:
            return None
        if "checkpoint" in job.files:
            return ResumableJob(job, ResumePoint(None, history))
        replay = tuple(self._replay)
        if frame.position is not None and not job.makes_video:
            return ResumableJob(
                dataclasses.replace(job, steering=replay, interruptions=()), ResumePoint(frame, history)
            )
        return ResumableJob(dataclasses.replace(job, config=history.config, steering=(*history.steering, *replay)))

    def close(self) -> None:
        """Stop the engine."""
        if self._frames is not None:
            self._frames.close()

    @property
    def recipe(self) -> Recipe:
        """The recipe of the last frame.

        Raises:
            RecipeError: there is no frame yet.
        """
        if self.last is None:
            raise RecipeError(message("There is no recipe until the first frame is ready."))
        return Recipe(
            engine=self.job.engine,
            config=dataclasses.asdict(self.history.config),
            backbone=self.job.backbone,
            weights=self.history.weights,
            inputs=self._input_hashes,
            steering=tuple((step, dataclasses.asdict(config)) for step, config in self.history.steering),
            stopped_at=self.last.step if self.last.step < self.last.total else None,
            interruptions=self.history.resumed_after,
            seconds=max(0.01, round(self.history.seconds, 2)),
        )

    @functools.cached_property
    def _input_hashes(self) -> dict[str, str]:
        """SHA-256 of each input and of a training's data; a run's inputs do not change, so they are hashed once."""
        hashes = {name: digest(image) for name, image in self.job.inputs.items()}
        data = {name: path for name, path in self.job.files.items() if name == "data" and path.is_file()}
        return hashes | {name: sha256_of(path) for name, path in data.items()}


@functools.singledispatch
def start_job(job: Job, workshop: ModelCache) -> JobExecution:
    """Create the execution of a job; subclasses of `Job` register their own."""
    return JobExecution(job, workshop)


class Workshop(ModelCache):
    """A model cache that starts jobs."""

    def start(self, job: Job) -> JobExecution:
        """Start a job; the work is done when its frames are requested."""
        return start_job(job, self)
