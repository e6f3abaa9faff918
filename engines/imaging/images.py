"""Read and write images as uint8 RGB arrays; convert and resize them."""

from __future__ import annotations

import hashlib
import math
import struct
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from engines.core.memory import free_bytes
from engines.core.messages import message
from engines.imaging.color_profiles import to_srgb
from engines.imaging.formats import DAMAGED, ImageError, opened, too_large
from engines.imaging.metadata import NO_DETAILS, Details, details_of

__all__ = ["DAMAGED", "MAX_PIXELS", "MIN_SIDE", "ImageError", "LoadedImage", "load_image", "read_image", "read_picture"]

MAX_PIXELS = 40_000_000
# Shortest side, in pixels, of an image that engines work on.
MIN_SIDE = 16
# Images larger than this many times the limit are refused, as they must be decoded before they are shrunk.
_MAX_SHRINK = 4
# Pillow's four bytes per pixel, twice while it resizes, and the final array.
_BYTES_PER_PIXEL = 12
_SIXTEEN_BIT = {"I", "I;16", "I;16B", "I;16L"}
_WITH_ALPHA = {"RGBA", "LA", "PA", "La", "RGBa"}
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Large images are decoded one at a time, to bound the memory used by many visitors.
_large_image_lock = threading.Lock()


@dataclass(frozen=True)
class LoadedImage:
    """An image read from a file.

    Attributes:
        pixels: (H, W, 3) uint8 RGB, upright, in sRGB.
        details: metadata to be copied to results.
        notices: sentences to show, for example that it was shrunk.
        format: Pillow's name of the file format.
    """

    pixels: np.ndarray
    details: Details = NO_DETAILS
    notices: tuple[str, ...] = ()
    format: str = ""


def read_image(source: Path | str | bytes, *, max_pixels: int = MAX_PIXELS, background: str = "white") -> np.ndarray:
    """The pixels of `load_image`, (H, W, 3) uint8 RGB; raises the same errors."""
    return load_image(source, max_pixels=max_pixels, background=background).pixels


read_picture = read_image  # imported by saved scripts


def load_image(source: Path | str | bytes, *, max_pixels: int = MAX_PIXELS, background: str = "white") -> LoadedImage:
    """Read an image.

    Takes the first frame of an animation, applies the EXIF orientation, converts to 8-bit sRGB, and shrinks the image
    to at most `max_pixels` pixels.

    Args:
        background: colour behind transparent pixels: "white", or "black" for masks.

    Raises:
        ImageError: an unknown format, damaged, or too large even for shrinking.
    """
    with opened(source) as file:
        width, height = file.size
        if width * height <= max_pixels:
            pixels = _pixels(file, None, background)
            # Pillow decodes a PNG to find its EXIF, so this must follow the check of its size.
            return LoadedImage(pixels, details_of(file), (), file.format or "")
        with _large_image_lock:
            target = _within(width, height, max_pixels)
            file.draft(None, target)
            _check_decodable(file, width * height, max_pixels)
            pixels = _pixels(file, target, background)
        shrunk = message(
            "This image is {width} × {height} pixels; it was shrunk to {new_width} × {new_height}.",
            width=width,
            height=height,
            new_width=pixels.shape[1],
            new_height=pixels.shape[0],
        )
        return LoadedImage(pixels, details_of(file), (shrunk,), file.format or "")


def _within(width: int, height: int, limit: int) -> tuple[int, int]:
    """The largest size of the same aspect ratio with at most `limit` pixels."""
    scale = math.sqrt(limit / (width * height))
    return max(1, min(int(width * scale), limit)), max(1, min(int(height * scale), limit))


def _check_decodable(file: Image.Image, file_pixels: int, max_pixels: int) -> None:
    pixels = file.width * file.height
    if file.info.get("progressive"):
        pixels = max(pixels, file_pixels)  # libjpeg keeps all coefficients of a progressive JPEG
    if pixels > _MAX_SHRINK * max_pixels:
        raise ImageError(too_large(_MAX_SHRINK * max_pixels))
    free = free_bytes()
    if free is not None and _BYTES_PER_PIXEL * pixels > free:
        raise ImageError(
            message(
                "This image of {width} × {height} pixels does not fit in the free memory; make it smaller.",
                width=file.width,
                height=file.height,
            )
        )


def _pixels(file: Image.Image, target: tuple[int, int] | None, background: str) -> np.ndarray:
    """Decode, shrink to `target` if given, and convert to (H, W, 3) uint8 RGB."""
    file.load()
    profile, method = file.info.get("icc_profile"), _TRANSPOSE.get(_orientation(file))
    image = _eight_bit(file)
    if target is not None:
        image = image.resize(target, Image.Resampling.LANCZOS, reducing_gap=2.0)
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    if alpha is not None:
        # Grey with alpha was converted to RGBA, but its profile is for grey.
        image = image.convert("L" if file.mode in ("LA", "La", "L", "I;16") else "RGB")
    image = to_srgb(image, profile)
    if alpha is not None:
        image = Image.composite(image, Image.new("RGB", image.size, background), alpha)
    return np.asarray(image if method is None else image.transpose(method))


def _orientation(file: Image.Image) -> int:
    try:
        return file.getexif().get(ExifTags.Base.Orientation, 1)
    except (struct.error, TypeError, KeyError, ValueError, ZeroDivisionError, OSError, SyntaxError):
        return 1  # damaged EXIF


def _eight_bit(image: Image.Image) -> Image.Image:
    """Convert an image to mode L, RGB, CMYK, or RGBA if it has transparency."""
    transparent = image.info.get("transparency")
    if image.mode in _SIXTEEN_BIT:
        values = np.asarray(image)
        # Mode I has 32 bits whatever the file's depth was, so the values decide.
        scale = 257 if image.mode != "I" or values.max(initial=0) > 255 else 1
        grey = Image.fromarray(np.clip(values / np.float32(scale), 0, 255).astype(np.uint8))
        if isinstance(transparent, int):
            grey = Image.merge("LA", (grey, Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8))))
            return grey.convert("RGBA")
        return grey
    if image.mode in _WITH_ALPHA or transparent is not None:
        return image.convert("RGBA")
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image))
        # Floating-point images are in [0, 1] unless their values are larger.
        scaled = values * 255 if values.max(initial=0) <= 1 else values
        return Image.fromarray(np.clip(scaled, 0, 255).astype(np.uint8))
    return image if image.mode in ("L", "RGB", "CMYK") else image.convert("L" if image.mode == "1" else "RGB")


def check_image(image: np.ndarray, *, least: int = MIN_SIDE) -> None:
    """Check that an array is an image.

    Raises:
        ImageError: not (H, W, 3) uint8, or a side shorter than `least` pixels.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ImageError(message("An image must be a uint8 array of shape (height, width, 3)."))
    if min(image.shape[:2]) < least:
        height, width = image.shape[:2]
        raise ImageError(
            message(
                "This image is {width} × {height} pixels; use one of at least {least} × {least}.",
                width=width,
                height=height,
                least=least,
            )
        )


def long_enough(shape: tuple[int, int], longest: int, least: int, most: int) -> int:
    """The longer side to resize an image of (height, width) to, so that the shorter side has at least `least` pixels.

    Args:
        longest: preferred longer side; 0, for the image's own size, stays 0.
        most: maximum of the longer side.

    Raises:
        ImageError: the image is too narrow.
    """
    short, long = sorted(shape)
    if not longest or round(short * longest / long) >= least:
        return longest
    needed = math.ceil(least * long / short)
    if needed > most:
        height, width = shape
        raise ImageError(
            message(
                "This image is {width} × {height} pixels, which is too long and narrow; crop it.",
                width=width,
                height=height,
            )
        )
    return needed


def resized(image: np.ndarray, longest_side: int) -> np.ndarray:
    """Resize (H, W, 3) uint8 so that its longer side has `longest_side` pixels; 0 keeps its size."""
    height, width = image.shape[:2]
    scale = longest_side / max(height, width)
    if scale in (0, 1):
        return image
    return resize(image, (max(1, round(height * scale)), max(1, round(width * scale))))


def resize(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resize (H, W, 3) uint8 to (height, width)."""
    if image.shape[:2] == shape:
        return image
    return np.asarray(Image.fromarray(image).resize(shape[::-1], Image.Resampling.LANCZOS))


def to_float(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (1, H, W, 3) float32 in [-1, 1]."""
    return (image.astype(np.float32) / 127.5 - 1)[None]


def to_uint8(image: Any) -> np.ndarray:
    """(1, H, W, 3) float32 in [-1, 1] or beyond, an array or a tensor -> (H, W, 3) uint8, rounded and clipped."""
    return np.clip(np.rint((np.asarray(image)[0] + 1) * 127.5), 0, 255).astype(np.uint8)


def digest(image: np.ndarray) -> str:
    """SHA-256 of an image's size and pixels, independent of its file format."""
    shape = "x".join(map(str, image.shape)).encode()
    return hashlib.sha256(shape + b":" + np.ascontiguousarray(image).tobytes()).hexdigest()


def middle_square(image: np.ndarray, side: int) -> np.ndarray:
    """The middle square of (H, W, 3) uint8 RGB, resized to (side, side, 3)."""
    if image.shape[:2] == (side, side):
        return image
    height, width = image.shape[:2]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    # Crop first: `resize` with a box also samples pixels outside it.
    return resize(image[top : top + edge, left : left + edge], (side, side))
