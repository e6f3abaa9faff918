"""Content and style targets at one size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from engines.imaging.color import color_matched, grey_like, luminance, with_colors_of
from engines.imaging.images import to_float
from engines.style_transfer.config import StyleConfig
from engines.style_transfer.losses import PerceptualLoss, Targets

# Makes a total variation weight of 1 a light touch at any size.
_RELATIVE_VARIATION = 2e-5
_LEAST_STYLE_SIDE = 16
# A painting is no longer than this many times the photo's width, so that its strokes fit into a long and narrow photo.
_LONGEST_STYLE = 8


@dataclass(frozen=True)
class StyleInputs:
    """What goes into a painting, as `engines.style_transfer.engine.stylize` takes it; one mask or None a style."""

    content: np.ndarray
    styles: tuple[np.ndarray, ...]
    masks: tuple[np.ndarray | None, ...]
    start: np.ndarray | None

    @property
    def regions(self) -> int:
        """How many regions have a style of their own; 0 where there are no masks."""
        masked = sum(mask is not None for mask in self.masks)
        return masked + (masked < len(self.masks)) if masked else 0


class StyleTargets:
    """The pictures at one size, with the targets that they make.

    Args:
        shape: (height, width) to paint at.
        tile: the windows to work in, in pixels.

    Attributes:
        content: (1, h, w, 3) float32: the photo as it is compared with, in grey where only lightness is painted.
    """

    def __init__(
        self, pictures: StyleInputs, config: StyleConfig, loss: PerceptualLoss, shape: tuple[int, int], tile: int
    ):
        self.shape, self.tile = shape, tile
        self._config, self._loss = config, loss
        self._pictures = pictures
        self._photo = to_float(fitted(pictures.content, shape))
        styles = [to_float(fitted(style, self._style_shape(style))) for style in pictures.styles]
        self.content = self._photo
        if config.color == "photo":
            self.content = np.repeat(luminance(self._photo)[..., None], 3, axis=-1)
            styles = [grey_like(style, self._photo) for style in styles]
        elif config.color == "matched":
            styles = [color_matched(style, self._photo) for style in styles]
        self._styles = styles
        self._grams = [loss.mean_grams(tf.constant(style), tile=tile) for style in styles]
        self._features = loss.content_features(tf.constant(self.content), tile=tile)
        self._regions = self._placed()

    def _style_shape(self, style: np.ndarray) -> tuple[int, int]:
        """A painting's size here: as long as the photo times the scale, in its own shape; the book squeezes it."""
        if self._config.losses == "book":
            return self.shape
        longest = min(max(self.shape), _LONGEST_STYLE * min(self.shape)) * self._config.style_scale
        # Of a painting that is long and narrow itself, no strokes would be left at that length.
        scale = max(longest / max(style.shape[:2]), _LEAST_STYLE_SIDE / min(style.shape[:2]))
        return round(style.shape[0] * scale), round(style.shape[1] * scale)

    def _placed(self) -> np.ndarray | None:
        """(R, H, W): the masks, and the rest of the photo for the paintings without one."""
        masks = [mask for mask in self._pictures.masks if mask is not None]
        if not masks:
            return None
        drawn = np.stack([fitted(mask, self.shape).mean(-1) / 255.0 for mask in masks]).astype(np.float32)
        drawn /= np.maximum(drawn.sum(0), 1.0)
        if len(masks) < len(self._pictures.masks):
            drawn = np.concatenate([drawn, 1 - drawn.sum(0, keepdims=True)])
        return drawn

    def targets(self, config: StyleConfig) -> Targets:
        """The targets with a config's weights; its other settings must be those that this scene was made with."""
        blend = np.array(config.blend or [1.0] * len(self._styles))
        free = [i for i, mask in enumerate(self._pictures.masks) if mask is None]
        groups = [[i] for i, mask in enumerate(self._pictures.masks) if mask is not None]
        if free or not groups:
            groups.append(free)
        areas = np.ones(1) if self._regions is None else self._regions.mean((1, 2))
        counts = np.array([blend[group].sum() > 0 for group in groups]) * areas
        layers = self._loss.style_layers
        total = sum(config.style_layers[layer] for layer in layers)
        grams, means, weights = [], [], []
        for number, layer in enumerate(layers):
            gram, mean = (
                tf.stack([_blended([self._grams[i][kind][number] for i in group], blend[group]) for group in groups])
                for kind in (0, 1)
            )
            share = config.style_layers[layer] / total * counts
            products = self._loss.compared(gram, mean)
            if config.losses == "book":
                # The listing divides the sum over cells by the picture's pixels at every layer.
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
            total_variation_weight=1.0 if book else _RELATIVE_VARIATION / (3 * self.shape[0] * self.shape[1]),
        )

    def between(self) -> tf.Tensor:
        """A picture half way from the photo to the first painting: where both pull."""
        painting = tf.image.resize(self._styles[0], self.shape)
        return 0.5 * (tf.constant(self.content) + painting)

    def shown(self, image: Any) -> np.ndarray:
        """(1, h, w, 3) float32 as a person sees it: (h, w, 3) uint8, with the photo's colours where these are kept."""
        pixels = np.asarray(image)[0]
        if self._config.color == "photo":
            pixels = with_colors_of(pixels, self._photo[0])
        return np.clip(np.rint((pixels + 1) * 127.5), 0, 255).astype(np.uint8)


def _blended(grams: list[tf.Tensor], blend: np.ndarray) -> tf.Tensor:
    total = float(blend.sum()) or 1.0
    return tf.add_n([float(weight) / total * gram for weight, gram in zip(blend, grams, strict=True)])


def fitted(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resize (H, W, 3) uint8 to (height, width)."""
    if image.shape[:2] == shape:
        return image
    return np.asarray(Image.fromarray(image).resize(shape[::-1], Image.Resampling.LANCZOS))
