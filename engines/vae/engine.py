"""Variational autoencoders: pictures to and from a space that one can walk through.

Kingma & Welling, "Auto-Encoding Variational Bayes" (2014); the digits after Chollet's "Deep Learning with Python",
section 12.4. What a trained one can do is in `engines.vae.model`, how it is trained in `engines.vae.training`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.core.configs import setting, validate
from engines.core.frames import Frames
from engines.latent import geometry as latent
from engines.latent.walk_frames import walked
from engines.vae.model import VAE, load_vae

__all__ = ["VAE", "WalkConfig", "load_vae", "resolve", "walk"]


@dataclass(frozen=True, kw_only=True)
class WalkConfig:
    """A walk through a latent space, as a film."""

    waypoints: tuple[float, ...] = setting(
        (-1.5, -1.5, 1.5, 1.5),
        "Places to pass, one after another: all numbers of the first, then of the next.",
        low=-latent.MOST,
        high=latent.MOST,
    )
    steps: int = setting(24, "Pictures from one place to the next.", low=1, high=500)
    spherical: bool = setting(False, "Along great arcs around the origin instead of straight lines.")
    closed: bool = setting(False, "And back to the first place.")

    def __post_init__(self):
        validate(self)


def resolve(config: WalkConfig, vae: VAE) -> WalkConfig:
    """The config, if it suits a space.

    Raises:
        ValueError: waypoints that are not of this space, or fewer than two.
    """
    if len(config.waypoints) % vae.latent_dim:
        raise ValueError(f"Each place of a walk here has {vae.latent_dim} numbers; these are {len(config.waypoints)}.")
    if len(config.waypoints) < 2 * vae.latent_dim:
        raise ValueError("A walk needs at least two places; set another.")
    return config


def walk(config: WalkConfig, backbone: VAE) -> Frames[WalkConfig]:
    """Walk from waypoint to waypoint, yielding a picture a step; a changed config takes effect on what is left.

    Raises:
        ValueError: see `resolve`.
    """
    yield from walked(config, lambda now: _path(resolve(now, backbone), backbone), backbone.decode)


def _path(config: WalkConfig, vae: VAE) -> np.ndarray:
    points = np.reshape(np.array(config.waypoints, np.float32), (-1, vae.latent_dim))
    return latent.walk(points, config.steps, spherical=config.spherical, closed=config.closed)
