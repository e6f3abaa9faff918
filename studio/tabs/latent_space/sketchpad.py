"""Sketchpad component for drawing a digit."""

from __future__ import annotations

from typing import Any

import gradio as gr
import numpy as np

from engines.core.messages import message
from engines.imaging.images import ImageError
from studio.components.html_component import component
from studio.wire_format import png_from_uri

_MAX_SIDE = 1024


def sketch(elem_id: str) -> gr.HTML:
    """Create the component; its value is the drawing as a PNG data URI, or ""."""
    return component(__file__, elem_id, "")


def decode_sketch(value: Any) -> np.ndarray:
    """Decode a drawing to (H, W, 3) uint8.

    Raises:
        ValueError: the drawing is empty or damaged.
    """
    if not value:
        raise ImageError(message("The drawing is empty; draw a digit first."))
    return np.asarray(png_from_uri(value, _MAX_SIDE).convert("RGB"))
