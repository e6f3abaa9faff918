"""Saliency of the discriminator, overlaid on a picture."""

from __future__ import annotations

import numpy as np


def lit(image: np.ndarray, where: np.ndarray) -> np.ndarray:
    """A picture, (H, W, 3) uint8, bright where something is large and dim elsewhere, (H, W) in [0, 1]."""
    light = 0.18 + 0.82 * where[..., None]
    return np.round(image * light).astype(np.uint8)
