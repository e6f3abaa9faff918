"""Overlays for a two-dimensional latent map: data density and decoder sensitivity."""

from __future__ import annotations

import numpy as np


def density(latents: np.ndarray, axis: np.ndarray, bandwidth: float = 0.15) -> np.ndarray:
    """Density of encoded images on a grid, (N, 2), (count,) -> (count, count) float32 in [0, 1].

    A Gaussian kernel density estimate divided by its maximum. Rows run from the largest second coordinate down, as in
    `engines.latent.geometry.latent_grid`.
    """
    x_change = np.exp(-0.5 * np.square((axis[:, None] - latents[None, :, 0]) / bandwidth))
    y_change = np.exp(-0.5 * np.square((axis[::-1, None] - latents[None, :, 1]) / bandwidth))
    values = y_change @ x_change.T
    return (values / max(float(values.max()), 1e-12)).astype(np.float32)


def sensitivity(tiles: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """How fast the decoded image changes at each point of a grid, (count, count) float32 in [0, 1].

    The Frobenius norm of the decoder's Jacobian, divided by its maximum. It is estimated by finite differences between
    neighbouring tiles.

    Args:
        tiles: (count, count, H, W, C) uint8, as `VAE.latent_grid` returns them.
        axis: (count,) float32, the coordinates along both axes.
    """
    count = len(axis)
    images = tiles.reshape(count, count, -1).astype(np.float32) / 255
    if count < 2:
        return np.zeros((count, count), np.float32)
    x_change = np.gradient(images, axis, axis=1)
    y_change = np.gradient(images, -axis[::-1], axis=0)
    values = np.sqrt(np.square(x_change).sum(-1) + np.square(y_change).sum(-1))
    return (values / max(float(values.max()), 1e-12)).astype(np.float32)
