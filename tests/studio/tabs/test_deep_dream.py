"""The DeepDream tab's handlers, called on a studio in a temporary folder."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from engines.deep_dream import PRESETS, DreamConfig, presets
from engines.imaging.images import digest, read_image
from engines.jobs import Job, replay_if_same
from engines.recipes import Recipe, read_recipe
from engines.weights.keras_applications import OFFICIAL_FILES
from engines.weights.store import WeightsStore
from studio.panels.network_picker import network_choices
from studio.services import Studio
from studio.tabs.deep_dream.tab import DEFAULT_BACKBONE, DreamTab
from tests.engines.helpers import files_in
from tests.studio.conftest import SMALL
from tests.studio.helpers import (
    decoded,
    finished,
    forget_runs,
    names_of,
    studio_of_its_own,
    through_the_page,
    unserved_page,
    warned,
    watched,
)

EVERY_PRESET = [(backbone, name) for backbone, named in PRESETS.items() for name in named]
LONG = dataclasses.replace(SMALL, steps=1000)
# The layer belongs to another network.
MISFIT = dataclasses.replace(LONG, layer_weights={"mixed4": 1.0})


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory, studio_vgg, drawn) -> Iterator[DreamTab]:
    """The tab on a page; building it for every test would take longer than the tests."""
    tab = DreamTab(studio_of_its_own(tmp_path_factory.mktemp("dream tab"), studio_vgg, drawn))
    with unserved_page():
        tab.build()
    yield tab
    tab.studio.runs.close()


@pytest.fixture
def studio(laid_out) -> Iterator[Studio]:
    """The tab's studio; each test's runs and files are removed before the next."""
    studio = laid_out.studio
    yield studio
    forget_runs(studio)
    for path in studio.gallery.inputs.glob("*"):
        path.unlink()


@pytest.fixture
def tab(laid_out, studio) -> DreamTab:
    """The tab."""
    return laid_out


@pytest.fixture
def result(studio, small_job) -> Path:
    """A result of a real run."""
    return finished(studio.runs.start(small_job)).result


# Controls and configs


def test_every_setting_has_its_control_and_the_defaults_are_the_fields_own(tab):
    assert set(tab.settings.controls) == {field.name for field in dataclasses.fields(DreamConfig)}
    assert tab.settings.config(tuple(tab.settings.values(DreamConfig()))) == DreamConfig()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("octaves", 2.5, "Octaves must be a whole number"),
        ("octaves", 99, "Octaves must be between 1 and 12"),
        ("step_size", float("nan"), "Strength must be a finite number"),
        ("layer_weights", "block1_conv1=much", "must be a number"),
        ("layer_weights", "block1_conv1=0", "All layer weights are zero"),
        ("tile_size", 100, "at least 128"),
        ("seed", -1, "Seed must be between"),
        ("normalization", "none", "Step normalisation must be one of"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_a_sentence(tab, photo, studio, name, value, told):
    values = dict(zip(tab.settings.controls, tab.settings.values(SMALL), strict=True)) | {name: value}
    taken, sentence = warned(lambda: watched(tab.start(photo, None, DEFAULT_BACKBONE, None, *values.values())))
    assert told in sentence
    assert [set(update) for update in taken] == [{tab.view.start_button}]
    assert studio.runs._by_id == {}


# Dropped photos


def test_an_image_that_is_too_large_even_to_be_shrunk_is_refused(tab, studio, photo, monkeypatch):
    monkeypatch.setattr(studio, "max_pixels", 500)
    answer, sentence = warned(tab.photo_changed, photo, "")
    assert "million pixels" in sentence
    assert answer[tab.photo] is None


def test_an_image_of_more_pixels_than_this_server_keeps_is_shrunk_and_that_is_said(
    tab, studio, photo, capsys, monkeypatch
):
    monkeypatch.setattr(studio, "max_pixels", 1000)
    answer = tab.photo_changed(photo, "")
    assert "shrunk to 38 × 25" in capsys.readouterr().out
    assert decoded(answer[tab.view.canvas]["original"]).shape == (25, 38, 3)


def test_an_image_that_browsers_cannot_show_is_shown_as_one_that_they_can(tab, tmp_path, sample_image):
    Image.fromarray(sample_image).save(tmp_path / "scan.tif")
    answer = tab.photo_changed(str(tmp_path / "scan.tif"), "")
    (shown,) = answer.values()
    assert Path(shown).suffix == ".png"
    np.testing.assert_array_equal(np.asarray(Image.open(shown)), sample_image)
    assert set(tab.photo_changed(shown, "")) == {tab.view.canvas}
    assert tab.guide_changed(str(tmp_path / "scan.tif")) == shown


def test_a_photo_is_shown_on_the_canvas_and_nothing_else_changes(tab, photo, sample_image):
    answer = tab.photo_changed(photo, "")
    assert set(answer) == {tab.view.canvas}
    assert answer[tab.view.canvas]["state"] == "ready"
    assert abs(decoded(answer[tab.view.canvas]["original"]).astype(int) - sample_image).mean() < 12


def test_a_result_brings_back_every_control_and_its_photo(tab, studio, small_job, sample_image, capsys):
    config = DreamConfig(
        size=0,
        octaves=2,
        octave_scale=1.3,
        steps=2,
        step_size=0.03,
        normalization="l2",
        jitter=3,
        max_loss=1e6,
        layer_weights={"block1_conv1": 0.5, "block2_conv1": -1.5},
        channel=3,
        tile_size=128,
        zoom=1.1,
        turn=2.0,
        seed=7,
    )
    job = dataclasses.replace(small_job, config=config, inputs={"image": sample_image, "guide": sample_image[:, ::-1]})
    result = finished(studio.runs.start(job)).result
    answer = tab.photo_changed(str(result), "")
    assert through_the_page(tab.settings, [answer[control] for control in tab.settings.components]) == config
    assert answer[tab.backbone] == "studio_vgg"
    assert names_of(answer[tab.preset]) == list(presets("studio_vgg"))
    assert answer[tab.preset]["value"] is None
    assert json.loads(answer[tab.restored]) == json.loads(read_recipe(result).to_json())
    np.testing.assert_array_equal(read_image(answer[tab.photo]), sample_image)
    np.testing.assert_array_equal(read_image(answer[tab.guide]), sample_image[:, ::-1])
    assert "original photo" in capsys.readouterr().out


def test_a_result_whose_photo_is_gone_brings_back_its_settings_and_says_so(tab, studio, result, capsys):
    for path in studio.gallery.inputs.iterdir():
        path.unlink()
    answer = tab.photo_changed(str(result), "")
    assert tab.photo not in answer
    assert answer[tab.guide] is None
    assert answer[tab.restored]
    assert through_the_page(tab.settings, [answer[control] for control in tab.settings.components]) == SMALL
    assert "is missing" in capsys.readouterr().out


# Repeating


def test_a_restored_recipe_is_replayed_only_when_nothing_was_changed(studio, small_job, sample_image):
    steered = dataclasses.replace(SMALL, step_size=0.05)
    recipe = Recipe(
        engine="deep_dream",
        config=dataclasses.asdict(SMALL),
        backbone="studio_vgg",
        weights="",
        inputs={"image": digest(sample_image)},
        steering=((1, dataclasses.asdict(steered)),),
        stopped_at=2,
    ).to_json()
    again = replay_if_same(small_job, recipe)
    assert (again.config, again.steering, again.stop_at) == (SMALL, ((1, steered),), 2)
    for changes in (
        {"config": dataclasses.replace(SMALL, seed=1)},
        {"backbone": "vgg16"},
        {"inputs": {"image": sample_image[::-1]}},
        {"inputs": {"image": sample_image, "guide": sample_image}},
        {"inputs": {}},
    ):
        other = dataclasses.replace(small_job, **changes)
        assert replay_if_same(other, recipe) is other
    assert replay_if_same(small_job, None) is small_job
    assert replay_if_same(small_job, "") is small_job


# Presets, networks, guide


def test_a_preset_keeps_the_visitors_size_seed_and_video(tab):
    mine = dataclasses.replace(DreamConfig(), size=320, seed=7, pictures=5, octaves=8, step_size=0.09)
    for name, preset in presets(DEFAULT_BACKBONE).items():
        answer = tab.preset_chosen(name, DEFAULT_BACKBONE, "", *tab.settings.values(mine))
        assert through_the_page(tab.settings, answer) == dataclasses.replace(preset, size=320, seed=7, pictures=5)


@pytest.mark.parametrize("backbone", list(PRESETS))
def test_a_network_comes_with_its_own_presets_and_layers(tab, backbone):
    preset, layers = tab.backbone_chosen(backbone)[:2]
    assert names_of(preset) == list(presets(backbone))
    config = next(iter(presets(backbone).values()))
    assert layers == dict(zip(tab.settings.controls, tab.settings.values(config), strict=True))["layer_weights"]


def test_a_download_is_offered_only_for_a_network_whose_weights_are_missing(tab, studio, tmp_path, monkeypatch):
    folder, cache, bundled = (tmp_path / name for name in ("folder", "cache", "bundled"))
    for path in (folder, cache, bundled):
        path.mkdir()
    store = WeightsStore(folders=(folder,), cache=cache, bundled=bundled)
    monkeypatch.setattr(studio.workshop, "store", store)
    (folder / OFFICIAL_FILES["vgg16"].name).write_bytes(b"here")
    (cache / OFFICIAL_FILES["xception"].name).write_bytes(b"here")
    (bundled / "studio_vgg.npz").write_bytes(b"here")
    offered = {name: tab.network.offer_download(name)[0] for name in PRESETS}
    assert {name for name, update in offered.items() if update["visible"]} == {"vgg19", "inception_v3", "resnet50"}
    assert offered["vgg19"]["value"].endswith("(80 MB)")
    shown = {name: title for title, name in network_choices(studio, list(PRESETS))}
    assert "weights folder" in shown["vgg16"]
    assert "downloaded" in shown["xception"]
    assert "bundled" in shown["studio_vgg"]
    assert "download 80 MB" in shown["vgg19"]


def test_a_download_that_fails_says_so_and_can_be_tried_again(tab, studio, tmp_path, monkeypatch):
    store = WeightsStore(cache=tmp_path / "cache", bundled=tmp_path)
    monkeypatch.setattr(studio.workshop, "store", store)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    *_, (button, told, choices) = tab.network.download("vgg16")
    assert button["interactive"]
    assert "could not be downloaded" in told
    assert choices == gr.skip()
    assert studio.workshop.store.find("vgg16") is None


def test_a_good_guide_stays_and_a_bad_one_is_refused(tab, photo, tmp_path):
    assert tab.guide_changed(photo) == gr.skip()
    assert tab.guide_changed(None) == gr.skip()
    bad = tmp_path / "bad.png"
    bad.write_text("no pixels")
    answer, sentence = warned(tab.guide_changed, str(bad))
    assert answer is None
    assert "not an image" in sentence


# Starting, steering, stopping, resuming


def test_a_video_is_offered_and_dreamt_on_from_its_last_image(tab, photo, studio):
    values = tab.settings.values(dataclasses.replace(SMALL, pictures=2, steps=1))
    first, *_, last = watched(tab.start(photo, None, "studio_vgg", None, *values))
    assert last[tab.view.save]["value"].endswith(".mp4")
    assert last[tab.view.reuse_button]["interactive"]
    path = tab.view.image_as_input(first[tab.view.run_id], 0)
    assert Path(path).parent == studio.gallery.inputs
    shown = studio.runs.get(first[tab.view.run_id]).frame.image
    assert np.abs(read_image(path).astype(int) - shown).mean() < 4


@pytest.mark.parametrize("run_id", ["", None, "no such run"])
def test_a_page_without_a_run_forgets_the_id_and_may_dream(tab, run_id):
    updates = watched(tab.view.resume(run_id))
    assert [update[tab.view.run_id] for update in updates] == [""]
    assert updates[-1][tab.view.start_button]["interactive"]
    assert not any(tab.view.stop_button in update for update in updates)


def test_a_reloaded_page_finds_its_run_and_its_result(tab, studio, small_job):
    run = finished(studio.runs.start(small_job))
    first, *_, last = watched(tab.view.resume(run.id))
    assert first[tab.view.run_id] == run.id
    assert last[tab.view.save]["value"] == str(run.result)


def test_dreaming_on_takes_the_result_as_a_photo_without_its_recipe(tab, studio, small_job):
    run = finished(studio.runs.start(small_job))
    path = Path(tab.view.image_as_input(run.id, 0))
    assert path.parent == studio.gallery.inputs
    assert read_recipe(path) is None
    np.testing.assert_array_equal(read_image(path), read_image(run.result))
    assert tab.view.image_as_input("no such run", 0) == gr.skip()


def test_the_examples_are_images_and_the_drawn_ones_are_drawn_once(tab, studio):
    for path in tab.example_images:
        assert min(read_image(path).shape[:2]) >= 200
    drawn = studio.gallery.folder / "examples"
    names, times = files_in(drawn), [path.stat().st_mtime_ns for path in sorted(drawn.iterdir())]
    assert len(names) >= 2
    DreamTab(studio)
    assert files_in(drawn) == names
    assert [path.stat().st_mtime_ns for path in sorted(drawn.iterdir())] == times


def test_a_job_is_asked_for_by_the_names_that_the_engine_has(tab, photo, studio):
    values = tab.settings.values(SMALL)
    updates = watched(tab.start(photo, photo, "studio_vgg", None, *values))
    recipe = read_recipe(Path(updates[-1][tab.view.save]["value"]))
    assert set(recipe.inputs) == {"image", "guide"}
    assert isinstance(studio.runs.get(updates[0][tab.view.run_id]).job, Job)
