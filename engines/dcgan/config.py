"""Settings for drawing, walks, projection and training. Importing this does not load TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engines.core.configs import setting, validate, with_defaults
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

    model: str = setting("faces", "Model architecture.", choices=MODELS)
    images: int = setting(
        200_000, "Total number of real images shown to the discriminator.", label="Total images", low=16, high=10**9
    )
    batch_size: int = setting(64, "Images per step.", low=4, high=1024)
    objective: str | None = setting(
        None,
        "Hinge loss (Lim & Ye 2017), or cross-entropy with noisy labels as in Chollet's book.",
        label="Loss",
        choices=OBJECTIVES,
    )
    g_learning_rate: float | None = setting(
        None, "Adam learning rate of the generator.", label="Generator learning rate", low=1e-7, high=0.1
    )
    d_learning_rate: float | None = setting(
        None,
        "Adam learning rate of the discriminator; can be changed during a run.",
        label="Discriminator learning rate",
        low=1e-7,
        high=0.1,
    )
    dropout: float | None = setting(
        None,
        "Dropout rate on the last features of the discriminator; can be changed during a run.",
        label="Discriminator dropout",
        low=0.0,
        high=0.9,
    )
    augmentation: str | None = setting(
        None,
        "Augmentation applied to real and generated images before the discriminator.",
        choices=AUGMENTATIONS,
    )
    averaging: float | None = setting(
        None,
        "Decay of the moving average of the generator weights used for output; 0 for no averaging.",
        label="Weight averaging",
        low=0.0,
        high=0.99999,
    )
    mirrored: bool | None = setting(None, "Flip half of the training images horizontally.", label="Mirror images")
    rollbacks: int = setting(0, "Increase by 1 to go back to the last checkpoint without a warning.", low=0, high=1000)
    interval: int = setting(
        250, "Steps between images and checkpoints.", label="Steps between images", low=1, high=1_000_000
    )
    seed: int = setting(0, "Seed for the order of images, the noise and the initial weights.", low=0, high=2**31 - 1)

    def __post_init__(self):
        validate(self)
        if self.batch_size % GROUP:
            raise ValueError(
                message("Batch size must be a multiple of {group}, not {given}.", group=GROUP, given=self.batch_size)
            )

    def filled(self) -> DCGANTrainingConfig:
        """A copy with every None replaced by the model's default."""
        return with_defaults(self, MODEL_DEFAULTS[self.model])


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


_TRUNCATION = message("Truncation psi: below 1, images are closer to the average, less varied and cleaner.")


@dataclass(frozen=True, kw_only=True)
class DrawConfig:
    """A sheet of images from seeds, or one image from a latent vector."""

    seed: int = setting(
        0, "Seed of the first image; each further image uses the next seed.", low=0, high=MAX_SEED - 400
    )
    count: int = setting(32, "Number of images.", low=1, high=400)
    truncation: float = setting(1.0, _TRUNCATION, label="Variety (ψ)", low=0.0, high=2.0)
    z: tuple[float, ...] = setting(
        (),
        "Latent vector of a single image, instead of seeds.",
        low=-latent.MAX_COORDINATE,
        high=latent.MAX_COORDINATE,
    )
    second: tuple[float, ...] = setting(
        (), "Second latent vector to blend with.", low=-latent.MAX_COORDINATE, high=latent.MAX_COORDINATE
    )
    blend: float = setting(0.0, "Weight of the second latent vector, from 0 to 1.", low=0.0, high=1.0)
    along: tuple[float, ...] = setting((), "Distance to move along each direction.", low=-20.0, high=20.0)

    def __post_init__(self):
        validate(self)


@dataclass(frozen=True, kw_only=True)
class FaceWalkConfig:
    """A video that interpolates between images."""

    seeds: tuple[int, ...] = setting((0, 1, 2, 3, 4), "Seeds of the images to visit.", low=0, high=MAX_SEED)
    truncation: float = setting(1.0, _TRUNCATION, label="Variety (ψ)", low=0.0, high=2.0)
    waypoints: tuple[float, ...] = setting(
        (),
        "Latent vectors to visit instead of seeds, joined into one list of numbers.",
        low=-latent.MAX_COORDINATE,
        high=latent.MAX_COORDINATE,
    )
    steps: int = setting(24, "Images from one waypoint to the next.", label="Frames per segment", low=1, high=500)
    spherical: bool = setting(
        True,
        "Interpolate along great circles around the origin instead of straight lines.",
        label="Spherical interpolation",
    )
    closed: bool = setting(True, "Return to the first image, so that the video loops.", label="Closed loop")

    def __post_init__(self):
        validate(self)


@dataclass(frozen=True, kw_only=True)
class ProjectionConfig:
    """How an image is projected into the latent space."""

    steps: int = setting(120, "Number of gradient descent steps.", low=1, high=5000)
    starts: int = setting(
        4, "Number of starting points searched at once; the best result is shown and kept.", low=1, high=32
    )
    learning_rate: float = setting(0.08, "Learning rate; decays towards 0 by the end.", low=1e-4, high=1.0)
    perceptual_weight: float = setting(
        1.0, "Weight of the perceptual loss, computed with the bundled network.", low=0.0, high=100.0
    )
    pixel_weight: float = setting(1.0, "Weight of the pixel error.", low=0.0, high=100.0)
    prior_weight: float = setting(
        0.02,
        "Weight of the prior; at 0 the result may not look like a face.",
        low=0.0,
        high=10.0,
    )
    seed: int = setting(0, "Seed of the starting points.", low=0, high=2**31 - 1)

    def __post_init__(self):
        validate(self)
        if self.perceptual_weight == 0 and self.pixel_weight == 0:
            raise ValueError(message("The perceptual weight or the pixel weight must be above 0."))
