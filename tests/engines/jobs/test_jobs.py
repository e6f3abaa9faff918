"""Jobs: the recipe records what was done, and repeating it gives the same pixels."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from engines.core.description import import_string
from engines.core.files import sha256_of
from engines.deep_dream import DreamConfig
from engines.imaging.images import digest
from engines.jobs import ENGINES, OTHER_WEIGHTS, Job, JobExecution, Workshop, job_from_recipe, running
from engines.recipes import Recipe, RecipeError, from_json
from engines.style_transfer import StyleConfig
from engines.weights.store import WeightsError, WeightsStore
from tests.engines.helpers import refusal

SHORT = DreamConfig(
    size=0, octaves=2, octave_scale=1.5, steps=3, step_size=0.1, jitter=6, layer_weights={"block3_conv1": 1.0}
)


def job(image, config: DreamConfig = SHORT, **others) -> Job:
    inputs = {"image": image, **others}
    return Job(engine="deep_dream", config=config, inputs=inputs, backbone="studio_vgg")


def repeated(workshop: Workshop, recipe: Recipe, **inputs) -> JobExecution:
    """The run of a recipe after a round trip through JSON."""
    return workshop.start(job_from_recipe(from_json(recipe.to_json()), inputs))


def run_to_end(started: JobExecution) -> np.ndarray:
    for _ in started:
        pass
    return started.last.image


def test_the_recipe_after_a_run_says_what_made_the_image(sample_image, workshop):
    started = workshop.start(job(sample_image, guide=sample_image[::-1]))
    run_to_end(started)
    recipe = started.recipe
    assert (recipe.engine, recipe.backbone, recipe.weights) == ("deep_dream", "studio_vgg", "")
    assert recipe.config == dataclasses.asdict(SHORT)
    assert recipe.inputs == {"image": digest(sample_image), "guide": digest(sample_image[::-1])}
    assert recipe.steering == ()
    assert recipe.stopped_at is None


def test_the_recipe_holds_the_layers_that_were_used_where_none_were_named(sample_image, workshop, studio_vgg):
    started = workshop.start(job(sample_image, dataclasses.replace(SHORT, octaves=1, steps=1, layer_weights={})))
    run_to_end(started)
    assert started.recipe.config["layer_weights"] == studio_vgg.architecture.default_layers


def test_inputs_and_data_are_hashed_once_for_all_recipes_of_a_run(sample_image, workshop, tmp_path, monkeypatch):
    hashed = []

    def counted(hash_of):
        return lambda thing: hashed.append(thing) or hash_of(thing)

    monkeypatch.setattr(running, "digest", counted(digest))
    monkeypatch.setattr(running, "sha256_of", counted(sha256_of))
    (tmp_path / "data.zip").write_bytes(b"data")
    started = workshop.start(job(sample_image, guide=sample_image[::-1]))
    for _ in started:
        assert started.recipe.inputs == {"image": digest(sample_image), "guide": digest(sample_image[::-1])}
    assert len(hashed) == 2
    training = workshop.start(dataclasses.replace(job(sample_image), files={"data": tmp_path / "data.zip"}))
    training.last, training.history = started.last, started.history
    assert training.recipe.inputs["data"] == training.recipe.inputs["data"] == sha256_of(tmp_path / "data.zip")
    assert len(hashed) == 4


def test_there_is_no_recipe_before_the_first_frame(sample_image, workshop):
    started = workshop.start(job(sample_image))
    refusal(RecipeError, getattr, started, "recipe")


def test_a_recipe_gives_the_same_pixels_again(sample_image, workshop):
    first = workshop.start(job(sample_image, guide=sample_image[:, ::-1]))
    image = run_to_end(first)
    again = repeated(workshop, first.recipe, image=sample_image, guide=sample_image[:, ::-1])
    np.testing.assert_array_equal(run_to_end(again), image)
    assert again.recipe == first.recipe
    without_guide = repeated(workshop, first.recipe, image=sample_image)
    assert not np.array_equal(run_to_end(without_guide), image)


def steered_run(image, workshop) -> JobExecution:
    """A run that was steered twice: to another layer after step 2, and to more octaves after step 3."""
    started = workshop.start(job(image))
    next(started)
    next(started)
    started.send(dataclasses.replace(SHORT, layer_weights={"block2_conv1": 1.0}, step_size=0.3))
    started.send(dataclasses.replace(SHORT, octaves=3, octave_scale=1.2, steps=2))
    run_to_end(started)
    return started


def test_steering_is_recorded_and_repeated_to_the_same_pixels(sample_image, workshop):
    started = steered_run(sample_image, workshop)
    recipe = started.recipe
    assert [step for step, _ in recipe.steering] == [2, 3]
    assert recipe.steering[0][1]["layer_weights"] == {"block2_conv1": 1.0}
    assert recipe.config == dataclasses.asdict(SHORT)
    again = repeated(workshop, recipe, image=sample_image)
    np.testing.assert_array_equal(run_to_end(again), started.last.image)
    assert again.recipe == recipe
    assert not np.array_equal(run_to_end(workshop.start(job(sample_image))), started.last.image)


def test_a_stopped_run_is_repeated_to_the_same_pixels_and_stops_there(sample_image, workshop):
    started = workshop.start(job(sample_image))
    next(started)
    started.send(dataclasses.replace(SHORT, step_size=0.4))
    next(started)
    started.close()
    assert next(started, None) is None
    assert started.last.step == 3
    assert started.recipe.stopped_at == 3
    again = repeated(workshop, started.recipe, image=sample_image)
    steps = [frame.step for frame in again]
    assert steps == [1, 2, 3]
    np.testing.assert_array_equal(again.last.image, started.last.image)
    assert again.recipe == started.recipe


def test_a_run_that_was_stopped_at_its_very_end_was_not_stopped(sample_image, workshop):
    started = workshop.start(job(sample_image))
    run_to_end(started)
    started.close()
    assert started.recipe.stopped_at is None


def test_steering_in_a_repeated_run_drops_what_the_recipe_would_still_have_changed(sample_image, workshop):
    recipe = steered_run(sample_image, workshop).recipe
    again = repeated(workshop, recipe, image=sample_image)
    next(again)
    mine = dataclasses.replace(SHORT, step_size=0.0)
    before = again.last.image
    np.testing.assert_array_equal(again.send(mine).image, before)
    run_to_end(again)
    assert [step for step, _ in again.recipe.steering] == [1]
    assert again.recipe.steering[0][1]["step_size"] == 0.0
    assert again.last.step == again.last.total == 6


def test_a_control_that_says_what_it_said_before_is_no_steering(sample_image, workshop):
    recipe = steered_run(sample_image, workshop).recipe
    again = repeated(workshop, recipe, image=sample_image)
    next(again)
    again.send(dataclasses.replace(SHORT))
    run_to_end(again)
    assert again.recipe == recipe, "what the recipe changes on the way is still changed"
    moved = workshop.start(job(sample_image))
    next(moved)
    for _ in range(3):
        moved.send(dataclasses.replace(SHORT, step_size=0.0))
    assert [step for step, _ in moved.recipe.steering] == [1]


def test_a_config_that_does_not_fit_the_backbone_is_refused_and_the_run_goes_on(sample_image, workshop):
    started = workshop.start(job(sample_image))
    next(started)
    wrong = dataclasses.replace(SHORT, layer_weights={"mixed4": 1.0})
    assert "mixed4" in refusal(ValueError, started.resolve, wrong)
    run_to_end(started)
    assert started.last.step == 6


def test_a_backbone_is_loaded_once_and_an_unknown_one_is_refused(workshop, studio_vgg, sample_image):
    assert workshop.network("deep_dream", "studio_vgg") is studio_vgg
    assert "studio_vgg" in refusal(WeightsError, workshop.network, "deep_dream", "no such network")
    started = workshop.start(dataclasses.replace(job(sample_image), backbone="../../etc/passwd"))
    refusal(WeightsError, next, started)


def test_a_backbone_whose_weights_are_not_there_is_refused_when_the_run_begins(sample_image, tmp_path):
    empty = Workshop(WeightsStore(cache=tmp_path, bundled=tmp_path))
    started = empty.start(dataclasses.replace(job(sample_image), backbone="vgg16"))
    assert "vgg16" in refusal(WeightsError, next, started)


def hostile(**changes) -> Recipe:
    values = {"engine": "deep_dream", "config": {}, "backbone": "studio_vgg", "weights": "", "inputs": {}}
    return from_json(json.dumps({"reverie": 1, "steering": [], "stopped_at": None, **values, **changes}))


@pytest.mark.parametrize("engine", ["", "os", "engines.jobs.registry", "__class__", "x" * 10_000])
def test_a_recipe_for_an_unknown_engine_is_refused_with_one_sentence(engine):
    sentence = refusal(RecipeError, job_from_recipe, hostile(engine=engine), {})
    assert len(sentence) < 200


@pytest.mark.parametrize(
    "config",
    [{"__class__": 1}, {"size": "640"}, {"size": [1, [2]]}, {"layer_weights": [1]}, {"steps": 1e9}, {"seed": True}],
    ids=str,
)
def test_a_recipe_with_hostile_settings_is_refused_with_one_sentence_wherever_they_are(config):
    refusal(ValueError, job_from_recipe, hostile(config=config), {})
    refusal(ValueError, job_from_recipe, hostile(steering=[[1, config]]), {})


@pytest.mark.parametrize("stop_at", [0, -5])
def test_a_recipe_that_stops_before_its_first_step_still_ends(sample_image, workshop, stop_at):
    config = dataclasses.asdict(SHORT)
    started = repeated(workshop, hostile(config=config, stopped_at=stop_at), image=sample_image)
    assert len(list(started)) == 1


def test_every_engine_is_where_its_entry_says():
    for name, engine in ENGINES.items():
        assert dataclasses.is_dataclass(engine.config_class), name
        assert callable(import_string(engine.function)), name
        assert callable(import_string(f"{engine.module}:resolve")), name
        assert all(callable(import_string(place)) for place in (engine.loader, engine.reader) if place), name


PAINTING = StyleConfig(seconds=0.0, size=0, scales=1, steps=3)


def painting_job(image, config: StyleConfig = PAINTING, **others) -> Job:
    inputs = {"content_image": image, "style_images_1": image[::-1], **others}
    return Job(engine="style_transfer", config=config, inputs=inputs, backbone="studio_vgg")


def test_numbered_inputs_reach_the_engine_as_a_series_with_gaps_where_there_are_none(sample_image):
    mask = np.full_like(sample_image, 255)
    inputs = {
        "content_image": sample_image,
        "style_images_2": sample_image[:, ::-1],
        "style_images_1": sample_image[::-1],
    }
    given = ENGINES["style_transfer"].arguments({**inputs, "masks_2": mask})
    assert given["content_image"] is sample_image
    assert [image is inputs[f"style_images_{i}"] for i, image in enumerate(given["style_images"], 1)] == [True, True]
    first, second = given["masks"]
    assert first is None
    assert second is mask
    assert "start_image" not in given


def test_the_recipe_of_a_painting_holds_what_the_engine_chose_and_repeats_it(sample_image, workshop):
    mask = np.zeros_like(sample_image)
    mask[:, :30] = 255
    others = {"style_images_2": sample_image[:, ::-1], "masks_2": mask}
    first = workshop.start(painting_job(sample_image, dataclasses.replace(PAINTING, seconds=0.6), **others))
    image = run_to_end(first)
    recipe = first.recipe
    assert recipe.config["seconds"] == 0
    assert recipe.config["style_layers"]
    assert recipe.stopped_at is None
    again = repeated(workshop, recipe, content_image=sample_image, style_images_1=sample_image[::-1], **others)
    np.testing.assert_array_equal(run_to_end(again), image)
    assert again.recipe == recipe


def test_a_painting_that_was_steered_repeats_to_the_same_pixels(sample_image, workshop):
    started = workshop.start(painting_job(sample_image, dataclasses.replace(PAINTING, steps=6)))
    next(started)
    next(started)
    started.send(dataclasses.replace(started.job.config, balance=0.8, steps=8, size=400))
    image = run_to_end(started)
    ((step, settings),) = started.recipe.steering
    # The settings in force are recorded, not those requested: a painting cannot change its size.
    assert (step, settings["balance"], settings["steps"], settings["size"]) == (2, 0.8, 8, 0)
    again = repeated(workshop, started.recipe, content_image=sample_image, style_images_1=sample_image[::-1])
    np.testing.assert_array_equal(run_to_end(again), image)


def test_what_was_made_with_other_weights_is_repeated_and_says_that_it_differs(sample_image, workshop):
    first = workshop.start(job(sample_image))
    run_to_end(first)
    same = repeated(workshop, first.recipe, image=sample_image)
    run_to_end(same)
    assert OTHER_WEIGHTS not in same.notices
    earlier = repeated(workshop, dataclasses.replace(first.recipe, weights="54d6b56a"), image=sample_image)
    run_to_end(earlier)
    assert earlier.notices == (OTHER_WEIGHTS,)
    assert earlier.recipe.weights == first.recipe.weights, "those that it was made with now"


def test_the_weights_of_a_network_are_known_before_it_is_loaded(tmp_path):
    fresh = Workshop(WeightsStore())
    known = fresh.weights("deep_dream", "studio_vgg")
    assert len(known) == 64
    assert known == fresh.network("deep_dream", "studio_vgg").weights == fresh.weights("deep_dream", "studio_vgg")
    assert fresh.weights("deep_dream", "no such network") == ""
    assert fresh.weights("vae_training", "") == ""
