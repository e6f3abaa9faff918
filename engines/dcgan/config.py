"""Settings for drawing, walks, projection and training. Importing this does not load TensorFlow."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from engines.core.configs import setting, validate
from engines.core.messages import message
from engines.latent import geometry as latent

# As in `engines.dcgan.networks.ARCHITECTURES`.
MODELS = ("faces", "notes")
# As in `engines.dcgan.augmentation.AUGMENTATIONS`.
AUGMENTATIONS = ("none", "colour", "colour and shift")
# Fields that may change while a training runs, or when it resumes.
STEERABLE = ("d_learning_rate", "dropout", "rollbacks")
# Group size of the discriminator's minibatch standard deviation.
GROUP = 4
OBJECTIVES = ("hinge", "noisy labels")


@dataclass(frozen=True, kw_only=True)
class DCGANTrainingConfig:
    """How a generator and a discriminator are trained. None means the model's own default: see `MODEL_DEFAULTS`."""

    model: str = setting("faces", "Which networks.", choices=MODELS)
    images: int = setting(200_000, "How many real pictures the critic is shown in all.", low=16, high=10**9)
    batch_size: int = setting(64, "Pictures a step.", low=4, high=1024)
    objective: str | None = setting(
        None,
        "The hinge loss (Lim & Ye 2017), or the book's cross-entropy with noise on the labels.",
        choices=OBJECTIVES,
    )
    g_learning_rate: float | None = setting(None, "Adam's rate for the generator.", low=1e-7, high=0.1)
    d_learning_rate: float | None = setting(
        None, "Adam's rate for the critic; may be moved while it runs.", low=1e-7, high=0.1
    )
    dropout: float | None = setting(
        None,
        "Share of the critic's last features that is hidden from it; may be moved while it runs.",
        low=0.0,
        high=0.9,
    )
    augmentation: str | None = setting(
        None,
        "How pictures, drawn and real, are changed before the critic sees them.",
        choices=AUGMENTATIONS,
    )
    averaging: float | None = setting(
        None,
        "Share of the averaged weights, with which is drawn, that a step leaves; 0 for none.",
        low=0.0,
        high=0.99999,
    )
    mirrored: bool | None = setting(None, "Whether every other picture is shown from the other side.")
    rollbacks: int = setting(0, "One more sends the training back to its last good moment.", low=0, high=1000)
    interval: int = setting(250, "Steps between pictures and checkpoints.", low=1, high=1_000_000)
    seed: int = setting(0, "Order of the pictures, noise and initial weights.", low=0, high=2**31 - 1)

    def __post_init__(self):
        validate(self)
        if self.batch_size % GROUP:
            raise ValueError(
                message("Batch size must be a multiple of {group}, not {given}.", group=GROUP, given=self.batch_size)
            )

    def filled(self) -> DCGANTrainingConfig:
        """A copy with every None replaced by the model's default."""
        defaults = MODEL_DEFAULTS[self.model]
        missing = {name: value for name, value in defaults.items() if getattr(self, name) is None}
        return dataclasses.replace(self, **missing)


MODEL_DEFAULTS: dict[str, dict[str, Any]] = {
    "faces": {
        "objective": "hinge",
        "g_learning_rate": 3e-4,
        "d_learning_rate": 6e-4,
        "dropout": 0.0,
        "augmentation": "colour and shift",
        "averaging": 0.999,
        "mirrored": True,
    },
    # Chollet's listing, section 12.5: only dropout and noisy labels regularise the discriminator.
    "notes": {
        "objective": "noisy labels",
        "g_learning_rate": 1e-4,
        "d_learning_rate": 1e-4,
        "dropout": 0.2,
        "augmentation": "none",
        "averaging": 0.0,
        "mirrored": False,
    },
}


MAX_SEED = 2**31 - 1


_TRUNCATION = message("Below 1: nearer to the mean picture, less varied and likelier to be whole (psi).")


@dataclass(frozen=True, kw_only=True)
class DrawConfig:
    """A sheet of pictures from seeds, or one picture from a latent vector."""

    seed: int = setting(0, "The first picture's; each next one has the next.", low=0, high=MAX_SEED - 400)
    count: int = setting(32, "How many pictures.", low=1, high=400)
    truncation: float = setting(1.0, _TRUNCATION, low=0.0, high=2.0)
    z: tuple[float, ...] = setting(
        (),
        "Instead of seeds: the latent vector of a single picture.",
        low=-latent.MAX_COORDINATE,
        high=latent.MAX_COORDINATE,
    )
    second: tuple[float, ...] = setting(
        (), "Another latent vector, to blend it with.", low=-latent.MAX_COORDINATE, high=latent.MAX_COORDINATE
    )
    blend: float = setting(0.0, "Share of the other.", low=0.0, high=1.0)
    along: tuple[float, ...] = setting((), "How far it is moved along each direction.", low=-20.0, high=20.0)

    def __post_init__(self):
        validate(self)


@dataclass(frozen=True, kw_only=True)
class FaceWalkConfig:
    """A film that interpolates between pictures."""

    seeds: tuple[int, ...] = setting((0, 1, 2, 3, 4), "Pictures to pass, by their seeds.", low=0, high=MAX_SEED)
    truncation: float = setting(1.0, _TRUNCATION, low=0.0, high=2.0)
    waypoints: tuple[float, ...] = setting(
        (),
        "Instead of seeds: latent vectors to pass, all numbers of the first, then of the next.",
        low=-latent.MAX_COORDINATE,
        high=latent.MAX_COORDINATE,
    )
    steps: int = setting(24, "Pictures from one place to the next.", low=1, high=500)
    spherical: bool = setting(True, "Along great arcs around the origin instead of straight lines.")
    closed: bool = setting(True, "And back to the first, so that the film can run in a loop.")

    def __post_init__(self):
        validate(self)


@dataclass(frozen=True, kw_only=True)
class ProjectionConfig:
    """How a picture is projected into the latent space."""

    steps: int = setting(120, "Steps of gradient descent.", low=1, high=5000)
    starts: int = setting(4, "From how many places at once; the best one is shown and kept.", low=1, high=32)
    learning_rate: float = setting(0.08, "How far a step goes; falls to nothing towards the end.", low=1e-4, high=1.0)
    perceptual_weight: float = setting(1.0, "What likeness to the bundled backbone's eyes counts.", low=0.0, high=100.0)
    pixel_weight: float = setting(1.0, "What the error of each pixel counts.", low=0.0, high=100.0)
    prior_weight: float = setting(
        0.02,
        "What straying from likely faces counts; at 0 it may find monsters.",
        low=0.0,
        high=10.0,
    )
    seed: int = setting(0, "Where it begins.", low=0, high=2**31 - 1)

    def __post_init__(self):
        validate(self)
        if self.perceptual_weight == 0 and self.pixel_weight == 0:
            raise ValueError(
                message("The perceptual weight or the pixel weight must be above 0: nothing would be looked for.")
            )
