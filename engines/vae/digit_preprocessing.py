"""Centre and scale a drawn digit like MNIST."""

from __future__ import annotations

import numpy as np
from PIL import Image

from engines.core.messages import message
from engines.imaging.color import luminance
from engines.imaging.images import PictureError

SIDE, INNER = 28, 20
_LEAST_CONTRAST = 40
_INK = 0.2


def as_digit(drawing: np.ndarray) -> np.ndarray:
    """A drawing, (H, W, 3) uint8 in any colours, as MNIST has its digits: (28, 28, 1) uint8, white on black.

    The ink is what differs from the edge; it is fitted into 20 x 20 pixels, keeping its shape, and its centre of mass
    put at pixel (14, 14), counted from 0, where the files of LeCun et al. (1998) have it: their mean is 13.99, 14.01.

    Raises:
        PictureError: nothing is drawn.
    """
    grey = luminance(drawing.astype(np.float32))
    edge = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    ink = np.abs(grey - np.median(edge))
    if ink.max() < _LEAST_CONTRAST:
        raise PictureError(message("The drawing is empty; draw a digit first."))
    ink = np.clip(ink / ink.max(), 0, 1)
    ink[ink < _INK] = 0  # paper and compression are not ink
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    cut = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = INNER / max(cut.shape)
    size = max(1, round(cut.shape[1] * scale)), max(1, round(cut.shape[0] * scale))
    small = Image.fromarray(np.round(cut * 255).astype(np.uint8)).resize(size, Image.Resampling.BOX)
    pixels = np.asarray(small).astype(np.float32)
    y, x = np.mgrid[: size[1], : size[0]]
    centre = (pixels * y).sum() / pixels.sum(), (pixels * x).sum() / pixels.sum()
    top, left = (
        int(np.clip(round(SIDE / 2 - c), 0, SIDE - length)) for c, length in zip(centre, pixels.shape, strict=True)
    )
    digit = np.zeros((SIDE, SIDE, 1), np.uint8)
    digit[top : top + size[1], left : left + size[0], 0] = pixels
    return digit
