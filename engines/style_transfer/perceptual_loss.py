"""The perceptual loss of an image and its gradient, whole or in tiles.

Networks run in the backbone's number format; every sum is kept in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from engines.backbones.backbone import Backbone
from engines.imaging.tiling import Window, windows
from engines.style_transfer.losses import Evaluation, Targets, gram_matrix, total_variation
from engines.style_transfer.network_costs import bytes_per_pixel, strides_and_reach, work_per_pixel

# Minimum mirror padding, in pixels; the smallest images are hardly larger.
MIN_PADDING = 12

_IMAGE = tf.TensorSpec((1, None, None, 3), tf.float32)
_MAP = tf.TensorSpec((None, None, None), tf.float32)
_ROWS = tf.TensorSpec((None, None), tf.float32)
_VECTOR = tf.TensorSpec((None,), tf.float32)
_SCALAR = tf.TensorSpec((), tf.float32)
_EDGES = tf.TensorSpec((None, 4), tf.int32)


class PerceptualLoss:
    """Style, content and total variation loss of an image, with its gradient, whole or in tiles.

    Tiles give the same result: a first pass sums the Gram matrices, a second backpropagates each tile's share. Each
    tile includes as much context as the network's receptive field needs.

    Args:
        style_layers: layers of the style loss.
        content_layer: the layer of the content loss.
        pooling: "max" or "average".
        regions: number of regions of the targets; 0 for a single one that covers everything.
        centred: compare means and covariances instead of Gram matrices. Gram matrices are dominated by the means, so
            that textures are matched late; compared separately, both are matched at once.
        mirror_padding: mirror the image beyond its edges and count only the cells within them; the network's zero
            padding would leave a rim of odd colours. The total variation then includes the last row and column.

    Attributes:
        bytes_per_pixel: approximate memory of an evaluation, for each pixel processed at once.
        work_per_pixel: multiplications of a forward pass, for each pixel.
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
        mirror_padding: bool = False,
    ):
        self.style_layers, self.content_layer = tuple(style_layers), content_layer
        self.regions, self.centred, self.mirror_padding = regions, centred, mirror_padding
        self.layers = tuple(dict.fromkeys((*style_layers, content_layer)))
        network = backbone.cut(self.layers, pooling=pooling)
        self.strides, self.margin = strides_and_reach(network, self.layers)
        self.stride = max(self.strides.values())
        self.padding = -(-MIN_PADDING // self.stride) * self.stride if mirror_padding else 0
        self.bytes_per_pixel = bytes_per_pixel(network, self.layers)
        self.work_per_pixel = work_per_pixel(network)
        self._extract = backbone.extractor(self.layers, pooling=pooling)

        def each(spec: tf.TensorSpec) -> list[tf.TensorSpec]:
            return [spec] * len(self.style_layers)

        def traced(function, *signature):
            return tf.function(function, input_signature=signature, autograph=False)

        maps = each(_MAP) if regions else []
        targets = [each(_MAP), each(_ROWS), each(_ROWS)]
        self._features = traced(self._compute_features, _IMAGE)
        self._sums = traced(self._compute_sums, _IMAGE, _EDGES, maps)
        self._style = traced(self._compute_style_loss, each(_MAP), each(_ROWS), each(_VECTOR), *targets)
        self._whole = traced(
            self._evaluate_whole, _IMAGE, maps, each(_VECTOR), *targets, _MAP, _SCALAR, _SCALAR, _VECTOR
        )
        self._part = traced(self._evaluate_tile, _IMAGE, _EDGES, maps, each(_MAP), each(_ROWS), _MAP, _SCALAR)
        self._variation = traced(self._evaluate_variation, _IMAGE)

    # Traced functions. `edges` holds, for each layer, the top, bottom, left and right of the cells that count.

    def _compute_features(self, image):
        return {layer: tf.squeeze(maps, 0) for layer, maps in zip(self.layers, self._extract(image), strict=True)}

    def _compute_inner_features(self, image):
        """Features of the image itself, without the mirrored padding."""
        features, shape = self._compute_features(self._padded(image)), tf.shape(image)
        if not self.padding:
            return features
        inner = {}
        for layer, maps in features.items():
            (top, bottom), (left, right) = (self._own_range(layer, shape[axis]) for axis in (1, 2))
            inner[layer] = _cells_between(maps, top, bottom, left, right)
        return inner

    def _compute_core_features(self, image, edges):
        own = {}
        for i, (layer, maps) in enumerate(self._compute_features(image).items()):
            own[layer] = _cells_between(maps, *tf.unstack(edges[i]))
        return own

    def _compute_grams(self, features, regions):
        """For each style layer (R, C, C) and (R, C): Gram matrices and channel sums over the cells of each region."""
        grams, sums = [], []
        for i, layer in enumerate(self.style_layers):
            maps = features[layer]
            # Each cell counts as much as the mask says (Gatys et al. 2017, guided Gram matrices).
            masks = [tf.sqrt(regions[i][r])[..., None] for r in range(self.regions)]
            guided = [maps * tf.cast(mask, maps.dtype) for mask in masks] or [maps]
            pairs = [gram_matrix(one) for one in guided]
            grams.append(tf.stack([gram for gram, _ in pairs]))
            if self.regions:
                # Channel sums use the mask itself, not its square root.
                flat = tf.cast(tf.reshape(maps, (-1, tf.shape(maps)[-1])), tf.float32)
                sums.append(tf.matmul(tf.reshape(regions[i], (self.regions, -1)), flat))
            else:
                sums.append(tf.stack([total for _, total in pairs]))
        return grams, sums

    def _compute_sums(self, image, edges, regions):
        return self._compute_grams(self._compute_core_features(image, edges), regions)

    def _compute_style_loss(self, grams, sums, cells, wanted_grams, wanted_means, weights):
        losses = []
        parts = zip(grams, sums, cells, wanted_grams, wanted_means, weights, strict=True)
        for gram, total, count, wanted_gram, wanted_mean, weight in parts:
            mean = total / count[:, None]
            products = self.gram_or_covariance(gram / count[:, None, None], mean) - self.gram_or_covariance(
                wanted_gram, wanted_mean
            )
            losses.append(tf.reduce_sum(weight[:, 0] * tf.reduce_sum(tf.square(products), (1, 2))))
            losses.append(tf.reduce_sum(weight[:, 1] * tf.reduce_sum(tf.square(mean - wanted_mean), 1)))
        return tf.add_n(losses)

    def gram_or_covariance(self, gram: tf.Tensor, mean: tf.Tensor) -> tf.Tensor:
        """The statistic that is compared, (R, C, C), from mean Gram matrices (R, C, C) and means (R, C)."""
        return gram - mean[:, :, None] * mean[:, None, :] if self.centred else gram

    def _compute_content_loss(self, features, content):
        return tf.reduce_sum(tf.square(tf.cast(features[self.content_layer], tf.float32) - content))

    def _evaluate_whole(
        self, image, regions, cells, grams, means, gram_weights, content, content_weight, variation_weight, weights
    ):
        with tf.GradientTape() as tape:
            tape.watch(image)
            features = self._compute_inner_features(image)
            summed, totals = self._compute_grams(features, regions)
            style = self._compute_style_loss(summed, totals, cells, grams, means, gram_weights)
            photo = content_weight * self._compute_content_loss(features, content)
            variation = variation_weight * self._compute_variation(image)
            parts = tf.stack([style, photo, variation])
            loss = tf.tensordot(weights, parts, 1)
        return loss, parts, tape.gradient(loss, image)

    def _evaluate_tile(self, image, edges, regions, gram_slopes, sum_slopes, content, content_weight):
        """A tile's content loss and gradient, given the style loss's gradient with respect to the Gram sums."""
        with tf.GradientTape() as tape:
            tape.watch(image)
            features = self._compute_core_features(image, edges)
            grams, sums = self._compute_grams(features, regions)
            photo = self._compute_content_loss(features, content)
            pairs = [*zip(gram_slopes, grams, strict=True), *zip(sum_slopes, sums, strict=True)]
            surrogate = tf.add_n([tf.reduce_sum(slope * value) for slope, value in pairs]) + content_weight * photo
        return photo, tape.gradient(surrogate, image)

    def _compute_variation(self, image):
        # The listing leaves out the last row and column, where a comb pattern may then grow.
        return total_variation(
            tf.pad(image, [[0, 0], [0, 1], [0, 1], [0, 0]], "SYMMETRIC") if self.mirror_padding else image
        )

    def _evaluate_variation(self, image):
        with tf.GradientTape() as tape:
            tape.watch(image)
            variation = self._compute_variation(image)
        return variation, tape.gradient(variation, image)

    def _padded(self, image):
        around = [self.padding, self.padding]
        return tf.pad(image, [[0, 0], around, around, [0, 0]], "SYMMETRIC") if self.padding else image

    # Targets

    def mean_grams(self, image: tf.Tensor, *, tile: int) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """For each style layer (C, C) and (C,): Gram matrix and channel sums, divided by the number of cells."""
        shape = (int(image.shape[1]), int(image.shape[2]))
        everywhere = np.ones((self.regions, *shape), np.float32) if self.regions else None
        grams, sums = self._gram_sums(self._padded(image), self._regions(everywhere, shape), tile)
        cells = [float(np.prod(self._cells(layer, shape))) for layer in self.style_layers]
        return (
            [gram[0] / count for gram, count in zip(grams, cells, strict=True)],
            [total[0] / count for total, count in zip(sums, cells, strict=True)],
        )

    def content_features(self, image: tf.Tensor, *, tile: int) -> tf.Tensor:
        """(h, w, C) float32: features at the content layer."""
        padded = self._padded(image)
        height, width = int(padded.shape[1]), int(padded.shape[2])
        rows: dict[int, list[tf.Tensor]] = {}
        for window in windows(height, width, tile, self.margin, self.stride):
            edges = self._edges(window, height, width)[self.layers.index(self.content_layer)]
            features = self._features(_crop(padded, window))[self.content_layer]
            own = features[edges[0] : edges[1], edges[2] : edges[3], :]
            rows.setdefault(window.rows.start, []).append(tf.cast(own, tf.float32))
        return tf.concat([tf.concat(row, axis=1) for row in rows.values()], axis=0)

    # Evaluation

    def evaluate(self, image: tf.Tensor, targets: Targets, weights: tuple[float, float, float], *, tile: int):
        """The loss at `image` and its gradient.

        Args:
            weights: of the style, content and total variation loss.
            tile: tile size in pixels; larger than the image to process it whole.
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
        totals = self._gram_sums(padded, regions, tile)
        with tf.GradientTape() as style_tape:
            style_tape.watch(totals)
            style = self._style(*totals, cells, *style_targets)
        slopes = [[weights[0] * slope for slope in kind] for kind in style_tape.gradient(style, totals)]
        network_gradient = tf.Variable(tf.zeros_like(padded), trainable=False)
        content_weight = tf.constant(weights[1] * targets.content_weight, tf.float32)
        content = 0.0
        for window in windows(height, width, tile, self.margin, self.stride):
            top, bottom, left, right = self._core_cells(self.content_layer, window, height, width)
            first = self.padding // self.strides[self.content_layer]
            features = targets.content[top - first : bottom - first, left - first : right - first]
            own = self._core_regions(regions, window, height, width)
            edges = self._edges(window, height, width)
            photo, share = self._part(_crop(padded, window), edges, own, *slopes, features, content_weight)
            content += targets.content_weight * float(photo)
            rows, columns = window.rows, window.columns
            seen = network_gradient[:, rows.start : rows.stop, columns.start : columns.stop, :]
            seen.assign(seen + share)
        variation, variation_gradient = self._variation(image)
        gradient = tape.gradient(padded, image, output_gradients=tf.convert_to_tensor(network_gradient))
        gradient += weights[2] * targets.total_variation_weight * variation_gradient
        variation = targets.total_variation_weight * float(variation)
        loss = weights[0] * float(style) + weights[1] * content + weights[2] * variation
        return Evaluation(loss, float(style), content, variation, gradient)

    def _gram_sums(self, padded: tf.Tensor, regions: list[tf.Tensor], tile: int):
        """Gram sums of the whole image, summed over windows: lists of (R, C, C) and of (R, C)."""
        height, width = int(padded.shape[1]), int(padded.shape[2])
        totals = None
        for window in windows(height, width, tile, self.margin, self.stride):
            own = self._core_regions(regions, window, height, width)
            sums = self._sums(_crop(padded, window), self._edges(window, height, width), own)
            totals = sums if totals is None else tf.nest.map_structure(tf.add, totals, sums)
        return totals

    # Cells and windows; windows are of the padded image

    def _own_range(self, layer: str, length: Any) -> tuple[Any, Any]:
        """First and last cell of the image itself, along a side of `length` pixels, in the feature map of the padded
        image."""
        stride = self.strides[layer]
        first = self.padding // stride
        # Without padding, each pooling drops an odd row.
        return first, first + (length + stride - 1 if self.padding else length) // stride

    def _cells(self, layer: str, shape: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of a layer's feature map."""
        height, width = (stop - first for first, stop in (self._own_range(layer, length) for length in shape))
        return height, width

    def _core_cells(self, layer: str, window: Window, height: int, width: int) -> tuple[int, int, int, int]:
        """Cells of a layer that belong to a window: top, bottom, left, right in the whole feature map."""
        ends: list[int] = []
        for span, length in ((window.rows, height), (window.columns, width)):
            first, stop = self._own_range(layer, length - 2 * self.padding)
            begin = max(first, span.core_start // self.strides[layer])
            end = stop if span.core_stop == length else span.core_stop // self.strides[layer]
            ends += [min(begin, stop), max(min(begin, stop), min(end, stop))]
        return ends[0], ends[1], ends[2], ends[3]

    def _edges(self, window: Window, height: int, width: int) -> tf.Tensor:
        """The same within the window's own feature map, for every layer: (L, 4) int32."""
        edges = []
        for layer in self.layers:
            top, bottom, left, right = self._core_cells(layer, window, height, width)
            down, across = window.rows.start // self.strides[layer], window.columns.start // self.strides[layer]
            edges.append((top - down, bottom - down, left - across, right - across))
        return tf.constant(edges, tf.int32)

    def _core_regions(self, regions, window, height, width):
        """The regions cropped to the cells of a window, for each style layer."""
        cropped = []
        for layer, region in zip(self.style_layers, regions, strict=False):  # there may be none
            top, bottom, left, right = self._core_cells(layer, window, height, width)
            first = self.padding // self.strides[layer]
            cropped.append(region[:, top - first : bottom - first, left - first : right - first])
        return cropped

    def _regions(self, regions: np.ndarray | None, shape: tuple[int, int]) -> list[tf.Tensor]:
        """Regions resized to each style layer, (R, h, w); an empty list without regions."""
        if regions is None:
            return []
        maps = self._padded(tf.constant(regions[..., None], tf.float32))
        height, width = int(maps.shape[1]), int(maps.shape[2])
        found = []
        for layer in self.style_layers:
            (top, bottom), (left, right) = (self._own_range(layer, length) for length in shape)
            cells = (height // self.strides[layer], width // self.strides[layer])
            resized = tf.image.resize(maps, cells, method="area")[..., 0]
            found.append(resized[:, top:bottom, left:right])
        return found


def _crop(image: tf.Tensor, window: Window) -> tf.Tensor:
    rows, columns = window.rows, window.columns
    return image[:, rows.start : rows.stop, columns.start : columns.stop, :]


def _cells_between(maps: tf.Tensor, top: Any, bottom: Any, left: Any, right: Any) -> tf.Tensor:
    """Some cells of (h, w, C) features."""
    return tf.slice(maps, [top, left, 0], [bottom - top, right - left, -1])
