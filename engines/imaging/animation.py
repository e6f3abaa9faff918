"""GIF and animated WebP, written frame by frame in constant memory.

Pillow writes both as well, but holds all pictures, or what became of them, until the last one has come.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
from PIL import ExifTags, Image, ImageChops
from PIL.GifImagePlugin import getdata, getheader

# In what part of a second each kind counts.
HUNDREDTHS, THOUSANDTHS = 100, 1000
COLORS = 128
WEBP_QUALITY, WEBP_METHOD = 80, 4
_HAS_EXIF, _IS_ANIMATED = 0b1000, 0b0010
_COVERS = 0b10  # a picture stands for itself, whatever was there before it


def timed(images: Iterable[np.ndarray], speed: float, hold: float, units: int) -> Iterator[tuple[np.ndarray, int]]:
    """Each picture with how many `units` of a second it is shown; however coarse they are, `speed` is kept on average.

    Args:
        speed: pictures a second.
        hold: for how many seconds more the last one is shown.
    """
    count, waiting = 0, None

    def time() -> int:
        return round(count * units / speed) - round((count - 1) * units / speed)

    for image in images:
        if waiting is not None:
            yield waiting, time()
        count, waiting = count + 1, image
    if waiting is not None:
        yield waiting, time() + round(hold * units)


def write_gif(file: IO[bytes], images: Iterable[tuple[np.ndarray, int]], size: tuple[int, int], comment: str) -> None:
    """Write pictures, (H, W, 3) uint8 RGB, each with the hundredths of a second that it is shown, as a GIF.

    Args:
        size: (width, height) that they are resized to.
        comment: goes into the file as it is.
    """
    before = None
    for image, hundredths in images:
        picture = _resized(image, size).quantize(COLORS)
        shown = picture.convert("RGB")
        box = (0, 0, *size)
        if before is None:
            file.writelines(getheader(picture, info={"loop": 0, "comment": comment.encode()})[0])
        else:
            # Only what has changed is drawn anew; a picture like the one before still takes its time.
            box = ImageChops.difference(shown, before).getbbox() or (0, 0, 1, 1)
        own_colors = before is not None
        duration = 10 * hundredths
        data = getdata(picture.crop(box), box[:2], include_color_table=own_colors, duration=duration, interlace=0)
        file.writelines(data)
        data.clear()  # Pillow holds the list in a cycle, until the garbage collector passes by
        before = shown
    file.write(b";")


def write_webp(file: IO[bytes], images: Iterable[tuple[np.ndarray, int]], size: tuple[int, int], comment: str) -> None:
    """Write pictures, (H, W, 3) uint8 RGB, each with the thousandths of a second that it is shown, as a WebP.

    The container is that of https://developers.google.com/speed/webp/docs/riff_container; every picture in it is whole.

    Args:
        size: (width, height) that they are resized to.
        comment: goes into the file as the description in its EXIF.
    """
    sides = b"".join((side - 1).to_bytes(3, "little") for side in size)
    file.write(b"RIFF" + bytes(4) + b"WEBP")
    file.write(_chunk(b"VP8X", bytes([_HAS_EXIF | _IS_ANIMATED, 0, 0, 0]) + sides))
    file.write(_chunk(b"ANIM", bytes(4) + bytes(2)))  # over nothing, without end
    for image, thousandths in images:
        still = io.BytesIO()
        _resized(image, size).save(still, "WEBP", quality=WEBP_QUALITY, method=WEBP_METHOD)
        place = bytes(6) + sides + thousandths.to_bytes(3, "little") + bytes([_COVERS])
        # A still has its one chunk after "RIFF", its length and "WEBP".
        file.write(_chunk(b"ANMF", place + still.getvalue()[12:]))
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = comment.encode()
    file.write(_chunk(b"EXIF", exif.tobytes().removeprefix(b"Exif\0\0")))
    length = file.tell()
    file.seek(4)
    file.write((length - 8).to_bytes(4, "little"))


def read_animation_comment(path: Path, kind: str) -> str | None:
    """The comment in a "gif" or a "webp"; None where there is none. Raises what Pillow does over damaged files."""
    with Image.open(path, formats=[kind.upper()]) as picture:
        if kind == "gif":
            said = picture.info.get("comment")
        else:
            described = picture.getexif().get(ExifTags.Base.ImageDescription)
            said = described.encode("latin-1", "replace") if isinstance(described, str) else described
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else None


def _resized(image: np.ndarray, size: tuple[int, int]) -> Image.Image:
    picture = Image.fromarray(image)
    return picture if picture.size == size else picture.resize(size, Image.Resampling.BILINEAR)


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + len(data).to_bytes(4, "little") + data + bytes(len(data) % 2)
