"""Latent map component."""

from __future__ import annotations

import functools
from typing import Any

import gradio as gr
import numpy as np

from engines.imaging.grids import image_grid
from engines.latent import geometry as latent
from engines.vae import latent_map as maps
from engines.vae.model import VAE
from studio.components.html_component import component
from studio.wire_format import png_uri


def latent_map(elem_id: str, value: dict[str, Any]) -> gr.HTML:
    """Create the component. Its value is what `map_value` returns, merged with `point_value`."""
    return component(__file__, elem_id, value)


def map_value(vae: VAE, count: int, z_range: float, spacing: str) -> dict[str, Any]:
    """Return the component's value for a grid: decoded tiles, and the encoded examples with their classes.

    Args:
        vae: network with a two-dimensional latent space.
        count: tiles per side.
        z_range: the grid covers [-z_range, z_range] in both dimensions.
        spacing: "gaussian" or "linear".
    """
    tiles = _tiles(vae, count, z_range, spacing)
    sheet = image_grid(tiles.reshape(-1, *vae.shape), count)[..., 0]
    pairs = [] if vae.examples is None else zip(*vae.examples, strict=True)
    dots = [[round(float(x), 3), round(float(y), 3), int(label)] for (x, y), label in pairs]
    return {
        "tiles": png_uri(sheet),
        "axis": [float(value) for value in latent.axis_values(count, z_range, spacing)],
        "size": vae.shape[0],
        "dots": dots,
        "classes": sorted({str(label) for *_, label in dots}),
    }


@functools.lru_cache(maxsize=16)
def _tiles(vae: VAE, count: int, z_range: float, spacing: str) -> np.ndarray:
    return vae.latent_grid(count, z_range, spacing)


def overlay_image(vae: VAE, kind: str, count: int, z_range: float, spacing: str) -> str:
    """Return an overlay as a data URI; "" for "none".

    Args:
        vae: network with a two-dimensional latent space.
        kind: "density" darkens regions without data, "sensitivity" marks where the decoder changes fast.
        count: tiles per side.
        z_range: the grid covers [-z_range, z_range] in both dimensions.
        spacing: "gaussian" or "linear".
    """
    axis = latent.axis_values(count, z_range, spacing)
    pixels = np.zeros((count, count, 4), np.uint8)
    if kind == "density" and vae.examples is not None:
        # The square root keeps sparse regions distinct from empty ones.
        pixels[..., 3] = np.round(255 * (1 - np.sqrt(maps.density(vae.examples[0], axis))))
        pixels[..., :3] = (20, 16, 12)
    elif kind == "sensitivity":
        pixels[..., 3] = np.round(235 * maps.sensitivity(_tiles(vae, count, z_range, spacing), axis))
        pixels[..., :3] = (249, 115, 22)
    else:
        return ""
    return png_uri(pixels)


def point_value(vae: VAE, z: np.ndarray) -> dict[str, Any]:
    """Return the component's value for a latent vector, (2,): the vector and its decoded image."""
    image = vae.decode(z)[0, ..., 0]
    return {"z": [float(value) for value in z], "exact": png_uri(image)}
