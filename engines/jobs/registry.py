"""Engine registry."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


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
        reader: "module:function" that reads such a network from a path; "" for none.
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
    reader: str = "engines.backbones.backbone:read_backbone"
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
        reader="",
    ),
    "dcgan": Engine(
        "engines.dcgan",
        "DrawConfig",
        "draw",
        network="faces",
        loader="engines.dcgan.model:load_gan",
        reader="engines.dcgan.model:read_gan",
        weights="dcgan_{}",
    ),
    "dcgan_walk": Engine(
        "engines.dcgan",
        "FaceWalkConfig",
        "walk",
        film=True,
        network="faces",
        loader="engines.dcgan.model:load_gan",
        reader="engines.dcgan.model:read_gan",
        weights="dcgan_{}",
    ),
    "dcgan_projection": Engine(
        "engines.dcgan.projection",
        "ProjectionConfig",
        "project",
        ("image",),
        network="faces",
        loader="engines.dcgan.model:load_gan",
        reader="engines.dcgan.model:read_gan",
        weights="dcgan_{}",
    ),
    "dcgan_training": Engine(
        "engines.dcgan.training",
        "DCGANTrainingConfig",
        "training",
        files=("data", "checkpoint", "output"),
        network="",
        loader="",
        reader="",
    ),
    "language_model": Engine(
        "engines.language_model",
        "WritingConfig",
        "write",
        writes=True,
        network="ours",
        loader="engines.language_model.model:load_language_model",
        reader="engines.language_model.model:read_language_model",
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
        reader="",
    ),
    "vae": Engine(
        "engines.vae",
        "WalkConfig",
        "walk",
        film=True,
        network="digits",
        loader="engines.vae.model:load_vae",
        reader="engines.vae.model:read_vae",
        weights="vae_{}",
    ),
}
