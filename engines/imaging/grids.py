"""Images in a grid."""

from __future__ import annotations

import numpy as np


def image_grid(images: np.ndarray, columns: int) -> np.ndarray:
    """Tile (N, H, W, C) line by line, `columns` images each: (lines x H, columns x W, C); unused cells are zero."""
    count, height, width, channels = images.shape
    lines = -(-count // columns)
    cells = np.zeros((lines * columns, height, width, channels), images.dtype)
    cells[:count] = images
    grid = cells.reshape(lines, columns, height, width, channels).transpose(0, 2, 1, 3, 4)
    return grid.reshape(lines * height, columns * width, channels)
