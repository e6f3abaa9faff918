"""Nearest training pictures, to see whether a generator has memorised them."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from engines.core.messages import message
from engines.data.images import SplitPictures

# Pictures are first held against all others at this size, and the nearest of these as the bundled backbone sees them.
SMALL, SHORTLIST = 16, 192


@dataclass(frozen=True)
class Neighbour:
    """A training picture near to another.

    Attributes:
        name: within its zip or folder.
        image: (H, W, 3) uint8, mirrored where that is nearer.
        distance: how differently the bundled backbone sees the two; 0 for the same.
    """

    name: str
    image: np.ndarray
    distance: float


class Neighbourhood:
    """Training pictures, to be searched."""

    def __init__(self, pictures: SplitPictures):
        self._pictures = pictures
        self._small = _small(pictures.train)

    def nearest(self, image: np.ndarray, count: int = 3) -> list[Neighbour]:
        """The training pictures most like a picture, (H, W, 3) uint8 of their size, the nearest first.

        Raises:
            ValueError: a picture of another size.
        """
        if image.shape != self._pictures.train.shape[1:]:
            raise ValueError(
                message("The training pictures here are of another size than {size}.", size=image.shape[:2])
            )
        both = np.stack([image, image[:, ::-1]])
        squares = np.square(self._small).sum(1) - 2 * _small(both) @ self._small.T
        rows = np.argsort(squares.min(0))[:SHORTLIST]
        turned = squares[1, rows] < squares[0, rows]
        candidates = self._pictures.train[rows]
        candidates = np.where(turned[:, None, None, None], candidates[:, :, ::-1], candidates)
        distances = _distances(image, candidates)
        return [
            Neighbour(self._pictures.names[rows[at]], candidates[at], float(distances[at]))
            for at in np.argsort(distances)[:count]
        ]

    @functools.cached_property
    def usual(self) -> float:
        """How far a photograph that was held out is from its nearest training picture: the median of 24."""
        held_out = self._pictures.held_out[:24]
        return float(np.median([self.nearest(image, 1)[0].distance for image in held_out]))


def _small(images: np.ndarray) -> np.ndarray:
    """(N, H, W, 3) uint8 -> (N, D) float32, each picture's mean taken away: how light it is tells little."""
    count, height, width, _ = images.shape
    rows = np.empty((count, SMALL * SMALL * 3), np.float32)
    for at in range(0, count, 1024):
        part = images[at : at + 1024].reshape(-1, SMALL, height // SMALL, SMALL, width // SMALL, 3)
        rows[at : at + 1024] = part.mean((2, 4), dtype=np.float32).reshape(len(part), -1) / 255
    return rows - rows.mean(1, keepdims=True)


def _distances(image: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    import tensorflow as tf

    from engines.backbones.perceptual_distance import likeness

    eyes = likeness()
    wanted = eyes.features(tf.constant(image[None], tf.float32) / 255)
    return np.asarray(eyes.distance(wanted, eyes.features(tf.constant(candidates, tf.float32) / 255)))
