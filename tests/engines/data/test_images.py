"""Training data from zips and folders: what is read, and what is refused before it does harm."""

from __future__ import annotations

import errno
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engines.data import images as datasets
from engines.data.images import digits, named_images, ratings
from tests.engines.data.test_archives import encrypted
from tests.engines.helpers import as_png, encoded, files_in, refusal
from tests.engines.imaging.test_images import handmade_png
from tests.engines.profiles import adobe_rgb


def flat(value: int, height: int = 64, width: int = 64) -> bytes:
    return as_png(np.full((height, width, 3), value, np.uint8))


def zip_of(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_images_come_in_the_order_of_their_names_whatever_else_is_there(tmp_path):
    files = {"b/2.png": flat(2), "a.png": flat(1), "c.png": flat(3), "notes.txt": b"x", "__MACOSX/d.png": b"junk"}
    found = named_images(zip_of(tmp_path / "some.zip", files))
    assert found.names == ("a.png", "b/2.png", "c.png")
    assert found.images[:, 0, 0, 0].tolist() == [1, 2, 3]


def test_a_folder_is_as_good_as_a_zip(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "1.png").write_bytes(flat(7))
    (tmp_path / "0.png").write_bytes(flat(8))
    assert named_images(tmp_path).names == ("0.png", "deep/1.png")


def test_the_middle_square_of_an_image_is_taken_and_resized(tmp_path):
    wide = np.zeros((100, 300, 3), np.uint8)
    wide[:, 100:200] = 200
    files = {"a.png": as_png(wide), "b.png": flat(0)}
    image = named_images(zip_of(tmp_path / "wide.zip", files), size=32).images[0]
    assert (image.shape, image.min()) == ((32, 32, 3), 200)


def test_names_that_climb_out_are_only_names(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    files = {"../../evil.png": flat(1), "/etc/evil.png": flat(2), "good.png": flat(3)}
    assert len(named_images(zip_of(inside / "climbing.zip", files)).names) == 3
    assert files_in(tmp_path) == ["inside"]
    assert files_in(inside) == ["climbing.zip"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "has no images"),
        ({"readme.txt": b"no pictures"}, "has no images"),
        ({"a.png": flat(1)}, "has only 1 image;"),
        (
            {"a.png": flat(1), "b.png": b"not pixels"},
            "b.png was skipped: This file is not an image",
        ),
    ],
    ids=["empty", "text", "one", "damaged"],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(tmp_path, files, words):
    assert words in refusal(ValueError, named_images, zip_of(tmp_path / "set.zip", files))


def test_little_that_unpacks_to_40_mb_or_half_a_gigapixel_is_refused_in_a_sentence(tmp_path):
    side, other = 30_000, 20_000
    bomb = handmade_png(side, other, 1, 0, bytes((side // 8 + 1) * other))
    for data, words in ((bytes(40 << 20), "larger than 32 MB"), (bomb, "million pixels")):
        path = zip_of(tmp_path / "set.zip", {"a.png": flat(1), "b.png": data})
        assert path.stat().st_size < 500_000
        assert words in refusal(ValueError, named_images, path)


def test_one_broken_file_among_forty_is_left_out_and_named(tmp_path):
    files = {f"{i:02d}.png": flat(i) for i in range(40)} | {"07.png": b"no pixels", "바다.jpg": flat(1)[:60]}
    found = named_images(zip_of(tmp_path / "set.zip", files))
    assert len(found.images) == len(found.names) == 39
    assert found.images[:, 0, 0, 0].tolist() == [i for i in range(40) if i != 7]
    assert "07.png" not in found.names
    assert [sentence.partition(":")[0] for sentence in found.left_out] == [
        "07.png was skipped",
        "바다.jpg was skipped",
    ]
    assert datasets.split_images(tmp_path / "set.zip").left_out == found.left_out


def test_a_file_in_a_folder_that_cannot_be_read_is_left_out_too(tmp_path, monkeypatch):
    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(flat(i))
    read = Path.read_bytes

    def damaged(path: Path) -> bytes:
        if path.name == "1.png":
            raise OSError(errno.EIO, "Input/output error")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", damaged)
    found = named_images(tmp_path)
    assert found.names == ("0.png", "2.png")
    assert "1.png was skipped: This file cannot be read (input/output error)" in found.left_out[0]


def test_labels_stay_with_their_images_where_one_is_left_out(tmp_path):
    files = {"cat/1.png": flat(1), "cat/2.png": b"no pixels", "dog/3.png": flat(3)}
    found = datasets.labelled_images(zip_of(tmp_path / "set.zip", files))
    assert [found.classes[label] for label in found.labels] == ["cat", "dog"]
    assert found.images[:, 0, 0, 0].tolist() == [1, 3]
    assert len(found.left_out) == 1


def test_training_images_are_read_as_all_others_are(tmp_path):
    """Upright, 16-bit grey scaled down, on white, in sRGB."""
    exif = Image.Exif()
    exif[0x0112] = 6
    upper = np.zeros((64, 64, 3), np.uint8)
    upper[:32] = 255
    grey = np.full((64, 64), 257 * 40, np.uint16)
    hidden = np.dstack([np.full((64, 64, 3), 9, np.uint8), np.zeros((64, 64), np.uint8)])
    files = {
        "a.jpg": encoded(Image.fromarray(upper), "JPEG", exif=exif.tobytes()),
        "b.png": encoded(Image.fromarray(grey), "PNG"),
        "c.png": as_png(hidden),
        "d.png": encoded(Image.new("RGB", (64, 64), (200, 40, 40)), "PNG", icc_profile=adobe_rgb()),
        "e.avif": encoded(Image.new("RGB", (64, 64), (0, 0, 200)), "AVIF"),
    }
    turned, sixteen, transparent, wide, avif = named_images(zip_of(tmp_path / "set.zip", files)).images
    assert turned[:, 40:].min() > 240
    assert turned[:, :24].max() < 15
    assert (sixteen == 40).all()
    assert (transparent == 255).all()
    assert wide[0, 0].tolist() == pytest.approx([233, 35, 35], abs=1)
    assert avif[0, 0].tolist() == pytest.approx([0, 0, 200], abs=3)


def test_what_a_mac_puts_beside_images_is_passed_over_in_zips_and_folders(tmp_path):
    names = ("a.png", "b/c.png", "b/._c.png", "__MACOSX/b/._c.png", ".thumbnails/d.png")
    found = named_images(zip_of(tmp_path / "mac.zip", dict.fromkeys(names, flat(1))))
    assert (found.names, found.left_out) == (("a.png", "b/c.png"), ())
    for name in names:
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(flat(1))
    assert named_images(tmp_path / "folder").names == ("a.png", "b/c.png")


def test_a_zip_with_a_password_is_refused_as_one(tmp_path):
    path = encrypted(zip_of(tmp_path / "set.zip", {"a.png": flat(1)}), "a.png")
    assert refusal(ValueError, named_images, path).startswith("set.zip is password-protected")


def test_a_zip_of_more_images_than_fit_is_refused_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "_MAX_TOTAL_BYTES", 3 * 64 * 64 * 3)
    path = zip_of(tmp_path / "set.zip", {f"{i}.png": flat(i) for i in range(4)})
    assert "too many to fit in memory" in refusal(ValueError, named_images, path)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 and then nothing", b"text"])
def test_what_is_no_zip_is_refused_in_a_sentence(tmp_path, data):
    path = tmp_path / "set.zip"
    path.write_bytes(data)
    assert "not a zip file" in refusal(ValueError, named_images, path)
    assert "was not found" in refusal(ValueError, named_images, tmp_path / "nowhere.zip")


def test_digits_are_those_of_the_file_and_nothing_else_is(tmp_path):
    images, labels = np.zeros((5, 28, 28), np.uint8), np.arange(5, dtype=np.uint8)
    np.savez(tmp_path / "mnist.npz", x_train=images, y_train=labels, x_test=images[:2], y_test=labels[:2])
    assert digits(tmp_path / "mnist.npz").test_labels.tolist() == [0, 1]
    np.savez(tmp_path / "wide.npz", x_train=images[:, :20], y_train=labels, x_test=images, y_test=labels)
    assert "must contain only digits" in refusal(ValueError, digits, tmp_path / "wide.npz")
    np.savez(tmp_path / "other.npz", x=images)
    assert "not the MNIST file" in refusal(ValueError, digits, tmp_path / "other.npz")
    assert "was not found" in refusal(ValueError, digits, tmp_path / "nowhere.npz")


def mnist_file(path: Path, images: np.ndarray, labels: np.ndarray, tested: int = 3) -> Path:
    np.savez(path, x_train=images, y_train=labels, x_test=images[:tested], y_test=labels[:tested])
    return path


@pytest.mark.parametrize(
    "saved",
    [
        lambda images: images.astype(np.int64),
        lambda images: images.astype(np.float64),
        lambda images: (images / 255).astype(np.float32),
        lambda images: (images / 255).astype(np.float16)[..., None],
        lambda images: images[..., None],
    ],
    ids=["int64", "float to 255", "float to 1", "half and channels", "channels"],
)
def test_digits_that_were_saved_in_another_form_are_the_same(tmp_path, saved):
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), np.uint8)
    labels = np.arange(5)
    found = digits(mnist_file(tmp_path / "mnist.npz", saved(images), labels.astype(np.int64)[:, None]))
    assert {array.dtype for array in (found.train, found.train_labels, found.test, found.test_labels)} == {
        np.dtype(np.uint8)
    }
    np.testing.assert_array_equal(found.train, images)
    np.testing.assert_array_equal(found.test, images[:3])
    np.testing.assert_array_equal(found.train_labels, labels)


@pytest.mark.parametrize(
    ("images", "labels", "tested", "words"),
    [
        (np.zeros((5, 28, 28), np.uint8), np.arange(5), 0, "no digits in x_test"),
        (np.zeros((0, 28, 28), np.uint8), np.arange(0), 0, "no digits in x_train"),
        (np.full((5, 28, 28), np.nan), np.arange(5), 3, "must contain only digits"),
        (np.full((5, 28, 28), -1), np.arange(5), 3, "must contain only digits"),
        (np.full((5, 28, 28), 300), np.arange(5), 3, "must contain only digits"),
        (np.zeros((5, 28, 28, 3), np.uint8), np.arange(5), 3, "must contain only digits"),
        (np.zeros((5, 28, 28), np.uint8), np.arange(5) * 7, 3, "must contain only digits"),
        (np.full((5, 28, 28), "7"), np.arange(5), 3, "must contain only digits"),
    ],
    ids=["no test", "nothing", "NaN", "negative", "too large", "colours", "labels", "text"],
)
def test_what_are_no_digits_is_refused_in_a_sentence(tmp_path, images, labels, tested, words):
    assert words in refusal(ValueError, digits, mnist_file(tmp_path / "mnist.npz", images, labels, tested))


def test_ratings_are_numbers_by_their_column(tmp_path):
    path = zip_of(tmp_path / "rated.zip", {"attributes.csv": b"name,age\n7,30.5\n8,41\n"})
    found = ratings(path)
    assert found["name"].tolist() == ["7", "8"]
    np.testing.assert_allclose(found["age"], [30.5, 41])
    for table in (b"name,age\n7,old\n", b"name,age\n7\n", b""):
        broken = zip_of(tmp_path / "broken.zip", {"attributes.csv": table})
        assert "not a valid table of ratings" in refusal(ValueError, ratings, broken)
    assert "does not contain attributes.csv" in refusal(
        ValueError, ratings, zip_of(tmp_path / "none.zip", {"a.txt": b"x"})
    )
