"""Description of an engine: all that page, API, command line, gallery and docs know of it."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# What a training takes and writes.
TRAINING_FILES = ("data", "checkpoint", "output")


@dataclass(frozen=True, kw_only=True)
class Engine:
    """One engine. Everything heavy is named, so that a description imports nothing.

    The function's module also has `resolve(config, backbone)`: the config with every default that depends on the
    backbone filled in, or a ValueError where the two do not fit. "Backbone" is whatever network the engine runs on; it
    knows the hash of its `weights`.

    Attributes:
        name: what recipes, command line and results call it.
        title: what a person calls what it makes.
        does: what it does, in a sentence for programmers.
        tab: the tab of the page that it runs on, by its id.
        config: "module:class" of its settings.
        function: "module:function" that returns its frames.
        inputs: the pictures it takes, by its function's parameters, each with a sentence; those after the first may be
            left out unless they are in `needed`.
        needed: inputs that may not be left out.
        series: inputs that are series of pictures: `style_images` takes `style_images_1`, `style_images_2` ...
        masks: inputs that say where: nothing of what is transparent in their pictures.
        most: how many pictures a series holds at most.
        files: names of the files it takes, by its function's parameters: TRAINING_FILES, or none.
        data: of a training, what its data is, in a sentence.
        makes: of a training, the engine that runs on what it has trained.
        steerable: of a training, fields that may be changed while it runs or when it goes on.
        left_out: fields that only mean something while somebody steers.
        writes: whether its result is a text.
        film: whether its pictures are a film, which is the result, rather than ways to one picture.
        sheet: whether its picture is a sheet of several, which is not to be compared with what it was made from.
        networks: names of the networks it runs on, the default first.
        loader: "module:function" that loads its network, given the network's name and where weights are; "" for none.
        reader: "module:function" that reads such a network from a path; "" for none.
        weights: what the file of a network is called, without its suffix, with {} for the network's name.
        endpoint: what programs call it; its name if not given.
        batch: the input of which a batch has many; "" where there are no batches.
        batch_does: what a batch does, in a sentence.
        batch_shares: inputs that all pictures of a batch are made with.
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
    film: bool = False
    sheet: bool = False
    networks: tuple[str, ...] = ()
    loader: str = ""
    reader: str = ""
    weights: str = "{}"
    endpoint: str = ""
    batch: str = ""
    batch_does: str = ""
    batch_shares: tuple[str, ...] = ()

    @property
    def network(self) -> str:
        """The network that is used where none is named; "" where it needs none."""
        return self.networks[0] if self.networks else ""

    @property
    def first_input(self) -> str:
        """The picture to work on; "" where it takes none."""
        return next(iter(self.inputs), "")

    @property
    def module(self) -> str:
        """The module of its function, and of its `resolve`."""
        return self.function.partition(":")[0]

    @property
    def config_class(self) -> type:
        """Its settings' class; a training's is there without TensorFlow."""
        return loaded(self.config)

    def background(self, name: str) -> str:
        """What shows through where a picture is transparent that is an input of this name, as `read_picture` has it."""
        return "black" if name in self.masks else "white"

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


def loaded(place: str) -> Any:
    """What "module:name" names."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
