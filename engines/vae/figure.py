"""Figures with axes, drawn with Matplotlib."""

from __future__ import annotations

from typing import Any

import numpy as np

from engines.imaging.grids import image_grid


def latent_figure(tiles: np.ndarray, axis: np.ndarray, file: Any) -> None:
    """Write a grid over a latent plane, with axes (Chollet, section 12.4), into an open file as a PNG.

    Args:
        tiles: (count, count, H, W, 1) uint8, rows from the largest z[1] down.
        axis: (count,) float32, increasing: the coordinates along both axes.
    """
    # pyplot is not thread-safe.
    from matplotlib.figure import Figure

    count, _, height, width, _ = tiles.shape
    sheet = image_grid(tiles.reshape(-1, *tiles.shape[2:]), count)[..., 0]
    figure = Figure(figsize=(15, 15), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(sheet, cmap="Greys_r")
    step = max(1, count // 15)
    ticks = np.arange(count)[::step]
    axes.set_xticks(ticks * width + width / 2, [f"{value:.1f}" for value in axis[::step]])
    axes.set_yticks(ticks * height + height / 2, [f"{value:.1f}" for value in axis[::-1][::step]])
    axes.set_xlabel("z[0]")
    axes.set_ylabel("z[1]")
    figure.savefig(file, format="png", dpi=90)
