"""The style transfer tab's snapshots: viewed, saved, reused, and videos of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import av
import gradio as gr
import numpy as np
import pytest
from PIL import Image

from engines.imaging.images import digest, read_image
from engines.jobs import job_from_recipe
from engines.recipes import read_recipe
from engines.style_transfer import MAX_STYLES, stylize
from tests.studio.conftest import QUICK_PAINTING
from tests.studio.helpers import (
    eventually,
    finished,
    value_in,
    warned,
)
from tests.studio.tabs.style_transfer.helpers import LONG, controls, moment, result_of, start, steer

# Snapshots


def test_a_moment_that_is_looked_back_at_can_be_saved_with_the_recipe_of_its_step(tab, painted_run):
    step, save, again = tab.view.view_snapshot(painted_run.id, moment(3))
    assert step == 3
    assert (save["interactive"], save["label"]) == (True, "Save step 3")
    assert again["interactive"]
    recipe = read_recipe(Path(save["value"]))
    assert recipe.stopped_at == 3
    assert recipe == dataclasses.replace(read_recipe(painted_run.result), stopped_at=3)


def test_a_saved_moment_repeats_to_the_pixels_of_its_step(
    tab, painted_run, painting_job, sample_image, painting, studio_vgg
):
    _, save, _ = tab.view.view_snapshot(painted_run.id, moment(3))
    config = dataclasses.replace(QUICK_PAINTING, steps=5)
    engines_own = [frame.image for frame in stylize(sample_image, [painting], config, studio_vgg)]
    answer = tab.photo_changed(save["value"], None, "")
    values = [value_in(answer[control]) for control in tab.settings.components]
    gallery = [(path, None) for path in answer[tab.style_picker.gallery]]
    updates = start(tab, answer[tab.photo], gallery, [*values, *[1] * MAX_STYLES], restored=answer[tab.restored])
    again = result_of(tab, updates)
    np.testing.assert_array_equal(read_image(again), engines_own[2])
    assert read_recipe(again) == read_recipe(Path(save["value"]))
    assert np.abs(read_image(save["value"]).astype(int) - engines_own[2]).mean() < 6


def test_moments_before_and_after_steering_repeat_to_the_pixels_of_their_steps(
    tab, studio, styles, painting_job, every_moment
):
    run = studio.runs.start(dataclasses.replace(painting_job, config=LONG))
    eventually(lambda: run.frame and run.frame.step >= 2, "two steps")
    steer(tab, run, styles[:1], controls(tab, dataclasses.replace(LONG, balance=0.6)))
    at = run.frame.step
    # Steering takes effect after the current step.
    eventually(lambda: run.snapshots.steps[-1] >= at + 3, "a moment after it was steered")
    run.stop()
    ((steered, _),) = read_recipe(finished(run).result).steering
    whole = studio.workshop.start(job_from_recipe(read_recipe(run.result), painting_job.inputs))
    images = {frame.step: frame.image for frame in whole}
    before = max(step for step in run.snapshots.steps if step <= steered)
    after = min(step for step in run.snapshots.steps if step > steered)
    for step, changes in ((before, 0), (after, 1)):
        _, save, _ = tab.view.view_snapshot(run.id, moment(step))
        recipe = read_recipe(Path(save["value"]))
        assert (recipe.stopped_at, len(recipe.steering)) == (step, changes)
        *_, last = studio.workshop.start(job_from_recipe(recipe, painting_job.inputs))
        assert last.step == step
        np.testing.assert_array_equal(last.image, images[step])


def test_the_last_moment_of_a_whole_run_is_saved_as_a_whole_run(tab, painted_run):
    _, save, _ = tab.view.view_snapshot(painted_run.id, moment(5))
    assert read_recipe(Path(save["value"])) == read_recipe(painted_run.result)


def test_going_back_to_the_newest_image_saves_the_result_again(tab, painted_run):
    tab.view.view_snapshot(painted_run.id, moment(3))
    step, save, again = tab.view.view_snapshot(painted_run.id, moment(0))
    assert step == 0
    assert save == gr.update(value=str(painted_run.result), interactive=True, label="Save")
    assert again["interactive"]


def test_a_moment_can_be_saved_while_the_run_goes_on(tab, studio, painting_job, every_moment):
    run = studio.runs.start(dataclasses.replace(painting_job, config=LONG))
    eventually(lambda: run.frame and run.frame.step >= 2, "two steps")
    _, save, again = tab.view.view_snapshot(run.id, moment(1))
    assert read_recipe(Path(save["value"])).stopped_at == 1
    assert again["interactive"]
    assert not run.over
    _, save, again = tab.view.view_snapshot(run.id, moment(0))
    assert not save["interactive"]
    assert not again["interactive"]


@pytest.mark.parametrize("run_id", ["", None, "no such run"])
def test_without_a_run_there_is_no_moment_no_video_and_nothing_to_go_on_from(tab, run_id):
    assert tab.view.view_snapshot(run_id, moment(1)) == (gr.skip(), gr.skip(), gr.skip())
    assert tab.view.image_as_input(run_id, 1) == gr.skip()
    answer, sentence = warned(write_video, tab, run_id, "mp4")
    assert answer == gr.skip()
    assert "start a run first" in sentence


def test_a_painting_goes_on_from_the_moment_that_was_chosen(tab, painted_run, studio, photo, styles):
    path = tab.view.image_as_input(painted_run.id, 2)
    assert Path(path).parent == studio.gallery.inputs
    assert read_recipe(Path(path)) is None
    _, image = painted_run.snapshots.at(2)
    np.testing.assert_array_equal(read_image(path), image)
    assert tab.start_changed(path) == gr.skip()
    updates = start(tab, photo, styles[:1], controls(tab, QUICK_PAINTING), start_image=path)
    recipe = read_recipe(result_of(tab, updates))
    assert set(recipe.inputs) == {"content_image", "style_images_1", "start_image"}
    assert recipe.inputs["start_image"] == digest(image)


def test_a_painting_goes_on_from_its_result_where_no_moment_is_chosen(tab, painted_run):
    path = tab.view.image_as_input(painted_run.id, 0)
    np.testing.assert_array_equal(read_image(path), read_image(painted_run.result))
    assert read_recipe(Path(path)) is None


def test_a_run_that_still_goes_is_gone_on_from_where_it_is(tab, studio, painting_job):
    run = studio.runs.start(dataclasses.replace(painting_job, config=LONG))
    eventually(lambda: run.frame, "the first frame")
    assert read_image(tab.view.image_as_input(run.id, 0)).shape == run.frame.image.shape


# Videos of a run


def write_video(tab, run_id: str, kind: str, speed: float = 12, hold: float = 1.5):
    """Press the button and return its update."""
    said = {"kind": kind, "speed": speed, "hold": hold}
    return tab.view.write_video(run_id, *(said[name] for name in tab.view.video_settings.controls))


def test_an_mp4_of_a_run_shows_every_moment_and_holds_its_recipe(tab, painted_run):
    answer = write_video(tab, painted_run.id, "mp4")
    assert answer == gr.update(value=answer["value"], interactive=True, label="Download MP4")
    path = Path(answer["value"])
    assert read_recipe(path) == read_recipe(painted_run.result)
    with av.open(str(path)) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(frames) == 5 + 18
    shown = read_image(painted_run.result)[: frames[-1].shape[0], : frames[-1].shape[1]]
    assert np.abs(frames[-1].astype(int) - shown).mean() < 12


@pytest.mark.parametrize(("kind", "title", "milliseconds"), [("gif", "GIF", 2050), ("webp", "WebP", 2050)])
def test_an_animation_of_a_run_goes_at_its_speed_and_holds_its_recipe(tab, painted_run, kind, title, milliseconds):
    answer = write_video(tab, painted_run.id, kind, speed=20, hold=2)
    assert answer["label"] == f"Download {title}"
    with Image.open(answer["value"]) as video:
        assert video.n_frames == 5
        video.seek(4)
        video.load()
        assert video.info["duration"] == milliseconds
    assert read_recipe(Path(answer["value"])) == read_recipe(painted_run.result)


@pytest.mark.parametrize(
    ("said", "word"), [(("avi",), "Format"), (("gif", 99), "Frames per second"), (("webp", 12, -1), "Hold")]
)
def test_a_video_that_cannot_be_is_refused_with_a_sentence(tab, painted_run, said, word):
    answer, sentence = warned(write_video, tab, painted_run.id, *said)
    assert answer == gr.skip()
    assert sentence.startswith(word)


def test_a_video_of_a_run_that_goes_on_ends_where_it_is(tab, studio, painting_job, every_moment):
    run = studio.runs.start(dataclasses.replace(painting_job, config=LONG))
    eventually(lambda: run.frame and run.frame.step >= 2, "two steps")
    path = Path(write_video(tab, run.id, "mp4")["value"])
    assert read_recipe(path).stopped_at >= 2
    assert not run.over


def test_a_run_that_waits_has_no_video_yet(tab, studio, painting_job):
    studio.runs.start(dataclasses.replace(painting_job, config=LONG))
    waiting = studio.runs.start(painting_job)
    answer, sentence = warned(write_video, tab, waiting.id, "gif")
    assert answer == gr.skip()
    assert sentence.startswith("There is nothing to make a video of yet")
