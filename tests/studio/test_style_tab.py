"""The style transfer tab: what its events do, called directly on a studio in a temporary folder."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import gradio as gr
import numpy as np
import pytest
from PIL import Image

from engines.jobs import Job, job_from_recipe
from engines.parts.pictures import digest, read_picture
from engines.parts.weights import WeightsStore
from engines.recipes import Recipe, read_recipe, write_png
from engines.style_transfer import BOOK, LAYERS, MOST_STYLES, StyleConfig, presets, stylize
from studio import moments as moments_module
from studio.examples import painting_paths
from studio.moments import RATE, SECONDS_HELD
from studio.paintings import PAINTINGS
from studio.regions import COLORS, blank
from studio.runs import Run
from studio.studio import Studio
from studio.tabs.style_transfer import DEFAULT_BACKBONE, TIMES, StyleTab, named_time, regions_for
from tests.engines.helpers import as_png, files_in
from tests.studio.conftest import QUICK_PAINTING
from tests.studio.helpers import (
    decoded,
    eventually,
    finished,
    huge_png,
    names_of,
    png_with_text,
    through_the_page,
    value_in,
    values_through_the_page,
    warned,
    watched,
)

EVERY_PRESET = [(backbone, name) for backbone in LAYERS for name in presets(backbone)]
LONG = dataclasses.replace(QUICK_PAINTING, steps=20_000)
# The layer is another network's.
MISFIT = dataclasses.replace(LONG, content_layer="mixed4")


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory, studio_vgg, drawn) -> Iterator[StyleTab]:
    """The tab in a page of its own: laying it out for every test would take longer than the tests."""
    studio = Studio(outputs=tmp_path_factory.mktemp("style tab") / "outputs")
    studio.workshop.keep("deep_dream", "studio_vgg", studio_vgg)
    shutil.copytree(drawn, studio.gallery.folder / "examples", copy_function=os.link)
    tab = StyleTab(studio)
    with gr.Blocks():
        tab.build()
    yield tab
    studio.runs.close()


@pytest.fixture
def studio(laid_out) -> Iterator[Studio]:
    """The tab's studio; what a test leaves in it is gone before the next."""
    studio = laid_out.studio
    yield studio
    for run in list(studio.runs._by_id.values()):
        run.stop()
        finished(run)
        run.forget()
    studio.runs._by_id.clear()
    for path in studio.gallery.inputs.iterdir():
        path.unlink()


@pytest.fixture
def tab(laid_out, studio) -> StyleTab:
    """The tab."""
    return laid_out


@pytest.fixture
def every_moment(monkeypatch) -> None:
    """Runs of which every picture is kept, however soon it comes after the one before."""
    monkeypatch.setattr(moments_module, "SECONDS_APART", 0.0)


@pytest.fixture
def styles(tmp_path, painting) -> list[tuple[str, None]]:
    """Two small paintings as a handler gets them from the gallery."""
    paths = [tmp_path / "stripes.png", tmp_path / "bars.png"]
    for path, image in zip(paths, (painting, painting.transpose(1, 0, 2)[:, ::-1]), strict=True):
        Image.fromarray(image).save(path)
    return [(str(path), None) for path in paths]


def controls(tab: StyleTab, config: StyleConfig, blend: Sequence[float] = ()) -> list[Any]:
    """What the controls and the paintings' weights say for a config."""
    return [*tab.settings.values(config), *blend, *[1] * (MOST_STYLES - len(blend))]


def start(
    tab: StyleTab,
    photo: str | None,
    gallery: Any,
    values: Sequence[Any],
    *,
    regions: Any = None,
    start_image: str | None = None,
    restored: str | None = None,
) -> list[dict[Any, Any]]:
    """Everything that the page is sent when a painting is started and watched to its end."""
    return watched(tab.start(photo, gallery, regions, start_image, "studio_vgg", restored, *values))


def result_of(tab: StyleTab, updates: list[dict[Any, Any]]) -> Path:
    """The file that is offered at the end."""
    return Path(updates[-1][tab.stage.save]["value"])


def of_the_page(tab: StyleTab, answer: dict[Any, Any], paintings: int) -> StyleConfig:
    """The config that the controls say after they were restored."""
    sliders = tab.palette.blend[:paintings]
    blend = values_through_the_page(sliders, [answer[slider] for slider in sliders])
    values = values_through_the_page(tab.settings.components, [answer[control] for control in tab.settings.components])
    return tab._config([*values, *blend], paintings)


def moment(step: int) -> gr.EventData:
    """A click on a moment of the strip; 0 goes back to the newest."""
    return gr.EventData(None, {"step": step})


# Controls and configs


@pytest.mark.parametrize(("backbone", "name"), EVERY_PRESET)
def test_every_preset_goes_into_the_controls_and_comes_out_equal(tab, backbone, name):
    config = presets(backbone)[name]
    assert tab.settings.config(tab.settings.values(config)) == config


@pytest.mark.parametrize(("backbone", "name"), EVERY_PRESET)
def test_every_preset_that_is_chosen_is_within_what_the_controls_accept(tab, backbone, name):
    config = presets(backbone)[name]
    updates = tab.preset_chosen(name, backbone, "", None, *controls(tab, config))
    assert through_the_page(tab.settings, updates) == config


def test_the_page_begins_with_the_first_preset(tab):
    name, first = next(iter(presets(DEFAULT_BACKBONE).items()))
    assert through_the_page(tab.settings, [control.value for control in tab.settings.components]) == first
    assert tab.preset.value == name
    assert tab.backbone.value == DEFAULT_BACKBONE


def test_every_setting_but_the_blend_has_its_control_and_the_defaults_are_the_fields_own(tab):
    assert {*tab.settings.controls, "blend"} == {field.name for field in dataclasses.fields(StyleConfig)}
    assert "blend" not in tab.settings.controls
    assert tab._config(controls(tab, StyleConfig()), 2) == StyleConfig()


def test_every_choice_of_a_setting_can_be_made_on_the_page(tab):
    for field in dataclasses.fields(StyleConfig):
        if field.metadata["choices"]:
            offered = [value for _, value in tab.settings.controls[field.name].choices]
            assert sorted(offered) == sorted(field.metadata["choices"])


def test_numbers_come_as_floats_from_a_browser_and_empty_controls_mean_the_default(tab):
    as_floats = [float(value) if isinstance(value, int) else value for value in tab.settings.values(QUICK_PAINTING)]
    config = tab.settings.config(as_floats)
    assert config == QUICK_PAINTING
    assert all(isinstance(getattr(config, name), int) for name in ("size", "scales", "steps", "tile_size", "seed"))
    assert tab.settings.config([None for _ in tab.settings.controls]) == StyleConfig()


@pytest.mark.parametrize(
    ("seconds", "name"),
    [(0, "By steps"), (1, "Quick · 15 s"), (15, "Quick · 15 s"), (50, "Good · 1 min"), (7200, "Fine · 5 min")],
)
def test_a_time_is_shown_as_the_choice_nearest_to_it(seconds, name):
    assert named_time(seconds) == name


def test_every_choice_of_time_names_itself():
    assert [named_time(seconds) for seconds in TIMES.values()] == list(TIMES)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"balance": 0.99}, "Balance must be between 0.0 and 0.95"),
        ({"size": 2.5}, "Size must be a whole number"),
        ({"scales": 99}, "Scales must be between 1 and 8"),
        ({"steps": 0}, "Steps must be between 1 and"),
        ({"style_scale": 0.1}, "Style scale must be between 0.25 and 4"),
        ({"style_weight": float("nan")}, "Style weight must be a finite number"),
        ({"content_weight": -1}, "Content weight must be between"),
        ({"learning_rate": float("inf")}, "Learning rate must be a finite number"),
        ({"style_layers": "block1_conv1=much"}, "must be a number"),
        ({"style_layers": "block1_conv1=-1"}, "Style layers must be between"),
        ({"style_layers": "block1_conv1=0, block2_conv1=0"}, "All style layers have weight zero"),
        ({"style_weight": 0, "content_weight": 0, "total_variation_weight": 0}, "All weights are zero"),
        ({"color": "grey"}, "Color must be one of"),
        ({"optimizer": "newton"}, "Optimizer must be one of"),
        ({"seed": -1}, "Seed must be between"),
        ({"tile_size": "all"}, "Tile size must be a whole number"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_value_that_cannot_be_is_refused_with_a_sentence(tab, photo, studio, styles, changes, told):
    values = tab.settings.named(tab.settings.values(QUICK_PAINTING)) | changes
    taken, sentence = warned(lambda: start(tab, photo, styles, [*values.values(), *[1] * MOST_STYLES]))
    assert told in sentence
    assert taken == [{tab.stage.go: gr.skip()}]
    assert studio.runs._by_id == {}


# A photo is dropped


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("notes.png", b"These are not pixels.", "not a picture"),
        ("empty.png", b"", "not a picture"),
        ("cut.png", as_png(np.zeros((40, 40, 3), np.uint8))[:60], "damaged"),
        ("tiny.png", as_png(np.zeros((8, 40, 3), np.uint8)), "at least 16 x 16"),
        ("huge.png", huge_png(30_000), "million pixels"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_file_is_refused_with_one_sentence_and_the_photo_cleared(tab, tmp_path, name, content, told):
    path = tmp_path / name
    path.write_bytes(content)
    answer, sentence = warned(tab.photo_changed, str(path), None, "")
    assert told in sentence
    assert answer == {tab.photo: None, tab.restored: None}


def test_a_picture_of_more_pixels_than_this_server_takes_is_refused(tab, studio, photo, monkeypatch):
    monkeypatch.setattr(studio, "max_pixels", 1000)
    answer, sentence = warned(tab.photo_changed, photo, None, "")
    assert "million pixels" in sentence
    assert answer[tab.photo] is None


def test_a_photo_is_shown_on_the_canvas_and_can_be_painted_on_for_every_painting(tab, photo, picture, styles):
    answer = tab.photo_changed(photo, styles, "")
    assert set(answer) == {tab.stage.canvas, tab.regions}
    assert answer[tab.stage.canvas]["state"] == "ready"
    assert abs(decoded(answer[tab.stage.canvas]["original"]).astype(int) - picture).mean() < 12
    assert answer[tab.regions] == blank(picture, 2)
    assert tab.photo_changed(photo, None, "")[tab.regions]["count"] == 1


def test_a_photo_dropped_while_a_run_goes_does_not_cover_it(tab, studio, photo, styles, painting_job):
    run = studio.runs.start(dataclasses.replace(painting_job, config=LONG))
    assert set(tab.photo_changed(photo, styles, run.id)) == {tab.regions}
    run.stop()
    finished(run)
    assert set(tab.photo_changed(photo, styles, run.id)) == {tab.regions, tab.stage.canvas}


def test_a_cleared_photo_forgets_the_recipe(tab):
    assert tab.photo_changed(None, None, "") == {tab.restored: None}


def test_a_good_picture_to_go_on_from_stays_and_a_bad_one_is_refused(tab, photo, tmp_path):
    assert tab.start_changed(photo) == gr.skip()
    assert tab.start_changed(None) == gr.skip()
    bad = tmp_path / "bad.png"
    bad.write_text("no pixels")
    answer, sentence = warned(tab.start_changed, str(bad))
    assert answer is None
    assert "not a picture" in sentence


# A result of ours is dropped


def test_a_result_brings_back_every_control_its_pictures_and_its_weights(
    tab, studio, picture, painting, painting_job, capsys
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
        "content_image": picture,
        "style_images_1": painting,
        "style_images_2": painting[::-1],
        "start_image": picture[:, ::-1],
    }
    run = finished(studio.runs.start(dataclasses.replace(painting_job, config=config, inputs=inputs)))
    assert run.error == ""
    answer = tab.photo_changed(str(run.result), None, "")
    assert of_the_page(tab, answer, 2) == config
    assert answer[tab.backbone] == "studio_vgg"
    assert names_of(answer[tab.preset]) == list(presets("studio_vgg"))
    assert answer[tab.preset]["value"] is None
    assert json.loads(answer[tab.restored]) == json.loads(read_recipe(run.result).to_json())
    np.testing.assert_array_equal(read_picture(answer[tab.photo]), picture)
    np.testing.assert_array_equal(read_picture(answer[tab.start_image]), picture[:, ::-1])
    gallery = [read_picture(path) for path in answer[tab.palette.gallery]]
    np.testing.assert_array_equal(gallery, [painting, painting[::-1]])
    assert "with the photo and the paintings" in capsys.readouterr().out


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


def test_a_result_whose_pictures_are_gone_brings_back_its_settings_and_says_so(tab, studio, painting_job, capsys):
    result = finished(studio.runs.start(painting_job)).result
    for path in studio.gallery.inputs.iterdir():
        path.unlink()
    answer = tab.photo_changed(str(result), None, "")
    assert tab.photo not in answer
    assert answer[tab.palette.gallery] == []
    assert answer[tab.start_image] is None
    assert through_the_page(tab.settings, [answer[control] for control in tab.settings.components]) == QUICK_PAINTING
    assert "Not every picture" in capsys.readouterr().out


def test_a_result_made_with_regions_says_that_they_must_be_painted_again(tab, studio, painting_job, capsys):
    mask = np.zeros((48, 72, 3), np.uint8)
    mask[:, :30] = 255
    inputs = {**painting_job.inputs, "masks_1": mask}
    result = finished(studio.runs.start(dataclasses.replace(painting_job, inputs=inputs))).result
    assert tab.photo_changed(str(result), None, "")[tab.restored]
    assert "Regions are not" in capsys.readouterr().out


def good_recipe(**changes: Any) -> dict[str, Any]:
    recipe = Recipe(
        engine="style_transfer",
        config=dataclasses.asdict(QUICK_PAINTING),
        backbone="studio_vgg",
        weights="",
        inputs={"content_image": "0" * 64, "style_images_1": "1" * 64},
    )
    return json.loads(recipe.to_json()) | changes


@pytest.mark.parametrize(
    "recipe",
    [
        "{",
        "[" * 100_000,
        "null",
        good_recipe(reverie=99),
        good_recipe(surprise=1),
        good_recipe(engine="deep_dream"),
        good_recipe(engine="neural_style"),
        good_recipe(backbone="inception_v3"),
        good_recipe(backbone="../../etc/passwd"),
        good_recipe(config={"size": "huge"}),
        good_recipe(config={"style_weight": float("inf")}),
        good_recipe(config={"blend": "much"}),
        good_recipe(config={"blend": [[1]]}),
        good_recipe(config={"blend": [-1]}),
        good_recipe(config={"blend": [0, 0]}),
        good_recipe(config={"blend": [float("nan")]}),
        good_recipe(config={"blend": [10**400]}),
        good_recipe(config={"style_layers": {"block1_conv1": 0}}),
        good_recipe(config={"style_layers": ["block1_conv1"]}),
        good_recipe(config={"content_layer": 1}),
        good_recipe(config={"__class__": 1}),
        good_recipe(inputs={"style_images_1": 5}),
        good_recipe(steering=[[1, {"blend": "much"}]]),
        good_recipe(stopped_at=True),
    ],
    ids=lambda recipe: str(recipe)[:12] if isinstance(recipe, str) else None,
)
def test_a_hostile_recipe_is_refused_with_one_sentence_and_the_picture_is_still_a_photo(tab, tmp_path, recipe):
    text = recipe if isinstance(recipe, str) else json.dumps(recipe)
    path = png_with_text(tmp_path / "hostile.png", text)
    answer, sentence = warned(tab.photo_changed, path, None, "")
    assert len(sentence) < 200
    assert set(answer) == {tab.stage.canvas, tab.regions, tab.restored}
    assert answer[tab.restored] is None
    assert answer[tab.stage.canvas]["state"] == "ready"


def test_the_recipe_that_the_hostile_ones_differ_from_is_good(tab, tmp_path):
    answer = tab.photo_changed(png_with_text(tmp_path / "good.png", json.dumps(good_recipe())), None, "")
    assert answer[tab.restored]


def test_a_recipe_of_more_weights_than_there_may_be_paintings_does_no_harm(tab, tmp_path):
    recipe = good_recipe(config=good_recipe()["config"] | {"blend": [0.5] * 1000})
    answer = tab.photo_changed(png_with_text(tmp_path / "many.png", json.dumps(recipe)), None, "")
    assert [answer[slider]["value"] for slider in tab.palette.blend] == [0.5] * MOST_STYLES


def test_an_input_hash_in_a_recipe_cannot_name_another_file(tab, studio, tmp_path, picture):
    Image.fromarray(picture).save(studio.gallery.folder / "private.png")
    for hash_ in ("../private", "..\\private", "/etc/passwd"):
        inputs = dict.fromkeys(("content_image", "style_images_1", "start_image"), hash_)
        path = png_with_text(tmp_path / "path.png", json.dumps(good_recipe(inputs=inputs)))
        answer = tab.photo_changed(path, None, "")
        assert tab.photo not in answer
        assert answer[tab.palette.gallery] == []
        assert answer[tab.start_image] is None


def test_a_dream_keeps_its_settings_to_itself(tab, tmp_path, picture):
    recipe = Recipe(engine="deep_dream", config={}, backbone="studio_vgg", weights="", inputs={})
    write_png(tmp_path / "dream.png", picture, recipe)
    answer, sentence = warned(tab.photo_changed, str(tmp_path / "dream.png"), None, "")
    assert "another tab" in sentence
    assert answer[tab.restored] is None


# Presets and networks


def test_a_preset_keeps_the_visitors_size_time_and_seed_except_for_the_books(tab):
    own = {"size": 320, "seed": 7, "seconds": 60.0, "scales": 2, "steps": 9}
    mine = StyleConfig(**own, balance=0.9, color="matched")
    for name, preset in presets("vgg19").items():
        kept = {"seed": 7} if preset is BOOK else own
        answer = tab.preset_chosen(name, "vgg19", "", None, *controls(tab, mine))
        assert through_the_page(tab.settings, answer) == dataclasses.replace(preset, **kept)


def test_a_preset_that_the_network_does_not_have_changes_nothing(tab):
    for name in ("As in the book", "No such preset", None):
        answer = tab.preset_chosen(name, "studio_vgg", "", None, *controls(tab, StyleConfig()))
        assert answer == [gr.skip()] * len(tab.settings.components)


def test_a_preset_steers_the_run_that_is_going(tab, studio, styles, painting_job):
    run = studio.runs.start(dataclasses.replace(painting_job, config=LONG))
    eventually(lambda: run.frame, "the first frame")
    tab.preset_chosen("Faithful", "studio_vgg", run.id, styles[:1], *controls(tab, LONG))
    ((_, settings),) = steering_of(run)
    assert settings["balance"] == presets("studio_vgg")["Faithful"].balance
    assert settings["style_layers"] == LAYERS["studio_vgg"][0]


@pytest.mark.parametrize("backbone", list(LAYERS))
def test_a_network_comes_with_its_own_presets(tab, backbone):
    update = tab.backbone_chosen(backbone)
    assert names_of(update) == list(presets(backbone))
    assert update["value"] is None


def test_only_networks_that_can_paint_are_offered(tab):
    assert [name for _, name in tab.backbone.choices] == list(LAYERS)


# Regions


def painted(picture: np.ndarray, *places: slice) -> dict[str, Any]:
    """What the browser sends when columns of a photo are painted, those of each place for the next painting."""
    canvas = np.zeros((*picture.shape[:2], 4), np.uint8)
    for place, color in zip(places, COLORS, strict=False):
        canvas[:, place] = (*bytes.fromhex(color[1:]), 255)
    return blank(picture, len(places)) | {
        "painted": "data:image/png;base64," + base64.b64encode(as_png(canvas)).decode()
    }


def test_the_painter_offers_as_many_colours_as_there_are_paintings_and_keeps_what_is_painted(picture, styles):
    value = painted(picture, slice(0, 30))
    assert regions_for(styles, value) == [{**value, "count": 2}]
    assert regions_for(styles[:1], value) == [gr.skip()]
    assert regions_for(None, value) == [gr.skip()]
    assert regions_for(styles * 20, value)[0]["count"] == MOST_STYLES
    for nothing in (None, "", []):
        assert regions_for(styles, nothing) == [{"count": 2}]


def test_painted_regions_arrive_as_masks_of_their_paintings(tab, photo, picture, styles, studio):
    regions = painted(picture, slice(0, 30), slice(50, 72))
    updates = start(tab, photo, styles, controls(tab, QUICK_PAINTING), regions=regions)
    recipe = read_recipe(result_of(tab, updates))
    assert set(recipe.inputs) == {"content_image", "style_images_1", "style_images_2", "masks_1", "masks_2"}
    left, right = (read_picture(studio.gallery.find_input(recipe.inputs[f"masks_{i}"])) for i in (1, 2))
    assert (left[:, :30] == 255).all()
    assert not left[:, 30:].any()
    assert (right[:, 50:] == 255).all()
    assert not right[:, :50].any()


def test_a_painting_without_a_region_has_no_mask(tab, photo, picture, styles):
    regions = painted(picture, slice(0, 0), slice(50, 72))
    updates = start(tab, photo, styles, controls(tab, QUICK_PAINTING), regions=regions)
    assert {name for name in read_recipe(result_of(tab, updates)).inputs if name.startswith("masks")} == {"masks_2"}


def test_a_region_of_a_single_pixel_makes_a_painting_too(tab, photo, picture, styles):
    regions = painted(picture, slice(0, 0), slice(71, 72))
    updates = start(tab, photo, styles, controls(tab, QUICK_PAINTING), regions=regions)
    assert np.asarray(Image.open(result_of(tab, updates))).std() > 10


def test_regions_that_did_not_arrive_start_nothing(tab, photo, studio, styles):
    regions = {"count": 2, "painted": "data:image/png;base64,AAAA"}
    _, sentence = warned(lambda: start(tab, photo, styles, controls(tab, QUICK_PAINTING), regions=regions))
    assert "did not arrive whole" in sentence
    assert studio.runs._by_id == {}


# Starting


def test_a_painting_is_started_watched_and_its_file_is_offered(tab, photo, studio, styles, picture, painting):
    first, *middle, last = start(tab, photo, styles[:1], controls(tab, QUICK_PAINTING))
    assert first[tab.stage.run_id] == first[tab.stage.remembered]
    run = studio.runs.get(first[tab.stage.run_id])
    assert not first[tab.stage.go]["interactive"]
    assert first[tab.stage.halt]["interactive"]
    assert all(set(update) == {tab.stage.canvas} for update in middle)
    assert middle[-1][tab.stage.canvas]["state"] == "done"
    assert last[tab.stage.go]["interactive"]
    assert not last[tab.stage.halt]["interactive"]
    assert last[tab.stage.save] == gr.update(value=str(run.result), interactive=True, label="Save")
    assert last[tab.stage.again]["interactive"]
    recipe = read_recipe(run.result)
    assert recipe.inputs == {"content_image": digest(picture), "style_images_1": digest(painting)}
    assert recipe.stopped_at is None
    assert not np.array_equal(read_picture(run.result), picture)


def test_a_painting_repeats_to_the_same_pixels_from_its_own_file(tab, photo, styles):
    result = result_of(tab, start(tab, photo, styles, controls(tab, QUICK_PAINTING, blend=(0.25, 1.0))))
    answer = tab.photo_changed(str(result), None, "")
    values = [value_in(answer[control]) for control in tab.settings.components]
    values += [value_in(answer.get(slider, 1)) for slider in tab.palette.blend]
    gallery = [(path, None) for path in answer[tab.palette.gallery]]
    again = result_of(tab, start(tab, answer[tab.photo], gallery, values, restored=answer[tab.restored]))
    assert again != result
    np.testing.assert_array_equal(read_picture(again), read_picture(result))
    assert read_recipe(again) == read_recipe(result)
    assert read_recipe(result).config["blend"] == [0.25, 1.0]


def test_without_a_photo_nothing_starts(tab, studio, styles):
    taken, sentence = warned(lambda: start(tab, None, styles, controls(tab, QUICK_PAINTING)))
    assert sentence.startswith("Choose a photo first")
    assert taken == [{tab.stage.go: gr.skip()}]
    assert studio.runs._by_id == {}


@pytest.mark.parametrize("gallery", [None, []])
def test_without_a_painting_nothing_starts(tab, studio, photo, gallery):
    taken, sentence = warned(lambda: start(tab, photo, gallery, controls(tab, QUICK_PAINTING)))
    assert sentence.startswith("Choose a painting first")
    assert taken == [{tab.stage.go: gr.skip()}]
    assert studio.runs._by_id == {}


def test_more_paintings_than_a_run_takes_start_nothing(tab, studio, photo, styles):
    _, sentence = warned(lambda: start(tab, photo, styles * 5, controls(tab, QUICK_PAINTING)))
    assert sentence == f"These are 10 paintings; use at most {MOST_STYLES}."
    assert studio.runs._by_id == {}


def test_a_painting_of_a_few_pixels_starts_nothing(tab, studio, photo, styles, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "tiny.png")
    gallery = [*styles, (str(tmp_path / "tiny.png"), None)]
    _, sentence = warned(lambda: start(tab, photo, gallery, controls(tab, QUICK_PAINTING)))
    assert "8 x 8 pixels" in sentence
    assert studio.runs._by_id == {}


def test_paintings_that_all_count_nothing_start_nothing(tab, studio, photo, styles):
    _, sentence = warned(lambda: start(tab, photo, styles, controls(tab, QUICK_PAINTING, blend=(0, 0))))
    assert "All paintings have weight zero" in sentence
    assert studio.runs._by_id == {}


def test_a_network_whose_weights_are_missing_starts_nothing(tab, studio, photo, styles, tmp_path, monkeypatch):
    monkeypatch.setattr(studio.workshop, "store", WeightsStore(cache=tmp_path, bundled=tmp_path))
    values = controls(tab, QUICK_PAINTING)
    _, sentence = warned(lambda: watched(tab.start(photo, styles, None, None, "vgg16", None, *values)))
    assert "weights are not here yet" in sentence
    assert studio.runs._by_id == {}


def test_a_full_line_refuses_with_a_sentence(tab, studio, photo, styles, painting_job, monkeypatch):
    monkeypatch.setattr(studio.runs.render, "_most_waiting", 0)
    studio.runs.start(dataclasses.replace(painting_job, config=LONG))
    _, sentence = warned(lambda: start(tab, photo, styles, controls(tab, QUICK_PAINTING)))
    assert "full; try again" in sentence


def fails(tab: StyleTab, photo: str, gallery: Any, config: StyleConfig) -> str:
    """The one sentence that a run fails with, after which the page offers to begin again and no file."""
    updates, sentence = warned(lambda: start(tab, photo, gallery, controls(tab, config)))
    assert updates[-2][tab.stage.canvas]["state"] == "failed"
    assert updates[-2][tab.stage.canvas]["error"] == sentence
    assert updates[-1][tab.stage.go]["interactive"]
    assert not updates[-1][tab.stage.save]["interactive"]
    assert not updates[-1][tab.stage.again]["interactive"]
    return sentence


@pytest.mark.parametrize(
    "changes", [{"content_layer": "mixed4"}, {"style_layers": {"mixed4": 1.0}}, {"style_layers": {"": 1.0}}]
)
def test_a_layer_that_the_network_does_not_have_fails_with_one_sentence(tab, photo, styles, changes):
    sentence = fails(tab, photo, styles, dataclasses.replace(QUICK_PAINTING, **changes))
    assert sentence.startswith("Studio VGG has no layer")


def test_a_photo_of_an_extreme_shape_fails_with_one_sentence(tab, styles, tmp_path):
    Image.new("RGB", (640, 16)).save(tmp_path / "line.png")
    assert "64 x 2 pixels" in fails(tab, str(tmp_path / "line.png"), styles, QUICK_PAINTING)


def test_a_painting_of_an_extreme_shape_fails_with_one_sentence(tab, photo, tmp_path):
    Image.new("RGB", (16, 640)).save(tmp_path / "line.png")
    assert "too narrow" in fails(tab, photo, [(str(tmp_path / "line.png"), None)], QUICK_PAINTING)


# Steering


def steering_of(run: Run) -> list[Any]:
    """What changed while a run went, after a few more of its steps."""
    at = run.frame.step
    eventually(lambda: run.over or run.frame.step >= at + 3, "three more steps")
    run.stop()
    return list(read_recipe(finished(run).result).steering)


def test_steering_changes_the_config_of_this_pages_run_and_the_recipe_says_so(tab, studio, styles, painting_job):
    run = studio.runs.start(dataclasses.replace(painting_job, config=LONG))
    eventually(lambda: run.frame, "the first frame")
    tab.steer(run.id, "studio_vgg", styles[:1], *controls(tab, dataclasses.replace(LONG, balance=0.6)))
    ((step, settings),) = steering_of(run)
    assert step >= 1
    assert settings == json.loads(json.dumps(dataclasses.asdict(dataclasses.replace(LONG, balance=0.6))))


def test_weights_of_the_paintings_are_steered_too(tab, studio, styles, painting, painting_job):
    inputs = {**painting_job.inputs, "style_images_2": painting[::-1]}
    run = studio.runs.start(dataclasses.replace(painting_job, config=LONG, inputs=inputs))
    eventually(lambda: run.frame, "the first frame")
    tab.steer(run.id, "studio_vgg", styles, *controls(tab, LONG, blend=(0.2, 1)))
    ((_, settings),) = steering_of(run)
    assert settings["blend"] == [0.2, 1.0]


def test_weights_for_other_paintings_than_the_runs_leave_its_own_as_they_are(tab, studio, styles, painting_job):
    run = studio.runs.start(dataclasses.replace(painting_job, config=LONG))
    eventually(lambda: run.frame, "the first frame")
    changed = dataclasses.replace(LONG, balance=0.6)
    tab.steer(run.id, "studio_vgg", styles, *controls(tab, changed, blend=(0.2, 1)))
    ((_, settings),) = steering_of(run)
    assert (settings["blend"], settings["balance"]) == ([], 0.6)
    assert run.error == ""


def test_steering_needs_the_runs_id_its_network_and_a_config_that_can_be(tab, studio, styles, painting_job):
    run = studio.runs.start(dataclasses.replace(painting_job, config=LONG))
    eventually(lambda: run.frame, "the first frame")
    changed = controls(tab, dataclasses.replace(LONG, balance=0.6))
    tab.steer("no such run", "studio_vgg", styles[:1], *changed)
    tab.steer(run.id, "vgg16", styles[:1], *changed)
    _, sentence = warned(tab.steer, run.id, "studio_vgg", styles[:1], *controls(tab, MISFIT))
    assert "no layer 'mixed4'" in sentence
    impossible = tab.settings.named(tab.settings.values(LONG)) | {"balance": 5}
    _, sentence = warned(tab.steer, run.id, "studio_vgg", styles[:1], *impossible.values())
    assert "Balance must be between" in sentence
    assert steering_of(run) == []
    tab.steer(run.id, "studio_vgg", styles[:1], *changed)


def test_a_steered_and_stopped_painting_repeats_to_the_same_pixels(tab, studio, styles, painting_job):
    run = studio.runs.start(dataclasses.replace(painting_job, config=LONG))
    eventually(lambda: run.frame and run.frame.step >= 2, "two steps")
    tab.steer(run.id, "studio_vgg", styles[:1], *controls(tab, dataclasses.replace(LONG, balance=0.6)))
    assert len(steering_of(run)) == 1
    again = finished(studio.runs.start(job_from_recipe(read_recipe(run.result), painting_job.inputs)))
    assert again.state == "done"
    np.testing.assert_array_equal(read_picture(again.result), read_picture(run.result))
    assert read_recipe(again.result) == read_recipe(run.result)


# Moments


@pytest.fixture
def painted_run(studio, painting_job, every_moment) -> Run:
    """A run of five steps that is over, with every moment kept."""
    config = dataclasses.replace(QUICK_PAINTING, steps=5)
    run = finished(studio.runs.start(dataclasses.replace(painting_job, config=config)))
    assert run.moments.steps == [1, 2, 3, 4, 5]
    return run


def test_a_moment_that_is_looked_back_at_can_be_saved_with_the_recipe_of_its_step(tab, painted_run):
    step, save, again = tab.stage.picked(painted_run.id, moment(3))
    assert step == 3
    assert (save["interactive"], save["label"]) == (True, "Save step 3")
    assert again["interactive"]
    recipe = read_recipe(Path(save["value"]))
    assert recipe.stopped_at == 3
    assert recipe == dataclasses.replace(read_recipe(painted_run.result), stopped_at=3)


def test_a_saved_moment_repeats_to_the_pixels_of_its_step(
    tab, painted_run, painting_job, picture, painting, studio_vgg
):
    _, save, _ = tab.stage.picked(painted_run.id, moment(3))
    config = dataclasses.replace(QUICK_PAINTING, steps=5)
    engines_own = [frame.image for frame in stylize(picture, [painting], config, studio_vgg)]
    answer = tab.photo_changed(save["value"], None, "")
    values = [value_in(answer[control]) for control in tab.settings.components]
    gallery = [(path, None) for path in answer[tab.palette.gallery]]
    updates = start(tab, answer[tab.photo], gallery, [*values, *[1] * MOST_STYLES], restored=answer[tab.restored])
    again = result_of(tab, updates)
    np.testing.assert_array_equal(read_picture(again), engines_own[2])
    assert read_recipe(again) == read_recipe(Path(save["value"]))
    assert np.abs(read_picture(save["value"]).astype(int) - engines_own[2]).mean() < 6


def test_moments_before_and_after_steering_repeat_to_the_pixels_of_their_steps(
    tab, studio, styles, painting_job, every_moment
):
    run = studio.runs.start(dataclasses.replace(painting_job, config=LONG))
    eventually(lambda: run.frame and run.frame.step >= 2, "two steps")
    tab.steer(run.id, "studio_vgg", styles[:1], *controls(tab, dataclasses.replace(LONG, balance=0.6)))
    at = run.frame.step
    # The step that is under way when it is steered still is as it was.
    eventually(lambda: run.moments.steps[-1] >= at + 3, "a moment after it was steered")
    run.stop()
    ((steered, _),) = read_recipe(finished(run).result).steering
    whole = studio.workshop.start(job_from_recipe(read_recipe(run.result), painting_job.inputs))
    images = {frame.step: frame.image for frame in whole}
    before = max(step for step in run.moments.steps if step <= steered)
    after = min(step for step in run.moments.steps if step > steered)
    for step, changes in ((before, 0), (after, 1)):
        _, save, _ = tab.stage.picked(run.id, moment(step))
        recipe = read_recipe(Path(save["value"]))
        assert (recipe.stopped_at, len(recipe.steering)) == (step, changes)
        *_, last = studio.workshop.start(job_from_recipe(recipe, painting_job.inputs))
        assert last.step == step
        np.testing.assert_array_equal(last.image, images[step])


def test_the_last_moment_of_a_whole_run_is_saved_as_a_whole_run(tab, painted_run):
    _, save, _ = tab.stage.picked(painted_run.id, moment(5))
    assert read_recipe(Path(save["value"])) == read_recipe(painted_run.result)


def test_going_back_to_the_newest_picture_saves_the_result_again(tab, painted_run):
    tab.stage.picked(painted_run.id, moment(3))
    step, save, again = tab.stage.picked(painted_run.id, moment(0))
    assert step == 0
    assert save == gr.update(value=str(painted_run.result), interactive=True, label="Save")
    assert again["interactive"]


def test_a_moment_can_be_saved_while_the_run_goes_on(tab, studio, painting_job, every_moment):
    run = studio.runs.start(dataclasses.replace(painting_job, config=LONG))
    eventually(lambda: run.frame and run.frame.step >= 2, "two steps")
    _, save, again = tab.stage.picked(run.id, moment(1))
    assert read_recipe(Path(save["value"])).stopped_at == 1
    assert again["interactive"]
    assert not run.over
    _, save, again = tab.stage.picked(run.id, moment(0))
    assert not save["interactive"]
    assert not again["interactive"]


@pytest.mark.parametrize("run_id", ["", None, "no such run"])
def test_without_a_run_there_is_no_moment_no_film_and_nothing_to_go_on_from(tab, run_id):
    assert tab.stage.picked(run_id, moment(1)) == (gr.skip(), gr.skip(), gr.skip())
    assert tab.stage.chosen_as_input(run_id, 1) == gr.skip()
    answer, sentence = warned(tab.stage.filmed, run_id, "mp4")
    assert answer == gr.skip()
    assert "start a run first" in sentence


def test_a_painting_goes_on_from_the_moment_that_was_chosen(tab, painted_run, studio, photo, styles):
    path = tab.stage.chosen_as_input(painted_run.id, 2)
    assert Path(path).parent == studio.gallery.inputs
    assert read_recipe(Path(path)) is None
    _, image = painted_run.moments.at(2)
    np.testing.assert_array_equal(read_picture(path), image)
    assert tab.start_changed(path) == gr.skip()
    updates = start(tab, photo, styles[:1], controls(tab, QUICK_PAINTING), start_image=path)
    recipe = read_recipe(result_of(tab, updates))
    assert set(recipe.inputs) == {"content_image", "style_images_1", "start_image"}
    assert recipe.inputs["start_image"] == digest(image)


def test_a_painting_goes_on_from_its_result_where_no_moment_is_chosen(tab, painted_run):
    path = tab.stage.chosen_as_input(painted_run.id, 0)
    np.testing.assert_array_equal(read_picture(path), read_picture(painted_run.result))
    assert read_recipe(Path(path)) is None


def test_a_run_that_still_goes_is_gone_on_from_where_it_is(tab, studio, painting_job):
    run = studio.runs.start(dataclasses.replace(painting_job, config=LONG))
    eventually(lambda: run.frame, "the first frame")
    assert read_picture(tab.stage.chosen_as_input(run.id, 0)).shape == run.frame.image.shape


# Films of a run


def test_an_mp4_of_a_run_shows_every_moment_and_holds_its_recipe(tab, painted_run):
    answer = tab.stage.filmed(painted_run.id, "mp4")
    assert answer == gr.update(value=answer["value"], interactive=True, label="Download MP4")
    path = Path(answer["value"])
    assert read_recipe(path) == read_recipe(painted_run.result)
    with av.open(str(path)) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(frames) == 5 + round(RATE * SECONDS_HELD)
    shown = read_picture(painted_run.result)[: frames[-1].shape[0], : frames[-1].shape[1]]
    assert np.abs(frames[-1].astype(int) - shown).mean() < 12


def test_a_gif_of_a_run_shows_every_moment_and_holds_its_recipe(tab, painted_run):
    answer = tab.stage.filmed(painted_run.id, "gif")
    assert answer["label"] == "Download GIF"
    with Image.open(answer["value"]) as film:
        assert film.n_frames == 5
        assert json.loads(film.info["comment"]) == json.loads(read_recipe(painted_run.result).to_json())


def test_a_film_of_a_run_that_goes_on_ends_where_it_is(tab, studio, painting_job, every_moment):
    run = studio.runs.start(dataclasses.replace(painting_job, config=LONG))
    eventually(lambda: run.frame and run.frame.step >= 2, "two steps")
    path = Path(tab.stage.filmed(run.id, "mp4")["value"])
    assert read_recipe(path).stopped_at >= 2
    assert not run.over


def test_a_run_that_waits_has_no_film_yet(tab, studio, painting_job):
    studio.runs.start(dataclasses.replace(painting_job, config=LONG))
    waiting = studio.runs.start(painting_job)
    answer, sentence = warned(tab.stage.filmed, waiting.id, "gif")
    assert answer == gr.skip()
    assert sentence.startswith("There is nothing to make a film of yet")


# Stopping and coming back


def test_a_stopped_painting_offers_what_there_is(tab, studio, painting_job):
    run = studio.runs.start(dataclasses.replace(painting_job, config=LONG))
    eventually(lambda: run.frame, "the first frame")
    tab.stage.stop("no such run")
    tab.stage.stop(run.id)
    assert finished(run).state == "stopped"
    first, *_, last = watched(tab.stage.resume(run.id))
    assert first[tab.stage.run_id] == run.id
    assert last[tab.stage.save]["value"] == str(run.result)
    assert read_recipe(run.result).stopped_at == run.frame.step


def test_a_job_is_asked_for_by_the_names_that_the_engine_has(tab, photo, styles):
    job = tab._job(photo, styles, None, photo, "studio_vgg", controls(tab, QUICK_PAINTING, blend=(0.5, 1)))
    assert isinstance(job, Job)
    assert set(job.inputs) == {"content_image", "style_images_1", "style_images_2", "start_image"}
    assert job.config == dataclasses.replace(QUICK_PAINTING, blend=(0.5, 1.0))
    assert next(iter(job.inputs)) == "content_image"


# Examples


def test_the_drawn_paintings_are_pictures_of_their_own_with_much_to_learn_from(drawn):
    paths = painting_paths(drawn / "paintings")
    assert len(paths) == len(PAINTINGS) >= 6
    assert files_in(drawn / "paintings") == sorted(path.name for path in paths)
    images = []
    for path in paths:
        with Image.open(path) as picture:
            assert picture.mode == "RGB"
            assert max(picture.size) >= 400
            images.append(np.asarray(picture))
        assert images[-1].std(axis=(0, 1)).min() > 15
    means = [image.mean(axis=(0, 1)) for image in images]
    distances = [np.abs(one - other).sum() for i, one in enumerate(means) for other in means[:i]]
    assert min(distances) > 10


@pytest.mark.parametrize("name", ["pointillism", "marbled paper"])
def test_a_painting_that_is_drawn_again_is_the_same(drawn, name):
    np.testing.assert_array_equal(np.asarray(PAINTINGS[name]()), read_picture(drawn / "paintings" / f"{name}.png"))


def test_the_example_photos_are_pictures(tab):
    for path in tab.example_photos:
        assert min(read_picture(path).shape[:2]) >= 200
