"""EXIF metadata that is carried over into results: date, settings, author.

Nothing that says where it was taken, or which camera of a kind took it, and no notes that only the maker can read.
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
_OF_THE_SHOT = (
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
_LONGEST = 2000
_MOST_DPI = 10_000.0


@dataclass(frozen=True)
class Details:
    """What goes on from a photo's file into a result's.

    Attributes:
        exif: as Pillow saves it; b"" for nothing.
        dpi: pixels an inch, across and down; None where the file does not say.
    """

    exif: bytes = b""
    dpi: tuple[float, float] | None = None

    @property
    def options(self) -> dict[str, Any]:
        """How `PIL.Image.Image.save` is told."""
        return ({"exif": self.exif} if self.exif else {}) | ({"dpi": self.dpi} if self.dpi else {})


NO_DETAILS = Details()


def details_of(picture: Image.Image) -> Details:
    """What a picture's file says of it, without what is better not passed on; nothing of what is damaged."""
    return Details(_exif(picture), _dpi(picture.info.get("dpi")))


def _exif(picture: Image.Image) -> bytes:
    try:
        found = picture.getexif()
        shot = found.get_ifd(ExifTags.IFD.Exif)
        kept = Image.Exif()
        kept.update({int(tag): _as_in_the_file(found[tag]) for tag in _MAIN if tag in found and _is_short(found[tag])})
        kept_of_shot = {int(tag): shot[tag] for tag in _OF_THE_SHOT if tag in shot and _is_short(shot[tag])}
        if kept_of_shot:
            kept.get_ifd(ExifTags.IFD.Exif).update(kept_of_shot)
        return kept.tobytes() if len(kept) or kept_of_shot else b""
    except (*DAMAGED, ZeroDivisionError, AttributeError):
        return b""


def _as_in_the_file(value: Any) -> Any:
    """A text of letters beyond ASCII as the file's bytes: Pillow reads these as Latin-1, and writes each as "?"."""
    return value.encode("latin-1", "replace") if isinstance(value, str) and not value.isascii() else value


def _is_short(value: Any) -> bool:
    return not isinstance(value, str | bytes | tuple) or len(value) <= _LONGEST


def _dpi(said: Any) -> tuple[float, float] | None:
    try:
        across, down = (float(value) for value in said)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    fine = all(math.isfinite(value) and 1 <= value <= _MOST_DPI for value in (across, down))
    return (across, down) if fine else None
