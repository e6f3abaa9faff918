"""Building blocks of distillation: random crops, Gram matrices, relative distances.

Hints: Romero et al. 2015; distances of Gram matrices: Gatys et al. 2016.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from PIL import Image


def crops(images: Sequence[np.ndarray], count: int, size: int, largest_scale: float, rng: np.random.Generator):
    """Random squares of random images at random scales, half of them mirrored.

    Args:
        images: (H, W, 3) uint8 RGB each, of any size from (size, size) on.
        largest_scale: side of the largest square, as a multiple of `size`.

    Returns:
        (count, size, size, 3) float32 in [-1, 1].
    """
    found = np.empty((count, size, size, 3), np.float32)
    for row in range(count):
        image = images[int(rng.integers(len(images)))]
        side = min(int(size * rng.uniform(1, largest_scale)), *image.shape[:2])
        y, x = rng.integers(image.shape[0] - side + 1), rng.integers(image.shape[1] - side + 1)
        crop = Image.fromarray(image[y : y + side, x : x + side])
        crop = crop.resize((size, size), Image.Resampling.LANCZOS, reducing_gap=3.0)
        found[row] = np.asarray(crop)[:, :: 1 if rng.random() < 0.5 else -1]
    return found / 127.5 - 1


@tf.custom_gradient
def gram(features: tf.Tensor) -> tf.Tensor:
    """The Gram matrix of each image's features, (B, H, W, C) -> (B, C, C) float32, divided by H x W.

    The products are in the features' own number format, here and in the gradient: training spends a third of its time
    on them.
    """
    shape = tf.shape(features)
    flat = tf.reshape(features, (shape[0], -1, features.shape[-1]))
    cells = tf.cast(shape[1] * shape[2], tf.float32)

    def gradient(above: tf.Tensor) -> tf.Tensor:
        both = tf.cast((above + tf.linalg.matrix_transpose(above)) / cells, flat.dtype)
        return tf.reshape(tf.matmul(flat, both), shape)

    return tf.cast(tf.matmul(flat, flat, transpose_a=True), tf.float32) / cells, gradient


def relative(found: tf.Tensor, wanted: tf.Tensor, parts: Sequence[slice] = (slice(None),)) -> tf.Tensor:
    """Squared distance between `found` and `wanted`, relative to that of `wanted`, for each part of a batch.

    Args:
        found, wanted: (B, ...) of the same shape.
        parts: rows of the batch. Slicing the features themselves would dominate the run time.

    Returns:
        (parts,) float32.
    """
    axes = range(1, len(wanted.shape))
    wanted = tf.cast(wanted, tf.float32)
    apart = tf.reduce_sum(tf.square(tf.cast(found, tf.float32) - wanted), axes)
    size = tf.reduce_sum(tf.square(wanted), axes)
    return tf.stack([tf.reduce_sum(apart[rows]) / (tf.reduce_sum(size[rows]) + 1e-6) for rows in parts])


def isometry_error(kernel: tf.Tensor) -> tf.Tensor:
    """Distance of a linear map, (inputs, outputs), from a scaled isometry, or of its transpose if it has fewer outputs
    than inputs: a scalar, 0 for an isometry."""
    kernel = tf.cast(kernel, tf.float32)
    wide = kernel.shape[0] <= kernel.shape[1]
    inner = tf.matmul(kernel, kernel, transpose_a=not wide, transpose_b=wide)
    size = tf.shape(inner)[0]
    scale = tf.linalg.trace(inner) / tf.cast(size, tf.float32)
    return tf.reduce_mean(tf.square(inner / scale - tf.eye(size))) * tf.cast(size, tf.float32)
