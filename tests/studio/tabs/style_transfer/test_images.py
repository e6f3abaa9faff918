"""The style transfer tab's images: photos, restored results, regions."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from engines.imaging.images import read_image
from engines.jobs import OTHER_WEIGHTS
from engines.recipes import Recipe, read_recipe, write_png
from engines.style_transfer import MAX_STYLES, StyleConfig, presets
from studio.tabs.style_transfer.region_painter import COLORS, blank
from studio.tabs.style_transfer.tab import regions_for
from tests.engines.helpers import as_png
from tests.studio.conftest import QUICK_PAINTING
from tests.studio.helpers import (
    decoded,
    finished,
    names_of,
    png_with_text,
    through_the_page,
    warned,
)
from tests.studio.tabs.style_transfer.helpers import controls, of_the_page, result_of, start

# Dropped photos


def test_an_image_that_is_too_large_even_to_be_shrunk_is_refused(tab, studio, photo, monkeypatch):
    monkeypatch.setattr(studio, "max_pixels", 500)
    answer, sentence = warned(tab.photo_changed, photo, None, "")
    assert "million pixels" in sentence
    assert answer[tab.photo] is None


def test_a_photo_is_shown_on_the_canvas_and_can_be_painted_on_for_every_painting(tab, photo, sample_image, styles):
    answer = tab.photo_changed(photo, styles, "")
    assert set(answer) == {tab.view.canvas, tab.regions}
    assert answer[tab.view.canvas]["state"] == "ready"
    assert abs(decoded(answer[tab.view.canvas]["original"]).astype(int) - sample_image).mean() < 12
    assert answer[tab.regions] == blank(sample_image, 2)
    assert tab.photo_changed(photo, None, "")[tab.regions]["count"] == 1


def test_a_good_image_to_go_on_from_stays_and_a_bad_one_is_refused(tab, photo, tmp_path):
    assert tab.start_changed(photo) == gr.skip()
    assert tab.start_changed(None) == gr.skip()
    bad = tmp_path / "bad.png"
    bad.write_text("no pixels")
    answer, sentence = warned(tab.start_changed, str(bad))
    assert answer is None
    assert "not an image" in sentence


# Dropped results


def test_a_result_brings_back_every_control_its_images_and_its_weights(
    tab, studio, sample_image, painting, painting_job, capsys
):
    config = StyleConfig(
        seconds=0.0,
        balance=0.37,
        size=48,
        scales=2,
        steps=2,
        style_weight=2.5,
        content_weight=0.125,
        total_variation_weight=12.0,
        blend=(0.5, 1.25),
        style_scale=1.3,
        color="matched",
        start="noise",
        optimizer="sgd",
        learning_rate=0.5,
        pooling="average",
        losses="book",
        style_layers={"block1_conv1": 0.5, "block2_conv1": 1.5},
        content_layer="block1_conv2",
        tile_size=1024,
        seed=7,
    )
    for field in dataclasses.fields(StyleConfig):
        if field.name != "seconds":
            assert getattr(config, field.name) != getattr(StyleConfig(), field.name)
    inputs = {
        "content_image": sample_image,
        "style_images_1": painting,
        "style_images_2": painting[::-1],
        "start_image": sample_image[:, ::-1],
    }
    run = finished(studio.runs.start(dataclasses.replace(painting_job, config=config, inputs=inputs)))
    assert run.error == ""
    answer = tab.photo_changed(str(run.result), None, "")
    assert of_the_page(tab, answer, 2) == config
    assert answer[tab.backbone] == "studio_vgg"
    assert names_of(answer[tab.preset]) == list(presets("studio_vgg"))
    assert answer[tab.preset]["value"] is None
    assert json.loads(answer[tab.restored]) == json.loads(read_recipe(run.result).to_json())
    np.testing.assert_array_equal(read_image(answer[tab.photo]), sample_image)
    np.testing.assert_array_equal(read_image(answer[tab.start_image]), sample_image[:, ::-1])
    gallery = [read_image(path) for path in answer[tab.style_picker.gallery]]
    np.testing.assert_array_equal(gallery, [painting, painting[::-1]])
    assert "Settings, photo and style images" in capsys.readouterr().out


def test_a_result_of_paintings_that_count_the_same_brings_back_weights_that_are_the_same(
    tab, studio, painting, painting_job
):
    inputs = {**painting_job.inputs, "style_images_2": painting[::-1]}
    result = finished(studio.runs.start(dataclasses.replace(painting_job, inputs=inputs))).result
    answer = tab.photo_changed(str(result), None, "")
    assert of_the_page(tab, answer, 2) == QUICK_PAINTING


def test_a_result_brings_back_layers_with_weights_of_many_digits(tab, studio, painting_job):
    config = dataclasses.replace(QUICK_PAINTING, style_layers={"block1_conv1": 1 / 3, "block2_conv1": 1234.5678 / 2})
    result = finished(studio.runs.start(dataclasses.replace(painting_job, config=config))).result
    answer = tab.photo_changed(str(result), None, "")
    updates = [answer[control] for control in tab.settings.components]
    assert through_the_page(tab.settings, updates).style_layers == config.style_layers


def test_a_result_whose_images_are_gone_brings_back_its_settings_and_says_so(tab, studio, painting_job, capsys):
    result = finished(studio.runs.start(painting_job)).result
    for path in studio.gallery.inputs.iterdir():
        path.unlink()
    answer = tab.photo_changed(str(result), None, "")
    assert tab.photo not in answer
    assert answer[tab.style_picker.gallery] == []
    assert answer[tab.start_image] is None
    assert through_the_page(tab.settings, [answer[control] for control in tab.settings.components]) == QUICK_PAINTING
    assert "Some original images are missing" in capsys.readouterr().out


@pytest.mark.parametrize(("there", "told"), [("5" * 64, 1), ("", 0), (None, 0)])
def test_a_result_of_an_earlier_network_says_so_as_it_comes_back(
    tab, studio, painting_job, capsys, monkeypatch, there, told
):
    result = finished(studio.runs.start(painting_job)).result
    recipe = dataclasses.replace(read_recipe(result), weights="4" * 64)
    write_png(result, read_image(result), recipe)
    monkeypatch.setattr(studio.workshop, "weights", lambda *_: recipe.weights if there is None else there)
    assert tab.photo_changed(str(result), None, "")[tab.restored]
    assert capsys.readouterr().out.count(OTHER_WEIGHTS) == told


def test_a_result_made_with_regions_says_that_they_must_be_painted_again(tab, studio, painting_job, capsys):
    mask = np.zeros((48, 72, 3), np.uint8)
    mask[:, :30] = 255
    inputs = {**painting_job.inputs, "masks_1": mask}
    result = finished(studio.runs.start(dataclasses.replace(painting_job, inputs=inputs))).result
    assert tab.photo_changed(str(result), None, "")[tab.restored]
    assert "but not regions" in capsys.readouterr().out


def good_recipe(**changes: Any) -> dict[str, Any]:
    recipe = Recipe(
        engine="style_transfer",
        config=dataclasses.asdict(QUICK_PAINTING),
        backbone="studio_vgg",
        weights="",
        inputs={"content_image": "0" * 64, "style_images_1": "1" * 64},
    )
    return json.loads(recipe.to_json()) | changes


def test_a_recipe_of_more_weights_than_there_may_be_paintings_does_no_harm(tab, tmp_path):
    recipe = good_recipe(config=good_recipe()["config"] | {"blend": [0.5] * 1000})
    answer = tab.photo_changed(png_with_text(tmp_path / "many.png", json.dumps(recipe)), None, "")
    assert [answer[slider]["value"] for slider in tab.style_picker.blend] == [0.5] * MAX_STYLES


# Regions


def painted(image: np.ndarray, *places: slice) -> dict[str, Any]:
    """Return the browser's value when columns of a photo are painted, one range for each painting."""
    canvas = np.zeros((*image.shape[:2], 4), np.uint8)
    for place, color in zip(places, COLORS, strict=False):
        canvas[:, place] = (*bytes.fromhex(color[1:]), 255)
    return blank(image, len(places)) | {"painted": "data:image/png;base64," + base64.b64encode(as_png(canvas)).decode()}


def test_the_painter_offers_as_many_colours_as_there_are_paintings_and_keeps_what_is_painted(sample_image, styles):
    value = painted(sample_image, slice(0, 30))
    assert regions_for(styles, value) == [{**value, "count": 2}]
    assert regions_for(styles[:1], value) == [gr.skip()]
    assert regions_for(None, value) == [gr.skip()]
    assert regions_for(styles * 20, value)[0]["count"] == MAX_STYLES
    for nothing in (None, "", []):
        assert regions_for(styles, nothing) == [{"count": 2}]


def test_painted_regions_arrive_as_masks_of_their_paintings(tab, photo, sample_image, styles, studio):
    regions = painted(sample_image, slice(0, 30), slice(50, 72))
    updates = start(tab, photo, styles, controls(tab, QUICK_PAINTING), regions=regions)
    recipe = read_recipe(result_of(tab, updates))
    assert set(recipe.inputs) == {"content_image", "style_images_1", "style_images_2", "masks_1", "masks_2"}
    left, right = (read_image(studio.gallery.find_input(recipe.inputs[f"masks_{i}"])) for i in (1, 2))
    assert (left[:, :30] == 255).all()
    assert not left[:, 30:].any()
    assert (right[:, 50:] == 255).all()
    assert not right[:, :50].any()


def test_a_painting_without_a_region_has_no_mask(tab, photo, sample_image, styles):
    regions = painted(sample_image, slice(0, 0), slice(50, 72))
    updates = start(tab, photo, styles, controls(tab, QUICK_PAINTING), regions=regions)
    assert {name for name in read_recipe(result_of(tab, updates)).inputs if name.startswith("masks")} == {"masks_2"}


def test_a_region_of_a_single_pixel_makes_a_painting_too(tab, photo, sample_image, styles):
    regions = painted(sample_image, slice(0, 0), slice(71, 72))
    updates = start(tab, photo, styles, controls(tab, QUICK_PAINTING), regions=regions)
    assert np.asarray(Image.open(result_of(tab, updates))).std() > 10


def test_regions_that_did_not_arrive_start_nothing(tab, photo, studio, styles):
    regions = {"count": 2, "painted": "data:image/png;base64,AAAA"}
    _, sentence = warned(lambda: start(tab, photo, styles, controls(tab, QUICK_PAINTING), regions=regions))
    assert "did not upload completely" in sentence
    assert studio.runs._by_id == {}
