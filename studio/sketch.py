"""A sheet to draw a digit on. Its look and behaviour are in static/."""

from __future__ import annotations

import base64
import binascii
import io
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from engines.parts.pictures import DAMAGED, PictureError
from studio.canvas import STATIC

_PREFIX = "data:image/png;base64,"
_MOST = 1024


def sketch(elem_id: str) -> gr.HTML:
    """The component; its value is what was drawn, as a PNG in a data URI, or nothing."""
    return gr.HTML(
        value="",
        html_template=(STATIC / "sketch.html").read_text(encoding="utf-8"),
        js_on_load=(STATIC / "sketch.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        elem_id=elem_id,
    )


def drawn(value: Any) -> np.ndarray:
    """What was drawn, (H, W, 3) uint8.

    Raises:
        PictureError: nothing was, or it did not arrive whole.
    """
    if not value:
        raise PictureError("The drawing is empty; draw a digit first.")
    try:
        if not str(value).startswith(_PREFIX):
            raise ValueError("not a PNG")
        with Image.open(io.BytesIO(base64.b64decode(value[len(_PREFIX) :], validate=True)), formats=["PNG"]) as image:
            if max(image.size) > _MOST:
                raise ValueError("too large")
            return np.asarray(image.convert("RGB"))
    except (*DAMAGED, binascii.Error) as error:
        raise PictureError("The drawing did not arrive whole; clear it and draw again.") from error
