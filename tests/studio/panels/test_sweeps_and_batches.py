"""Sweeps and batches on the DeepDream and style transfer tabs, called as the page would."""

from __future__ import annotations

import dataclasses
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from engines.deep_dream import PRESETS, DreamConfig
from engines.imaging.images import read_image
from engines.jobs.sweep import DreamSweepConfig, StyleSweepConfig
from engines.recipes import read_recipe
from studio.panels.sweep_panel import suggest_values
from studio.services import Studio
from studio.tabs.deep_dream.tab import DreamTab
from studio.tabs.style_transfer.tab import StyleTab
from tests.engines.helpers import as_png, is_one_sentence
from tests.studio.conftest import QUICK_PAINTING, SMALL
from tests.studio.helpers import (
    eventually,
    finished,
    forget_runs,
    png_with_text,
    studio_of_its_own,
    through_the_page,
    unserved_page,
    value_in,
    values_through_the_page,
    warned,
    watched,
)

LONG = dataclasses.replace(SMALL, steps=1000)


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory, studio_vgg, drawn) -> Iterator[SimpleNamespace]:
    """Both tabs on one page; building them for every test would take longer than the tests."""
    studio = studio_of_its_own(tmp_path_factory.mktemp("sweeps and batches"), studio_vgg, drawn)
    dream, style = DreamTab(studio), StyleTab(studio)
    with unserved_page():
        with gr.Tab("Dream"):
            dream.build()
        with gr.Tab("Style"):
            style.build()
    yield SimpleNamespace(dream=dream, style=style, studio=studio)
    studio.runs.close()


@pytest.fixture
def studio(laid_out) -> Iterator[Studio]:
    """The tabs' studio; each test's runs and files are removed before the next."""
    studio = laid_out.studio
    yield studio
    forget_runs(studio)
    studio.gallery.remove(studio.gallery.names())


@pytest.fixture
def tabs(laid_out, studio) -> SimpleNamespace:
    """The tabs."""
    return laid_out


@pytest.fixture
def tab(tabs) -> DreamTab:
    return tabs.dream


@pytest.fixture
def styles(tmp_path, painting) -> list[tuple[str, None]]:
    """A small painting as a handler receives it from the gallery."""
    Image.fromarray(painting).save(tmp_path / "stripes.png")
    return [(str(tmp_path / "stripes.png"), None)]


def swept(
    tab: DreamTab,
    photo: str | None,
    *chosen: str,
    config: DreamConfig = SMALL,
    guide: str | None = None,
    restored: str | None = None,
) -> list[dict[Any, Any]]:
    """Start a sweep and return all updates until its end."""
    chosen = (*chosen, "", "")[:4]
    return watched(tab.start_sweep(*chosen, photo, guide, "studio_vgg", restored, *tab.settings.values(config)))


def dreamt(tab: DreamTab, files: list[str] | None, config: DreamConfig = SMALL, guide: str | None = None):
    """Start a batch of dreams and return all updates until its end."""
    return watched(tab.start_batch(files, guide, "studio_vgg", *tab.settings.values(config)))


def of_style(tab: StyleTab, gallery: Any) -> list[Any]:
    """Return the style transfer form's values for a small painting."""
    return [*tab.settings.values(QUICK_PAINTING), *[1] * len(tab.style_picker.blend), gallery]


def result_of(tab: DreamTab | StyleTab, updates: list[dict[Any, Any]]) -> Path:
    """Return the file that is offered at the end."""
    return Path(updates[-1][tab.view.save]["value"])


def pngs(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return [name for name in archive.namelist() if name.endswith(".png")]


# Sweeps


def test_a_sweep_of_dreams_is_what_the_controls_say(tab, photo, sample_image):
    updates = swept(tab, photo, "step_size", "0.05, 0.2", "jitter", "0 , 4,", guide=photo)
    recipe = read_recipe(result_of(tab, updates))
    assert recipe.engine == "deep_dream_sweep"
    assert set(recipe.inputs) == {"image", "guide"}
    assert (recipe.config["columns"], recipe.config["column_values"]) == ("step_size", [0.05, 0.2])
    assert (recipe.config["rows"], recipe.config["row_values"]) == ("jitter", [0, 4])
    assert (recipe.config["column_title"], recipe.config["row_title"]) == ("Strength", "Jitter")
    assert DreamConfig(**recipe.config["settings"]) == SMALL
    assert updates[-1][tab.view.save] == gr.update(value=str(result_of(tab, updates)), interactive=True, label="Save")


def test_a_sweep_of_paintings_is_what_the_controls_say(tabs, photo, styles):
    tab = tabs.style
    chosen = ("balance", "0.1, 0.5", "", "1, 2")  # values of hidden rows
    updates = watched(tab.start_sweep(*chosen, photo, styles, None, photo, "studio_vgg", None, *of_style(tab, styles)))
    recipe = read_recipe(result_of(tab, updates))
    assert recipe.engine == "style_transfer_sweep"
    assert set(recipe.inputs) == {"content_image", "style_images_1", "start_image"}
    assert (recipe.config["rows"], recipe.config["row_values"]) == ("", [])
    assert recipe.config["column_title"] == "More style ↔ more photo"
    assert recipe.config["settings"]["steps"] == QUICK_PAINTING.steps


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        (("step_size", ""), "Enter the values of Strength"),
        (("step_size", "0.1; 0.2"), "numbers separated by commas"),
        (("step_size", "0.1, 0.1"), "Strength has a repeated value"),
        (("step_size", "0.1, 7e9"), "Strength must be"),
        (("octaves", "1.5"), "Octaves must be a whole number"),
        (("step_size", "0.1", "step_size", "0.2"), "choose another"),
        (("step_size", "0.1", "jitter", ""), "Enter the values of Jitter"),
        (("step_size", ", ".join(f"0.0{i}1" for i in range(10)), "steps", "1, 2, 3, 4"), "40 images"),
        (("octave_scale", "1.2, 1.4"), "Octave scale has no effect here"),
        ((None, "1"), "Columns must be text"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused_with_a_toast_and_nothing_starts(tab, studio, photo, chosen, told):
    updates, sentence = warned(swept, tab, photo, *chosen)
    assert told in sentence
    assert updates == [{tab.view.start_button: gr.skip()}]
    assert studio.runs._by_id == {}


def test_without_a_photo_no_sweep_starts(tab, studio):
    _, sentence = warned(swept, tab, None, "step_size", "0.1")
    assert sentence.startswith("Choose a photo first")
    assert studio.runs._by_id == {}


@pytest.mark.parametrize("which", ["dream", "style"])
def test_every_setting_that_can_be_swept_is_offered_with_values_that_can_be_run(tabs, which, photo, sample_image):
    tab = getattr(tabs, which)
    kind, start = (DreamSweepConfig, SMALL) if which == "dream" else (StyleSweepConfig, QUICK_PAINTING)
    # Settings with which each swept one has an effect: jitter, octaves, and noise to start from.
    config = dataclasses.replace(start, **({"octaves": 2} if which == "dream" else {"start": "noise", "balance": 0.0}))
    offered = [name for _, name in tab.sweep.columns.choices]
    assert set(offered) == set(kind.sweepable())
    assert [name for _, name in tab.sweep.rows.choices] == ["", *offered]
    for name in offered:
        update = tab.sweep.suggest(name, *tab.settings.values(config))
        values = tuple(float(value) for value in update["value"].split(","))
        assert update["visible"]
        assert getattr(config, name) in values
        assert 2 <= len(values) <= 4
        kind(settings=dataclasses.asdict(config), columns=name, column_values=values)


def test_the_fold_opens_with_a_sweep_that_can_be_run_and_no_rows(tabs):
    for tab, kind in ((tabs.dream, DreamSweepConfig), (tabs.style, StyleSweepConfig)):
        assert tab.sweep.columns.value == kind().columns
        assert tuple(map(float, tab.sweep.column_values.value.split(","))) == kind().column_values
        assert (tab.sweep.rows.value, tab.sweep.row_values.visible) == ("", False)


def test_where_nothing_else_is_swept_the_values_of_the_rows_go_away(tab):
    assert tab.sweep.suggest("", *tab.settings.values(SMALL)) == gr.update(value="", visible=False)


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (0.02, [0.01, 0.02, 0.04]),
        (0.1, [0.05, 0.1]),
        (0.0, [0.0, 0.05, 0.1]),
        (0.013, [0.006, 0.013, 0.026]),
        (0.5, [0.25, 0.5]),
        (None, [0.0, 0.05, 0.1]),
    ],
)
def test_values_are_half_once_and_twice_what_a_slider_says_as_far_as_it_reaches(said, wanted):
    slider = gr.Slider(0.0, 0.1, step=0.001)
    assert list(suggest_values(slider, said)) == pytest.approx(wanted)


def test_values_of_a_box_are_around_it_too_and_of_a_seed_the_next_ones():
    assert list(suggest_values(gr.Number(), 7, whole=True)) == [7, 8, 9]
    assert list(suggest_values(gr.Number(), 5.0)) == [2.5, 5.0, 10.0]
    assert list(suggest_values(gr.Number(), None)) == [0, 1, 2]


def test_a_sheet_is_nothing_to_go_on_from_and_compared_with_nothing(tab, studio, photo):
    updates = swept(tab, photo, "step_size", "0.05, 0.2")
    assert not updates[-1][tab.view.reuse_button]["interactive"]
    assert all("original" not in update.get(tab.view.canvas, {}) for update in updates if tab.view.canvas in update)
    run = studio.runs.get(updates[0][tab.view.run_id])
    assert run.snapshots.steps, "the sheet as it filled can be looked back at"
    for step in (0, run.snapshots.steps[0]):
        *_, again = tab.view.view_snapshot(run.id, gr.EventData(None, {"step": step}))
        assert not again["interactive"]


def test_moving_a_control_steers_a_sweep_but_for_what_is_swept(tab, studio, photo):
    values = tab.settings.values(LONG)
    start = tab.sweep.job(tab._job(photo, None, "studio_vgg", values), "step_size", "0.05, 0.2", "", "")
    run = studio.runs.start(start)
    eventually(lambda: run.frame, "the first frame")
    weak = dataclasses.replace(LONG, step_size=0.001, layer_weights={"block2_conv1": 1.0})
    tab.view.steer(run.id, "studio_vgg", tab.settings, tab.settings.values(weak))
    at = run.frame.step
    eventually(lambda: run.frame.step > at + 2, "three more steps")
    run.stop()
    ((_, settings),) = read_recipe(finished(run).result).steering
    assert settings["settings"]["layer_weights"] == {"block2_conv1": 1.0}
    assert settings["settings"]["step_size"] == LONG.step_size
    assert settings["column_values"] == [0.05, 0.2]


# Restoring a sweep


def test_a_sheet_that_is_dropped_brings_back_the_sweep_and_repeats_to_the_same_pixels(tab, photo, sample_image):
    first = result_of(tab, swept(tab, photo, "step_size", "0.05, 0.123456", "jitter", "0, 4"))
    answer = tab.photo_changed(str(first), "")
    assert through_the_page(tab.settings, [answer[control] for control in tab.settings.components]) == SMALL
    np.testing.assert_array_equal(read_image(answer[tab.photo]), sample_image)
    chosen = values_through_the_page(tab.sweep.components[:3], [answer[one] for one in tab.sweep.components[:3]])
    assert answer[tab.sweep.row_values]["visible"]
    chosen.append(value_in(answer[tab.sweep.row_values]))
    assert chosen == ["step_size", "0.05, 0.123456", "jitter", "0, 4"]
    again = result_of(tab, swept(tab, answer[tab.photo], *chosen, restored=answer[tab.restored]))
    np.testing.assert_array_equal(np.asarray(Image.open(again)), np.asarray(Image.open(first)))
    assert read_recipe(again) == read_recipe(first)


def test_a_stopped_sweep_stops_again_where_it_did_when_it_is_repeated(tab, studio, photo):
    values = tab.settings.values(LONG)
    job = tab.sweep.job(tab._job(photo, None, "studio_vgg", values), "jitter", "0, 4", "", "")
    first = finished(studio.runs.start(dataclasses.replace(job, stop_at=3)))
    answer = tab.photo_changed(str(first.result), "")
    chosen = [value_in(answer[control]) for control in tab.sweep.components]
    again = result_of(tab, swept(tab, answer[tab.photo], *chosen, config=LONG, restored=answer[tab.restored]))
    assert read_recipe(again).stopped_at == 3
    np.testing.assert_array_equal(np.asarray(Image.open(again)), np.asarray(Image.open(first.result)))


def test_a_sheet_of_paintings_brings_back_its_sweep(tabs, photo, styles):
    tab = tabs.style
    updates = watched(
        tab.start_sweep(
            "balance", "0.1, 0.5", "", "", photo, styles, None, None, "studio_vgg", None, *of_style(tab, styles)
        )
    )
    answer = tab.photo_changed(str(result_of(tab, updates)), None, "")
    assert [value_in(answer[one]) for one in tab.sweep.components] == ["balance", "0.1, 0.5", "", ""]
    assert not answer[tab.sweep.row_values]["visible"]
    assert value_in(answer[tab.settings.controls["steps"]]) == QUICK_PAINTING.steps
    assert len(answer[tab.style_picker.gallery]) == 1


@pytest.mark.parametrize(
    "config",
    [
        {"settings": []},
        {"settings": {"size": "huge"}},
        {"settings": {"steps": 1, "x": 2}},
        {"columns": ["step_size"]},
        {"columns": "pictures", "column_values": [1, 100]},
        {"column_values": [0.1] * 100_000},
        {"column_values": list(range(100_000))},
        {"column_values": [{}]},
        {"column_title": 7},
        {"engine": "style_transfer"},
    ],
)
def test_a_hostile_sweep_is_refused_with_one_sentence(tab, tmp_path, config):
    recipe = {
        "reverie": 1,
        "engine": "deep_dream_sweep",
        "config": config,
        "backbone": "studio_vgg",
        "weights": "",
        "inputs": {},
        "steering": [],
        "stopped_at": None,
    }
    path = png_with_text(tmp_path / "hostile.png", json.dumps(recipe))
    answer, sentence = warned(tab.photo_changed, path, "")
    assert len(sentence) < 300
    assert answer[tab.restored] is None


def test_a_dream_that_comes_back_leaves_the_sweep_as_it_is(tab, studio, small_job):
    result = finished(studio.runs.start(small_job)).result
    answer = tab.photo_changed(str(result), "")
    assert answer[tab.restored]
    assert not any(control in answer for control in tab.sweep.components)


# Batches


@pytest.fixture
def files(tmp_path, sample_image) -> list[str]:
    """A photo, a file that is not an image, and a zip with another photo."""
    folder = tmp_path / "uploads"
    folder.mkdir()
    (folder / "At the sea.png").write_bytes(as_png(sample_image))
    (folder / "notes.txt").write_text("no pixels")
    with zipfile.ZipFile(folder / "more.zip", "w") as archive:
        archive.writestr("inside/forest.png", as_png(sample_image[:, ::-1]))
    return [str(folder / name) for name in ("At the sea.png", "notes.txt", "more.zip")]


def test_a_batch_takes_files_and_zips_and_tells_what_it_left_out(tab, studio, files, sample_image):
    updates, sentence = warned(dreamt, tab, files)
    assert sentence.startswith("notes was skipped: This file is not an image")
    run = studio.runs.get(updates[0][tab.view.run_id])
    assert run.state == "done"
    assert pngs(result_of(tab, updates)) == ["At the sea.png", "forest.png"]
    recipes = [read_recipe(path) for path in run.results]
    assert [recipe.engine for recipe in recipes] == ["deep_dream"] * 2
    assert [DreamConfig(**recipe.config) for recipe in recipes] == [SMALL] * 2
    np.testing.assert_array_equal(
        read_image(studio.gallery.find_input(recipes[1].inputs["image"])), sample_image[:, ::-1]
    )
    save = updates[-1][tab.view.save]
    assert (save["label"], save["interactive"]) == ("Save all", True)
    assert not updates[-1][tab.view.reuse_button]["interactive"], "nobody goes on from a zip"


def test_a_batch_of_paintings_shares_the_paintings(tabs, studio, files, styles):
    tab = tabs.style
    updates = watched(tab.start_batch([files[0], files[2]], styles, "studio_vgg", *of_style(tab, styles)))
    run = studio.runs.get(updates[0][tab.view.run_id])
    assert pngs(result_of(tab, updates)) == ["At the sea.png", "forest.png"]
    recipes = [read_recipe(path) for path in run.results]
    assert {frozenset(recipe.inputs) for recipe in recipes} == {frozenset({"content_image", "style_images_1"})}
    assert len({recipe.inputs["style_images_1"] for recipe in recipes}) == 1
    _, sentence = warned(lambda: watched(tab.start_batch(files, [], "studio_vgg", *of_style(tab, styles))))
    assert sentence.startswith("Choose a style image first")


def test_the_guide_and_the_controls_hold_for_every_image(tab, studio, files, photo):
    config = dataclasses.replace(SMALL, step_size=0.05)
    updates = dreamt(tab, [files[0], files[2]], config, guide=photo)
    run = studio.runs.get(updates[0][tab.view.run_id])
    for path in run.results:
        recipe = read_recipe(path)
        assert set(recipe.inputs) == {"image", "guide"}
        assert recipe.config["step_size"] == 0.05


def broken_zip(folder: Path) -> str:
    (folder / "holidays.zip").write_bytes(b"this is no zip")
    return str(folder / "holidays.zip")


def test_files_that_are_no_batch_are_refused_with_a_toast_and_nothing_starts(tab, studio, tmp_path):
    for files, told in (
        (None, "no images"),
        ([], "no images"),
        ([broken_zip(tmp_path)], "holidays.zip is damaged or not"),
    ):
        updates, sentence = warned(dreamt, tab, files)
        assert told in sentence
        assert updates == [{tab.view.start_button: gr.skip()}]
    assert studio.runs._by_id == {}


def test_a_batch_of_nothing_but_bad_files_fails_with_one_toast(tab, files):
    updates, sentence = warned(dreamt, tab, [files[1], files[1]])
    assert "not an image" in sentence
    assert updates[-2][tab.view.canvas]["state"] == "failed"
    assert not updates[-1][tab.view.save]["interactive"]
    assert updates[-1][tab.view.start_button]["interactive"]


def links_in(update: dict[Any, Any], tab: DreamTab) -> list[str]:
    """Return the links in the row of finished results."""
    return [unquote(address) for address in re.findall(r'<a href="([^"]+)"', update[tab.view.finished])]


def test_what_is_finished_is_shown_as_it_comes_and_opens_its_file(tab, studio, files):
    updates = dreamt(tab, [files[0], files[2]])
    run = studio.runs.get(updates[0][tab.view.run_id])
    assert updates[0][tab.view.finished] == "", "what was finished before is gone"
    shown = [links_in(update, tab) for update in updates if update.get(tab.view.finished)]
    assert [len(links) for links in shown] == sorted(len(links) for links in shown)
    assert shown[-1] == [f"gradio_api/file={path}" for path in run.results]
    assert updates[-1][tab.view.finished].count("thumbnails/") == 2
    studio.gallery.remove([run.results[0].name])
    *_, last = watched(tab.view.resume(run.id))
    assert links_in(last, tab) == [f"gradio_api/file={run.results[1]}"]


def test_a_stopped_batch_keeps_what_there_is(tab, studio, files):
    job = tab.batch.job(tab._shared(None, "studio_vgg", tab.settings.values(LONG)), [files[0], files[2]])
    run = studio.runs.start(job)
    eventually(lambda: run.frame, "the first frame")
    tab.view.stop(run.id)
    finished(run)
    assert run.state == "stopped"
    *_, last = watched(tab.view.resume(run.id))
    assert pngs(Path(last[tab.view.save]["value"])) == ["At the sea.png"]
    assert read_recipe(run.results[0]).stopped_at == run.frame.step


def test_moving_a_control_steers_a_batch(tab, studio, files):
    job = tab.batch.job(tab._shared(None, "studio_vgg", tab.settings.values(LONG)), [files[0], files[2]])
    run = studio.runs.start(job)
    eventually(lambda: run.frame, "the first frame")
    weak = dataclasses.replace(LONG, step_size=0.001, steps=1)
    tab.view.steer(run.id, "studio_vgg", tab.settings, tab.settings.values(weak))
    finished(run)
    recipes = [read_recipe(path) for path in run.results]
    ((_, settings),) = recipes[0].steering
    assert settings["step_size"] == 0.001
    assert (recipes[1].config["step_size"], recipes[1].steering) == (0.001, ())


# Buttons


@pytest.mark.parametrize("which", ["dream", "style"])
def test_all_that_begins_on_a_stage_is_blocked_while_it_runs_and_freed_afterwards(tabs, which, studio, small_job):
    tab = getattr(tabs, which)
    begins = {tab.view.start_button, tab.sweep.go, tab.batch.go}
    assert set(tab.view.start_buttons) == begins
    assert not any(button.interactive for button in begins), "alive once the page knows whether it has a run already"
    assert begins < set(tab.view.outputs)
    run = finished(studio.runs.start(small_job))
    first, *_, last = watched(tab.view.resume(run.id))
    assert [first[button]["interactive"] for button in begins] == [False] * 3
    assert [last[button]["interactive"] for button in begins] == [True] * 3
    (nothing,) = watched(tab.view.resume("no such run"))
    assert [nothing[button]["interactive"] for button in begins] == [True] * 3


def test_ids_and_sentences_of_the_folds_are_there_for_both_tabs(tabs):
    for prefix, tab in (("dream", tabs.dream), ("style", tabs.style)):
        assert tab.sweep.go.elem_id == f"{prefix}-sweep-begin"
        assert tab.batch.go.elem_id == f"{prefix}-batch-begin"
        assert is_one_sentence(tab.sweep.column_values.info)


def test_the_presets_of_both_networks_can_be_swept_from(tabs):
    for named in PRESETS.values():
        for preset in named.values():
            DreamSweepConfig(settings=dataclasses.asdict(preset))
