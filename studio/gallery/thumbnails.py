"""Thumbnails of results."""

from __future__ import annotations

import base64

import numpy as np
from PIL import Image

from engines.core.files import written_atomically
from engines.core.messages import message
from engines.imaging.images import DAMAGED, ImageError, read_image
from engines.imaging.video import middle_image, video_size
from studio.gallery.gallery import Gallery, Result

SIDE = 320
FIRST_WORDS = 240


def thumbnail_uri(gallery: Gallery, result: Result, *, make: bool = True) -> str | None:
    """Return a result's thumbnail as a data URI; "" for a text and for a damaged file.

    Args:
        gallery: the gallery.
        result: the result.
        make: create a missing thumbnail; otherwise return None for it.
    """
    if result.kind == "text":
        return ""
    path = gallery.thumbnail(result)
    try:
        if not path.is_file():
            if not make:
                return None
            image = Image.fromarray(_image_of(result))
            image.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=2)
            with written_atomically(path) as file:
                image.save(file, "JPEG", quality=82)
        return "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
    except (OSError, ImageError):
        return ""


def _image_of(result: Result) -> np.ndarray:
    if result.kind == "picture":
        return read_image(result.path)
    image = middle_image(result.path)
    if image is None:
        raise ImageError(message("This video is damaged."))
    return image


def image_size(result: Result) -> tuple[int, int] | None:
    """Return (width, height) in pixels of an image or a video; None for a text and for a damaged file."""
    try:
        if result.kind == "picture":
            with Image.open(result.path, formats=["PNG"]) as image:
                return image.size
        return video_size(result.path) if result.kind == "video" else None
    except DAMAGED:
        return None


def first_words(result: Result) -> str:
    """Return the beginning of a text; "" for other results and for unreadable files."""
    if result.kind != "text":
        return ""
    try:
        with result.path.open("rb") as file:
            return file.read(4 * FIRST_WORDS).decode("utf-8", "ignore")[:FIRST_WORDS]
    except OSError:
        return ""
