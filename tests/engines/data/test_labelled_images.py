"""Labelled training images: folders are classes, and what is missing or damaged is said in one sentence."""

from __future__ import annotations

import numpy as np
import pytest

from engines.data.images import labelled_images
from tests.engines.data.helpers import flat_png, zip_of
from tests.engines.helpers import is_one_sentence, refusal


def test_images_are_read_with_their_folders_names_as_classes(tmp_path):
    files = {
        "train/zebra/2.png": flat_png((1, 2, 3)),
        "train/ant/b.PNG": flat_png((40, 50, 60), side=30),
        "train/ant/a.png": flat_png((7, 8, 9)),
        "train/ant/notes.txt": b"not an image",
        "loose.png": flat_png((0, 0, 0)),
    }
    images = labelled_images(zip_of(tmp_path / "some.zip", files))
    assert images.classes == ("ant", "zebra")
    assert images.labels.tolist() == [0, 0, 1]
    assert images.labels.dtype == np.int32
    assert images.images.shape == (3, 64, 64, 3)
    assert images.images.dtype == np.uint8
    assert [image[0, 0].tolist() for image in images.images] == [[7, 8, 9], [40, 50, 60], [1, 2, 3]]
    assert all((image == image[0, 0]).all() for image in images.images)


def test_data_that_is_missing_or_no_zip_or_holds_no_images_is_refused_with_one_sentence(tmp_path):
    (tmp_path / "text.zip").write_text("no zip")
    zip_of(tmp_path / "loose.zip", {"loose.png": flat_png((1, 1, 1)), "folder/notes.txt": b"text"})
    for name in ("nowhere.zip", "text.zip", "loose.zip"):
        assert name in refusal(ValueError, labelled_images, tmp_path / name)


@pytest.mark.parametrize("damage", ["no picture", "bit flipped"])
def test_a_damaged_image_in_a_zip_is_left_out_with_one_sentence(tmp_path, damage):
    name, good = tmp_path / "some.zip", flat_png((200, 2, 3))
    zip_of(name, {"a/1.png": good, "a/2.png": b"no picture" if damage == "no picture" else good})
    if damage == "bit flipped":
        data = bytearray(name.read_bytes())
        data[data.rindex(b"IDAT") + 8] ^= 0xFF
        name.write_bytes(data)
    images = labelled_images(name)
    assert len(images.images) == len(images.labels) == 1
    (sentence,) = images.left_out
    assert sentence.startswith("a/2.png was skipped: ")
    assert is_one_sentence(sentence)
