"""Pictures in and out: uploads to uint8 RGB arrays, safely; arrays to float and back; resizing."""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
MAX_PIXELS = 40_000_000
# What Pillow raises over damaged files.
DAMAGED = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    MemoryError,
    struct.error,
    TypeError,
    LookupError,
    Image.DecompressionBombError,
)
_SIXTEEN_BIT = {"I", "I;16", "I;16B", "I;16L"}


class PictureError(ValueError):
    """A file that cannot be used as a picture; the message is a sentence for a person."""


def read_picture(source: Path | str | bytes, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read a picture as (H, W, 3) uint8 RGB.

    The first frame of an animation, turned upright as EXIF says, 16-bit scaled down to 8, transparency over white.

    Raises:
        PictureError: not a picture of a known format, damaged, or of more than `max_pixels` pixels.
    """
    file = io.BytesIO(source) if isinstance(source, bytes) else Path(source)
    try:
        with warnings.catch_warnings():
            # Pillow warns of, and then refuses, sizes that we refuse ourselves below with a better sentence.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(file, formats=FORMATS) as picture:
                if picture.width * picture.height > max_pixels:
                    raise PictureError(_too_large(max_pixels))
                picture.seek(0)
                return _to_rgb(picture)
    except PictureError:
        raise
    except Image.DecompressionBombError as error:
        raise PictureError(_too_large(max_pixels)) from error
    except FileNotFoundError as error:
        raise PictureError(f"There is no file {Path(str(source)).name}.") from error
    except Image.UnidentifiedImageError as error:
        raise PictureError("This file is not a picture; use a JPEG, PNG, WebP, GIF or BMP file.") from error
    except DAMAGED as error:
        raise PictureError("This picture is damaged and cannot be read; save it anew or use another.") from error


def _too_large(max_pixels: int) -> str:
    return f"This picture has more than {max_pixels / 1e6:.0f} million pixels; make it smaller first."


def _to_rgb(picture: Image.Image) -> np.ndarray:
    picture.load()
    try:
        upright = ImageOps.exif_transpose(picture)
    except (struct.error, TypeError, KeyError, ValueError, ZeroDivisionError, OSError):
        upright = picture  # whatever a damaged EXIF block says of the rotation
    if upright.mode in _SIXTEEN_BIT:
        values = np.asarray(upright).astype(np.float32)
        # Some formats open as 32-bit mode I, whatever their depth was: there the values must tell.
        scale = 257 if upright.mode != "I" or values.max(initial=0) > 255 else 1
        upright = Image.fromarray(np.clip(values / scale, 0, 255).astype(np.uint8))
    if upright.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in upright.info:
        rgba = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return np.asarray(upright.convert("RGB"))


def check_picture(image: np.ndarray, *, least: int = 16) -> None:
    """Refuse an array that is no picture.

    Raises:
        PictureError: not (H, W, 3) uint8, or a side shorter than `least` pixels.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise PictureError("A picture must be an array of (height, width, 3) bytes.")
    if min(image.shape[:2]) < least:
        height, width = image.shape[:2]
        raise PictureError(f"This picture is {width} x {height} pixels; use one of at least {least} x {least}.")


def resized(image: np.ndarray, longest_side: int) -> np.ndarray:
    """Resize (H, W, 3) uint8 so that its longer side is `longest_side` pixels; 0 leaves it as it is."""
    height, width = image.shape[:2]
    scale = longest_side / max(height, width)
    if scale in (0, 1):
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def to_float(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (1, H, W, 3) float32 in [-1, 1]."""
    return (image.astype(np.float32) / 127.5 - 1)[None]


def digest(image: np.ndarray) -> str:
    """SHA-256 of a picture's size and pixels, whatever file format it came in."""
    shape = "x".join(map(str, image.shape)).encode()
    return hashlib.sha256(shape + b":" + np.ascontiguousarray(image).tobytes()).hexdigest()


def middle_square(image: np.ndarray, side: int) -> np.ndarray:
    """The middle square of (H, W, 3) uint8 RGB, resized to (side, side, 3)."""
    if image.shape[:2] == (side, side):
        return image
    height, width = image.shape[:2]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    # Cut first: a resize with a box looks beyond its edges.
    cut = Image.fromarray(image[top : top + edge, left : left + edge])
    return np.asarray(cut.resize((side, side), Image.Resampling.LANCZOS))
