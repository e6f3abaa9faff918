"""Overlay a saliency map on an image."""

from __future__ import annotations

import numpy as np


def overlay_saliency(image: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    """Darken an image, (H, W, 3) uint8, where the saliency map, (H, W) in [0, 1], is low."""
    brightness = 0.18 + 0.82 * saliency[..., None]
    return np.round(image * brightness).astype(np.uint8)
