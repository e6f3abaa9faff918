"""A step of gradient ascent, on the whole image or in tiles.

Kept apart from the DreamConfig so that a page can be built from the config before TensorFlow is imported.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from engines.backbones.backbone import Backbone

# Border cells of a feature map that are ignored, because padding dominates them.
BORDER = 2
# Pixels of context around a tile, so that patterns may cross its edges.
TILE_MARGIN = 64
# A guide is compared cell by cell, so its features are subsampled to at most this many cells per layer.
GUIDE_CELLS = 1024

# Largest total stride of any backbone; tiles are extended by it, because their origin may move back by that much.
STRIDE = 32

_IMAGE = tf.TensorSpec((1, None, None, 3), tf.float32)
_SCALAR = tf.TensorSpec((), tf.float32)


@dataclass(frozen=True)
class Step:
    """Result of a step: the loss before it and the image after it, (1, H, W, 3) float32 in [-1, 1] or beyond."""

    loss: float
    image: tf.Tensor


def inner(features: tf.Tensor) -> tf.Tensor:
    """Feature maps (B, h, w, C) without their border; unchanged if nothing would be left."""
    height, width = tf.shape(features)[1], tf.shape(features)[2]
    rows = tf.where(height > 2 * BORDER, BORDER, 0)
    columns = tf.where(width > 2 * BORDER, BORDER, 0)
    # The gradient of a slice uses all cores, that of an index one.
    return tf.slice(features, [0, rows, columns, 0], [-1, height - 2 * rows, width - 2 * columns, -1])


class GradientAscent:
    """Maximises the activations of a backbone's layers.

    Without a guide, the loss is the sum over layers of weight x mean of squared activations without the border
    (Mordvintsev et al. 2015, as in Chollet's book, section 12.2); with `channel`, of that channel's activations alone.
    With a guide, it is the sum over layers of weight x mean over cells of the largest dot product with any cell of the
    guide's features, as in Google's original notebook.

    Args:
        layers: the layers in use; their weights are passed with each step, so that they may change without tracing.
        guided: whether a guide's features are passed with each step.
        single_channel: whether a channel is passed with each step.
    """

    def __init__(self, backbone: Backbone, layers: tuple[str, ...], *, guided: bool, single_channel: bool):
        self.layers = layers
        extract = backbone.extractor(layers)
        weights_spec = tf.TensorSpec((len(layers),), tf.float32)
        guide_spec = [tf.TensorSpec((None, None), tf.float32)] * len(layers)
        channel_spec = tf.TensorSpec((), tf.int32)

        def loss_of(image, weights, channel, guide):
            losses = []
            for features, cells in zip(extract(image), guide, strict=True):
                features = tf.cast(inner(features), tf.float32)
                if guided:
                    width = tf.shape(features)[-1]
                    products = tf.matmul(tf.reshape(features, (-1, width)), cells, transpose_b=True)
                    losses.append(tf.reduce_mean(tf.reduce_max(products, axis=1)))
                elif single_channel:
                    losses.append(tf.reduce_mean(tf.square(tf.gather(features, channel, axis=-1))))
                else:
                    losses.append(tf.reduce_mean(tf.square(features)))
            return tf.tensordot(weights, tf.stack(losses), 1)

        def gradient_of(image, weights, channel, guide):
            with tf.GradientTape() as tape:
                tape.watch(image)
                loss = loss_of(image, weights, channel, guide)
            return loss, tape.gradient(loss, image)

        arguments = [_IMAGE, weights_spec, channel_spec, guide_spec]
        self._gradient = tf.function(gradient_of, input_signature=arguments, autograph=False)

        def step_of(image, weights, channel, guide, shift, step_size, by_mean_absolute):
            shifted = tf.roll(image, shift, axis=(1, 2))
            loss, gradient = gradient_of(shifted, weights, channel, guide)
            return loss, image + step_size * normalized(tf.roll(gradient, -shift, axis=(1, 2)), by_mean_absolute)

        shift_spec, flag_spec = tf.TensorSpec((2,), tf.int32), tf.TensorSpec((), tf.bool)
        self._step = tf.function(step_of, input_signature=[*arguments, shift_spec, _SCALAR, flag_spec], autograph=False)
        # The guide's features come from the same extractor as the image's.
        self._features = tf.function(extract, input_signature=[_IMAGE], autograph=False)

    def guide_features(self, guide: np.ndarray) -> list[tf.Tensor]:
        """Features of a guide, (1, H, W, 3) in [-1, 1], for `step`: (cells, C) float32 for each layer."""
        cells = []
        for features in self._features(tf.constant(guide)):
            flat = tf.reshape(tf.cast(features, tf.float32), (-1, features.shape[-1]))
            stride = -(-int(flat.shape[0]) // GUIDE_CELLS)
            cells.append(flat[::stride])
        return cells

    def step(
        self,
        image: tf.Tensor,
        *,
        layer_weights: Mapping[str, float],
        step_size: float,
        by_mean_absolute: bool,
        shift: tuple[int, int] = (0, 0),
        channel: int | None = None,
        guide: list[tf.Tensor] | None = None,
        tile_size: int = 0,
    ) -> Step:
        """One step of gradient ascent on `image`, (1, H, W, 3).

        Args:
            step_size: step length in units of the normalised gradient (see `normalized`).
            by_mean_absolute: divide the gradient by its mean absolute value instead of its L2 norm.
            shift: roll the image by (rows, columns) before the step and back after it.
            tile_size: tile size in pixels; 0 processes the image whole.
        """
        weights = tf.constant([layer_weights[layer] for layer in self.layers], tf.float32)
        empty = [tf.zeros((1, 1))] * len(self.layers)
        objective = (weights, tf.constant(channel or 0, tf.int32), guide if guide is not None else empty)
        if not tile_size:
            loss, image = self._step(
                image, *objective, tf.constant(shift, tf.int32), tf.constant(step_size, tf.float32), by_mean_absolute
            )
            return Step(float(loss), image)
        loss, gradient = self._tiled_gradient(image, objective, shift, tile_size)
        return Step(loss, image + step_size * normalized(tf.constant(gradient), tf.constant(by_mean_absolute)))

    def _tiled_gradient(self, image, objective, shift, tile_size) -> tuple[float, np.ndarray]:
        """Loss and gradient from overlapping tiles; the grid moves with `shift`, so that no seam remains.

        All crops have one shape, because every new shape would cost set-up time and memory.
        """
        _, height, width, _ = image.shape
        crop_height, crop_width = (min(side, tile_size + 2 * TILE_MARGIN + STRIDE) for side in (height, width))
        share = crop_height * crop_width / (height * width)
        gradient = np.empty(image.shape, np.float32)
        total = 0.0
        for top, bottom in spans(height, tile_size, shift[0]):
            for left, right in spans(width, tile_size, shift[1]):
                y = _origin(top, shift[0], height - crop_height)
                x = _origin(left, shift[1], width - crop_width)
                loss, part = self._gradient(image[:, y : y + crop_height, x : x + crop_width, :], *objective)
                # The loss is a mean over the crop; weighted by area it becomes a mean over the image.
                part = part[:, top - y : bottom - y, left - x : right - x, :]
                gradient[:, top:bottom, left:right, :] = part * share
                total += float(loss) * (bottom - top) * (right - left) / (height * width)
        return total, gradient


def normalized(gradient: tf.Tensor, by_mean_absolute: tf.Tensor | bool) -> tf.Tensor:
    """The gradient divided by its L2 norm, as in the book, or by its mean absolute value.

    The L2 norm grows with the number of pixels, so that a step changes each pixel of a large image less; with the mean
    absolute value, a step size looks the same at every size.
    """
    norm = tf.sqrt(tf.maximum(tf.reduce_sum(tf.square(gradient)), 1e-12))
    mean = tf.reduce_mean(tf.abs(gradient)) + 1e-12
    return gradient / tf.where(by_mean_absolute, mean, norm)


def _origin(start: int, shift: int, last: int) -> int:
    """Start of the crop for the tile at `start`: a margin before it, on the pooling grid of the shifted image.

    A tile's cells are then those of the whole image rolled by `shift`; only crops at the far edges, which begin at
    `last`, may be off the grid.
    """
    before = start - TILE_MARGIN
    return min(max(0, before - (before + shift) % STRIDE), last)


def spans(length: int, tile: int, shift: int) -> list[tuple[int, int]]:
    """Split range(length) into (start, end) pairs of at most `tile`, with the first cut moved by `shift`.

    The tiles of `engines.imaging.tiling` lie fixed and have margins as wide as the receptive field, so that they are
    exact; a dream's need not be, as they move at each step.
    """
    cuts = [0, *range(shift % tile or tile, length, tile), length]
    return list(itertools.pairwise(cuts))
