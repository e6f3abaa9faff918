"""DCGAN: draw images from noise, and interpolate between them.

Radford, Metz & Chintala, "Unsupervised representation learning with deep convolutional generative adversarial networks"
(2016); Chollet, "Deep Learning with Python", section 12.5. See `engines.dcgan.model` for trained networks,
`engines.dcgan.training` for training and `engines.dcgan.projection` for finding a given image.
"""

from __future__ import annotations

import math

import numpy as np

from engines.core.frames import Frame, Frames
from engines.core.messages import message
from engines.dcgan.config import DrawConfig, FaceWalkConfig
from engines.dcgan.model import GAN, load_gan
from engines.imaging.grids import image_grid
from engines.latent import geometry as latent
from engines.latent.walk_frames import SIDE, enlarged, walk_frames

__all__ = ["GAN", "DrawConfig", "FaceWalkConfig", "draw", "load_gan", "resolve", "walk"]


def resolve(config: DrawConfig | FaceWalkConfig, gan: GAN) -> DrawConfig | FaceWalkConfig:
    """Check a config against the latent space, and return it.

    Raises:
        ValueError: latent vectors of another length, or a walk of fewer than two points.
    """
    if isinstance(config, DrawConfig):
        for z in (config.z, config.second):
            if z:
                latent.check_latents(z, gan.latent_dim)
        if len(config.along) > len(gan.directions):
            raise ValueError(
                message(
                    "This network has {count} directions, not {given}.",
                    count=len(gan.directions),
                    given=len(config.along),
                )
            )
        return config
    if len(config.waypoints) % gan.latent_dim:
        raise ValueError(
            message(
                "Each waypoint must have {needed} numbers; {given} were given in all.",
                needed=gan.latent_dim,
                given=len(config.waypoints),
            )
        )
    if max(len(config.waypoints) // gan.latent_dim, 0 if config.waypoints else len(config.seeds)) < 2:
        raise ValueError(message("A walk needs at least two waypoints; add another."))
    return config


def draw(config: DrawConfig, backbone: GAN) -> Frames[DrawConfig]:
    """Draw a sheet of images from seeds, or one large image from a latent vector: one frame, and one per steering.

    Steer with a config as `resolve` returns it.

    Raises:
        ValueError: see `resolve`.
    """
    resolve(config, backbone)
    step = 0
    changed: DrawConfig | None = config
    while changed is not None:
        step += 1
        image, z = _drawn(changed, backbone)
        changed = yield Frame(step=step, total=step, image=image, z=z)


def _drawn(config: DrawConfig, gan: GAN) -> tuple[np.ndarray, np.ndarray | None]:
    if config.z:
        z = gan.edited(config.z, config.second or None, config.blend, config.along)
        return enlarged(gan.decode(z)[0]), z
    images = gan.sample(range(config.seed, config.seed + config.count), config.truncation)
    return (sheet(images), None) if len(images) > 1 else (enlarged(images[0], SIDE), None)


def sheet(images: np.ndarray) -> np.ndarray:
    """Tile (N, H, W, 3) uint8 into one nearly square image; unused cells are black."""
    return image_grid(images, math.ceil(math.sqrt(len(images))))


def walk(config: FaceWalkConfig, backbone: GAN) -> Frames[FaceWalkConfig]:
    """Interpolate between images, yielding one a step; a changed config, as `resolve` returns it, applies to the
    remaining steps.

    Raises:
        ValueError: see `resolve`.
    """
    resolve(config, backbone)
    yield from walk_frames(config, lambda now: _path(now, backbone), backbone.decode)


def _path(config: FaceWalkConfig, gan: GAN) -> np.ndarray:
    points = gan.latents(config.seeds, config.truncation)
    if config.waypoints:
        points = np.reshape(np.array(config.waypoints, np.float32), (-1, gan.latent_dim))
    path = latent.walk(points, config.steps, spherical=config.spherical, closed=config.closed)
    # A looping video would pause if its last image repeated its first.
    return path[:-1] if config.closed else path
