"""The DeepDream and style transfer tabs, called alike as the page calls them."""

from __future__ import annotations

import abc
import dataclasses
import json
from typing import Any

import numpy as np
from PIL import Image

from engines.jobs import Job
from engines.recipes import Recipe, read_recipe
from engines.style_transfer import MAX_STYLES
from studio.runs.run import Run
from tests.studio.conftest import QUICK_PAINTING, SMALL
from tests.studio.helpers import eventually, finished, watched


class Subject(abc.ABC):
    """A tab, and how the page calls it.

    Attributes:
        engine: key in `engines.jobs.ENGINES`.
        quick: config of few steps.
        max_steps: maximum number of steps.
        change: a field that can be steered, and a new value.
        misfit: a field, and a value with a layer that the network does not have.
    """

    engine: str
    quick: Any
    max_steps: int
    change: tuple[str, Any]
    misfit: tuple[str, Any]

    def __init__(self, tab: Any, image: np.ndarray, painting: np.ndarray, paintings: list[tuple[str, None]]):
        self.tab, self.studio, self.paintings = tab, tab.studio, paintings
        self.inputs = self.inputs_of(image, painting)

    @staticmethod
    @abc.abstractmethod
    def inputs_of(image: np.ndarray, painting: np.ndarray) -> dict[str, np.ndarray]:
        """Return a job's inputs."""

    @abc.abstractmethod
    def values(self, config: Any) -> list[Any]:
        """Return the form's values for a config."""

    @abc.abstractmethod
    def drop(self, path: str | None, run_id: str = "") -> dict[Any, Any]:
        """Drop a photo and return the updates."""

    @abc.abstractmethod
    def start(
        self, photo: str | None, values: list[Any], *, backbone: str = "studio_vgg", restored: str | None = None
    ) -> list[dict[Any, Any]]:
        """Start a run and return all updates until its end."""

    def steer(self, run_id: str, values: list[Any], *, backbone: str = "studio_vgg") -> None:
        """Move a control while a run is going."""
        self.tab.view.steer(run_id, backbone, self.tab.settings, values)

    @abc.abstractmethod
    def choose_preset(self, name: str | None, backbone: str, values: list[Any], *, run_id: str = "") -> list[Any]:
        """Choose a preset and return the form's updates."""

    @property
    def long(self) -> Any:
        """A config that runs until it is stopped."""
        return dataclasses.replace(self.quick, steps=self.max_steps)

    @property
    def changed(self) -> Any:
        """The same config with the change to steer."""
        return dataclasses.replace(self.long, **dict([self.change]))

    def begun(self, config: Any) -> Run:
        """Start a run and wait for its first frame."""
        job = Job(engine=self.engine, config=config, inputs=self.inputs, backbone="studio_vgg")
        run = self.studio.runs.start(job)
        eventually(lambda: run.frame, "the first frame")
        return run

    def steering_of(self, run: Run) -> list[Any]:
        """Let a run make a few more steps, stop it, and return its steering."""
        at = run.frame.step
        eventually(lambda: run.over or run.frame.step >= at + 3, "three more steps")
        run.stop()
        return list(read_recipe(finished(run).result).steering)

    def recipe(self, **changes: Any) -> dict[str, Any]:
        """Return a recipe of this tab, as JSON, with changes."""
        recipe = Recipe(
            engine=self.engine,
            config=dataclasses.asdict(self.quick),
            backbone="studio_vgg",
            weights="",
            inputs={name: str(number) * 64 for number, name in enumerate(self.inputs)},
        )
        return json.loads(recipe.to_json()) | changes


class Dream(Subject):
    """The DeepDream tab."""

    engine = "deep_dream"
    quick = SMALL
    max_steps = 1000
    change = "step_size", 0.001
    misfit = "layer_weights", {"mixed4": 1.0}

    @staticmethod
    def inputs_of(image: np.ndarray, painting: np.ndarray) -> dict[str, np.ndarray]:
        return {"image": image}

    def values(self, config):
        return self.tab.settings.values(config)

    def drop(self, path, run_id=""):
        return self.tab.photo_changed(path, run_id)

    def start(self, photo, values, *, backbone="studio_vgg", restored=None):
        return watched(self.tab.start(photo, None, backbone, restored, *values))

    def choose_preset(self, name, backbone, values, *, run_id=""):
        return self.tab.preset_chosen(name, backbone, run_id, *values)


class Style(Subject):
    """The style transfer tab, with one painting chosen."""

    engine = "style_transfer"
    quick = QUICK_PAINTING
    max_steps = 20_000
    change = "balance", 0.6
    misfit = "content_layer", "mixed4"

    @staticmethod
    def inputs_of(image: np.ndarray, painting: np.ndarray) -> dict[str, np.ndarray]:
        return {"content_image": image, "style_images_1": painting}

    def values(self, config):
        return [*self.tab.settings.values(config), *[1] * MAX_STYLES, self.paintings]

    def drop(self, path, run_id=""):
        return self.tab.photo_changed(path, self.paintings, run_id)

    def start(self, photo, values, *, backbone="studio_vgg", restored=None):
        return watched(self.tab.start(photo, self.paintings, None, None, backbone, restored, *values))

    def choose_preset(self, name, backbone, values, *, run_id=""):
        return self.tab.preset_chosen(name, backbone, run_id, *values)


SUBJECTS = {"deep_dream": Dream, "style_transfer": Style}


def subject_of(engine: str, laid_out, image, painting, tmp_path) -> Subject:
    Image.fromarray(painting).save(tmp_path / "painting.png")
    return SUBJECTS[engine](laid_out[engine], image, painting, [(str(tmp_path / "painting.png"), None)])
