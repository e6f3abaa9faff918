"""Images in a grid."""

from __future__ import annotations

import numpy as np

from engines.imaging.grids import image_grid


def test_images_lie_line_by_line_and_unused_cells_are_black():
    images = np.arange(1, 1 + 5 * 2 * 3 * 1, dtype=np.uint8).reshape(5, 2, 3, 1)
    grid = image_grid(images, 3)
    assert (grid.shape, grid.dtype) == ((4, 9, 1), np.uint8)
    for number in range(6):
        line, column = divmod(number, 3)
        cell = grid[2 * line : 2 * line + 2, 3 * column : 3 * column + 3]
        np.testing.assert_array_equal(cell, images[number] if number < 5 else np.zeros((2, 3, 1)))
