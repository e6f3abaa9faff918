"""Picture formats: which are read, recognised by content, and opened safely."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from PIL import Image

from engines.core.messages import message

# As Pillow names them; HEIF where its reader is installed.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF", "BMP")
_HEIF = "HEIF"
# The endings of names that are pictures, and of those that a person would take for some: these are refused by name
# rather than passed over.
SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".avif", ".tif", ".tiff", ".gif", ".bmp", ".heic", ".heif", ".hif")
)
LIKE_PICTURES = frozenset(
    (".svg", ".psd", ".jp2", ".jxl", ".ico", ".tga", ".exr", ".hdr", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf")
)
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
    RuntimeError,
    Image.DecompressionBombError,
)
# Whoever reads a picture looks at its size himself before anything is decoded; Pillow would refuse the photos of
# phones with 200 million pixels, which are easily shrunk.
Image.MAX_IMAGE_PIXELS = 1 << 28
# What Pillow thinks of a file is said in sentences of our own, or not at all.
warnings.filterwarnings("ignore", module=r"PIL\.")
_PNG = b"\x89PNG\r\n\x1a\n"
# Of a PNG's texts: longer ones than these are left out, as no picture needs them.
_LONGEST_TEXT, _MOST_TEXT = 1 << 20, 8 << 20
_LONGEST_PROFILE = 16 << 20
_OTHER_KINDS = (
    (b"%PDF", "PDF"),
    (b"8BPS", "Photoshop"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"<svg", "SVG"),
)


class PictureError(ValueError):
    """A file that cannot be used as a picture; the message is a sentence for a person."""


@contextlib.contextmanager
def opened(source: Path | str | bytes) -> Iterator[Image.Image]:
    """A picture's file, open but not decoded; of several pictures in it the first, or the one that it names.

    Its colour profile is in `info["icc_profile"]`. What the block raises over a damaged file is told in a sentence.

    Raises:
        PictureError: there is no such file, or it is not a picture of a known format, or damaged.
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
                file, profile = _without_bulk(file)
            picture = stack.enter_context(Image.open(file, formats=formats))
            if profile is not None:
                picture.info["icc_profile"] = profile
            yield picture
    except PictureError:
        raise
    except FileNotFoundError as error:
        raise PictureError(message("There is no file {file}.", file=Path(str(source)).name)) from error
    except (PermissionError, IsADirectoryError) as error:
        name = Path(str(source)).name
        raise PictureError(
            message("{name} is a folder, or may not be read here; name a picture that may be.", name=name)
        ) from error
    except Image.DecompressionBombError as error:
        raise PictureError(too_large(2 << 28)) from error
    except Image.UnidentifiedImageError as error:
        raise PictureError(_DAMAGED if _is_heif(head) else _not_read(head)) from error
    except DAMAGED as error:
        raise PictureError(_DAMAGED) from error


_DAMAGED = message("This picture is damaged and cannot be read; save it anew or use another.")


def too_large(most: int) -> str:
    """The sentence for a picture of more than so many pixels."""
    return message(
        "This picture has more than {millions:.3g} million pixels; make it smaller first.", millions=most / 1e6
    )


def _not_read(head: bytes) -> str:
    kind = next((name for sign, name in _OTHER_KINDS if head.lstrip().startswith(sign)), "")
    if kind:
        return message(
            "This {kind} file is not a picture that can be read here; save it as a JPEG or PNG file first.", kind=kind
        )
    return message("This file is not a picture; use a JPEG, PNG, WebP, AVIF, TIFF, GIF or BMP file.")


def _is_heif(head: bytes) -> bool:
    """Whether a file begins as the photos of iPhones do: HEIF, packed by HEVC."""
    heic = head[8:12] in (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1")
    return head[4:8] == b"ftyp" and heic and b"avif" not in head[16:]


def _register_heif() -> None:
    """Have Pillow read HEIF; raises PictureError where the library for it is not installed."""
    if importlib.util.find_spec("pillow_heif") is None:
        raise PictureError(
            message(
                "This is a HEIC picture, for which pillow-heif is not installed here; "
                "save it as a JPEG or PNG file first."
            )
        )
    import pillow_heif

    pillow_heif.register_heif_opener()


def _without_bulk(file: IO[bytes]) -> tuple[IO[bytes], bytes | None]:
    """A PNG without texts that are longer than any that Pillow takes, and its colour profile where that is.

    Pillow calls a file damaged for either. Where there is nothing of the kind, it is the same file and None.
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
                unpacked = _unpacked(data.partition(b"\0")[2][1:], _LONGEST_PROFILE)
                keep = len(unpacked) <= _LONGEST_TEXT
                profile = None if keep or len(unpacked) > _LONGEST_PROFILE else unpacked
            else:
                texts += _length_of_text(kind, data)
                keep = texts <= _MOST_TEXT and _length_of_text(kind, data) <= _LONGEST_TEXT
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
    slim = io.BytesIO(_PNG)
    slim.seek(len(_PNG))
    for start, length in kept:
        file.seek(start)
        slim.write(file.read(length))
    slim.seek(0)
    return slim, profile


def _length_of_text(kind: bytes, data: bytes) -> int:
    """How long the text of a chunk is, as far as that matters."""
    rest = data.partition(b"\0")[2]
    if kind == b"zTXt":
        return len(_unpacked(rest[1:], _LONGEST_TEXT))
    if kind == b"iTXt" and rest[:1] == b"\1":
        return len(_unpacked(rest[2:].split(b"\0", 2)[-1], _LONGEST_TEXT))
    return len(data)


def _unpacked(data: bytes, most: int) -> bytes:
    """What zlib has packed, up to a byte more than `most`; nothing where it is damaged."""
    try:
        return zlib.decompressobj().decompress(data, most + 1)
    except zlib.error:
        return b""
