"""What tests of dreams and of their steps share."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from engines.deep_dream.gradient_ascent import BORDER


def features_of(backbone, image: np.ndarray, layers) -> list[np.ndarray]:
    """What the layers see in a (1, H, W, 3) image, as numpy arrays."""
    return [np.asarray(f) for f in backbone.extractor(tuple(layers))(tf.constant(image))]


def without_border(features: np.ndarray) -> np.ndarray:
    return features[:, BORDER:-BORDER, BORDER:-BORDER, :]


def large_image() -> np.ndarray:
    """(240, 280, 3): larger than a tile of 128 with narrow margins, with blobs rather than noise, as a photo has."""
    coarse = np.random.default_rng(3).integers(0, 256, (24, 28, 3)).astype(np.uint8)
    return tf.image.resize(coarse[None], (240, 280), "bicubic")[0].numpy().clip(0, 255).astype(np.uint8)
