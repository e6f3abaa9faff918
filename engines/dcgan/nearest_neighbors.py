"""Find the nearest training images, to check whether a generator has memorised them."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from engines.core.messages import message
from engines.data.images import SplitImages

# Side length for the search over all images, and how many of its results are ranked by perceptual distance.
THUMBNAIL_SIDE, SHORTLIST = 16, 192


@dataclass(frozen=True)
class Neighbor:
    """A training image similar to the query.

    Attributes:
        name: path within the zip or folder.
        image: (H, W, 3) uint8, mirrored if that is nearer.
        distance: perceptual distance by the bundled backbone; 0 for identical images.
    """

    name: str
    image: np.ndarray
    distance: float


class NearestNeighborIndex:
    """Search index over training images."""

    def __init__(self, images: SplitImages):
        self._images = images
        self._thumbnails = _thumbnails(images.train)

    def nearest(self, image: np.ndarray, count: int = 3) -> list[Neighbor]:
        """The training images nearest to an image of their size, (H, W, 3) uint8, nearest first.

        Raises:
            ValueError: the image has another size.
        """
        if image.shape != self._images.train.shape[1:]:
            raise ValueError(message("The training images do not have the size {size}.", size=image.shape[:2]))
        queries = np.stack([image, image[:, ::-1]])
        squared_distances = np.square(self._thumbnails).sum(1) - 2 * _thumbnails(queries) @ self._thumbnails.T
        rows = np.argsort(squared_distances.min(0))[:SHORTLIST]
        mirrored = squared_distances[1, rows] < squared_distances[0, rows]
        candidates = self._images.train[rows]
        candidates = np.where(mirrored[:, None, None, None], candidates[:, :, ::-1], candidates)
        distances = _perceptual_distances(image, candidates)
        return [
            Neighbor(self._images.names[rows[i]], candidates[i], float(distances[i]))
            for i in np.argsort(distances)[:count]
        ]

    @functools.cached_property
    def typical_distance(self) -> float:
        """Median distance of 24 held-out images to their nearest training image."""
        held_out = self._images.held_out[:24]
        return float(np.median([self.nearest(image, 1)[0].distance for image in held_out]))


def _thumbnails(images: np.ndarray) -> np.ndarray:
    """Downsample (N, H, W, 3) uint8 to (N, D) float32 and subtract each image's mean, to ignore brightness."""
    count, height, width, _ = images.shape
    rows = np.empty((count, THUMBNAIL_SIDE * THUMBNAIL_SIDE * 3), np.float32)
    for at in range(0, count, 1024):
        part = images[at : at + 1024].reshape(
            -1, THUMBNAIL_SIDE, height // THUMBNAIL_SIDE, THUMBNAIL_SIDE, width // THUMBNAIL_SIDE, 3
        )
        rows[at : at + 1024] = part.mean((2, 4), dtype=np.float32).reshape(len(part), -1) / 255
    return rows - rows.mean(1, keepdims=True)


def _perceptual_distances(image: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    import tensorflow as tf

    from engines.backbones.perceptual_distance import perceptual_metric

    perceptual = perceptual_metric()
    target = perceptual.features(tf.constant(image[None], tf.float32) / 255)
    return np.asarray(perceptual.distance(target, perceptual.features(tf.constant(candidates, tf.float32) / 255)))
