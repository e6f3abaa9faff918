"""Write GIF and animated WebP frame by frame, in constant memory. Pillow would keep all frames until the last one."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
from PIL import ExifTags, Image, ImageChops
from PIL.GifImagePlugin import getdata, getheader

# Units of a second for durations in GIF and WebP.
HUNDREDTHS, THOUSANDTHS = 100, 1000
COLORS = 128
WEBP_QUALITY, WEBP_METHOD = 80, 4
_HAS_EXIF, _IS_ANIMATED = 0b1000, 0b0010
_NO_BLENDING = 0b10  # each frame replaces the previous one


def with_durations(
    images: Iterable[np.ndarray], speed: float, hold: float, units: int
) -> Iterator[tuple[np.ndarray, int]]:
    """Yield each image with its duration in integer units, rounded so that the average speed is exact.

    Args:
        speed: images per second.
        hold: extra seconds for the last image.
        units: units per second.
    """
    count, previous = 0, None

    def duration() -> int:
        return round(count * units / speed) - round((count - 1) * units / speed)

    for image in images:
        if previous is not None:
            yield previous, duration()
        count, previous = count + 1, image
    if previous is not None:
        yield previous, duration() + round(hold * units)


def write_gif(file: IO[bytes], images: Iterable[tuple[np.ndarray, int]], size: tuple[int, int], comment: str) -> None:
    """Write images, (H, W, 3) uint8 RGB, with durations in hundredths of a second, as a GIF.

    Args:
        size: (width, height) to resize to.
        comment: stored in the file.
    """
    previous = None
    for image, hundredths in images:
        quantized = _resized(image, size).quantize(COLORS)
        shown = quantized.convert("RGB")
        box = (0, 0, *size)
        if previous is None:
            file.writelines(getheader(quantized, info={"loop": 0, "comment": comment.encode()})[0])
        else:
            # Store only the changed region, at least one pixel, as an unchanged image has a duration too.
            box = ImageChops.difference(shown, previous).getbbox() or (0, 0, 1, 1)
        local_palette = previous is not None
        duration = 10 * hundredths
        data = getdata(quantized.crop(box), box[:2], include_color_table=local_palette, duration=duration, interlace=0)
        file.writelines(data)
        data.clear()  # Pillow keeps the list in a reference cycle
        previous = shown
    file.write(b";")


def write_webp(file: IO[bytes], images: Iterable[tuple[np.ndarray, int]], size: tuple[int, int], comment: str) -> None:
    """Write images, (H, W, 3) uint8 RGB, with durations in milliseconds, as an animated WebP.

    The container format is https://developers.google.com/speed/webp/docs/riff_container; every frame is a full image.

    Args:
        size: (width, height) to resize to.
        comment: stored as the image description in EXIF.
    """
    sides = b"".join((side - 1).to_bytes(3, "little") for side in size)
    file.write(b"RIFF" + bytes(4) + b"WEBP")
    file.write(_chunk(b"VP8X", bytes([_HAS_EXIF | _IS_ANIMATED, 0, 0, 0]) + sides))
    file.write(_chunk(b"ANIM", bytes(4) + bytes(2)))  # transparent background, endless loop
    for image, thousandths in images:
        frame_file = io.BytesIO()
        _resized(image, size).save(frame_file, "WEBP", quality=WEBP_QUALITY, method=WEBP_METHOD)
        header = bytes(6) + sides + thousandths.to_bytes(3, "little") + bytes([_NO_BLENDING])
        # Skip the still's RIFF header of 12 bytes.
        file.write(_chunk(b"ANMF", header + frame_file.getvalue()[12:]))
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = comment.encode()
    file.write(_chunk(b"EXIF", exif.tobytes().removeprefix(b"Exif\0\0")))
    length = file.tell()
    file.seek(4)
    file.write((length - 8).to_bytes(4, "little"))


def read_animation_comment(path: Path, kind: str) -> str | None:
    """The comment in a "gif" or "webp" file, or None. Raises what Pillow raises for damaged files."""
    with Image.open(path, formats=[kind.upper()]) as image:
        if kind == "gif":
            comment = image.info.get("comment")
        else:
            description = image.getexif().get(ExifTags.Base.ImageDescription)
            comment = description.encode("latin-1", "replace") if isinstance(description, str) else description
    return comment.decode("utf-8", "replace") if isinstance(comment, bytes) else None


def _resized(image: np.ndarray, size: tuple[int, int]) -> Image.Image:
    whole = Image.fromarray(image)
    return whole if whole.size == size else whole.resize(size, Image.Resampling.BILINEAR)


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + len(data).to_bytes(4, "little") + data + bytes(len(data) % 2)
