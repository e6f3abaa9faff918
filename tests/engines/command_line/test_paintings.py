"""Paintings at the command line: their style images, masks, videos and recipes."""

from __future__ import annotations

import av
import numpy as np
import pytest
from PIL import Image

from engines.__main__ import main
from engines.imaging.images import digest
from engines.recipes import read_recipe
from tests.engines.command_line.helpers import last_line, pixels
from tests.engines.helpers import as_png, files_in, is_one_sentence


def paint(*arguments) -> int:
    return main(["style_transfer", *map(str, arguments)])


SHORT = ("--seconds", "0", "--size", "64", "--scales", "1", "--steps", "2")


def test_a_photo_is_painted_with_several_paintings_and_its_recipe_repeats_it(photo, sample_image, results, capsys):
    styles = [results / "a.png", results / "b.png"]
    for file, image in zip(styles, (sample_image[::-1], sample_image[:, ::-1]), strict=True):
        file.write_bytes(as_png(image))
    assert paint(photo, "-o", results / "1.png", "--style-images", *styles, *SHORT, "--blend", "1,0.5") == 0
    assert last_line(capsys).startswith("Written to")
    recipe = read_recipe(results / "1.png")
    assert (recipe.engine, recipe.config["blend"], recipe.config["steps"]) == ("style_transfer", [1, 0.5], 2)
    assert recipe.inputs["style_images_2"] == digest(sample_image[:, ::-1])
    assert paint(photo, "-o", results / "2.png", "--style-images", *styles, "--recipe", results / "1.png") == 0
    np.testing.assert_array_equal(pixels(results / "2.png"), pixels(results / "1.png"))
    assert pixels(results / "1.png").shape == (43, 64, 3)


def test_painting_without_a_painting_ends_with_one_sentence(photo, results, capsys):
    assert paint(photo, "-o", results / "1.png", *SHORT) == 1
    line = last_line(capsys)
    assert is_one_sentence(line)
    assert "Choose a style image" in line
    assert files_in(results) == []


def test_the_video_of_a_painting_grows_up_to_its_full_size(photo, results, sample_image):
    style = results / "style.png"
    style.write_bytes(as_png(sample_image[::-1]))
    video = results / "video.mp4"
    options = ("--seconds", "0", "--size", "180", "--scales", "2", "--steps", "2")
    assert paint(photo, "-o", video, "--style-images", style, *options) == 0
    with av.open(str(video)) as container:
        assert [(frame.height, frame.width) for frame in container.decode(video=0)] == [(120, 180)] * 5


def test_masks_have_nothing_where_they_are_transparent_and_what_was_shrunk_is_noted(
    tmp_path, sample_image, monkeypatch
):
    from engines import __main__ as command

    monkeypatch.setattr(command, "MAX_PIXELS", 2000)
    photo, mask = tmp_path / "photo.png", tmp_path / "mask.png"
    Image.fromarray(sample_image).save(photo, dpi=(300, 300))
    white = np.full((20, 20, 4), 255, np.uint8)
    white[:10, :, 3] = 0
    Image.fromarray(white).save(mask)
    arguments = [photo, "--style-images", photo, "--masks", mask, "-o", tmp_path / "out.png"]
    job = command._job(command._parser().parse_args(["style_transfer", *map(str, arguments)]))
    assert job.inputs["masks_1"][:10].max() == 0
    assert job.inputs["masks_1"][10:].min() == 255
    assert job.inputs["content_image"].shape == (36, 54, 3)
    assert job.details.dpi == pytest.approx((300, 300), abs=0.01)
    assert [sentence.split(" ")[0] for sentence in job.notices] == ["photo.png:", "photo.png:"]
