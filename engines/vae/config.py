"""Settings for walks and training. Importing this does not load TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass

from engines.core.configs import setting, validate
from engines.latent import geometry as latent

# As in `engines.vae.networks.ARCHITECTURES`.
MODELS = ("digits", "digits_notes", "faces")


@dataclass(frozen=True, kw_only=True)
class VAETrainingConfig:
    """Settings for training an autoencoder."""

    model: str = setting("digits", "Which networks.", choices=MODELS)
    epochs: int = setting(30, "Passes over the training pictures.", low=1, high=10_000)
    batch_size: int = setting(128, "Pictures a step.", low=2, high=4096)
    learning_rate: float = setting(1e-3, "Peak of the schedule: linear up, half a cosine down.", low=1e-7, high=1.0)
    warmup: float = setting(0.02, "Share of the steps in which the rate rises.", low=0.0, high=0.9)
    kl_weight: float = setting(1.0, "What the Kullback-Leibler term counts (beta).", low=0.0, high=100.0)
    kl_warmup: float = setting(0.0, "Share of the steps over which that weight rises to its value.", low=0.0, high=1.0)
    perceptual_weight: float = setting(0.0, "What likeness to the bundled backbone's eyes counts.", low=0.0, high=100.0)
    perceptual_from: float = setting(0.0, "Share of the steps after which that counts.", low=0.0, high=1.0)
    interval: int = setting(500, "Steps between checkpoints.", low=1, high=1_000_000)
    seed: int = setting(0, "Order of the pictures, noise and initial weights.", low=0, high=2**31 - 1)

    def __post_init__(self):
        validate(self)


@dataclass(frozen=True, kw_only=True)
class WalkConfig:
    """Settings for a film of a walk through a latent space."""

    waypoints: tuple[float, ...] = setting(
        (-1.5, -1.5, 1.5, 1.5),
        "Places to pass, one after another: all numbers of the first, then of the next.",
        low=-latent.MAX_COORDINATE,
        high=latent.MAX_COORDINATE,
    )
    steps: int = setting(24, "Pictures from one place to the next.", low=1, high=500)
    spherical: bool = setting(False, "Along great arcs around the origin instead of straight lines.")
    closed: bool = setting(False, "And back to the first place.")

    def __post_init__(self):
        validate(self)
