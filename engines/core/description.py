"""Description of an engine, for page, API, command line, gallery and docs."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# The file arguments of a training.
TRAINING_FILES = ("data", "checkpoint", "output")


@dataclass(frozen=True)
class Network:
    """Titles of a network.

    Attributes:
        title: display name among all networks.
        short: display name among those of its engine; "" for `title`.
    """

    title: str
    short: str = ""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Description of one engine. Classes and functions are given by name, so that a description imports nothing.

    The function's module must also define `resolve(config, backbone)`, which returns the config with all
    backbone-dependent defaults filled in, or raises ValueError if the two do not fit. "Backbone" is whatever network
    the engine runs on; its `weights` attribute is the SHA-256 of its weights.

    Attributes:
        name: identifier in recipes, on the command line and in file names.
        title: display name of its results.
        does: description in one sentence, for programmers.
        tab: id of its tab on the page.
        config: "module:class" of its settings.
        function: "module:function" that returns its frames.
        inputs: parameters that take images, each with a description; all but the first are optional unless in
            `needed`.
        needed: required inputs.
        series: inputs that take several images: `style_images` takes `style_images_1`, `style_images_2` ...
        masks: inputs that are masks; transparent pixels count as black.
        most: maximum number of images in a series.
        files: parameters that take files: TRAINING_FILES or none.
        data: description of a training's data, in one sentence.
        makes: for a training, the engine that runs the trained network.
        steerable: for a training, fields that may change while it runs or when it resumes.
        left_out: fields that only matter while steering.
        writes: True if the result is text.
        video: True if the frames form a video, which is the result.
        sheet: True if the result is a contact sheet, which is not comparable to the input.
        networks: name -> titles of its networks, the default first.
        loader: "module:function" that loads a network by name from a `WeightsStore`; "" for none.
        reader: "module:function" that reads a network from a path; "" for none.
        weights: file name of a network's weights without suffix, with {} for the network's name.
        endpoint: name of the API endpoint; by default `name`.
        batch: the input that varies within a batch; "" if batches are not supported.
        batch_does: description of a batch, in one sentence.
        batch_shares: inputs shared by all images of a batch.
    """

    name: str
    title: str
    does: str
    tab: str
    config: str
    function: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    needed: Collection[str] = ()
    series: frozenset[str] = frozenset()
    masks: frozenset[str] = frozenset()
    most: int = 1
    files: tuple[str, ...] = ()
    data: str = ""
    makes: str = ""
    steerable: Collection[str] = ()
    left_out: Collection[str] = ()
    writes: bool = False
    video: bool = False
    sheet: bool = False
    networks: Mapping[str, Network] = field(default_factory=dict)
    loader: str = ""
    reader: str = ""
    weights: str = "{}"
    endpoint: str = ""
    batch: str = ""
    batch_does: str = ""
    batch_shares: tuple[str, ...] = ()

    @property
    def network(self) -> str:
        """The default network; "" if it needs none."""
        return next(iter(self.networks), "")

    @property
    def network_choices(self) -> dict[str, str]:
        """Short title -> name of its networks."""
        return {network.short or network.title: name for name, network in self.networks.items()}

    @property
    def first_input(self) -> str:
        """The main input; "" if it takes none."""
        return next(iter(self.inputs), "")

    @property
    def max_images(self) -> int:
        """Maximum number of images of all inputs together."""
        return sum(self.most if name in self.series else 1 for name in self.inputs)

    @property
    def module(self) -> str:
        """The module of its function and of `resolve`."""
        return self.function.partition(":")[0]

    @property
    def config_class(self) -> type:
        """The class of its settings. Importing it does not load TensorFlow."""
        return import_string(self.config)

    def background(self, name: str) -> str:
        """The `background` argument of `read_image` for an input."""
        return "black" if name in self.masks else "white"

    def arguments(self, inputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Convert a job's inputs to arguments of the function: a series becomes a tuple, with None for a missing
        one."""
        arguments: dict[str, Any] = {}
        for name in self.inputs:
            if name in self.series:
                numbers = [int(key.rpartition("_")[2]) for key in inputs if key.rpartition("_")[0] == name]
                arguments[name] = tuple(inputs.get(f"{name}_{i}") for i in range(1, max(numbers, default=0) + 1))
            elif name in inputs:
                arguments[name] = inputs[name]
        return arguments


def sweep_of(engine: Engine, config: str, does: str) -> Engine:
    """The description of an engine's sweep: a sheet of its results for several values of one or two settings.

    Args:
        config: "module:class" of the sweep's settings.
        does: description in one sentence, for programmers.
    """
    return dataclasses.replace(
        engine,
        name=f"{engine.name}_sweep",
        title=f"{engine.title} sweep",
        does=does,
        config=config,
        function="engines.jobs.sweep:sweep",
        sheet=True,
        batch="",
        batch_does="",
    )


def import_string(path: str) -> Any:
    """Import an object by its path, "module:name"."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
