"""Short paintings of smooth blobs of colour, and how much they differ."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from engines.core.frames import Frame
from engines.style_transfer import StyleConfig, stylize


def blobs(height: int, width: int, seed: int) -> np.ndarray:
    """(height, width, 3) uint8: smooth blobs of colour."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (height // 8 + 2, width // 8 + 2, 3))
    return tf.image.resize(coarse, (height, width), method="bicubic").numpy().clip(0, 255).astype(np.uint8)


STYLE = blobs(60, 50, 1)


def config(**changes) -> StyleConfig:
    """A short painting at the photo's own size, by steps."""
    return StyleConfig(**{"seconds": 0.0, "size": 0, "scales": 1, "steps": 6} | changes)


def painted(content, styles, chosen, backbone, **images) -> list[Frame]:
    return list(stylize(content, styles, chosen, backbone, **images))


def result(*arguments, **images) -> np.ndarray:
    return painted(*arguments, **images)[-1].image


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Mean difference in grey levels."""
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


def losses(frames: list[Frame]) -> list[float]:
    return [frame.metrics["loss"] for frame in frames]
