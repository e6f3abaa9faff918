"""Content and style targets at one size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from engines.imaging.color import color_matched, grey_like, luminance, with_colors_of
from engines.imaging.images import resize, to_float, to_uint8
from engines.style_transfer.config import StyleConfig
from engines.style_transfer.losses import Targets
from engines.style_transfer.perceptual_loss import PerceptualLoss

# With this factor, a total variation weight of 1 smooths lightly at any size.
_TOTAL_VARIATION_SCALE = 2e-5
_MIN_STYLE_SIDE = 16
# A style image is at most this many times as long as the photo is wide, so that strokes fit into a panorama.
_MAX_STYLE_LENGTH = 8


@dataclass(frozen=True)
class StyleInputs:
    """The images of a run, as `engines.style_transfer.engine.stylize` takes them; one mask or None per style image."""

    content: np.ndarray
    styles: tuple[np.ndarray, ...]
    masks: tuple[np.ndarray | None, ...]
    start: np.ndarray | None

    @property
    def regions(self) -> int:
        """Number of regions with a style of their own; 0 without masks."""
        masked = sum(mask is not None for mask in self.masks)
        return masked + (masked < len(self.masks)) if masked else 0


class StyleTargets:
    """Photo, style images and targets at one size.

    Args:
        shape: (height, width) of the result at this scale.
        tile: tile size in pixels.

    Attributes:
        content: (1, h, w, 3) float32 in [-1, 1]: the photo that the content loss compares with; grey where only
            lightness is optimised.
    """

    def __init__(
        self, inputs: StyleInputs, config: StyleConfig, loss: PerceptualLoss, shape: tuple[int, int], tile: int
    ):
        self.shape, self.tile = shape, tile
        self._config, self._loss = config, loss
        self._inputs = inputs
        self._photo = to_float(resize(inputs.content, shape))
        styles = [to_float(resize(style, self._style_shape(style))) for style in inputs.styles]
        self.content = self._photo
        if config.color == "photo":
            self.content = np.repeat(luminance(self._photo)[..., None], 3, axis=-1)
            styles = [grey_like(style, self._photo) for style in styles]
        elif config.color == "matched":
            styles = [color_matched(style, self._photo) for style in styles]
        self._styles = styles
        self._grams = [loss.mean_grams(tf.constant(style), tile=tile) for style in styles]
        self._features = loss.content_features(tf.constant(self.content), tile=tile)
        self._regions = self._region_masks()

    def _style_shape(self, style: np.ndarray) -> tuple[int, int]:
        """Size of a style image here: as long as the photo times the style scale, in its own aspect ratio; the book's
        listing distorts it to the photo's."""
        if self._config.losses == "book":
            return self.shape
        longest = min(max(self.shape), _MAX_STYLE_LENGTH * min(self.shape)) * self._config.style_scale
        # A narrow style image would lose its strokes at that length.
        scale = max(longest / max(style.shape[:2]), _MIN_STYLE_SIDE / min(style.shape[:2]))
        return round(style.shape[0] * scale), round(style.shape[1] * scale)

    def _region_masks(self) -> np.ndarray | None:
        """(R, H, W) float32: the masks, and the rest of the photo for style images without one."""
        masks = [mask for mask in self._inputs.masks if mask is not None]
        if not masks:
            return None
        weights_of_regions = np.stack([resize(mask, self.shape).mean(-1) / 255.0 for mask in masks]).astype(np.float32)
        weights_of_regions /= np.maximum(weights_of_regions.sum(0), 1.0)
        if len(masks) < len(self._inputs.masks):
            weights_of_regions = np.concatenate([weights_of_regions, 1 - weights_of_regions.sum(0, keepdims=True)])
        return weights_of_regions

    def targets(self, config: StyleConfig) -> Targets:
        """Targets weighted by `config`; its other settings must be those that this object was made with."""
        blend = np.array(config.blend or [1.0] * len(self._styles))
        free = [i for i, mask in enumerate(self._inputs.masks) if mask is None]
        groups = [[i] for i, mask in enumerate(self._inputs.masks) if mask is not None]
        if free or not groups:
            groups.append(free)
        areas = np.ones(1) if self._regions is None else self._regions.mean((1, 2))
        counts = np.array([blend[group].sum() > 0 for group in groups]) * areas
        layers = self._loss.style_layers
        total = sum(config.style_layers[layer] for layer in layers)
        grams, means, weights = [], [], []
        for number, layer in enumerate(layers):
            gram, mean = (
                tf.stack(
                    [_weighted_mean([self._grams[i][kind][number] for i in group], blend[group]) for group in groups]
                )
                for kind in (0, 1)
            )
            share = config.style_layers[layer] / total * counts
            products = self._loss.gram_or_covariance(gram, mean)
            if config.losses == "book":
                # The listing divides the sum over cells by the image's pixels at every layer.
                stride = self._loss.strides[layer]
                cells = (self.shape[0] // stride) * (self.shape[1] // stride)
                pixels = self.shape[0] * self.shape[1]
                weight = share * (cells / pixels) ** 2 / (4 * 3**2)
                weights.append(np.stack([weight, np.zeros_like(weight)], -1))
            else:
                sizes = np.stack([np.square(products).sum((1, 2)), np.square(mean).sum(1)], -1)
                weights.append(0.5 * share[:, None] / np.maximum(sizes, 1e-6))
            grams.append(gram)
            means.append(mean)
        book = config.losses == "book"
        features = float(tf.reduce_sum(tf.square(self._features)))
        return Targets(
            grams=tuple(grams),
            means=tuple(means),
            gram_weights=tuple(np.asarray(weight, np.float32) for weight in weights),
            regions=self._regions,
            content=self._features,
            content_weight=1.0 if book else 1 / max(features, 1e-8),
            total_variation_weight=1.0 if book else _TOTAL_VARIATION_SCALE / (3 * self.shape[0] * self.shape[1]),
        )

    def midpoint(self) -> tf.Tensor:
        """(1, h, w, 3): halfway between the photo and the first style image, where both losses have a gradient."""
        style = tf.image.resize(self._styles[0], self.shape)
        return 0.5 * (tf.constant(self.content) + style)

    def to_uint8(self, image: Any) -> np.ndarray:
        """(1, h, w, 3) float32 -> (h, w, 3) uint8, in the photo's colours where these are kept."""
        if self._config.color == "photo":
            image = with_colors_of(np.asarray(image)[0], self._photo[0])[None]
        return to_uint8(image)


def _weighted_mean(grams: list[tf.Tensor], blend: np.ndarray) -> tf.Tensor:
    total = float(blend.sum()) or 1.0
    return tf.add_n([float(weight) / total * gram for weight, gram in zip(blend, grams, strict=True)])
