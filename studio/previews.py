"""Pictures as a page shows them: no larger than a screen needs, as JPEG in a data URI."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

PREVIEW_SIDE = 1280


def preview(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB, at most PREVIEW_SIDE on its longer side; the same array where it is no larger."""
    if max(image.shape[:2]) <= PREVIEW_SIDE:
        return image
    picture = Image.fromarray(image)
    picture.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.BILINEAR, reducing_gap=1.5)
    return np.asarray(picture)


def data_uri(image: np.ndarray, quality: int = 82) -> str:
    """The preview of (H, W, 3) uint8 RGB as a JPEG data URI."""
    buffer = io.BytesIO()
    Image.fromarray(preview(image)).save(buffer, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
