"""Pictures and windows that several tests of the page share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}


def photo_like(shift: int = 0) -> np.ndarray:
    """(240, 320, 3) uint8: gradients, a bright square and a little noise."""
    y, x = np.mgrid[0:240, 0:320]
    image = np.stack([x * 0.7, y * 0.9, 255 - x * 0.7], axis=-1)
    image[60 + shift : 150 + shift, 80:200] = (200, 60, 40)
    noise = np.random.default_rng(shift).integers(-12, 13, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))
