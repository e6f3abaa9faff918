"""Recipes: round trips, and untrusted recipes refused with a sentence or ignored."""

from __future__ import annotations

import dataclasses
import json
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from engines.core.files import written_atomically
from engines.deep_dream import DreamConfig
from engines.imaging.video import VideoWriter
from engines.recipes import KEY, MAX_CHARACTERS, VERSION, Recipe, RecipeError, from_json, read_recipe, write_png
from tests.engines.helpers import as_png, files_in, refusal


def recipe(**changes) -> Recipe:
    """A recipe with a value in every field."""
    config = dataclasses.asdict(DreamConfig(size=64, layer_weights={"block4_conv2": 1.5}))
    values = {
        "engine": "deep_dream",
        "config": config,
        "backbone": "studio_vgg",
        "weights": "ab" * 32,
        "inputs": {"image": "cd" * 32, "guide": "ef" * 32},
        "steering": ((3, {**config, "step_size": 0.5}), (7, config)),
        "stopped_at": 9,
    }
    return Recipe(**values | changes)


def steered(count: int, start: dict | None = None) -> tuple[tuple[int, dict], ...]:
    """Steering with a few settings changed in each step, one of them nested."""
    start = recipe().config if start is None else start
    layers = [{"block4_conv2": 1.5, "block5_conv1": 0.5 + i} for i in range(3)]
    return tuple((i, {**start, "step_size": i / 1000, "layer_weights": layers[i % 3]}) for i in range(count))


def as_values(**changes) -> dict:
    """A recipe as the JSON values in a file."""
    return json.loads(recipe().to_json()) | changes


def sentence_for(values) -> str:
    return refusal(RecipeError, from_json, values if isinstance(values, str) else json.dumps(values))


def png_with(image, text: PngImagePlugin.PngInfo, path):
    Image.fromarray(image).save(path, "PNG", pnginfo=text)
    return path


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"steering": (), "stopped_at": None},
        {"inputs": {}},
        {"interruptions": (2, 5)},
        {"backbone": 'Ünïcode 漢字 🌀 \u2028 "quoted" \\ / \''},
        {"config": {"nested": {"a": [1, 2.5, None, True, "é"]}}, "steering": ()},
    ],
    ids=str,
)
def test_a_recipe_survives_json(changes):
    written = recipe(**changes)
    assert from_json(written.to_json()) == written


def test_a_thousand_steering_steps_are_written_as_what_differs_and_read_back_whole(sample_image, tmp_path):
    written = recipe(steering=steered(1000))
    assert len(written.to_json()) < 100_000
    assert from_json(written.to_json()) == written
    write_png(tmp_path / "steered.png", sample_image, written)
    assert read_recipe(tmp_path / "steered.png") == written


def test_a_thousand_steering_steps_of_a_sweep_name_the_one_setting_inside_that_differs():
    settings = dataclasses.asdict(DreamConfig())
    config = {"settings": settings, "columns": "jitter", "column_values": [1, 2]}
    changed = tuple((i, {**config, "settings": {**settings, "step_size": i / 1000}}) for i in range(1, 1001))
    written = recipe(engine="deep_dream_sweep", config=config, steering=changed)
    assert len(written.to_json()) < 100_000
    assert json.loads(written.to_json())["steering"][1] == [2, {"settings.step_size": 0.002}]
    assert from_json(written.to_json()) == written


def test_a_recipe_of_version_one_with_all_settings_each_time_is_still_read():
    written = recipe(steering=steered(2000))
    whole = json.loads(written.to_json()) | {KEY: 1, "steering": [list(item) for item in written.steering]}
    assert len(json.dumps(whole)) > 500_000
    assert from_json(json.dumps(whole)) == written


@pytest.mark.parametrize("changes", [{"nothing.inner": 1}, {"step_size.inner": 1}, {".": 1}, 5, None])
def test_differences_inside_of_what_is_not_there_are_refused(changes):
    assert "'steering'" in sentence_for(as_values(steering=[[1, changes]]))


def test_a_recipe_and_the_pixels_survive_a_png(sample_image, tmp_path):
    written = recipe(backbone="Ünïcode 漢字 🌀")
    path = tmp_path / "new folder" / "dream.png"
    write_png(path, sample_image, written)
    assert read_recipe(path) == written
    with Image.open(path) as image:
        assert image.format == "PNG"
        np.testing.assert_array_equal(np.asarray(image), sample_image)
    assert files_in(path.parent) == ["dream.png"]


def test_a_recipe_survives_an_mp4(sample_image, tmp_path):
    written = recipe(backbone='Ünïcode 漢字 🌀 "quoted" = ; # \\', steering=steered(300))
    video = VideoWriter(tmp_path / "dream.mp4", (72, 48))
    video.add(sample_image)
    video.finish(written.to_json())
    assert read_recipe(tmp_path / "dream.mp4") == written


def test_the_recipe_in_a_png_is_plain_text_that_any_tool_can_show(sample_image, tmp_path):
    write_png(tmp_path / "dream.png", sample_image, recipe())
    assert recipe().to_json().encode() in (tmp_path / "dream.png").read_bytes()


def test_a_recipe_names_no_folder(tmp_path, sample_image):
    write_png(tmp_path / "dream.png", sample_image, recipe())
    assert str(tmp_path).encode() not in (tmp_path / "dream.png").read_bytes()


def test_a_recipe_of_a_newer_version_is_refused_with_both_versions():
    sentence = sentence_for(as_values(**{KEY: VERSION + 1}))
    assert f"version {VERSION + 1}" in sentence
    assert f"only up to {VERSION}" in sentence


@pytest.mark.parametrize("name", ["surprise", "__class__", "", "x" * 1000])
def test_a_recipe_with_an_unknown_field_is_refused_by_its_name(name):
    sentence = sentence_for(as_values(**{name: 1}))
    assert name[:40] in sentence
    assert len(sentence) < 200


@pytest.mark.parametrize("name", ["engine", "config", "backbone", "weights", "inputs", "steering", "stopped_at"])
def test_a_recipe_that_lacks_a_field_or_has_a_wrong_kind_is_refused_by_its_name(name):
    lacking = as_values()
    del lacking[name]
    assert repr(name) in sentence_for(lacking)
    for wrong in (1.5, True, [1], {"a": 1}, "text", None, 3):
        right = {"config": dict, "inputs": dict, "steering": list, "stopped_at": (int, type(None))}.get(name, str)
        if isinstance(wrong, bool) or not isinstance(wrong, right) or (name, wrong) in (("inputs", {"a": 1}),):
            assert repr(name) in sentence_for(as_values(**{name: wrong}))


@pytest.mark.parametrize(
    "steering", [[1], [[1]], [[1, {}, 2]], [["1", {}]], [[True, {}]], [[1.0, {}]], [[1, []]], [{"1": {}}]], ids=str
)
def test_steering_that_is_not_steps_with_settings_is_refused(steering):
    assert "'steering'" in sentence_for(as_values(steering=steering))


@pytest.mark.parametrize("interruptions", [3, None, {}, ["3"], [True], [1.0], [[]]], ids=str)
def test_interruptions_that_are_not_steps_are_refused(interruptions):
    assert "'interruptions'" in sentence_for(as_values(interruptions=interruptions))


def test_a_recipe_without_interruptions_says_nothing_of_them():
    assert "interruptions" not in as_values()


@pytest.mark.parametrize("text", ["", "null", "[]", "3", '"reverie"', "{}", '{"reverie": null}', '{"reverie": "1"}'])
def test_json_that_is_no_recipe_is_refused_with_one_sentence(text):
    sentence_for(text)


def test_a_version_that_is_true_is_no_version():
    sentence_for(as_values(**{KEY: True}))


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"reverie": 1,}',
        "[" * 100_000,
        '{"reverie":' * 15_000,
        '{"reverie": ' + "9" * 10_000 + "}",
        "\x00",
        "\ud800",
    ],
    ids=["open", "comma", "deep list", "deep object", "long number", "zero byte", "surrogate"],
)
def test_text_that_is_no_json_is_refused_with_one_sentence(text):
    sentence_for(text)


def test_a_text_that_is_too_long_is_refused_before_it_is_parsed():
    assert "too long" in sentence_for("[" * (MAX_CHARACTERS + 1))
    assert "too long" in sentence_for(as_values(backbone="x" * MAX_CHARACTERS))


def test_a_short_recipe_that_would_unfold_to_gigabytes_is_refused():
    wide = recipe(config={"layer_weights": {f"l{i}": 1.0 for i in range(5000)}}, steering=())
    values = json.loads(wide.to_json()) | {"steering": [[i, {}] for i in range(5000)]}
    text = json.dumps(values)
    assert len(text) < MAX_CHARACTERS
    assert "too long" in sentence_for(text)


def test_settings_nested_too_deep_are_refused_with_one_sentence():
    depth = 50_000
    text = recipe(config={"seed": "HERE"}).to_json().replace('"HERE"', "[" * depth + "]" * depth)
    sentence_for(text)


def test_a_png_without_a_recipe_has_none(sample_image, tmp_path):
    path = tmp_path / "plain.png"
    path.write_bytes(as_png(sample_image))
    assert read_recipe(path) is None


@pytest.mark.parametrize("name", ["no.png", "no.mp4", "no.jpg", "no"])
@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"hello", b"\x89PNG\r\n\x1a\n" + bytes(300)])
def test_a_file_that_is_neither_png_nor_mp4_has_no_recipe(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data)
    assert read_recipe(path) is None


def test_a_file_that_is_not_there_or_is_a_folder_has_no_recipe(tmp_path):
    assert read_recipe(tmp_path / "nowhere.png") is None
    assert read_recipe(tmp_path / "nowhere.mp4") is None
    assert read_recipe(tmp_path) is None


def test_a_jpeg_under_the_name_of_a_png_has_no_recipe(sample_image, tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(sample_image).save(path, "JPEG", comment=recipe().to_json())
    assert read_recipe(path) is None


def test_a_damaged_recipe_in_a_png_is_refused_with_one_sentence(sample_image, tmp_path):
    text = PngImagePlugin.PngInfo()
    text.add_itxt(KEY, recipe().to_json()[:-20])
    refusal(RecipeError, read_recipe, png_with(sample_image, text, tmp_path / "damaged.png"))


def test_a_recipe_in_an_old_text_chunk_is_read_too(sample_image, tmp_path):
    text = PngImagePlugin.PngInfo()
    text.add_text(KEY, recipe().to_json())
    assert read_recipe(png_with(sample_image, text, tmp_path / "old.png")) == recipe()


def test_a_text_chunk_that_unpacks_to_a_hundred_megabytes_is_no_recipe(sample_image, tmp_path):
    plain = as_png(sample_image)
    data = KEY.encode() + b"\0\0" + zlib.compress(bytes(100_000_000), 9)
    bomb = len(data).to_bytes(4, "big") + b"zTXt" + data + zlib.crc32(b"zTXt" + data).to_bytes(4, "big")
    path = tmp_path / "bomb.png"
    path.write_bytes(plain[:33] + bomb + plain[33:])
    assert read_recipe(path) is None


def test_a_text_chunk_that_is_far_too_long_is_refused_with_one_sentence(sample_image, tmp_path):
    text = PngImagePlugin.PngInfo()
    text.add_itxt(KEY, recipe(backbone="x" * MAX_CHARACTERS).to_json())
    assert "too long" in refusal(RecipeError, read_recipe, png_with(sample_image, text, tmp_path / "long.png"))


def test_an_mp4_with_somebody_elses_comment_has_no_recipe(sample_image, tmp_path):
    video = VideoWriter(tmp_path / "video.mp4", (72, 48))
    video.add(sample_image)
    video.finish("My holiday in reverie")
    assert read_recipe(tmp_path / "video.mp4") is None


def test_an_mp4_whose_recipe_is_damaged_is_refused_with_a_sentence(sample_image, tmp_path):
    video = VideoWriter(tmp_path / "video.mp4", (72, 48))
    video.add(sample_image)
    video.finish('{"reverie": 1, "engine": "XXXX"}')
    damaged = (tmp_path / "video.mp4").read_bytes().replace(b"XXXX", b"\xff\xfe\xff\xfe")
    (tmp_path / "video.mp4").write_bytes(damaged)
    with pytest.raises(RecipeError):
        read_recipe(tmp_path / "video.mp4")


def fail_in_the_middle(self, file, *arguments, **options):
    """What Image.save does on a full disk."""
    file.write(b"\x89PNG half of a picture")
    raise OSError(28, "No space left on device")


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(sample_image, tmp_path, monkeypatch):
    path = tmp_path / "dream.png"
    write_png(path, sample_image, recipe())
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", fail_in_the_middle)
        with pytest.raises(OSError, match="No space"):
            write_png(path, 255 - sample_image, recipe())
        with pytest.raises(OSError, match="No space"):
            write_png(tmp_path / "other.png", sample_image, recipe())
    assert files_in(tmp_path) == ["dream.png"]
    assert path.read_bytes() == before
    write_png(path, 255 - sample_image, recipe())
    assert path.read_bytes() != before


def test_a_file_is_not_there_under_its_name_until_it_is_whole(tmp_path):
    path = tmp_path / "whole.bin"
    with written_atomically(path) as file:
        file.write(b"first half, ")
        file.flush()
        assert not path.exists()
        file.write(b"second half")
    assert path.read_bytes() == b"first half, second half"
    assert files_in(tmp_path) == ["whole.bin"]
