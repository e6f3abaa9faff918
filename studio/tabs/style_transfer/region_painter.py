"""Region painter component: where on the photo each style image applies."""

from __future__ import annotations

from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from studio.components.html_component import component
from studio.wire_format import data_uri, png_from_uri

SIDE = 480
COLORS = ("#e4572e", "#2e86ab", "#f3a712", "#7b4ea3", "#3c9d4e", "#d6467f", "#17bebb", "#8a6d3b")


def blank(photo: np.ndarray | None, count: int) -> dict[str, Any]:
    """Return the value without any regions.

    Args:
        photo: (H, W, 3) uint8 RGB, or None.
        count: number of style images.
    """
    value: dict[str, Any] = {"count": max(1, count), "colors": list(COLORS), "painted": ""}
    if photo is not None:
        small = Image.fromarray(photo)
        small.thumbnail((SIDE, SIDE))
        value["photo"] = data_uri(np.asarray(small))
    return value


def region_painter(elem_id: str, photo: np.ndarray) -> gr.HTML:
    """Create the component. Its value is that of `blank`; `painted` holds the regions as a PNG data URI."""
    return component(__file__, elem_id, blank(photo, 1))


def masks_of(value: Any, count: int) -> list[np.ndarray | None]:
    """Return a mask for each style image, (h, w, 3) uint8 with white where it applies, or None.

    Raises:
        ValueError: the regions are damaged.
    """
    painted = value.get("painted") if isinstance(value, dict) else None
    if not painted:
        return [None] * count
    pixels = np.asarray(png_from_uri(painted, 2 * SIDE)).astype(np.int32)
    palette = np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in COLORS])
    nearest = np.square(pixels[..., None, :3] - palette).sum(-1).argmin(-1)
    masks: list[np.ndarray | None] = []
    for number in range(count):
        mask = (nearest == number) & (pixels[..., 3] > 127)
        masks.append(np.repeat(mask[..., None], 3, axis=-1).astype(np.uint8) * 255 if mask.any() else None)
    return masks
