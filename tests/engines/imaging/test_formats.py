"""Real-world images: colour profiles, sizes, formats and metadata."""

from __future__ import annotations

import functools
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from engines.imaging import formats as image_formats
from engines.imaging import images
from engines.imaging.images import ImageError, load_image, read_image
from engines.imaging.metadata import Details
from tests.engines.helpers import as_png, encoded, refusal
from tests.engines.profiles import SRGB, adobe_rgb, cmyk_of_lab, display_p3, grey_of_gamma, rgb_profile, srgb_curve

LOSSLESS = {"PNG": {}, "JPEG": {"quality": 95}, "WEBP": {"lossless": True}, "AVIF": {"quality": 95}, "TIFF": {}}


def flat(*color: int, mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (32, 24), color if len(color) > 1 else color[0])


def color_of(data: bytes) -> list[int]:
    return read_image(data)[10, 10].tolist()


# Colour profiles


@pytest.mark.parametrize("kind", LOSSLESS)
@pytest.mark.parametrize(("profile", "expected"), [(adobe_rgb, (233, 35, 35)), (display_p3, (218, 0, 26))])
def test_colours_are_those_that_the_profile_means(kind, profile, expected):
    data = encoded(flat(200, 40, 40), kind, icc_profile=profile(), **LOSSLESS[kind])
    assert color_of(data) == pytest.approx(expected, abs=1)


@pytest.mark.parametrize(
    "profile",
    [rgb_profile(SRGB, srgb_curve()), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()],
    ids=["by hand", "by Little CMS"],
)
def test_an_image_in_srgb_keeps_exactly_its_pixels(sample_image, profile):
    np.testing.assert_array_equal(
        read_image(encoded(Image.fromarray(sample_image), "PNG", icc_profile=profile)), sample_image
    )


def test_grey_is_converted_by_its_profile_also_where_it_is_transparent():
    expected = round(255 * (1.055 * ((60 / 255) ** 1.8) ** (1 / 2.4) - 0.055))
    profile = grey_of_gamma(1.8)
    for image in (flat(60, mode="L"), flat(60, 255, mode="LA")):
        assert color_of(encoded(image, "PNG", icc_profile=profile)) == pytest.approx([expected] * 3, abs=1)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_is_converted_by_its_profile(kind):
    red = cmyk_of_lab((138, 209, 195))  # L 54, a 81, b 67
    inks = flat(255, 0, 0, 0, mode="CMYK")
    assert color_of(encoded(inks, kind, icc_profile=red)) == pytest.approx([255, 0, 0], abs=12)
    assert color_of(encoded(flat(0, 0, 0, 0, mode="CMYK"), kind, icc_profile=red)) == pytest.approx([255] * 3, abs=1)
    assert color_of(encoded(inks, kind)) == pytest.approx([0, 255, 255], abs=2)


def test_transparency_is_laid_over_the_converted_colours():
    image = flat(200, 40, 40, 128, mode="RGBA")
    half = [round(0.5 * (value + 255)) for value in (233, 35, 35)]
    assert color_of(encoded(image, "PNG", icc_profile=adobe_rgb())) == pytest.approx(half, abs=2)


@pytest.mark.parametrize("profile", [b"no profile", cmyk_of_lab((0, 128, 128)), adobe_rgb()[:200]])
def test_a_profile_that_is_damaged_or_of_other_colours_is_passed_over(profile):
    assert color_of(encoded(flat(200, 40, 40), "PNG", icc_profile=profile)) == [200, 40, 40]


# Formats


def test_heic_is_read_upright_and_in_srgb():
    pillow_heif = pytest.importorskip("pillow_heif", reason="needs requirements-heic.txt")
    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    data = encoded(flat(200, 40, 40), "HEIF", quality=95, icc_profile=display_p3(), exif=exif.tobytes())
    read = load_image(data)
    assert (read.format, read.pixels.shape) == ("HEIF", (32, 24, 3))
    assert read.pixels[10, 10].tolist() == pytest.approx([218, 0, 26], abs=2)
    assert "damaged" in refusal(ImageError, read_image, data[: len(data) // 2])


def test_without_its_library_heic_is_refused_by_its_name(monkeypatch):
    monkeypatch.setattr(image_formats.importlib.util, "find_spec", lambda name: None)
    head = struct.pack(">I4s4sI8s", 24, b"ftyp", b"heic", 0, b"mif1heic")
    assert "HEIC" in refusal(ImageError, read_image, head)


@pytest.mark.parametrize("orientation", [1, 6])
def test_tiff_is_turned_upright_once(sample_image, orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    read = read_image(encoded(Image.fromarray(sample_image), "TIFF", exif=exif))
    np.testing.assert_array_equal(read, sample_image if orientation == 1 else np.rot90(sample_image, -1))


def test_tiff_of_floating_point_numbers_is_read():
    values = np.tile(np.linspace(0, 1, 32, dtype=np.float32), (24, 1))
    read = read_image(encoded(Image.fromarray(values), "TIFF"))
    assert np.abs(read[..., 0] - values * 255).max() <= 1


def test_a_transparent_level_of_sixteen_bit_grey_is_laid_over_white():
    values = np.full((20, 20), 257 * 40, np.uint16)
    values[:10] = 99
    read = read_image(encoded(Image.fromarray(values), "PNG", transparency=99))
    assert (read[:10] == 255).all()
    assert (read[10:] == 40).all()


# Large chunks


@functools.cache
def much_besides(kind: str) -> tuple[bytes, bytes]:
    """A very large PNG chunk: its name and content."""
    if kind.startswith("a bomb"):
        packed = zlib.compress(bytes(200 << 20), 1)
        return (b"zTXt", b"Comment\0\0" + packed) if kind == "a bomb of text" else (b"iCCP", b"icc\0\0" + packed)
    return {
        "plain text": (b"tEXt", b"Comment\0" + b"word " * 1_900_000),
        "packed text": (b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 1_500_000)),
        "text in UTF-8": (b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress("바다 ".encode() * 300_000)),
    }[kind]


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize(
    "kind", ["plain text", "packed text", "text in UTF-8", "a bomb of text", "a bomb of a profile"]
)
def test_long_texts_and_profiles_of_a_png_are_not_in_the_way(sample_image, kind, place):
    info = PngImagePlugin.PngInfo()
    info.add(*much_besides(kind), after_idat=place == "after")
    np.testing.assert_array_equal(read_image(encoded(Image.fromarray(sample_image), "PNG", pnginfo=info)), sample_image)


def test_a_profile_that_is_longer_than_pillow_takes_is_used():
    profile = adobe_rgb()
    long = profile + np.random.default_rng(0).bytes(1_500_000)
    long = struct.pack(">I", len(long)) + long[4:]
    assert color_of(encoded(flat(200, 40, 40), "PNG", icc_profile=long)) == pytest.approx([233, 35, 35], abs=1)


# Large images


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize("most", [3455, 1000])
def test_an_image_above_the_limit_is_shrunk_with_a_sentence(sample_image, kind, most):
    data = encoded(Image.fromarray(sample_image), kind)
    read = load_image(data, max_pixels=most)
    height, width = read.pixels.shape[:2]
    assert 0.9 * most < height * width <= most
    assert width / height == pytest.approx(72 / 48, rel=0.06)
    assert read.notices == (f"This image is 72 × 48 pixels; it was shrunk to {width} × {height}.",)
    expected = Image.fromarray(read_image(data)).resize((width, height), Image.Resampling.LANCZOS)
    assert np.abs(read.pixels.astype(int) - np.asarray(expected)).mean() < 4


def test_an_image_at_the_limit_is_read_as_it_is(sample_image):
    read = load_image(as_png(sample_image), max_pixels=48 * 72)
    np.testing.assert_array_equal(read.pixels, sample_image)
    assert read.notices == ()


def test_a_large_jpeg_is_decoded_small(monkeypatch):
    data = encoded(Image.linear_gradient("L").resize((1600, 1200)), "JPEG")
    decoded = []
    real = images._pixels
    monkeypatch.setattr(images, "_pixels", lambda file, *rest: decoded.append(file.size) or real(file, *rest))
    read = load_image(data, max_pixels=20_000)
    assert decoded == [(200, 150)]
    assert read.pixels.shape == (122, 163, 3)


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_jpeg_that_would_take_too_much_memory_is_refused(options):
    data = encoded(flat(9, 9, 9).resize((1600, 1200)), "JPEG", **options)
    if options:
        assert "million pixels" in refusal(ImageError, read_image, data, max_pixels=20_000)
    else:
        assert read_image(data, max_pixels=20_000).shape == (122, 163, 3)


def test_an_image_that_does_not_fit_the_memory_is_refused_before_it_is_decoded(sample_image, monkeypatch):
    monkeypatch.setattr(images, "free_bytes", lambda: 10_000)
    assert "does not fit in the free memory" in refusal(ImageError, read_image, as_png(sample_image), max_pixels=3000)


def test_a_transparent_image_is_shrunk_without_a_dark_edge():
    image = np.zeros((40, 40, 4), np.uint8)
    image[:, :20] = (200, 100, 50, 255)
    read = read_image(as_png(image), max_pixels=400)
    assert (read[:, 12:] >= 254).all()
    assert (read >= (199, 99, 49)).all()


def test_shrunk_images_are_upright(sample_image):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    read = load_image(encoded(Image.fromarray(sample_image), "JPEG", exif=exif.tobytes()), max_pixels=900)
    assert read.pixels.shape == (36, 24, 3)
    assert "shrunk to 24 × 36" in read.notices[0]


# Metadata


def photo_with_exif() -> bytes:
    exif = Image.Exif()
    exif.update({0x010F: "Maker", 0x0110: "Model 5", 0x8298: "© Kim", 0x013C: "Kim's iPhone", 0x0112: 6})
    shot = {0x9003: "2024:08:01 10:20:30", 0x829A: 0.01, 0xA431: "SN1234", 0xA435: "LENS99", 0x927C: b"notes of maker"}
    exif.get_ifd(ExifTags.IFD.Exif).update(shot | {0x9286: b"ASCII\0\0\0secret", 0xA430: "Owner Kim", 0xA434: "50 mm"})
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (37.0, 33.0, 59.0), 3: "E", 4: (126.0, 58.0, 41.0)})
    return encoded(flat(9, 99, 199), "JPEG", exif=exif.tobytes(), dpi=(300, 300))


def test_details_that_tell_nobody_where_it_was_and_which_camera_it_is_go_on():
    details = load_image(photo_with_exif()).details
    assert details.dpi == pytest.approx((300, 300))
    with Image.open(io.BytesIO(encoded(flat(1, 2, 3), "PNG", **details.options))) as result:
        exif, dpi = result.getexif(), result.info["dpi"]
        shot = exif.get_ifd(ExifTags.IFD.Exif)
        assert dict(exif) | {ExifTags.IFD.Exif: 0} == {
            0x010F: "Maker",
            0x0110: "Model 5",
            0x8298: exif[0x8298],
            ExifTags.IFD.Exif: 0,
        }
        assert not exif.get_ifd(ExifTags.IFD.GPSInfo)
    assert dict(shot) == {0x9003: "2024:08:01 10:20:30", 0x829A: pytest.approx(0.01), 0xA434: "50 mm"}
    assert dpi == pytest.approx((300, 300), abs=0.01)
    for secret in (b"SN1234", b"LENS99", b"notes of maker", b"secret", b"Owner Kim", b"iPhone"):
        assert secret not in details.exif


def test_names_beyond_ascii_go_on_as_they_are_in_the_file(sample_image):
    from engines.imaging.metadata import details_of

    exif = Image.Exif()
    said = {ExifTags.Base.Artist: "José 박", ExifTags.Base.Copyright: "© 2024 박"}
    exif.update({tag: name.encode() for tag, name in said.items()})
    shot = Image.open(io.BytesIO(encoded(Image.fromarray(sample_image), "JPEG", exif=exif.tobytes())))
    result = encoded(Image.fromarray(sample_image), "PNG", **details_of(shot).options)
    kept = Image.open(io.BytesIO(result)).getexif()
    assert {tag: kept[tag].encode("latin-1").decode() for tag in said} == said


def test_an_image_that_says_nothing_has_no_details(sample_image):
    assert load_image(as_png(sample_image)).details == Details()


@pytest.mark.parametrize("dpi", [(0, 0), (1e9, 1e9), (float("nan"), 72)])
def test_impossible_resolutions_are_not_passed_on(sample_image, dpi):
    from engines.imaging.metadata import details_of

    image = Image.fromarray(sample_image)
    image.info["dpi"] = dpi
    assert details_of(image).dpi is None


# Masks


def test_transparent_places_of_a_mask_are_black():
    mask = np.full((20, 20, 4), 255, np.uint8)
    mask[:10, :, 3] = 0
    read = read_image(as_png(mask), background="black")
    assert (read[:10] == 0).all()
    assert (read[10:] == 255).all()
