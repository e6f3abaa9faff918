"""Variational autoencoders: walks through their latent space.

Kingma & Welling, "Auto-Encoding Variational Bayes" (2014); the digits follow Chollet, "Deep Learning with Python",
section 12.4. See `engines.vae.model` for trained networks and `engines.vae.training` for training.
"""

from __future__ import annotations

import numpy as np

from engines.core.frames import Frames
from engines.core.messages import message
from engines.latent import geometry as latent
from engines.latent.walk_frames import walk_frames
from engines.vae.config import WalkConfig
from engines.vae.model import VAE, load_vae

__all__ = ["VAE", "WalkConfig", "load_vae", "resolve", "walk"]


def resolve(config: WalkConfig, vae: VAE) -> WalkConfig:
    """Check a config against the latent space, and return it.

    Raises:
        ValueError: waypoints of another length, or fewer than two.
    """
    if len(config.waypoints) % vae.latent_dim:
        raise ValueError(
            message(
                "Each waypoint must have {needed} numbers; {given} were given in all.",
                needed=vae.latent_dim,
                given=len(config.waypoints),
            )
        )
    if len(config.waypoints) < 2 * vae.latent_dim:
        raise ValueError(message("A walk needs at least two waypoints; add another."))
    return config


def walk(config: WalkConfig, backbone: VAE) -> Frames[WalkConfig]:
    """Walk from waypoint to waypoint, yielding one image a step; a changed config, as `resolve` returns it, applies
    to the remaining steps.

    Raises:
        ValueError: see `resolve`.
    """
    resolve(config, backbone)
    yield from walk_frames(config, lambda now: _path(now, backbone), backbone.decode)


def _path(config: WalkConfig, vae: VAE) -> np.ndarray:
    points = np.reshape(np.array(config.waypoints, np.float32), (-1, vae.latent_dim))
    return latent.walk(points, config.steps, spherical=config.spherical, closed=config.closed)
