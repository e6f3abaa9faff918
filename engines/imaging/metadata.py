"""EXIF metadata that is copied to results: date, camera settings, author.

Locations, serial numbers and maker notes are not copied.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from PIL import ExifTags, Image

from engines.imaging.formats import DAMAGED

_Tags = ExifTags.Base
_MAIN = (
    _Tags.ImageDescription,
    _Tags.Make,
    _Tags.Model,
    _Tags.DateTime,
    _Tags.Artist,
    _Tags.Copyright,
)
_SHOT = (
    _Tags.ExposureTime,
    _Tags.FNumber,
    _Tags.ExposureProgram,
    _Tags.ISOSpeedRatings,
    _Tags.DateTimeOriginal,
    _Tags.DateTimeDigitized,
    _Tags.OffsetTime,
    _Tags.OffsetTimeOriginal,
    _Tags.OffsetTimeDigitized,
    _Tags.ShutterSpeedValue,
    _Tags.ApertureValue,
    _Tags.BrightnessValue,
    _Tags.ExposureBiasValue,
    _Tags.MaxApertureValue,
    _Tags.MeteringMode,
    _Tags.LightSource,
    _Tags.Flash,
    _Tags.FocalLength,
    _Tags.SubsecTime,
    _Tags.SubsecTimeOriginal,
    _Tags.SubsecTimeDigitized,
    _Tags.ExposureMode,
    _Tags.WhiteBalance,
    _Tags.DigitalZoomRatio,
    _Tags.FocalLengthIn35mmFilm,
    _Tags.SceneCaptureType,
    _Tags.LensSpecification,
    _Tags.LensMake,
    _Tags.LensModel,
)
_MAX_LENGTH = 2000
_MAX_DPI = 10_000.0


@dataclass(frozen=True)
class Details:
    """Metadata of a photo to be copied to results.

    Attributes:
        exif: EXIF as Pillow saves it; b"" for none.
        dpi: horizontal and vertical pixels per inch, or None.
    """

    exif: bytes = b""
    dpi: tuple[float, float] | None = None

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments for `PIL.Image.Image.save`."""
        return ({"exif": self.exif} if self.exif else {}) | ({"dpi": self.dpi} if self.dpi else {})


NO_DETAILS = Details()


def details_of(image: Image.Image) -> Details:
    """The metadata of an image's file to be copied; damaged metadata is ignored."""
    return Details(_exif(image), _dpi(image.info.get("dpi")))


def _exif(image: Image.Image) -> bytes:
    try:
        source = image.getexif()
        shot = source.get_ifd(ExifTags.IFD.Exif)
        kept = Image.Exif()
        kept.update({int(tag): _encoded(source[tag]) for tag in _MAIN if tag in source and _is_short(source[tag])})
        kept_of_shot = {int(tag): shot[tag] for tag in _SHOT if tag in shot and _is_short(shot[tag])}
        if kept_of_shot:
            kept.get_ifd(ExifTags.IFD.Exif).update(kept_of_shot)
        return kept.tobytes() if len(kept) or kept_of_shot else b""
    except (*DAMAGED, ZeroDivisionError, AttributeError):
        return b""


def _encoded(value: Any) -> Any:
    """Non-ASCII text as the file's bytes: Pillow reads them as Latin-1, but would write "?" for each."""
    return value.encode("latin-1", "replace") if isinstance(value, str) and not value.isascii() else value


def _is_short(value: Any) -> bool:
    return not isinstance(value, str | bytes | tuple) or len(value) <= _MAX_LENGTH


def _dpi(value: Any) -> tuple[float, float] | None:
    try:
        across, down = (float(number) for number in value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    valid = all(math.isfinite(number) and 1 <= number <= _MAX_DPI for number in (across, down))
    return (across, down) if valid else None
