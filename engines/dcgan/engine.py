"""DCGAN: pictures from noise, and walks between them.

Radford, Metz & Chintala, "Unsupervised representation learning with deep convolutional generative adversarial networks"
(2016); Chollet's "Deep Learning with Python", section 12.5. What a trained pair of networks can do is in
`engines.dcgan.model`, how it is trained in `engines.dcgan.training`, how a given picture is found among those that it
can draw in `engines.dcgan.projection`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from engines.core.configs import setting, validate
from engines.core.frames import Frame, Frames
from engines.dcgan.model import GAN, MOST_SEED, load_gan
from engines.latent import geometry as latent
from engines.latent.walk_frames import SIDE, enlarged, walked

__all__ = ["GAN", "DrawConfig", "FaceWalkConfig", "draw", "load_gan", "resolve", "walk"]

_TRUNCATION = "Below 1: nearer to the mean picture, less varied and likelier to be whole (psi)."


@dataclass(frozen=True, kw_only=True)
class DrawConfig:
    """A sheet of pictures from noise, or one from a place of its own."""

    seed: int = setting(0, "The first picture's; each next one has the next.", low=0, high=MOST_SEED - 400)
    count: int = setting(32, "How many pictures.", low=1, high=400)
    truncation: float = setting(1.0, _TRUNCATION, low=0.0, high=2.0)
    z: tuple[float, ...] = setting(
        (), "Instead of seeds: the latent vector of a single picture.", low=-latent.MOST, high=latent.MOST
    )
    second: tuple[float, ...] = setting(
        (), "Another latent vector, to blend it with.", low=-latent.MOST, high=latent.MOST
    )
    blend: float = setting(0.0, "Share of the other.", low=0.0, high=1.0)
    along: tuple[float, ...] = setting((), "How far it is moved along each direction.", low=-20.0, high=20.0)

    def __post_init__(self):
        validate(self)


@dataclass(frozen=True, kw_only=True)
class FaceWalkConfig:
    """A walk from picture to picture, as a film."""

    seeds: tuple[int, ...] = setting((0, 1, 2, 3, 4), "Pictures to pass, by their seeds.", low=0, high=MOST_SEED)
    truncation: float = setting(1.0, _TRUNCATION, low=0.0, high=2.0)
    waypoints: tuple[float, ...] = setting(
        (),
        "Instead of seeds: latent vectors to pass, all numbers of the first, then of the next.",
        low=-latent.MOST,
        high=latent.MOST,
    )
    steps: int = setting(24, "Pictures from one place to the next.", low=1, high=500)
    spherical: bool = setting(True, "Along great arcs around the origin instead of straight lines.")
    closed: bool = setting(True, "And back to the first, so that the film can run in a loop.")

    def __post_init__(self):
        validate(self)


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
            raise ValueError(f"There are {len(gan.directions)} directions here, not {len(config.along)}.")
        return config
    if len(config.waypoints) % gan.latent_dim:
        raise ValueError(f"Each place of a walk here has {gan.latent_dim} numbers; these are {len(config.waypoints)}.")
    if max(len(config.waypoints) // gan.latent_dim, 0 if config.waypoints else len(config.seeds)) < 2:
        raise ValueError("A walk needs at least two places; choose another.")
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
