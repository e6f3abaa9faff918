"""Image formats: detection by content, and safe opening."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from PIL import Image

from engines.core.messages import message

# Pillow's names; HEIF is added if its plugin is installed.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF", "BMP")
_HEIF = "HEIF"
# Suffixes of readable images, and of unsupported images, which are refused by name instead of being ignored.
SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".avif", ".tif", ".tiff", ".gif", ".bmp", ".heic", ".heif", ".hif")
)
UNSUPPORTED_SUFFIXES = frozenset(
    (".svg", ".psd", ".jp2", ".jxl", ".ico", ".tga", ".exr", ".hdr", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf")
)
# What Pillow raises for damaged files.
DAMAGED = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    MemoryError,
    struct.error,
    TypeError,
    LookupError,
    RuntimeError,
    Image.DecompressionBombError,
)
# `load_image` checks sizes before decoding; Pillow's limit would refuse 200-megapixel phone photos, which can be
# shrunk.
Image.MAX_IMAGE_PIXELS = 1 << 28
# Problems are reported in our own words.
warnings.filterwarnings("ignore", module=r"PIL\.")
_PNG = b"\x89PNG\r\n\x1a\n"
# Longer texts in a PNG are dropped.
_MAX_TEXT, _MAX_TOTAL_TEXT = 1 << 20, 8 << 20
_MAX_PROFILE = 16 << 20
_OTHER_KINDS = (
    (b"%PDF", "PDF"),
    (b"8BPS", "Photoshop"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"<svg", "SVG"),
)


def is_image_name(name: str, *, or_unsupported: bool = False) -> bool:
    """Whether a file's name ends like a readable image's, or, if wanted, like that of an image in any format."""
    suffix = PurePosixPath(name).suffix.lower()
    return suffix in SUFFIXES or (or_unsupported and suffix in UNSUPPORTED_SUFFIXES)


class ImageError(ValueError):
    """A file that cannot be used as an image; the message is for the user."""


@contextlib.contextmanager
def opened(source: Path | str | bytes) -> Iterator[Image.Image]:
    """Open an image without decoding it: the first or primary one if the file has several.

    Its colour profile is in `info["icc_profile"]`. Exceptions of the block for damaged files become ImageError.

    Raises:
        ImageError: the file is missing, of an unknown format, or damaged.
    """
    head = b""
    try:
        with contextlib.ExitStack() as stack:
            file: IO[bytes] = io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb")  # noqa: SIM115
            stack.callback(file.close)
            head = file.read(32)
            file.seek(0)
            formats: tuple[str, ...] = FORMATS
            profile = None
            if _is_heif(head):
                formats = (_HEIF,)
                _register_heif()
            elif head.startswith(_PNG):
                file, profile = _without_large_chunks(file)
            image = stack.enter_context(Image.open(file, formats=formats))
            if profile is not None:
                image.info["icc_profile"] = profile
            yield image
    except ImageError:
        raise
    except FileNotFoundError as error:
        raise ImageError(message("{file} was not found.", file=Path(str(source)).name)) from error
    except (PermissionError, IsADirectoryError) as error:
        name = Path(str(source)).name
        raise ImageError(message("{name} is a folder or cannot be read; choose an image file.", name=name)) from error
    except Image.DecompressionBombError as error:
        raise ImageError(too_large(2 << 28)) from error
    except Image.UnidentifiedImageError as error:
        raise ImageError(_DAMAGED if _is_heif(head) else _not_read(head)) from error
    except DAMAGED as error:
        raise ImageError(_DAMAGED) from error


_DAMAGED = message("This image is damaged and cannot be read; save it again or use another.")


def too_large(limit: int) -> str:
    """The message for an image of more than `limit` pixels."""
    return message(
        "This image has more than {millions:.3g} million pixels; make it smaller first.", millions=limit / 1e6
    )


def _not_read(head: bytes) -> str:
    kind = next((name for sign, name in _OTHER_KINDS if head.lstrip().startswith(sign)), "")
    if kind:
        return message("This {kind} file is not a supported image; save it as JPEG or PNG first.", kind=kind)
    return message("This file is not an image; use a JPEG, PNG, WebP, AVIF, TIFF, GIF or BMP file.")


def _is_heif(head: bytes) -> bool:
    """Whether a file starts like HEIF with HEVC, the format of iPhone photos."""
    heic = head[8:12] in (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1")
    return head[4:8] == b"ftyp" and heic and b"avif" not in head[16:]


def _register_heif() -> None:
    """Register the HEIF plugin with Pillow; raises ImageError if it is not installed."""
    if importlib.util.find_spec("pillow_heif") is None:
        raise ImageError(
            message("This is a HEIC image, but pillow-heif is not installed here; save it as JPEG or PNG first.")
        )
    import pillow_heif

    pillow_heif.register_heif_opener()


def _without_large_chunks(file: IO[bytes]) -> tuple[IO[bytes], bytes | None]:
    """Remove texts and a colour profile larger than Pillow's limits from a PNG; returns the file and that profile.

    Pillow would reject the file otherwise. If there are none, returns the same file and None.
    """
    kept: list[tuple[int, int]] = []
    profile, texts, left_out = None, 0, False
    position = len(_PNG)
    file.seek(position)
    while len(header := file.read(8)) == 8:
        length, kind = int.from_bytes(header[:4]), header[4:]
        keep = True
        if kind in (b"tEXt", b"zTXt", b"iTXt", b"iCCP"):
            data = file.read(length)
            if kind == b"iCCP":
                unpacked = _decompressed(data.partition(b"\0")[2][1:], _MAX_PROFILE)
                keep = len(unpacked) <= _MAX_TEXT
                profile = None if keep or len(unpacked) > _MAX_PROFILE else unpacked
            else:
                texts += _text_length(kind, data)
                keep = texts <= _MAX_TOTAL_TEXT and _text_length(kind, data) <= _MAX_TEXT
        if keep:
            kept.append((position, length + 12))
        left_out = left_out or not keep
        position += length + 12
        file.seek(position)
        if kind == b"IEND":
            break
    file.seek(0)
    if not left_out:
        return file, None
    reduced = io.BytesIO(_PNG)
    reduced.seek(len(_PNG))
    for start, length in kept:
        file.seek(start)
        reduced.write(file.read(length))
    reduced.seek(0)
    return reduced, profile


def _text_length(kind: bytes, data: bytes) -> int:
    """Unpacked length of a text chunk, up to just above _MAX_TEXT."""
    rest = data.partition(b"\0")[2]
    if kind == b"zTXt":
        return len(_decompressed(rest[1:], _MAX_TEXT))
    if kind == b"iTXt" and rest[:1] == b"\1":
        return len(_decompressed(rest[2:].split(b"\0", 2)[-1], _MAX_TEXT))
    return len(data)


def _decompressed(data: bytes, limit: int) -> bytes:
    """Decompress at most `limit` + 1 bytes; b"" for damaged data."""
    try:
        return zlib.decompressobj().decompress(data, limit + 1)
    except zlib.error:
        return b""
