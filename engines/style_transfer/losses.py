"""The losses of Gatys, Ecker & Bethge 2016, "Image Style Transfer Using Convolutional Neural Networks".

Kept apart from the StyleConfig so that a page can be built from the config before TensorFlow is imported. Pictures are
(1, H, W, 3) float32 RGB in [-1, 1]. Networks run in the backbone's number format; every sum is kept in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from engines.backbones.backbone import Backbone
from engines.imaging.tiling import Window, windows
from engines.style_transfer.network_costs import bytes_per_pixel, strides_and_reach, work_per_pixel

# Pixels that a picture is mirrored by beyond its edges, at least; the smallest pictures have hardly more.
MIRRORED = 12
# Products of bfloat16 come out rounded to bfloat16; summed in float32 over so many parts the rounding averages out.
_PARTS = 32

_PICTURE = tf.TensorSpec((1, None, None, 3), tf.float32)
_MAP = tf.TensorSpec((None, None, None), tf.float32)
_ROWS = tf.TensorSpec((None, None), tf.float32)
_VECTOR = tf.TensorSpec((None,), tf.float32)
_SCALAR = tf.TensorSpec((), tf.float32)
_EDGES = tf.TensorSpec((None, 4), tf.int32)


@tf.custom_gradient
def gram_matrix(features: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """(h, w, C) -> (C, C) and (C,), float32: sums over cells of the products of channels, and of the channels.

    The products are multiplied in the features' own number format, forwards and back, which is twice as fast in
    bfloat16 as casting the features first.
    """
    channels = tf.shape(features)[-1]
    flat = tf.reshape(features, (-1, channels))
    share = tf.shape(flat)[0] // _PARTS
    even = tf.reshape(flat[: share * _PARTS], (_PARTS, share, channels))
    rest = tf.cast(flat[share * _PARTS :], tf.float32)
    products = tf.reduce_sum(tf.cast(tf.matmul(even, even, transpose_a=True), tf.float32), axis=0)
    products += tf.matmul(rest, rest, transpose_a=True)
    sums = tf.reduce_sum(tf.cast(flat, tf.float32), axis=0)

    def gradient(of_products: tf.Tensor, of_sums: tf.Tensor) -> tf.Tensor:
        both_ways = tf.cast(of_products + tf.transpose(of_products), features.dtype)
        return tf.reshape(tf.matmul(flat, both_ways) + tf.cast(of_sums, features.dtype), tf.shape(features))

    return (products, sums), gradient


def total_variation(image: tf.Tensor) -> tf.Tensor:
    """Sum over pixels of the squared steps down and right to the power 1.25, in grey levels: Chollet's listing."""
    grey_levels = 127.5 * image
    corner = grey_levels[:, :-1, :-1, :]
    down = tf.square(corner - grey_levels[:, 1:, :-1, :])
    right = tf.square(corner - grey_levels[:, :-1, 1:, :])
    return tf.reduce_sum(tf.pow(down + right, 1.25))


@dataclass(frozen=True)
class Targets:
    """What a painting should come to.

    Attributes:
        grams: for each style layer (R, C, C): the mean over cells of the products of channels, for each region.
        means: for each style layer (R, C): the mean over cells of the channels.
        gram_weights: for each style layer (R, 2): what a squared difference of the Gram matrices counts, or of the
            covariances, and what one of the means does.
        regions: (R, H, W) float32 in [0, 1], where each region is; None where there is one, which is everywhere.
        content: (h, w, C) float32 features of the photo.
        content_weight: what a squared difference of a content feature counts.
        total_variation_weight: what the total variation counts.
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
    """The weighted loss at a picture, its three parts before they are weighted, and its gradient."""

    loss: float
    style: float
    content: float
    total_variation: float
    gradient: tf.Tensor


class PerceptualLoss:
    """Style, content and variation loss of a picture, with the gradient, whole or in tiles.

    In tiles the result is the same: a first pass adds up the Gram matrices, a second sends each tile's share of the
    gradient back. Each tile sees as much around it as the network's receptive field reaches.

    Args:
        style_layers: layers whose Gram matrices count.
        content_layer: the layer whose features count.
        pooling: "max" or "average".
        regions: how many regions the targets have; 0 for a single one that is everywhere.
        centred: compare means and covariances instead of Gram matrices. These are dominated by the means, so that
            textures are matched late; apart, both come at once.
        mirrored: mirror the picture beyond its edges, and count only the cells within them: the zeros that the network
            pads with otherwise leave a rim of odd colours. The variation then counts the last row and column as well.

    Attributes:
        bytes_per_pixel: about how much memory an evaluation takes for each pixel that it sees at once.
        work_per_pixel: how many multiplications a pass through the network takes for each pixel.
    """

    def __init__(
        self,
        backbone: Backbone,
        style_layers: Sequence[str],
        content_layer: str,
        *,
        pooling: str,
        regions: int = 0,
        centred: bool = False,
        mirrored: bool = False,
    ):
        self.style_layers, self.content_layer = tuple(style_layers), content_layer
        self.regions, self.centred, self.mirrored = regions, centred, mirrored
        self.layers = tuple(dict.fromkeys((*style_layers, content_layer)))
        network = backbone.cut(self.layers, pooling=pooling)
        self.strides, self.margin = strides_and_reach(network, self.layers)
        self.stride = max(self.strides.values())
        self.padding = -(-MIRRORED // self.stride) * self.stride if mirrored else 0
        self.bytes_per_pixel = bytes_per_pixel(network, self.layers)
        self.work_per_pixel = work_per_pixel(network)
        self._extract = backbone.extractor(self.layers, pooling=pooling)

        def each(spec: tf.TensorSpec) -> list[tf.TensorSpec]:
            return [spec] * len(self.style_layers)

        def traced(function, *signature):
            return tf.function(function, input_signature=signature, autograph=False)

        maps = each(_MAP) if regions else []
        targets = [each(_MAP), each(_ROWS), each(_ROWS)]
        self._features = traced(self._features_of, _PICTURE)
        self._sums = traced(self._sums_of, _PICTURE, _EDGES, maps)
        self._style = traced(self._style_of, each(_MAP), each(_ROWS), each(_VECTOR), *targets)
        self._whole = traced(self._whole_of, _PICTURE, maps, each(_VECTOR), *targets, _MAP, _SCALAR, _SCALAR, _VECTOR)
        self._part = traced(self._part_of, _PICTURE, _EDGES, maps, each(_MAP), each(_ROWS), _MAP, _SCALAR)
        self._variation = traced(self._variation_of, _PICTURE)

    # What is traced. `edges` holds, for each layer, the top, bottom, left and right of the cells that count.

    def _features_of(self, image):
        return {layer: maps[0] for layer, maps in zip(self.layers, self._extract(image), strict=True)}

    def _inner_features_of(self, image):
        """The features of a picture's own cells, without those of its mirrored rim."""
        features, shape = self._features_of(self._padded(image)), tf.shape(image)
        if not self.padding:
            return features
        inner = {}
        for layer, maps in features.items():
            (top, bottom), (left, right) = (self._own(layer, shape[axis]) for axis in (1, 2))
            inner[layer] = maps[top:bottom, left:right, :]
        return inner

    def _own_features_of(self, image, edges):
        own = {}
        for i, (layer, maps) in enumerate(self._features_of(image).items()):
            top, bottom, left, right = tf.unstack(edges[i])
            own[layer] = maps[top:bottom, left:right, :]
        return own

    def _grams_of(self, features, regions):
        """For each style layer (R, C, C) and (R, C): sums over the cells of each region."""
        grams, sums = [], []
        for i, layer in enumerate(self.style_layers):
            maps = features[layer]
            # Each cell counts as much as the mask says (Gatys et al. 2017, guided Gram matrices).
            masks = [tf.sqrt(regions[i][r])[..., None] for r in range(self.regions)]
            guided = [maps * tf.cast(mask, maps.dtype) for mask in masks] or [maps]
            pairs = [gram_matrix(one) for one in guided]
            grams.append(tf.stack([gram for gram, _ in pairs]))
            if self.regions:
                # The sums of the channels want the mask itself, not its root.
                flat = tf.cast(tf.reshape(maps, (-1, tf.shape(maps)[-1])), tf.float32)
                sums.append(tf.matmul(tf.reshape(regions[i], (self.regions, -1)), flat))
            else:
                sums.append(tf.stack([total for _, total in pairs]))
        return grams, sums

    def _sums_of(self, image, edges, regions):
        return self._grams_of(self._own_features_of(image, edges), regions)

    def _style_of(self, grams, sums, cells, wanted_grams, wanted_means, weights):
        losses = []
        parts = zip(grams, sums, cells, wanted_grams, wanted_means, weights, strict=True)
        for gram, total, count, wanted_gram, wanted_mean, weight in parts:
            mean = total / count[:, None]
            products = self.compared(gram / count[:, None, None], mean) - self.compared(wanted_gram, wanted_mean)
            losses.append(tf.reduce_sum(weight[:, 0] * tf.reduce_sum(tf.square(products), (1, 2))))
            losses.append(tf.reduce_sum(weight[:, 1] * tf.reduce_sum(tf.square(mean - wanted_mean), 1)))
        return tf.add_n(losses)

    def compared(self, gram: tf.Tensor, mean: tf.Tensor) -> tf.Tensor:
        """What is compared of mean Gram matrices (R, C, C) and means (R, C): the former, or covariances."""
        return gram - mean[:, :, None] * mean[:, None, :] if self.centred else gram

    def _content_of(self, features, content):
        return tf.reduce_sum(tf.square(tf.cast(features[self.content_layer], tf.float32) - content))

    def _whole_of(
        self, image, regions, cells, grams, means, gram_weights, content, content_weight, variation_weight, weights
    ):
        with tf.GradientTape() as tape:
            tape.watch(image)
            features = self._inner_features_of(image)
            summed, totals = self._grams_of(features, regions)
            style = self._style_of(summed, totals, cells, grams, means, gram_weights)
            photo = content_weight * self._content_of(features, content)
            variation = variation_weight * self._variation_in(image)
            parts = tf.stack([style, photo, variation])
            loss = tf.tensordot(weights, parts, 1)
        return loss, parts, tape.gradient(loss, image)

    def _part_of(self, image, edges, regions, gram_slopes, sum_slopes, content, content_weight):
        """A tile's content loss, and its share of the gradient, given the style loss's slope by the Gram sums."""
        with tf.GradientTape() as tape:
            tape.watch(image)
            features = self._own_features_of(image, edges)
            grams, sums = self._grams_of(features, regions)
            photo = self._content_of(features, content)
            pairs = [*zip(gram_slopes, grams, strict=True), *zip(sum_slopes, sums, strict=True)]
            surrogate = tf.add_n([tf.reduce_sum(slope * value) for slope, value in pairs]) + content_weight * photo
        return photo, tape.gradient(surrogate, image)

    def _variation_in(self, image):
        # The listing leaves out the last row and column, in which a comb may then grow.
        return total_variation(tf.pad(image, [[0, 0], [0, 1], [0, 1], [0, 0]], "SYMMETRIC") if self.mirrored else image)

    def _variation_of(self, image):
        with tf.GradientTape() as tape:
            tape.watch(image)
            variation = self._variation_in(image)
        return variation, tape.gradient(variation, image)

    def _padded(self, image):
        around = [self.padding, self.padding]
        return tf.pad(image, [[0, 0], around, around, [0, 0]], "SYMMETRIC") if self.padding else image

    # Targets

    def mean_grams(self, image: tf.Tensor, *, tile: int) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """For each style layer (C, C) and (C,): a picture's Gram matrix and channel sums, divided by its cells."""
        shape = (int(image.shape[1]), int(image.shape[2]))
        everywhere = np.ones((self.regions, *shape), np.float32) if self.regions else None
        grams, sums = self._summed(self._padded(image), self._regions(everywhere, shape), tile)
        cells = [float(np.prod(self._cells(layer, shape))) for layer in self.style_layers]
        return (
            [gram[0] / count for gram, count in zip(grams, cells, strict=True)],
            [total[0] / count for total, count in zip(sums, cells, strict=True)],
        )

    def content_features(self, image: tf.Tensor, *, tile: int) -> tf.Tensor:
        """(h, w, C) float32: a picture's features at the content layer."""
        padded = self._padded(image)
        height, width = int(padded.shape[1]), int(padded.shape[2])
        rows: dict[int, list[tf.Tensor]] = {}
        for window in windows(height, width, tile, self.margin, self.stride):
            edges = self._edges(window, height, width)[self.layers.index(self.content_layer)]
            features = self._features(_seen(padded, window))[self.content_layer]
            own = features[edges[0] : edges[1], edges[2] : edges[3], :]
            rows.setdefault(window.rows.start, []).append(tf.cast(own, tf.float32))
        return tf.concat([tf.concat(row, axis=1) for row in rows.values()], axis=0)

    # Evaluation

    def evaluate(self, image: tf.Tensor, targets: Targets, weights: tuple[float, float, float], *, tile: int):
        """The loss at `image` and its gradient.

        Args:
            weights: of the style, content and variation loss.
            tile: work in windows of this many pixels; larger than the picture for the whole at once.
        """
        shape = (int(image.shape[1]), int(image.shape[2]))
        regions = self._regions(targets.regions, shape)
        cells = [tf.maximum(tf.reduce_sum(region, axis=(1, 2)), 1e-6) for region in regions] or [
            tf.constant([float(np.prod(self._cells(layer, shape)))]) for layer in self.style_layers
        ]
        gram_weights = [tf.constant(weight, tf.float32) for weight in targets.gram_weights]
        style_targets = (list(targets.grams), list(targets.means), gram_weights)
        if max(shape) + 2 * self.padding <= tile:
            content_weight, variation_weight = targets.content_weight, targets.total_variation_weight
            scalars = [tf.constant(value, tf.float32) for value in (content_weight, variation_weight, weights)]
            loss, parts, gradient = self._whole(image, regions, cells, *style_targets, targets.content, *scalars)
            style, content, variation = (float(part) for part in parts.numpy())
            return Evaluation(float(loss), style, content, variation, gradient)
        return self._evaluate_in_tiles(image, targets, weights, regions, cells, style_targets, tile)

    def _evaluate_in_tiles(self, image, targets, weights, regions, cells, style_targets, tile) -> Evaluation:
        with tf.GradientTape() as tape:
            tape.watch(image)
            padded = self._padded(image)
        height, width = int(padded.shape[1]), int(padded.shape[2])
        totals = self._summed(padded, regions, tile)
        with tf.GradientTape() as of_style:
            of_style.watch(totals)
            style = self._style(*totals, cells, *style_targets)
        slopes = [[weights[0] * slope for slope in kind] for kind in of_style.gradient(style, totals)]
        of_networks = tf.Variable(tf.zeros_like(padded), trainable=False)
        content_weight = tf.constant(weights[1] * targets.content_weight, tf.float32)
        content = 0.0
        for window in windows(height, width, tile, self.margin, self.stride):
            top, bottom, left, right = self._ends(self.content_layer, window, height, width)
            first = self.padding // self.strides[self.content_layer]
            features = targets.content[top - first : bottom - first, left - first : right - first]
            own = self._cropped(regions, window, height, width)
            edges = self._edges(window, height, width)
            photo, share = self._part(_seen(padded, window), edges, own, *slopes, features, content_weight)
            content += targets.content_weight * float(photo)
            rows, columns = window.rows, window.columns
            seen = of_networks[:, rows.start : rows.stop, columns.start : columns.stop, :]
            seen.assign(seen + share)
        variation, of_variation = self._variation(image)
        gradient = tape.gradient(padded, image, output_gradients=tf.convert_to_tensor(of_networks))
        gradient += weights[2] * targets.total_variation_weight * of_variation
        variation = targets.total_variation_weight * float(variation)
        loss = weights[0] * float(style) + weights[1] * content + weights[2] * variation
        return Evaluation(loss, float(style), content, variation, gradient)

    def _summed(self, padded: tf.Tensor, regions: list[tf.Tensor], tile: int):
        """The Gram sums of a whole picture, window by window: lists of (R, C, C) and of (R, C)."""
        height, width = int(padded.shape[1]), int(padded.shape[2])
        totals = None
        for window in windows(height, width, tile, self.margin, self.stride):
            own = self._cropped(regions, window, height, width)
            sums = self._sums(_seen(padded, window), self._edges(window, height, width), own)
            totals = sums if totals is None else tf.nest.map_structure(tf.add, totals, sums)
        return totals

    # Cells and windows; windows are of the picture with its mirrored rim

    def _own(self, layer: str, length: Any) -> tuple[Any, Any]:
        """Where the cells of a layer that are a picture's own begin and end, along a side of so many pixels, in the map
        of the mirrored picture."""
        stride = self.strides[layer]
        first = self.padding // stride
        # Without a rim, each pooling drops an odd row.
        return first, first + (length + stride - 1 if self.padding else length) // stride

    def _cells(self, layer: str, shape: tuple[int, int]) -> tuple[int, int]:
        """How many cells a layer has of a picture."""
        height, width = (stop - first for first, stop in (self._own(layer, length) for length in shape))
        return height, width

    def _ends(self, layer: str, window: Window, height: int, width: int) -> tuple[int, int, int, int]:
        """A window's own cells of a layer: top, bottom, left, right in the whole map."""
        ends: list[int] = []
        for span, length in ((window.rows, height), (window.columns, width)):
            first, stop = self._own(layer, length - 2 * self.padding)
            begin = max(first, span.core_start // self.strides[layer])
            end = stop if span.core_stop == length else span.core_stop // self.strides[layer]
            ends += [min(begin, stop), max(min(begin, stop), min(end, stop))]
        return ends[0], ends[1], ends[2], ends[3]

    def _edges(self, window: Window, height: int, width: int) -> tf.Tensor:
        """The same within the window's own map, for every layer: (L, 4) int32."""
        edges = []
        for layer in self.layers:
            top, bottom, left, right = self._ends(layer, window, height, width)
            down, across = window.rows.start // self.strides[layer], window.columns.start // self.strides[layer]
            edges.append((top - down, bottom - down, left - across, right - across))
        return tf.constant(edges, tf.int32)

    def _cropped(self, regions, window, height, width):
        """A window's own cells of the regions, for each style layer."""
        cropped = []
        for layer, region in zip(self.style_layers, regions, strict=False):  # there may be none
            top, bottom, left, right = self._ends(layer, window, height, width)
            first = self.padding // self.strides[layer]
            cropped.append(region[:, top - first : bottom - first, left - first : right - first])
        return cropped

    def _regions(self, regions: np.ndarray | None, shape: tuple[int, int]) -> list[tf.Tensor]:
        """Regions at each style layer's cells, (R, h, w); an empty list where there is a single one, everywhere."""
        if regions is None:
            return []
        maps = self._padded(tf.constant(regions[..., None], tf.float32))
        height, width = int(maps.shape[1]), int(maps.shape[2])
        found = []
        for layer in self.style_layers:
            (top, bottom), (left, right) = (self._own(layer, length) for length in shape)
            cells = (height // self.strides[layer], width // self.strides[layer])
            resized = tf.image.resize(maps, cells, method="area")[..., 0]
            found.append(resized[:, top:bottom, left:right])
        return found


def _seen(image: tf.Tensor, window: Window) -> tf.Tensor:
    rows, columns = window.rows, window.columns
    return image[:, rows.start : rows.stop, columns.start : columns.stop, :]
