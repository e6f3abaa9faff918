"""Settings for walks and training. Importing this does not load TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass

from engines.core.configs import setting, validate
from engines.latent import geometry as latent

# As in `engines.vae.networks.ARCHITECTURES`.
MODELS = ("digits", "digits_notes", "faces")
# Columns of the ratings -> names of the concepts.
CONCEPTS = {
    "happy": "smile",
    "age": "age",
    "gender": "masculine",
    "long-haired": "long hair",
    "hair-color": "dark hair",
    "outdoors": "daylight",
}


@dataclass(frozen=True, kw_only=True)
class VAETrainingConfig:
    """Settings for training an autoencoder."""

    model: str = setting("digits", "Model architecture.", choices=MODELS)
    epochs: int = setting(30, "Number of passes over the training images.", low=1, high=10_000)
    batch_size: int = setting(128, "Images per step.", low=2, high=4096)
    learning_rate: float = setting(
        1e-3, "Peak learning rate: linear warm-up, then half-cosine decay.", low=1e-7, high=1.0
    )
    warmup: float = setting(0.02, "Fraction of the steps used to warm up the learning rate.", low=0.0, high=0.9)
    kl_weight: float = setting(
        1.0, "Weight of the Kullback-Leibler term (beta).", label="KL weight (beta)", low=0.0, high=100.0
    )
    kl_warmup: float = setting(
        0.0, "Fraction of the steps over which the KL weight rises to its value.", label="KL warm-up", low=0.0, high=1.0
    )
    perceptual_weight: float = setting(
        0.0,
        "Weight of the perceptual loss, computed with the bundled network.",
        label="Perceptual weight (colours)",
        low=0.0,
        high=100.0,
    )
    perceptual_from: float = setting(
        0.0, "Fraction of the steps after which the perceptual loss is used.", low=0.0, high=1.0
    )
    interval: int = setting(500, "Steps between checkpoints.", label="Steps between images", low=1, high=1_000_000)
    seed: int = setting(0, "Seed for the order of images, the noise and the initial weights.", low=0, high=2**31 - 1)

    def __post_init__(self):
        validate(self)


@dataclass(frozen=True, kw_only=True)
class WalkConfig:
    """Settings for a video of a walk through a latent space."""

    waypoints: tuple[float, ...] = setting(
        (-1.5, -1.5, 1.5, 1.5),
        "Waypoints in order: all numbers of the first, then of the next.",
        low=-latent.MAX_COORDINATE,
        high=latent.MAX_COORDINATE,
    )
    steps: int = setting(24, "Images from one waypoint to the next.", label="Frames per segment", low=1, high=500)
    spherical: bool = setting(
        False,
        "Interpolate along great circles around the origin instead of straight lines.",
        label="Spherical interpolation",
    )
    closed: bool = setting(False, "Return to the first waypoint at the end.", label="Closed loop")

    def __post_init__(self):
        validate(self)
