"""Convert ICC profiles to sRGB."""

from __future__ import annotations

import functools
import io

import numpy as np
from PIL import Image, ImageCms

# Colour space of a profile -> Pillow mode.
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_CUBE_SIDE = 6
_UNREADABLE = (ImageCms.PyCMSError, OSError, ValueError, TypeError)


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert an image of mode L, RGB or CMYK to RGB in sRGB by its ICC profile.

    Uses the relative colorimetric intent with black point compensation; colours outside sRGB are clipped. Values are
    kept if the profile is damaged, is for another mode, or equals sRGB. CMYK without a profile is converted by Pillow's
    formula.
    """
    transform = _transform(profile, image.mode) if profile else None
    if transform is not None:
        try:
            converted = ImageCms.applyTransform(image, transform)
            if converted is not None:
                return converted
        except _UNREADABLE:
            pass
    return image.convert("RGB")


@functools.lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform for images of a mode; None if their values can be kept."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if _MODES.get(source.profile.xcolor_space.strip()) != mode:
            return None
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        return transform if mode == "CMYK" or _changes(transform, mode) else None
    except _UNREADABLE:
        return None


def _changes(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a transform changes values by more than rounding; most profiles are variants of sRGB."""
    steps = np.linspace(0, 255, _CUBE_SIDE).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(*[steps] * len(mode), indexing="ij"), -1).reshape(-1, 1, len(mode))
    sample = Image.fromarray(cube if len(mode) > 1 else np.arange(256, dtype=np.uint8)[:, None])
    converted = ImageCms.applyTransform(sample, transform)
    return bool(np.abs(np.asarray(sample.convert("RGB")).astype(int) - np.asarray(converted)).max() > 1)
