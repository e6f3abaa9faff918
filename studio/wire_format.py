"""Encode images and text for the page; decode what the browser sends."""

from __future__ import annotations

import base64
import binascii
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from engines.core.messages import message
from engines.imaging.images import DAMAGED

PREVIEW_SIDE = 1280
SHOWN_OF_A_PROMPT = 2000
_PNG = "data:image/png;base64,"


def preview(image: np.ndarray, side: int = PREVIEW_SIDE) -> np.ndarray:
    """Shrink (H, W, 3) uint8 RGB to at most `side` pixels on the longer side; smaller images are returned as they
    are."""
    if max(image.shape[:2]) <= side:
        return image
    thumbnail = Image.fromarray(image)
    thumbnail.thumbnail((side, side), Image.Resampling.BILINEAR, reducing_gap=1.5)
    return np.asarray(thumbnail)


def data_uri(image: np.ndarray, quality: int = 82, side: int = PREVIEW_SIDE) -> str:
    """Encode a preview of (H, W, 3) uint8 RGB as a JPEG data URI."""
    buffer = io.BytesIO()
    Image.fromarray(preview(image, side)).save(buffer, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def written_rows(written: Sequence[Any]) -> list[dict[str, Any]]:
    """Encode texts for the live text component.

    Args:
        written: one `engines.language_model.Generation` per text.

    Returns:
        One dict per text: `temperature`, `pieces`, `bits` (surprisal of each piece), `ended`, and `parts`, the index of
            the first piece that differs from the text before it, or None.
    """
    rows = []
    for index, writing in enumerate(written):
        parts = None
        if index:
            before = written[index - 1].tokens
            same = (one == other for one, other in zip(writing.tokens, before, strict=False))
            parts = next((index for index, alike in enumerate(same) if not alike), None)
        rows.append(
            {
                "temperature": writing.temperature,
                "pieces": writing.pieces,
                "bits": [round(-math.log2(max(one.before, 1e-30)), 2) for one in writing.distributions],
                "ended": writing.finish_reason,
                "parts": parts,
            }
        )
    return rows


def prompt_tail(prompt: str) -> str:
    """Return the end of a long prompt."""
    return prompt if len(prompt) <= SHOWN_OF_A_PROMPT else "… " + prompt[-SHOWN_OF_A_PROMPT:]


def png_from_uri(uri: object, most: int) -> Image.Image:
    """Decode a PNG data URI that a browser sent.

    Args:
        uri: the data URI.
        most: maximum width and height in pixels.

    Raises:
        ValueError: not a PNG data URI, damaged, or too large.
    """
    text = str(uri)
    try:
        if not text.startswith(_PNG):
            raise ValueError("not a PNG")
        with Image.open(io.BytesIO(base64.b64decode(text[len(_PNG) :], validate=True)), formats=["PNG"]) as image:
            if max(image.size) > most:
                raise ValueError("too large")
            return image.convert("RGBA")
    except (*DAMAGED, binascii.Error) as error:
        raise ValueError(message("The drawing did not upload completely; clear it and draw again.")) from error


def png_uri(image: np.ndarray) -> str:
    """Encode (H, W), (H, W, 3) or (H, W, 4) uint8 as a PNG data URI."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return _PNG + base64.b64encode(buffer.getvalue()).decode("ascii")
