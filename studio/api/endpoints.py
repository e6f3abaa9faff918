"""API endpoints: engine, files and networks of each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engines.dcgan import DrawConfig, FaceWalkConfig
from engines.dcgan import config as dcgan_config
from engines.dcgan.config import ProjectionConfig
from engines.dcgan.model import read_gan
from engines.deep_dream import PRESETS, DreamConfig
from engines.jobs import ENGINES
from engines.jobs.batch import MOST_PICTURES
from engines.jobs.sweep import DreamSweepConfig, StyleSweepConfig
from engines.language_model import config as language_config
from engines.recipes import Recipe, RecipeError
from engines.style_transfer import LAYERS, MOST_STYLES, StyleConfig
from engines.vae import WalkConfig
from engines.vae import config as vae_config
from engines.vae.model import read_vae
from studio.api.parameters import Parameter, file_parameter, setting_parameters
from studio.trained_models import read_model


@dataclass(frozen=True)
class Endpoint:
    """What programs may ask for, and what they are told of it.

    Attributes:
        engine: key in `engines.jobs.ENGINES`.
        config: its config class; those of trainings cannot be asked of an engine without loading TensorFlow.
        does: what it does, in a sentence.
        files: the engine's pictures or its data by its names for them, each with its help.
        needed: those that may not be left out.
        networks: that it runs on, by name; none for a training.
        steerable: fields that may be other ones when a training goes on.
        left_out: fields that only mean something while somebody steers.
        batch: the picture of which there are many, by the engine's name for it; "" where there is one.
    """

    engine: str
    config: type
    does: str
    files: Mapping[str, str] = field(default_factory=dict)
    needed: Collection[str] = ()
    networks: Collection[str] = ()
    steerable: Collection[str] = ()
    left_out: Collection[str] = ()
    batch: str = ""

    @property
    def trains(self) -> bool:
        return "data" in ENGINES[self.engine].files

    @property
    def parameters(self) -> list[Parameter]:
        """Its parameters: files, the network, settings."""
        series = ENGINES[self.engine].series
        files = [
            file_parameter(name, help, several=name in series or name == IMAGES, needed=name in self.needed)
            for name, help in self.files.items()
        ]
        return [*files, *self.network, *setting_parameters(self.config, self.left_out)]

    @property
    def network(self) -> list[Parameter]:
        return [] if self.trains else [network_parameter(self.engine, self.networks)]


# What the many pictures of a batch are called.
IMAGES = "images"
_MANY = f"Pictures, or zips of them, at most {MOST_PICTURES}."
_DREAMS = {"image": "The photo.", "guide": "A picture of what the dream should look for."}
_PAINTINGS = {
    "content_image": "The photo.",
    "style_images": f"The paintings, at most {MOST_STYLES}.",
    "masks": "For each painting a picture that is white where it belongs on the photo; none for anywhere.",
    "start_image": "A picture to go on painting, instead of the photo.",
}
ENDPOINTS = {
    "deep_dream": Endpoint(
        "deep_dream",
        DreamConfig,
        "DeepDream: change a picture so that a network sees more of what it sees in it.",
        _DREAMS,
        ("image",),
        tuple(PRESETS),
    ),
    "deep_dream_sweep": Endpoint(
        "deep_dream_sweep",
        DreamSweepConfig,
        "A sheet of dreams that differ in one setting of deep_dream, or in two.",
        _DREAMS,
        ("image",),
        tuple(PRESETS),
    ),
    "deep_dream_batch": Endpoint(
        "deep_dream",
        DreamConfig,
        "Dream on many pictures with the same settings; the result is a zip.",
        {IMAGES: _MANY, "guide": _DREAMS["guide"]},
        (IMAGES,),
        tuple(PRESETS),
        batch="image",
    ),
    "style_transfer": Endpoint(
        "style_transfer",
        StyleConfig,
        "Neural style transfer: paint a photo in the manner of paintings.",
        _PAINTINGS,
        ("content_image", "style_images"),
        tuple(LAYERS),
    ),
    "style_transfer_sweep": Endpoint(
        "style_transfer_sweep",
        StyleSweepConfig,
        "A sheet of paintings that differ in one setting of style_transfer, or in two.",
        _PAINTINGS,
        ("content_image", "style_images"),
        tuple(LAYERS),
    ),
    "style_transfer_batch": Endpoint(
        "style_transfer",
        StyleConfig,
        "Paint many photos with the same settings; the result is a zip.",
        {IMAGES: _MANY, "style_images": _PAINTINGS["style_images"]},
        (IMAGES, "style_images"),
        tuple(LAYERS),
        batch="content_image",
    ),
    "vae_walk": Endpoint(
        "vae",
        WalkConfig,
        "Walk through the latent space of a variational autoencoder, as a film.",
        networks=vae_config.MODELS,
    ),
    "dcgan_draw": Endpoint(
        "dcgan", DrawConfig, "Draw a sheet of faces from noise with a DCGAN.", networks=dcgan_config.MODELS
    ),
    "dcgan_walk": Endpoint(
        "dcgan_walk", FaceWalkConfig, "Walk from face to face, as a film.", networks=dcgan_config.MODELS
    ),
    "dcgan_projection": Endpoint(
        "dcgan_projection",
        ProjectionConfig,
        "Look for a given face among those that a DCGAN can draw.",
        {"image": "The face; the picture's middle square is taken."},
        ("image",),
        dcgan_config.MODELS,
    ),
    "write": Endpoint(
        "language_model",
        language_config.WritingConfig,
        "Go on with a text, as a language model would.",
        networks=language_config.MODELS,
    ),
    "vae_training": Endpoint(
        "vae_training",
        vae_config.VAETrainingConfig,
        "Train a variational autoencoder.",
        {"data": "mnist.npz, or a zip of pictures."},
        ("data",),
    ),
    "dcgan_training": Endpoint(
        "dcgan_training",
        dcgan_config.DCGANTrainingConfig,
        "Train a generator of pictures and its critic.",
        {"data": "A zip of pictures."},
        ("data",),
        steerable=dcgan_config.STEERABLE,
        left_out=("rollbacks",),
    ),
    "language_training": Endpoint(
        "language_training",
        language_config.LanguageTrainingConfig,
        "Train a language model.",
        {"data": "A text in UTF-8: .txt, .md or .jsonl, or gzipped, or a zip of these."},
        ("data",),
        steerable=language_config.STEERABLE,
    ),
}
# What a training makes: the engine that draws or writes with it, and how its file is read.
TRAINED: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "vae_training": ("vae", read_vae),
    "dcgan_training": ("dcgan", read_gan),
    "language_training": ("language_model", read_model),
}


def network_parameter(engine: str, networks: Collection[str]) -> Parameter:
    """The network that an endpoint runs on."""
    loaders = {ENGINES[trained].loader for trained, _ in TRAINED.values()}
    others = ", or one that a training here has made" if ENGINES[engine].loader in loaders else ""
    help = f"Name of the network: {', '.join(networks)}{others}."
    return Parameter("backbone", str, help, ENGINES[engine].network)


def check_names(recipe: Recipe, endpoint: Endpoint) -> None:
    """Refuse a recipe whose inputs are not those of its engine.

    Raises:
        RecipeError: one too many, one that is missing, or a gap in a series.
    """
    series = ENGINES[recipe.engine].series
    known = [name for name in endpoint.files if name not in series]
    known += [f"{name}_{i}" for name in series for i in range(1, MOST_STYLES + 1)]
    needed = [name for name in endpoint.needed if name not in series]
    for name in series & set(endpoint.needed):
        count = sum(one.startswith(f"{name}_") for one in recipe.inputs)
        needed += [f"{name}_{i}" for i in range(1, max(count, 1) + 1)]
    if not set(needed) <= set(recipe.inputs) <= set(known):
        raise RecipeError("The inputs of this recipe are not those that its engine takes.")
