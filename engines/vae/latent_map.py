"""Overlays for a two-dimensional latent map: data density, and where the decoder changes fast."""

from __future__ import annotations

import numpy as np


def density(latents: np.ndarray, axis: np.ndarray, bandwidth: float = 0.15) -> np.ndarray:
    """How thickly encoded pictures lie about each point of a grid, (N, 2), (count,) -> (count, count) in [0, 1].

    A sum of Gaussians, divided by its largest value; rows from the largest second coordinate down, as
    `engines.latent.geometry.latent_grid` has them.
    """
    across = np.exp(-0.5 * np.square((axis[:, None] - latents[None, :, 0]) / bandwidth))
    down = np.exp(-0.5 * np.square((axis[::-1, None] - latents[None, :, 1]) / bandwidth))
    found = down @ across.T
    return (found / max(float(found.max()), 1e-12)).astype(np.float32)


def sensitivity(tiles: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """How fast the picture changes about each point of a grid, (count, count) in [0, 1].

    The Frobenius norm of the decoder's Jacobian, by finite differences between neighbouring tiles, (count, count, H, W,
    C) uint8, divided by its largest value.
    """
    count = len(axis)
    pictures = tiles.reshape(count, count, -1).astype(np.float32) / 255
    if count < 2:
        return np.zeros((count, count), np.float32)
    across = np.gradient(pictures, axis, axis=1)
    down = np.gradient(pictures, -axis[::-1], axis=0)
    found = np.sqrt(np.square(across).sum(-1) + np.square(down).sum(-1))
    return (found / max(float(found.max()), 1e-12)).astype(np.float32)
