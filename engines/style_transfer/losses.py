"""Gram matrices, total variation and the targets of Gatys, Ecker & Bethge 2016, "Image Style Transfer Using
Convolutional Neural Networks".

Images are (1, H, W, 3) float32 RGB in [-1, 1]; every sum is kept in float32. Where gradients pass, `tf.slice` cuts, not
an index: the gradient of an index runs on one core, and would take a third of a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

# Products in bfloat16 are rounded to bfloat16; summed in float32 over this many chunks, the rounding averages out.
_GRAM_CHUNKS = 32


@tf.custom_gradient
def gram_matrix(features: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Gram matrix and channel sums: (h, w, C) -> (C, C) and (C,), float32, summed over cells.

    The products are multiplied in the features' own number format, forwards and back, which is twice as fast in
    bfloat16 as casting the features first.
    """
    channels = tf.shape(features)[-1]
    flat = tf.reshape(features, (-1, channels))
    share = tf.shape(flat)[0] // _GRAM_CHUNKS
    even = tf.reshape(flat[: share * _GRAM_CHUNKS], (_GRAM_CHUNKS, share, channels))
    rest = tf.cast(flat[share * _GRAM_CHUNKS :], tf.float32)
    products = tf.reduce_sum(tf.cast(tf.matmul(even, even, transpose_a=True), tf.float32), axis=0)
    products += tf.matmul(rest, rest, transpose_a=True)
    sums = tf.reduce_sum(tf.cast(flat, tf.float32), axis=0)

    def gradient(of_products: tf.Tensor, of_sums: tf.Tensor) -> tf.Tensor:
        both_ways = tf.cast(of_products + tf.transpose(of_products), features.dtype)
        return tf.reshape(tf.matmul(flat, both_ways) + tf.cast(of_sums, features.dtype), tf.shape(features))

    return (products, sums), gradient


@tf.custom_gradient
def _power_of_five_quarters(x: tf.Tensor) -> tuple[tf.Tensor, Any]:
    """x ** 1.25 for x >= 0: two square roots are twice as fast as a power."""
    quarter = tf.sqrt(tf.sqrt(x))
    return x * quarter, lambda above: above * 1.25 * quarter


def total_variation(image: tf.Tensor) -> tf.Tensor:
    """Sum over pixels of the squared steps down and right to the power 1.25, in grey levels: Chollet's listing."""
    shape = tf.shape(image)
    size = shape - [0, 1, 1, 0]
    grey_levels = 127.5 * image
    corner, below, beside = (tf.slice(grey_levels, begin, size) for begin in ([0] * 4, [0, 1, 0, 0], [0, 0, 1, 0]))
    return tf.reduce_sum(_power_of_five_quarters(tf.square(corner - below) + tf.square(corner - beside)))


@dataclass(frozen=True)
class Targets:
    """Targets of the losses, with their weights.

    Attributes:
        grams: for each style layer (R, C, C): mean Gram matrix of each region.
        means: for each style layer (R, C): mean features of each region.
        gram_weights: for each style layer (R, 2): weights of squared differences of the Gram matrices, or covariances,
            and of the means.
        regions: (R, H, W) float32 in [0, 1], where each region is; None for a single one that covers everything.
        content: (h, w, C) float32 features of the photo.
        content_weight: weight of squared differences of content features.
        total_variation_weight: weight of the total variation.
    """

    grams: tuple[tf.Tensor, ...]
    means: tuple[tf.Tensor, ...]
    gram_weights: tuple[np.ndarray, ...]
    regions: np.ndarray | None
    content: tf.Tensor
    content_weight: float
    total_variation_weight: float


@dataclass(frozen=True)
class Evaluation:
    """The weighted loss of an image, its three terms before weighting, and its gradient."""

    loss: float
    style: float
    content: float
    total_variation: float
    gradient: tf.Tensor
