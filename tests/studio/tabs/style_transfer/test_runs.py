"""The style transfer tab's runs: started, steered, stopped, refused."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from engines.imaging.images import digest, read_image
from engines.jobs import Job
from engines.recipes import read_recipe
from engines.style_transfer import MAX_STYLES, StyleConfig
from studio.tabs.style_transfer.tab import StyleTab
from tests.studio.conftest import QUICK_PAINTING
from tests.studio.helpers import (
    eventually,
    value_in,
    warned,
)
from tests.studio.tabs.style_transfer.helpers import LONG, controls, result_of, start, steer, steering_of

# Starting


def test_a_painting_is_started_watched_and_its_file_is_offered(tab, photo, studio, styles, sample_image, painting):
    first, *middle, last = start(tab, photo, styles[:1], controls(tab, QUICK_PAINTING))
    assert first[tab.view.run_id] == first[tab.view.remembered]
    run = studio.runs.get(first[tab.view.run_id])
    assert not first[tab.view.start_button]["interactive"]
    assert first[tab.view.stop_button]["interactive"]
    assert all(set(update) == {tab.view.canvas} for update in middle)
    assert middle[-1][tab.view.canvas]["state"] == "done"
    assert last[tab.view.start_button]["interactive"]
    assert not last[tab.view.stop_button]["interactive"]
    assert last[tab.view.save] == gr.update(value=str(run.result), interactive=True, label="Save")
    assert last[tab.view.reuse_button]["interactive"]
    recipe = read_recipe(run.result)
    assert recipe.inputs == {"content_image": digest(sample_image), "style_images_1": digest(painting)}
    assert recipe.stopped_at is None
    assert not np.array_equal(read_image(run.result), sample_image)


def test_a_painting_repeats_to_the_same_pixels_from_its_own_file(tab, photo, styles):
    result = result_of(tab, start(tab, photo, styles, controls(tab, QUICK_PAINTING, blend=(0.25, 1.0))))
    answer = tab.photo_changed(str(result), None, "")
    values = [value_in(answer[control]) for control in tab.settings.components]
    values += [value_in(answer.get(slider, 1)) for slider in tab.style_picker.blend]
    gallery = [(path, None) for path in answer[tab.style_picker.gallery]]
    again = result_of(tab, start(tab, answer[tab.photo], gallery, values, restored=answer[tab.restored]))
    assert again != result
    np.testing.assert_array_equal(read_image(again), read_image(result))
    assert read_recipe(again) == read_recipe(result)
    assert read_recipe(result).config["blend"] == [0.25, 1.0]


@pytest.mark.parametrize("gallery", [None, []])
def test_without_a_painting_nothing_starts(tab, studio, photo, gallery):
    taken, sentence = warned(lambda: start(tab, photo, gallery, controls(tab, QUICK_PAINTING)))
    assert sentence.startswith("Choose a style image first")
    assert taken == [{tab.view.start_button: gr.skip()}]
    assert studio.runs._by_id == {}


def test_more_paintings_than_a_run_takes_start_nothing(tab, studio, photo, styles):
    _, sentence = warned(lambda: start(tab, photo, styles * 5, controls(tab, QUICK_PAINTING)))
    assert sentence == f"There are 10 style images; use at most {MAX_STYLES}."
    assert studio.runs._by_id == {}


def test_a_painting_of_a_few_pixels_starts_nothing(tab, studio, photo, styles, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "tiny.png")
    gallery = [*styles, (str(tmp_path / "tiny.png"), None)]
    _, sentence = warned(lambda: start(tab, photo, gallery, controls(tab, QUICK_PAINTING)))
    assert "8 × 8 pixels" in sentence
    assert studio.runs._by_id == {}


def test_paintings_that_all_count_nothing_start_nothing(tab, studio, photo, styles):
    _, sentence = warned(lambda: start(tab, photo, styles, controls(tab, QUICK_PAINTING, blend=(0, 0))))
    assert "All style images have weight zero" in sentence
    assert studio.runs._by_id == {}


def fails(tab: StyleTab, photo: str, gallery: Any, config: StyleConfig) -> str:
    """Return the message of a run that fails; the page must offer a new start and no file."""
    updates, sentence = warned(lambda: start(tab, photo, gallery, controls(tab, config)))
    assert updates[-2][tab.view.canvas]["state"] == "failed"
    assert updates[-2][tab.view.canvas]["error"] == sentence
    assert updates[-1][tab.view.start_button]["interactive"]
    assert not updates[-1][tab.view.save]["interactive"]
    assert not updates[-1][tab.view.reuse_button]["interactive"]
    return sentence


@pytest.mark.parametrize(
    "changes", [{"content_layer": "mixed4"}, {"style_layers": {"mixed4": 1.0}}, {"style_layers": {"": 1.0}}]
)
def test_a_layer_that_the_network_does_not_have_fails_with_one_sentence(tab, photo, styles, changes):
    sentence = fails(tab, photo, styles, dataclasses.replace(QUICK_PAINTING, **changes))
    assert sentence.startswith("Studio VGG has no layer")


def test_a_photo_of_an_extreme_shape_fails_with_one_sentence(tab, styles, tmp_path):
    Image.new("RGB", (6400, 16)).save(tmp_path / "line.png")
    assert "6400 × 16 pixels" in fails(tab, str(tmp_path / "line.png"), styles, QUICK_PAINTING)


# Steering


def test_steering_changes_the_config_of_this_pages_run_and_the_recipe_says_so(tab, studio, styles, painting_job):
    run = studio.runs.start(dataclasses.replace(painting_job, config=LONG))
    eventually(lambda: run.frame, "the first frame")
    steer(tab, run, styles[:1], controls(tab, dataclasses.replace(LONG, balance=0.6)))
    ((step, settings),) = steering_of(run)
    assert step >= 1
    assert settings == json.loads(json.dumps(dataclasses.asdict(dataclasses.replace(LONG, balance=0.6))))


def test_weights_of_the_paintings_are_steered_too(tab, studio, styles, painting, painting_job):
    inputs = {**painting_job.inputs, "style_images_2": painting[::-1]}
    run = studio.runs.start(dataclasses.replace(painting_job, config=LONG, inputs=inputs))
    eventually(lambda: run.frame, "the first frame")
    steer(tab, run, styles, controls(tab, LONG, blend=(0.2, 1)))
    ((_, settings),) = steering_of(run)
    assert settings["blend"] == [0.2, 1.0]


def test_weights_for_other_paintings_than_the_runs_leave_its_own_as_they_are(tab, studio, styles, painting_job):
    run = studio.runs.start(dataclasses.replace(painting_job, config=LONG))
    eventually(lambda: run.frame, "the first frame")
    changed = dataclasses.replace(LONG, balance=0.6)
    steer(tab, run, styles, controls(tab, changed, blend=(0.2, 1)))
    ((_, settings),) = steering_of(run)
    assert (settings["blend"], settings["balance"]) == ([], 0.6)
    assert run.error == ""


# Stopping and resuming


def test_a_job_is_asked_for_by_the_names_that_the_engine_has(tab, photo, styles):
    values = [*controls(tab, QUICK_PAINTING, blend=(0.5, 1)), styles]
    job = tab._job(photo, styles, None, photo, "studio_vgg", values)
    assert isinstance(job, Job)
    assert set(job.inputs) == {"content_image", "style_images_1", "style_images_2", "start_image"}
    assert job.config == dataclasses.replace(QUICK_PAINTING, blend=(0.5, 1.0))
    assert next(iter(job.inputs)) == "content_image"
