"""Dreams at the command line: images and videos with recipes that repeat them."""

from __future__ import annotations

import av
import numpy as np

from engines.imaging.images import digest
from engines.recipes import read_recipe
from tests.engines.command_line.helpers import QUICK, last_line, pixels, run
from tests.engines.helpers import as_png, files_in


def test_a_dream_is_written_as_a_png_with_its_recipe(photo, sample_image, results, capsys):
    assert run(photo, "-o", results / "new" / "dream.png", *QUICK, "--step-size", "0.1") == 0
    assert last_line(capsys).startswith("Written to")
    assert pixels(results / "new" / "dream.png").shape == (43, 64, 3)
    recipe = read_recipe(results / "new" / "dream.png")
    assert (recipe.engine, recipe.backbone, recipe.stopped_at) == ("deep_dream", "studio_vgg", None)
    assert (recipe.config["size"], recipe.config["steps"], recipe.config["step_size"]) == (64, 2, 0.1)
    assert recipe.inputs == {"image": digest(sample_image)}
    assert len(recipe.weights) == 64
    assert files_in(results / "new") == ["dream.png"]


def test_a_recipe_repeats_its_image_and_an_option_beside_it_wins(photo, results, capsys):
    assert run(photo, "-o", results / "first.png", *QUICK, "--step-size", "0.1", "--seed", "7") == 0
    assert run(photo, "-o", results / "again.png", "--recipe", results / "first.png") == 0
    np.testing.assert_array_equal(pixels(results / "again.png"), pixels(results / "first.png"))
    assert read_recipe(results / "again.png") == read_recipe(results / "first.png")
    assert "Note:" not in capsys.readouterr().err
    assert run(photo, "-o", results / "other.png", "--recipe", results / "first.png", "--seed", "8") == 0
    config = read_recipe(results / "other.png").config
    assert (config["seed"], config["step_size"], config["size"]) == (8, 0.1, 64)
    assert not np.array_equal(pixels(results / "other.png"), pixels(results / "first.png"))


def test_a_recipe_on_another_photo_says_so_and_works(photo, results, sample_image, capsys):
    assert run(photo, "-o", results / "first.png", *QUICK) == 0
    other = results / "other photo.png"
    other.write_bytes(as_png(sample_image[::-1]))
    assert run(other, "-o", results / "second.png", "--recipe", results / "first.png") == 0
    assert "Note: the image is not the one" in capsys.readouterr().err
    assert pixels(results / "second.png").shape == (43, 64, 3)


def test_a_guide_is_read_and_recorded(photo, results, sample_image):
    guide = results / "guide.png"
    guide.write_bytes(as_png(sample_image[::-1]))
    assert run(photo, "-o", results / "dream.png", "--guide", guide, *QUICK) == 0
    assert read_recipe(results / "dream.png").inputs["guide"] == digest(sample_image[::-1])


def test_a_video_has_an_image_for_every_moment_and_its_recipe(photo, results):
    video = results / "dream.mp4"
    assert run(photo, "-o", video, *QUICK, "--pictures", "3", "--zoom", "1.1") == 0
    with av.open(str(video)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert [frame.shape for frame in frames] == [(42, 64, 3)] * 3
    assert read_recipe(video).config["pictures"] == 3
    assert files_in(results) == ["dream.mp4"]
    again = results / "again.png"
    assert run(photo, "-o", again, "--recipe", video) == 0
    assert np.abs(pixels(again)[:42].astype(float) - frames[-1]).mean() < 12


def test_a_video_of_one_dream_shows_its_steps_at_full_size(photo, results):
    video = results / "growing.mp4"
    assert run(photo, "-o", video, "--size", "64", "--octaves", "2", "--steps", "2") == 0
    with av.open(str(video)) as container:
        assert [(frame.height, frame.width) for frame in container.decode(video=0)] == [(42, 64)] * 4
