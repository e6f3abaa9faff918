"""Preprocess a drawn digit like MNIST."""

from __future__ import annotations

import numpy as np
from PIL import Image

from engines.core.messages import message
from engines.imaging.color import luminance
from engines.imaging.images import ImageError

SIDE, INNER = 28, 20
_MIN_CONTRAST = 40
_INK_THRESHOLD = 0.2


def as_digit(drawing: np.ndarray) -> np.ndarray:
    """Convert a drawing, (H, W, 3) uint8 in any colours, to MNIST's format: (28, 28, 1) uint8, white on black.

    Ink is whatever differs from the border. As in MNIST (LeCun et al. 1998), it is scaled to fit 20 x 20 pixels,
    keeping the aspect ratio, and its centre of mass is moved to pixel (14, 14), counted from 0.

    Raises:
        ImageError: the drawing is empty.
    """
    grey = luminance(drawing.astype(np.float32))
    edge = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    ink = np.abs(grey - np.median(edge))
    if ink.max() < _MIN_CONTRAST:
        raise ImageError(message("The drawing is empty; draw a digit first."))
    ink = np.clip(ink / ink.max(), 0, 1)
    ink[ink < _INK_THRESHOLD] = 0  # ignore paper texture and compression artifacts
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    cropped = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = INNER / max(cropped.shape)
    size = max(1, round(cropped.shape[1] * scale)), max(1, round(cropped.shape[0] * scale))
    small = Image.fromarray(np.round(cropped * 255).astype(np.uint8)).resize(size, Image.Resampling.BOX)
    pixels = np.asarray(small).astype(np.float32)
    y, x = np.mgrid[: size[1], : size[0]]
    centre = (pixels * y).sum() / pixels.sum(), (pixels * x).sum() / pixels.sum()
    top, left = (
        int(np.clip(round(SIDE / 2 - c), 0, SIDE - length)) for c, length in zip(centre, pixels.shape, strict=True)
    )
    digit = np.zeros((SIDE, SIDE, 1), np.uint8)
    digit[top : top + size[1], left : left + size[0], 0] = pixels
    return digit
