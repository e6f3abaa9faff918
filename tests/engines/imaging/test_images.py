"""Untrusted images: each file becomes exactly the right pixels, or one sentence."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from engines.imaging.images import ImageError, check_image, digest, long_enough, read_image, resized, to_float
from tests.engines.helpers import as_png, encoded, is_one_sentence, refusal


def refused(source, **options) -> str:
    """The error message for a file."""
    return refusal(ImageError, read_image, source, **options)


def read_or_sentence(data: bytes) -> np.ndarray | str:
    """The pixels of a file, or the message of an ImageError; other errors are raised."""
    try:
        return read_image(data)
    except ImageError as error:
        return str(error)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def handmade_png(width: int, height: int, depth: int, color: int, rows: bytes, *extra: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(rows, 9))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(extra) + data + chunk(b"IEND", b"")


def sixteen_bit_png(values: np.ndarray) -> bytes:
    """A 16-bit greyscale PNG, written by hand to be independent of libraries."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return handmade_png(values.shape[1], values.shape[0], 16, 0, rows)


def difference(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.abs(a.astype(int) - b.astype(int)).max())


@pytest.mark.parametrize("data", [b"", b"\0", b"hello, I am no picture at all", bytes(range(256)) * 40])
def test_what_is_not_an_image_is_refused_with_one_sentence(data):
    assert "not an image" in refused(data)


@pytest.mark.parametrize(
    "text",
    [
        '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script></svg>',
        "<!DOCTYPE html><html><body><script>alert(1)</script></body></html>",
    ],
    ids=["svg", "html"],
)
def test_markup_under_the_name_of_a_png_is_refused_with_one_sentence(tmp_path, text):
    path = tmp_path / "picture.png"
    path.write_text(text)
    assert " image; " in refused(path)


@pytest.mark.parametrize("kind", ["PPM", "TGA", "ICO", "PDF"])
def test_formats_that_nobody_asked_for_are_refused(sample_image, kind):
    assert " image; " in refused(encoded(Image.fromarray(sample_image), kind))


@pytest.mark.parametrize(
    ("head", "name"), [(b"%PDF-1.7", "PDF"), (b"8BPS\0\1", "Photoshop"), (b"\xff\x0a", "JPEG XL"), (b"<svg ", "SVG")]
)
def test_files_of_kinds_that_people_take_for_images_are_refused_by_their_name(head, name):
    assert f"This {name} file" in refused(head + bytes(64))


def test_a_missing_file_is_named_without_its_folder(tmp_path):
    sentence = refused(tmp_path / "nowhere" / "cat.png")
    assert "cat.png" in sentence
    assert "nowhere" not in sentence


def test_a_folder_instead_of_a_file_is_refused_with_one_sentence(tmp_path):
    refused(tmp_path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.97])
def test_a_truncated_image_is_refused_with_one_sentence(sample_image, kind, share):
    whole = encoded(Image.fromarray(sample_image), kind)
    assert "damaged" in refused(whole[: int(len(whole) * share)])


def test_a_png_with_a_damaged_header_is_refused_with_one_sentence(sample_image):
    data = bytearray(as_png(sample_image))
    data[20] ^= 0xFF
    refused(bytes(data))


def test_an_enormous_png_is_refused_by_its_header_before_anything_is_unpacked(monkeypatch):
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("it is decoded"))
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", lambda self: pytest.fail("it is decoded"))
    side = 20_000
    bomb = handmade_png(side, side, 1, 0, bytes((side // 8 + 1) * side))
    assert len(bomb) < 100_000
    assert "160 million pixels" in refused(bomb)
    assert "537 million pixels" in refused(handmade_png(30_000, 30_000, 1, 0, b""))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_a_lossless_file_gives_exactly_its_pixels_from_bytes_path_and_text(sample_image, kind, tmp_path):
    data = encoded(Image.fromarray(sample_image), kind)
    path = tmp_path / "any name.xyz"
    path.write_bytes(data)
    for source in (data, path, str(path)):
        read = read_image(source)
        assert read.dtype == np.uint8
        np.testing.assert_array_equal(read, sample_image)


def test_a_greyscale_image_gets_three_equal_channels(sample_image):
    grey = sample_image[..., 0]
    read = read_image(encoded(Image.fromarray(grey), "PNG"))
    np.testing.assert_array_equal(read, np.repeat(grey[..., None], 3, axis=2))


def test_an_image_of_one_bit_becomes_black_and_white():
    bits = np.eye(20, dtype=bool)
    read = read_image(encoded(Image.fromarray(bits), "PNG"))
    np.testing.assert_array_equal(read, np.repeat((bits * 255).astype(np.uint8)[..., None], 3, axis=2))


def test_the_first_frame_of_an_animated_gif_is_read():
    colors = [(200, 30, 40), (10, 220, 30), (5, 6, 250)]
    frames = [Image.new("RGB", (24, 18), color) for color in colors]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)
    with Image.open(io.BytesIO(data)) as animation:
        assert animation.n_frames == 3
    read = read_image(data)
    assert read.shape == (18, 24, 3)
    assert (read == colors[0]).all()


def test_a_sixteen_bit_png_is_scaled_down_to_eight():
    values = np.linspace(0, 65535, 20 * 30).round().astype(np.uint16).reshape(20, 30)
    read = read_image(sixteen_bit_png(values))
    assert (read[..., 0] == read[..., 2]).all()
    assert difference(read[..., 0], (values / 257.0).round()) <= 1
    assert (read.min(), read.max()) == (0, 255)


def test_a_sixteen_bit_png_made_from_eight_bits_gives_those_bits_back(sample_image):
    grey = sample_image[..., 1]
    np.testing.assert_array_equal(read_image(sixteen_bit_png(grey.astype(np.uint16) * 257))[..., 0], grey)


def test_a_nearly_black_sixteen_bit_png_stays_nearly_black():
    values = np.linspace(0, 250, 20 * 30).round().astype(np.uint16).reshape(20, 30)
    assert read_image(sixteen_bit_png(values)).max() <= 1


def test_a_cmyk_jpeg_gets_the_colors_that_pillow_gives_it():
    image = Image.new("CMYK", (32, 24), (0, 200, 200, 10))
    read = read_image(encoded(image, "JPEG", quality=95))
    assert read.shape == (24, 32, 3)
    # Much yellow and magenta and no cyan is red.
    assert difference(read, np.broadcast_to(np.asarray(image.convert("RGB")), read.shape)) <= 4
    assert read[0, 0, 0] > 200
    assert read[0, 0, 1] < 80


def over_white(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None] / 255.0
    return rgb * share + 255 * (1 - share)


def test_transparency_is_laid_over_white(sample_image):
    alpha = np.tile(np.linspace(0, 255, 72).astype(np.uint8), (48, 1))
    read = read_image(encoded(Image.fromarray(np.dstack([sample_image, alpha])), "PNG"))
    assert difference(read, over_white(sample_image, alpha).round()) <= 1
    assert (read[:, 0] == 255).all()
    np.testing.assert_array_equal(read[:, -1], sample_image[:, -1])


def test_grey_with_transparency_is_laid_over_white(sample_image):
    grey = sample_image[..., 0]
    alpha = np.tile(np.linspace(0, 255, 72).astype(np.uint8), (48, 1))
    image = Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)])
    expected = over_white(np.repeat(grey[..., None], 3, axis=2), alpha)
    assert difference(read_image(encoded(image, "PNG")), expected.round()) <= 1


def test_a_transparent_color_of_a_palette_is_laid_over_white():
    palette = Image.new("P", (20, 20), 1)
    palette.putpalette([10, 20, 30, 200, 100, 50] + [0] * 750)
    palette.paste(0, (0, 0, 10, 20))
    read = read_image(encoded(palette, "PNG", transparency=0))
    assert (read[:, :10] == 255).all()
    assert (read[:, 10:] == (200, 100, 50)).all()


def test_a_transparent_color_of_an_image_without_a_palette_is_laid_over_white(sample_image):
    image = sample_image.copy()
    image[:10] = (1, 2, 3)
    read = read_image(encoded(Image.fromarray(image), "PNG", transparency=(1, 2, 3)))
    assert (read[:10] == 255).all()
    np.testing.assert_array_equal(read[10:], sample_image[10:])


# The eight EXIF orientations as NumPy operations that make the stored image upright.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_jpeg_is_turned_upright_as_exif_says(sample_image, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = encoded(Image.fromarray(sample_image), "JPEG", quality=95)
    turned = encoded(Image.fromarray(sample_image), "JPEG", quality=95, exif=exif.tobytes())
    np.testing.assert_array_equal(read_image(turned), UPRIGHT[orientation](read_image(stored)))


def jpeg_with_exif(entries: list[tuple[int, int, int, bytes]]) -> bytes:
    """A JPEG with EXIF entries (tag, type, count, four bytes of value), valid or not."""
    body = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHI4s", *entry) for entry in entries) + bytes(4)
    exif = b"Exif\0\0II*\0" + struct.pack("<I", 8) + body
    plain = encoded(Image.new("RGB", (24, 18), (9, 99, 199)), "JPEG")
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + plain[2:]


def test_the_handmade_exif_of_these_tests_is_read():
    sideways = jpeg_with_exif([(0x0112, 3, 1, b"\6\0\0\0")])
    assert read_image(sideways).shape == (24, 18, 3)


@pytest.mark.parametrize("tag", [0x0100, 0x0111, 0x011A])
def test_an_orientation_beside_damaged_exif_entries_is_read_or_refused_with_one_sentence(tag):
    data = jpeg_with_exif([(tag, 2, 4, b"abc\0"), (0x0112, 3, 1, b"\6\0\0\0")])
    result = read_or_sentence(data)
    assert is_one_sentence(result) if isinstance(result, str) else result.shape in {(24, 18, 3), (18, 24, 3)}


def seeds_to_damage() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (20, 28, 3), dtype=np.uint8))
    return {
        "jpeg": encoded(image, "JPEG"),
        "cmyk": encoded(image.convert("CMYK"), "JPEG"),
        "png": encoded(image, "PNG"),
        "palette": encoded(image.convert("P"), "PNG", transparency=3),
        "webp": encoded(image, "WEBP"),
        "gif": encoded(image, "GIF", save_all=True, append_images=[image.rotate(90)]),
        "bmp": encoded(image, "BMP"),
        "tiff": encoded(image, "TIFF", compression="tiff_lzw"),
        "avif": encoded(image, "AVIF"),
    }


@pytest.mark.parametrize("kind", seeds_to_damage())
def test_an_image_with_damaged_bytes_is_read_or_refused_with_one_sentence(kind):
    rng = np.random.default_rng(1)
    whole = seeds_to_damage()[kind]
    outcomes = set()
    for attempt in range(150):
        data = bytearray(whole)
        reach = len(data) if attempt % 2 else min(len(data), 120)  # headers hold more ways to go wrong
        for _ in range(rng.integers(1, 6)):
            data[rng.integers(reach)] = rng.integers(256)
        result = read_or_sentence(bytes(data))
        assert is_one_sentence(result) if isinstance(result, str) else result.dtype == np.uint8
        outcomes.add(str if isinstance(result, str) else np.ndarray)
    assert str in outcomes


@pytest.mark.parametrize("shape", [(1, 1, 3), (15, 400, 3), (400, 15, 3)])
def test_an_image_that_is_too_small_to_work_on_is_refused_with_its_size(shape):
    image = read_image(as_png(np.zeros(shape, np.uint8)))
    assert image.shape == shape
    assert f"{shape[1]} × {shape[0]}" in refusal(ImageError, check_image, image)


def test_an_image_of_the_least_size_is_taken():
    check_image(np.zeros((16, 16, 3), np.uint8))


@pytest.mark.parametrize(
    "array",
    [np.zeros((32, 32, 3)), np.zeros((32, 32, 4), np.uint8), np.zeros((32, 32), np.uint8), np.zeros(3, np.uint8)],
    ids=["float", "four channels", "grey", "flat"],
)
def test_an_array_that_is_no_image_is_refused_with_one_sentence(array):
    refusal(ImageError, check_image, array)


@pytest.mark.parametrize("longest", [1, 20, 72, 300])
def test_resizing_sets_the_longer_side_and_keeps_the_shape(sample_image, longest):
    small = resized(sample_image, longest)
    assert small.dtype == np.uint8
    assert small.shape[1] == longest
    assert abs(small.shape[0] - longest * 48 / 72) <= 0.5 or small.shape[0] == 1
    tall = resized(sample_image.transpose(1, 0, 2), longest)
    assert tall.shape[:2] == small.shape[1::-1]


@pytest.mark.parametrize(
    ("shape", "longest", "least", "expected"),
    [
        ((48, 72), 640, 75, 640),
        ((400, 20_000), 640, 16, 800),
        ((20_000, 400), 640, 75, 3750),
        ((40, 640), 0, 75, 0),
        ((10, 100), 640, 75, 750),
    ],
)
def test_a_longer_side_is_raised_for_the_shorter_one(shape, longest, least, expected):
    raised = long_enough(shape, longest, least, 8192)
    assert raised == expected
    if raised:
        assert min(resized(np.zeros((*shape, 3), np.uint8), raised).shape[:2]) >= least


@pytest.mark.parametrize("longest", [0, 72])
def test_resizing_to_nothing_or_to_its_own_size_changes_nothing(sample_image, longest):
    np.testing.assert_array_equal(resized(sample_image, longest), sample_image)


def test_resizing_keeps_what_is_seen():
    y, x = np.mgrid[0:60, 0:90]
    smooth = np.stack([x * 2, y * 4, 255 - x * 2], axis=-1).astype(np.uint8)
    assert difference(resized(resized(smooth, 45), 90), smooth) <= 6


def test_a_line_of_one_pixel_does_not_vanish_in_resizing():
    assert resized(np.zeros((1, 900, 3), np.uint8), 30).shape == (1, 30, 3)


def test_to_float_maps_black_to_minus_one_and_white_to_one(sample_image):
    values = to_float(sample_image)
    assert values.shape == (1, 48, 72, 3)
    assert values.dtype == np.float32
    assert to_float(np.zeros((2, 2, 3), np.uint8)).max() == -1
    assert to_float(np.full((2, 2, 3), 255, np.uint8)).min() == 1
    np.testing.assert_array_equal(((values[0] + 1) * 127.5).round().astype(np.uint8), sample_image)


def test_a_digest_depends_on_pixels_and_shape_and_on_nothing_else(sample_image):
    same = digest(sample_image)
    assert digest(sample_image.copy()) == same
    assert digest(np.asfortranarray(sample_image)) == same
    assert digest(read_image(encoded(Image.fromarray(sample_image), "BMP"))) == same
    changed = sample_image.copy()
    changed[0, 0, 0] ^= 1
    others = [changed, sample_image.reshape(72, 48, 3), sample_image[::-1]]
    assert len({same, *map(digest, others)}) == 4
    assert len(same) == 64
