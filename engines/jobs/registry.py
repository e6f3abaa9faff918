"""An engine's name + config + inputs -> frames: the one door for page, command line and whoever comes next."""

from __future__ import annotations

import dataclasses
import importlib
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.core.configs import from_mapping
from engines.core.files import sha256_of
from engines.core.frames import Frame, Frames
from engines.imaging.images import digest
from engines.imaging.metadata import NO_DETAILS, Details
from engines.recipes import Recipe, RecipeError, from_json
from engines.weights.store import WeightsError, WeightsStore

if TYPE_CHECKING:
    from engines.backbones.backbone import Backbone


@dataclass(frozen=True)
class Engine:
    """Where an engine is, by name, so that naming one imports nothing heavy.

    The module also has `resolve(config, backbone)`: the config with every default that depends on the backbone filled
    in, or a ValueError where the two do not fit. "Backbone" is whatever network the engine runs on; it knows the hash
    of its `weights`.

    Attributes:
        module: the module that holds it.
        config: name of its config class.
        function: name of the function that returns its frames.
        inputs: names of the pictures it takes, by its function's parameters; those after the first may be left out.
        series: those of them that are series of pictures: `style_images` takes `style_images_1`, `style_images_2` ...
        masks: those of them that say where: nothing of what is transparent in their pictures.
        files: names of the files it takes, by its function's parameters.
        writes: whether its result is a text.
        film: whether its pictures are a film, which is the result, rather than ways to one picture.
        sheet: whether its picture is a sheet of several, which is not to be compared with what it was made from.
        network: name of the network that is used where none is named.
        loader: "module:function" that loads its network, given the network's name and where weights are; "" for none.
        weights: what the file of a network is called, without its suffix, with {} for the network's name.
    """

    module: str
    config: str
    function: str
    inputs: tuple[str, ...] = ()
    series: frozenset[str] = frozenset()
    masks: frozenset[str] = frozenset()
    files: tuple[str, ...] = ()
    writes: bool = False
    film: bool = False
    sheet: bool = False
    network: str = "studio_vgg"
    loader: str = "engines.backbones.backbone:load_backbone"
    weights: str = "{}"

    def background(self, name: str) -> str:
        """What shows through where a picture is transparent that is an input of this name, as `read_picture` has it."""
        return "black" if name in self.masks else "white"

    @property
    def config_class(self) -> type:
        return getattr(importlib.import_module(self.module), self.config)

    def arguments(self, inputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """A job's inputs as the engine's function takes them: a series as a tuple, with None where one is missing."""
        arguments: dict[str, Any] = {}
        for name in self.inputs:
            if name in self.series:
                numbers = [int(key.rpartition("_")[2]) for key in inputs if key.rpartition("_")[0] == name]
                arguments[name] = tuple(inputs.get(f"{name}_{i}") for i in range(1, max(numbers, default=0) + 1))
            elif name in inputs:
                arguments[name] = inputs[name]
        return arguments


ENGINES = {
    "deep_dream": Engine("engines.deep_dream", "DreamConfig", "dream", ("image", "guide")),
    "style_transfer": Engine(
        "engines.style_transfer",
        "StyleConfig",
        "stylize",
        ("content_image", "style_images", "masks", "start_image"),
        frozenset({"style_images", "masks"}),
        frozenset({"masks"}),
    ),
    "deep_dream_sweep": Engine("engines.jobs.sweep", "DreamSweepConfig", "sweep", ("image", "guide"), sheet=True),
    "style_transfer_sweep": Engine(
        "engines.jobs.sweep",
        "StyleSweepConfig",
        "sweep",
        ("content_image", "style_images", "masks", "start_image"),
        frozenset({"style_images", "masks"}),
        frozenset({"masks"}),
        sheet=True,
    ),
    "vae_training": Engine(
        "engines.vae.training",
        "VAETrainingConfig",
        "training",
        files=("data", "checkpoint", "output"),
        network="",
        loader="",
    ),
    "dcgan": Engine(
        "engines.dcgan",
        "DrawConfig",
        "draw",
        network="faces",
        loader="engines.dcgan.model:load_gan",
        weights="dcgan_{}",
    ),
    "dcgan_walk": Engine(
        "engines.dcgan",
        "FaceWalkConfig",
        "walk",
        film=True,
        network="faces",
        loader="engines.dcgan.model:load_gan",
        weights="dcgan_{}",
    ),
    "dcgan_projection": Engine(
        "engines.dcgan.projection",
        "ProjectionConfig",
        "project",
        ("image",),
        network="faces",
        loader="engines.dcgan.model:load_gan",
        weights="dcgan_{}",
    ),
    "dcgan_training": Engine(
        "engines.dcgan.training",
        "DCGANTrainingConfig",
        "training",
        files=("data", "checkpoint", "output"),
        network="",
        loader="",
    ),
    "language_model": Engine(
        "engines.language_model",
        "WritingConfig",
        "write",
        writes=True,
        network="ours",
        loader="engines.language_model.model:load_language_model",
        weights="language_model_{}",
    ),
    "language_training": Engine(
        "engines.language_model.training",
        "LanguageTrainingConfig",
        "training",
        files=("data", "checkpoint", "output"),
        writes=True,
        network="",
        loader="",
    ),
    "vae": Engine(
        "engines.vae",
        "WalkConfig",
        "walk",
        film=True,
        network="digits",
        loader="engines.vae.model:load_vae",
        weights="vae_{}",
    ),
}


OTHER_WEIGHTS = (
    "This was made with an earlier network, or another file of its weights, and comes out differently now; for the "
    "best of the network that is here begin from the defaults."
)


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that an engine needs, with names where things are heavy.

    Attributes:
        engine: key in `ENGINES`.
        config: an instance of the engine's config class.
        inputs: (H, W, 3) uint8 RGB arrays by the engine's input names.
        backbone: name of the network, resolved where the job runs.
        files: by the engine's names for them.
        steering: (step, config) pairs to send again, when a recipe is repeated.
        stop_at: the step to stop after, when a stopped run is repeated.
        weights: SHA-256 of the network's weights that what is repeated was made with; with others the run says that it
            cannot come out the same.
        interruptions: the steps after which to go on from the picture as it was seen, as after a loss, when a recipe is
            repeated.
        details: what the file of its first input says that goes on into what is made from it.
        notices: what a person should be told of its inputs when it is over, in sentences.
        pace: how many frames a second there may be at most, for somebody who watches; 0 for as many as there can be.
    """

    engine: str
    config: Any
    inputs: Mapping[str, np.ndarray]
    backbone: str
    files: Mapping[str, Path] = field(default_factory=dict)
    steering: tuple[tuple[int, Any], ...] = ()
    stop_at: int | None = None
    weights: str = ""
    interruptions: tuple[int, ...] = ()
    details: Details = NO_DETAILS
    notices: tuple[str, ...] = ()
    pace: float = 0.0

    @property
    def makes_film(self) -> bool:
        """Whether its pictures are a film, by its engine or because it was asked for several."""
        return ENGINES[self.engine].film or getattr(self.config, "pictures", 1) > 1

    @property
    def makes_sheet(self) -> bool:
        """Whether its picture is a sheet of several, from which nobody goes on."""
        return ENGINES[self.engine].sheet

    def started(self, workshop: Workshop) -> StartedJob:
        """The job begun, see `Workshop.start`."""
        return StartedJob(self, workshop)


@dataclass
class Workshop:
    """Where jobs run: the weights that are there, and the networks already loaded."""

    store: WeightsStore = field(default_factory=WeightsStore)
    _networks: dict[tuple[str, str], Any] = field(default_factory=dict)
    _files: dict[tuple[str, str], Path] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def network(self, engine: str, name: str) -> Any:
        """Load the network of an engine once.

        Raises:
            WeightsError: it is not there, or not what it should be.
        """
        loader = ENGINES[engine].loader
        if not loader:
            return None
        with self._lock:
            if (loader, name) not in self._networks:
                module, function = loader.split(":")
                self._networks[loader, name] = getattr(importlib.import_module(module), function)(name, self.store)
            return self._networks[loader, name]

    def keep(self, engine: str, name: str, network: Any, file: Path | None = None) -> None:
        """Use a network that is loaded already, from a file where that is named."""
        self._networks[ENGINES[engine].loader, name] = network
        if file is not None:
            self._files[ENGINES[engine].loader, name] = file

    def weights(self, engine: str, name: str) -> str:
        """SHA-256 of the weights of an engine's network; "" where it needs none, or has none that could be used."""
        told = ENGINES[engine]
        if not told.loader:
            return ""
        network = self._networks.get((told.loader, name))
        if network is not None:
            return network.weights
        try:
            return sha256_of(self.store.verified(told.weights.format(name)).path)
        except (WeightsError, OSError):
            return ""

    def weights_file(self, engine: str, name: str) -> Path | None:
        """The file of an engine's network; None where it needs none, or its weights come with the project.

        Raises:
            WeightsError: it is not there, or not what it should be.
        """
        told = ENGINES[engine]
        if not told.loader:
            return None
        kept = self._files.get((told.loader, name))
        if kept is not None:
            return kept
        located = self.store.verified(told.weights.format(name))
        return None if located.source == "bundled" else located.path

    def forget(self, engine: str, name: str) -> None:
        """Let go of a network that was kept, if it is there."""
        self._networks.pop((ENGINES[engine].loader, name), None)
        self._files.pop((ENGINES[engine].loader, name), None)

    def backbone(self, name: str) -> Backbone:
        """A pretrained network as a feature extractor; raises as `network` does."""
        return self.network("deep_dream", name)

    def start(self, job: Job) -> StartedJob:
        """Begin a job; the work itself is done as the frames are asked for."""
        return job.started(self)


@dataclass(frozen=True, kw_only=True)
class History:
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
class Standing:
    """Where a run stood: a frame that its engine can go on from, or None where a checkpoint has it; and the history."""

    frame: Frame | None
    history: History


@dataclass(frozen=True)
class Unfinished:
    """All that is left of a run that ended before its time, to go on from.

    Attributes:
        job: to be begun with `standing`.
        seen: up to which step its frames were seen: what comes before is done again, unseen.
        in_force: the settings that were in force, where those of `standing` are older.
    """

    job: Job
    standing: Standing | None = None
    seen: int = 0
    in_force: Any = None


class StartedJob(Iterator[Frame]):
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

    def __init__(self, job: Job, workshop: Workshop, standing: Standing | None = None):
        self.job = job
        self.notices = job.notices
        self.last: Frame | None = None
        self.history = History()
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
                return self._go_on(changed, Standing(self.last, self.history))
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

    def _go_on(self, changed: Any | None, standing: Standing) -> Frame:
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
        run = getattr(importlib.import_module(engine.module), engine.function)
        arguments = engine.arguments(self.job.inputs) | dict(self.job.files)
        return run(config=config, backbone=network, **arguments, **after)

    def resolve(self, config: Any) -> Any:
        """A config as the engine will run it on this job's backbone.

        Raises:
            ValueError: a sentence that says why it cannot.
        """
        module = importlib.import_module(ENGINES[self.job.engine].module)
        return module.resolve(config, self._workshop.network(self.job.engine, self.job.backbone))

    def left(self) -> Unfinished | None:
        """What the run can be gone on with after its last frame, should it end here; None where nothing is left.

        A training goes on from its checkpoint, and from a frame with a `position` whatever has one; anything else, as a
        film, whose pictures are in its file, is begun again.
        """
        job, frame, history = self.job, self.last, self.history
        if frame is None:
            return Unfinished(job, self._standing)
        if frame.step >= frame.total:
            return None
        if "checkpoint" in job.files:
            return Unfinished(job, Standing(None, history))
        rest = tuple(self._replay)
        if frame.position is not None and not job.makes_film:
            return Unfinished(dataclasses.replace(job, steering=rest, interruptions=()), Standing(frame, history))
        return Unfinished(dataclasses.replace(job, config=history.config, steering=(*history.steering, *rest)))

    def close(self) -> None:
        """Stop: the engine does no further step."""
        if self._frames is not None:
            self._frames.close()

    @property
    def recipe(self) -> Recipe:
        """What made the last frame. Only there once a frame is."""
        if self.last is None:
            raise RecipeError("There is no recipe before the first frame.")
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


def job_from_recipe(recipe: Recipe, inputs: Mapping[str, np.ndarray]) -> Job:
    """The job that repeats a recipe on inputs, which may be others than the recipe's own.

    Raises:
        ValueError: an engine, a setting or a value that this version does not know.
    """
    if recipe.engine not in ENGINES:
        raise RecipeError(f"This recipe is for {recipe.engine[:40]!r}, which this version does not have.")
    config_class = ENGINES[recipe.engine].config_class
    return Job(
        engine=recipe.engine,
        config=from_mapping(config_class, recipe.config),
        inputs=inputs,
        backbone=recipe.backbone,
        steering=tuple((step, from_mapping(config_class, settings)) for step, settings in recipe.steering),
        stop_at=recipe.stopped_at,
        weights=recipe.weights,
        interruptions=recipe.interruptions,
    )


def repeated(job: Job, recipe_text: str | None) -> Job:
    """The job, with what was changed while it ran and where it was stopped, if it is just what a recipe says.

    A restored recipe repeats to the same pixels this way, even if its run was steered; as soon as a setting, an input
    or the backbone is another, it is a new job.
    """
    if not recipe_text:
        return job
    recipe = from_json(recipe_text)
    again = job_from_recipe(recipe, job.inputs)
    same_inputs = {name: digest(image) for name, image in job.inputs.items()} == dict(recipe.inputs)
    same = again.config == job.config and again.backbone == job.backbone and same_inputs
    return dataclasses.replace(again, details=job.details, notices=job.notices) if same else job
