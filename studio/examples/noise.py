"""Smooth noise for drawn images."""

from __future__ import annotations

import numpy as np
from PIL import Image


def fractal_noise(height: int, width: int, seed: int, *, roughness: float = 0.5, stretch: float = 1.0) -> np.ndarray:
    """Return smooth fractal noise, (height, width) float32 in [0, 1].

    Args:
        height: height in pixels.
        width: width in pixels.
        seed: seed of the noise.
        roughness: amplitude of each octave relative to the one before.
        stretch: horizontal stretch.
    """
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width), np.float32)
    weight = 1.0
    for octave in range(7):
        cells = 2 ** (octave + 1)
        grid = rng.random((cells + 1, max(2, int(cells * width / height / stretch)) + 1)).astype(np.float32)
        total += weight * np.asarray(Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC))
        weight *= roughness
    return (total - total.min()) / np.ptp(total)
