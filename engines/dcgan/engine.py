"""DCGAN: pictures from noise, and walks between them.

Radford, Metz & Chintala, "Unsupervised representation learning with deep convolutional generative adversarial networks"
(2016); Chollet's "Deep Learning with Python", section 12.5. What a trained pair of networks can do is in
`engines.dcgan.model`, how it is trained in `engines.dcgan.training`, how a given picture is found among those that it
can draw in `engines.dcgan.projection`.
"""

from __future__ import annotations

import math

import numpy as np

from engines.core.frames import Frame, Frames
from engines.core.messages import message
from engines.dcgan.config import DrawConfig, FaceWalkConfig
from engines.dcgan.model import GAN, load_gan
from engines.latent import geometry as latent
from engines.latent.walk_frames import SIDE, enlarged, walked

__all__ = ["GAN", "DrawConfig", "FaceWalkConfig", "draw", "load_gan", "resolve", "walk"]


def resolve(config: DrawConfig | FaceWalkConfig, gan: GAN) -> DrawConfig | FaceWalkConfig:
    """The config, if it suits a latent space.

    Raises:
        ValueError: latent vectors that are not of this space, or a walk of fewer than two places.
    """
    if isinstance(config, DrawConfig):
        for z in (config.z, config.second):
            if z:
                latent.checked(z, gan.latent_dim)
        if len(config.along) > len(gan.directions):
            raise ValueError(
                message(
                    "There are {count} directions here, not {given}.",
                    count=len(gan.directions),
                    given=len(config.along),
                )
            )
        return config
    if len(config.waypoints) % gan.latent_dim:
        raise ValueError(
            message(
                "Each place of a walk here has {needed} numbers; these are {given}.",
                needed=gan.latent_dim,
                given=len(config.waypoints),
            )
        )
    if max(len(config.waypoints) // gan.latent_dim, 0 if config.waypoints else len(config.seeds)) < 2:
        raise ValueError(message("A walk needs at least two places; choose another."))
    return config


def draw(config: DrawConfig, backbone: GAN) -> Frames[DrawConfig]:
    """Draw a sheet of pictures from seeds, or a large one from a latent vector: one frame, or more when it is steered.

    Raises:
        ValueError: see `resolve`.
    """
    step = 0
    changed: DrawConfig | None = config
    while changed is not None:
        resolve(changed, backbone)
        step += 1
        image, z = _drawn(changed, backbone)
        changed = yield Frame(step=step, total=step, image=image, z=z)


def _drawn(config: DrawConfig, gan: GAN) -> tuple[np.ndarray, np.ndarray | None]:
    if config.z:
        z = gan.edited(config.z, config.second or None, config.blend, config.along)
        return enlarged(gan.decode(z)[0]), z
    pictures = gan.sample(range(config.seed, config.seed + config.count), config.truncation)
    return (sheet(pictures), None) if len(pictures) > 1 else (enlarged(pictures[0], SIDE), None)


def sheet(pictures: np.ndarray) -> np.ndarray:
    """(N, H, W, 3) uint8 side by side in rows, nearly a square: one picture, black where none is left."""
    count, height, width, channels = pictures.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    whole = np.zeros((rows * columns, height, width, channels), np.uint8)
    whole[:count] = pictures
    cells = whole.reshape(rows, columns, height, width, channels)
    return cells.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, channels)


def walk(config: FaceWalkConfig, backbone: GAN) -> Frames[FaceWalkConfig]:
    """Walk from picture to picture, yielding one a step; a changed config takes effect on what is left.

    Raises:
        ValueError: see `resolve`.
    """
    yield from walked(config, lambda now: _path(now, backbone), backbone.decode)


def _path(config: FaceWalkConfig, gan: GAN) -> np.ndarray:
    resolve(config, gan)
    points = gan.latents(config.seeds, config.truncation)
    if config.waypoints:
        points = np.reshape(np.array(config.waypoints, np.float32), (-1, gan.latent_dim))
    path = latent.walk(points, config.steps, spherical=config.spherical, closed=config.closed)
    # A film that runs in a loop would stand still for a moment if its last picture were its first.
    return path[:-1] if config.closed else path
