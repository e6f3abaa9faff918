"""The Faces tab's handlers: grid, selected face, walks, projection, training, and refusals."""

from __future__ import annotations

import asyncio
import dataclasses
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from engines.dcgan import augmentation
from engines.dcgan import config as dcgan_config
from engines.dcgan import model as gans
from engines.dcgan.config import DCGANTrainingConfig, ProjectionConfig
from engines.dcgan.model import GAN
from engines.dcgan.networks import ARCHITECTURES
from engines.jobs import ENGINES
from engines.recipes import read_recipe
from studio.services import Studio
from studio.tabs.faces import tab as faces
from studio.tabs.faces.face_detail import DIRECTIONS, EMPTY_FACE, NEUTRAL_SLIDERS, verdict_text
from studio.tabs.faces.tab import COUNT, FacesTab
from studio.tabs.faces.training import NETWORKS
from studio.trained_models import pack_files
from tests.engines.helpers import as_png, blocks, refusal, untrained_gan, zip_of
from tests.studio.helpers import decoded, eventually, through_the_page, unserved_page, warned, watched

SLIDERS = 2 + DIRECTIONS


@pytest.fixture(scope="module")
def gan() -> GAN:
    untrained = untrained_gan()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gans, "IMAGES", 32)
        principal = gans.principal_directions(untrained)
    held_out_percentiles = np.linspace(-2, 2, 101).astype(np.float32)
    return dataclasses.replace(untrained, principal=principal, held_out_percentiles=held_out_percentiles)


@pytest.fixture
def tab(studio, gan) -> FacesTab:
    return tab_of(studio, gan)


def tab_of(studio: Studio, gan: GAN) -> FacesTab:
    for name in ("faces", "notes"):
        studio.workshop.keep("dcgan", name, gan)
    tab = FacesTab(studio)
    with unserved_page():
        tab.build()
    return tab


def call(handler, *arguments: Any) -> Any:
    return asyncio.run(handler(*arguments))


def a_grid(tab: FacesTab) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a grid and its first face."""
    shown, face, *sliders = call(tab.same_page, "faces", {}, 0.8)
    assert sliders == [*NEUTRAL_SLIDERS]
    return shown, face


def test_what_the_settings_name_is_what_there_is():
    assert set(dcgan_config.MODELS) == set(ARCHITECTURES) == set(dcgan_config.MODEL_DEFAULTS)
    assert dcgan_config.AUGMENTATIONS == augmentation.AUGMENTATIONS
    assert set(NETWORKS.values()) == set(ARCHITECTURES)


# Grid


def test_the_grid_shows_the_images_of_its_seeds_with_what_the_critic_says(tab, gan):
    shown, face = a_grid(tab)
    images = gan.sample(range(COUNT), 0.8)
    sheet = decoded(shown["sheet"])
    column, row = 3 % shown["columns"], 3 // shown["columns"]
    tile = sheet[row * 64 : row * 64 + 64, column * 64 : column * 64 + 64]
    # JPEG changes the noise, yet each tile must still be nearest to its own face.
    light = images.mean(-1).reshape(COUNT, -1)
    light = (light - light.mean(1, keepdims=True)) / light.std(1, keepdims=True)
    assert (light @ tile.mean(-1).ravel()).argmax() == 3
    expected = [round(gan.score_percentile(float(verdict))) for verdict in gan.scores(images)]
    assert shown["score_percentiles"] == expected
    np.testing.assert_allclose(decoded(face["picture"]).astype(int), images[0].astype(int), atol=1)


def test_new_faces_are_others_and_variety_draws_the_same_noise_again(tab):
    first, _ = a_grid(tab)
    second = call(tab.next_page, "faces", first, 0.8)[0]
    assert (first["seed"], second["seed"]) == (0, COUNT)
    third = call(tab.same_page, "faces", second, 0.3)[0]
    assert third["seed"] == COUNT
    assert third["sheet"] != second["sheet"]


def test_a_grid_that_is_there_is_not_drawn_again_when_the_tab_is_shown(tab):
    shown, _ = a_grid(tab)
    assert call(tab.first_page, "faces", {}, 0.8)[0]["sheet"] == shown["sheet"]
    assert all(update == gr.skip() for update in call(tab.first_page, "faces", shown, 0.8))


def test_a_face_of_the_grid_becomes_the_large_one(tab, gan):
    shown, face = a_grid(tab)
    chosen, *sliders = call(tab.picked, "faces", shown, face, SimpleNamespace(index=7))
    assert sliders == [*NEUTRAL_SLIDERS]
    np.testing.assert_allclose(chosen["first"], gan.latents([7], 0.8)[0], atol=1e-4)
    np.testing.assert_allclose(decoded(chosen["picture"]).astype(int), gan.sample([7], 0.8)[0].astype(int), atol=1)
    assert chosen["turn"] > face["turn"]


# Selected face


def test_the_browser_asks_for_what_its_sliders_say(tab, gan):
    _, face = a_grid(tab)
    answer = call(tab.face.edited, ["faces", face["first"], None, NEUTRAL_SLIDERS])
    assert (answer["picture"], answer["caption"]) == (face["picture"], face["caption"])
    moved = call(tab.face.edited, ["faces", face["first"], None, [0.0, False, 3.0, *[0.0] * (DIRECTIONS - 1)]])
    expected = gan.decode(gan.edited(face["first"], None, 0.0, [3.0]))[0]
    np.testing.assert_array_equal(decoded(moved["picture"]), expected)


def test_where_the_critic_looks_is_shown_on_demand(tab):
    _, face = a_grid(tab)
    lit = call(tab.face.edited, ["faces", face["first"], None, [0.0, True, *[0.0] * DIRECTIONS]])
    plain = decoded(face["picture"]).astype(int)
    shown = decoded(lit["picture"]).astype(int)
    assert (shown <= plain + 1).all()
    assert shown.mean() < plain.mean()


@pytest.mark.parametrize(
    "asked",
    [
        None,
        [],
        ["../faces", [0.0] * 128, None, NEUTRAL_SLIDERS],
        ["faces", None, None, NEUTRAL_SLIDERS],
        ["faces", [0.0] * 3, None, NEUTRAL_SLIDERS],
        ["faces", [0.0] * 128, [0.0], [0.5, *NEUTRAL_SLIDERS[1:]]],
        ["faces", [0.0] * 128, None, ["much"] * SLIDERS],
        ["faces", [0.0] * 128, None, []],
    ],
)
def test_what_no_slider_says_gives_no_image_and_no_traceback(tab, asked):
    assert call(tab.face.edited, asked) is None


def test_a_held_face_is_the_other_end_of_the_slider(tab, gan):
    shown, face = a_grid(tab)
    held, *_ = call(tab.face.hold_face, face, *NEUTRAL_SLIDERS)
    assert held["second"] == face["first"]
    other, *_ = call(tab.picked, "faces", shown, held, SimpleNamespace(index=5))
    assert other["second"] == face["first"]
    halfway = call(tab.face.edited, ["faces", other["first"], other["second"], [0.5, *NEUTRAL_SLIDERS[1:]]])
    z = gan.edited(other["first"], other["second"], 0.5, [])
    np.testing.assert_array_equal(decoded(halfway["picture"]), gan.decode(z)[0])
    again, *sliders = call(tab.face.reset, other)
    assert (again["second"], again["first"], sliders) == (None, other["first"], [*NEUTRAL_SLIDERS])


def test_a_saved_face_comes_back_with_its_sliders(tab):
    shown, face = a_grid(tab)
    held, *_ = call(tab.face.hold_face, face, *NEUTRAL_SLIDERS)
    other, *_ = call(tab.picked, "faces", shown, held, SimpleNamespace(index=2))
    sliders = [0.25, False, 1.5, *[0.0] * (DIRECTIONS - 2), -2.0]
    path = call(tab.face.save_face, other, *sliders)
    recipe = read_recipe(Path(path))
    assert (recipe.engine, recipe.backbone) == ("dcgan", "faces")
    network, truncation, _, back, *rest = call(tab.restore_file, path)
    assert (network, truncation, rest[:SLIDERS]) == ("faces", 1.0, sliders)
    assert (back["first"], back["second"]) == (other["first"], other["second"])
    assert back["picture"] == call(tab.face.edited, ["faces", other["first"], other["second"], sliders])["picture"]
    assert np.asarray(Image.open(path)).shape == (448, 448, 3)


def test_without_a_face_nothing_is_saved_held_or_added_but_a_sentence(tab):
    for handler in (
        lambda: call(tab.face.save_face, EMPTY_FACE, *NEUTRAL_SLIDERS),
        lambda: call(tab.face.hold_face, EMPTY_FACE, *NEUTRAL_SLIDERS),
    ):
        assert "No face" in warned(handler)[1]
    assert "No face" in warned(lambda: call(tab.add_to_walk, [], EMPTY_FACE, *NEUTRAL_SLIDERS))[1]
    assert "No face" in warned(lambda: call(tab.face.reset, EMPTY_FACE))[1]


def test_the_verdict_is_told_as_a_share_of_photographs(gan):
    assert verdict_text(gan, 0.0) == "The discriminator rates it as more realistic than 50% of photos (score 0.00)"
    assert (
        verdict_text(dataclasses.replace(gan, held_out_percentiles=None), 1.0)
        == "The discriminator gives it a score of 1.00"
    )


# Walks


def test_faces_are_collected_and_walked_through_and_the_walk_comes_back(tab, studio):
    shown, face = a_grid(tab)
    places, strip = call(tab.add_to_walk, [], face, *NEUTRAL_SLIDERS)
    other, *_ = call(tab.picked, "faces", shown, face, SimpleNamespace(index=1))
    places, strip = call(tab.add_to_walk, places, other, *NEUTRAL_SLIDERS)
    assert (len(places), strip.count("<img"), "2 faces" in strip) == (2, 2, True)
    updates = watched(tab.start_walk("faces", shown, places, 2, True, True))
    run = studio.runs.get(next(u[tab.view.run_id] for u in updates if tab.view.run_id in u))
    assert (run.state, run.frame.step, run.result.suffix) == ("done", 4, ".mp4")
    back = call(tab.restore_file, str(run.result))
    _, _, *same = back[: 3 + 1 + SLIDERS]
    assert all(update == gr.skip() for update in same)
    assert back[-5:] == [places, back[-4], 2, True, True]
    assert tab.clear_walk()[0] == []


def test_a_walk_without_chosen_faces_passes_the_first_five_of_the_grid(tab, studio):
    shown = call(tab.next_page, "faces", {"seed": 0}, 0.6)[0]
    updates = watched(tab.start_walk("faces", shown, [], 1, False, False))
    run = studio.runs.get(next(u[tab.view.run_id] for u in updates if tab.view.run_id in u))
    assert run.job.config.seeds == tuple(range(COUNT, COUNT + 5))
    assert (run.frame.total, run.job.config.truncation) == (5, 0.6)


def test_a_walk_of_one_face_or_too_many_is_told_in_a_sentence(tab):
    shown, face = a_grid(tab)
    assert (
        "at least two waypoints"
        in warned(lambda: watched(tab.start_walk("faces", shown, [face["first"]], 2, True, True)))[1]
    )
    many = [face["first"]] * faces.MAX_WAYPOINTS
    assert "at most" in warned(lambda: call(tab.add_to_walk, many, face, *NEUTRAL_SLIDERS))[1]


def test_what_is_no_face_or_walk_of_this_tab_is_told_in_a_sentence(tab, tmp_path, sample_image):
    plain = tmp_path / "plain.png"
    plain.write_bytes(as_png(sample_image))
    assert "has no recipe" in warned(lambda: call(tab.restore_file, str(plain)))[1]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"engine": "deep_dream", "config": {}, "backbone": "studio_vgg"}, "another tab"),
        ({"backbone": "trained-elsewhere"}, "a network that is not available"),
        ({"config": {"z": [0.0, 1.0]}}, "must have 128 numbers, not 2"),
        ({"config": {"seed": -4}}, "Seed must be"),
        ({"engine": "dcgan_walk", "config": {"waypoints": [0.0] * 130}}, "must have 128 numbers"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_told_in_a_sentence(tab, tmp_path, changes, told):
    from engines.recipes import Recipe, write_png

    usual = {"engine": "dcgan", "config": {}, "backbone": "faces", "weights": "", "inputs": {}}
    path = tmp_path / "saved.png"
    write_png(path, np.zeros((8, 8, 3), np.uint8), Recipe(**usual | changes))
    assert told in warned(lambda: call(tab.restore_file, str(path)))[1]


# Projection


def test_a_dropped_face_is_judged_looked_for_and_used(tab, studio, photo):
    _, opinion, message, *_ = call(tab.search.face_dropped, photo, "faces")
    assert opinion.startswith("The discriminator rates your photo as more realistic than")
    assert message["state"] == "ready"
    values = tab.search.settings.values(ProjectionConfig(steps=2, starts=1))
    updates = watched(tab.search.start(photo, "faces", *values))
    run_id = next(u[tab.search.view.run_id] for u in updates if tab.search.view.run_id in u)
    run = studio.runs.get(run_id)
    assert (run.state, run.frame.step) == ("done", 2)
    face, *_ = call(tab.search.use_face, run_id)
    np.testing.assert_allclose(face["first"], run.frame.z, atol=1e-4)
    assert decoded(face["original"]).shape == (128, 128, 3)
    kept, _, _, *settings = call(tab.search.face_dropped, str(run.result), "faces")
    assert kept is not None
    assert through_the_page(tab.search.settings, settings).steps == 2


def test_looking_for_nothing_and_using_what_was_not_found_is_told_in_a_sentence(tab, tmp_path):
    values = tab.search.settings.values(ProjectionConfig())
    assert "Drop a photo first" in warned(lambda: watched(tab.search.start(None, "faces", *values)))[1]
    assert "No face found yet" in warned(lambda: call(tab.search.use_face, ""))[1]
    bad = tmp_path / "bad.png"
    bad.write_text("no pixels")
    assert "not an image" in warned(lambda: call(tab.search.face_dropped, str(bad), "faces"))[1]


def test_the_weights_of_a_search_may_be_moved_while_it_looks(tab, studio, photo):
    run = studio.runs.start(
        faces.Job(
            engine="dcgan_projection",
            config=ProjectionConfig(steps=4000, starts=1),
            inputs={"image": studio.read(photo)},
            backbone="faces",
        )
    )
    eventually(lambda: run.frame, "a first frame")
    settings = tab.search.settings
    heavier = settings.values(ProjectionConfig(steps=4000, starts=1, pixel_weight=3.0))
    tab.search.view.steer(run.id, "faces", settings, heavier)
    eventually(lambda: run.recipe_at(run.frame.step).steering, "the steering to be taken up")
    run.stop()
    eventually(lambda: run.over, "the run to stop")
    assert read_recipe(run.result).steering[0][1]["pixel_weight"] == 3.0


# Nearest training images


def test_without_data_the_page_says_what_the_nearest_images_need(tab, gan):
    assert not tab.neighbours.ask.interactive
    assert "--data FOLDER" in refusal(ValueError, tab.neighbours.nearest, gan.sample([0])[0])


def test_with_data_the_nearest_training_images_are_shown(studio, gan, tmp_path):
    studio.data = zip_of(tmp_path / "pictures.zip", blocks(24))
    tab = tab_of(studio, gan)
    assert tab.neighbours.ask.interactive
    answer = tab.neighbours.nearest(gan.sample([0])[0])
    assert answer.count("<img") == 4
    assert "outside the training set" in answer


# Training


TINY = DCGANTrainingConfig(images=64, batch_size=8, interval=4)


def trained(tab: FacesTab, paths: list[str] | None, config: DCGANTrainingConfig = TINY) -> str:
    training = tab.training
    updates = watched(training.start(paths, *training.settings.values(config.filled())))
    return next((u[training.view.run_id] for u in updates if training.view.run_id in u), "")


def test_what_was_trained_here_draws_on_the_grid(tab, studio, tmp_path, monkeypatch):
    monkeypatch.setattr(gans, "IMAGES", 32)
    run_id = trained(tab, [str(zip_of(tmp_path / "pictures.zip", blocks(24)))])
    run = studio.runs.get(run_id)
    assert (run.state, run.frame.step, run.frame.total) == ("done", 8, 8)
    assert {"d_loss", "g_loss", "real_accuracy", "fake_accuracy", "diversity"} <= set(run.curves)
    update = call(tab.use_trained, run_id)
    assert update["value"] == f"trained-{run_id}"
    with zipfile.ZipFile(asyncio.run(tab.training.export_for_keras(run_id)).value["path"]) as archive:
        assert sorted(Path(name).suffix for name in archive.namelist()) == [".keras", ".keras"]
    shown, face, *_ = call(tab.same_page, update["value"], {}, 0.8)
    assert (len(shown["score_percentiles"]), face["network"]) == (COUNT, update["value"])
    saved = tab.training.data_chosen([str(run.result)])
    assert saved[tab.training.settings.controls["images"]]["value"] == 64


def test_using_or_sending_back_what_is_not_there_is_told_in_a_sentence(tab):
    assert "Nothing has been trained yet" in warned(lambda: call(tab.use_trained, ""))[1]
    assert "Nothing has been trained yet" in warned(lambda: asyncio.run(tab.training.export_for_keras("")))[1]
    assert "Choose the training data first" in warned(lambda: trained(tab, None))[1]
    assert warned(lambda: tab.training.add_rollback("", 3)) == (3, "No training is running.")


def test_three_images_are_too_few_to_train_on(tab, tmp_path):
    paths = [str(tmp_path / f"{i}.png") for i in range(3)]
    for path in paths:
        Path(path).write_bytes(as_png(np.zeros((20, 20, 3), np.uint8)))
    assert "only 3 images; it needs at least 16" in warned(lambda: trained(tab, paths))[1]


def test_several_files_are_packed_into_one_and_the_same_ones_into_the_same(tmp_path):
    names = ("b.png", "a.png")
    for name in names:
        (tmp_path / name).write_bytes(as_png(np.full((4, 4, 3), len(name), np.uint8)))
    paths = [str(tmp_path / name) for name in names]
    whole = pack_files(paths, tmp_path)
    assert pack_files(paths[::-1], tmp_path) == whole
    with zipfile.ZipFile(whole) as archive:
        assert archive.namelist() == ["00000-a.png", "00001-b.png"]
    assert pack_files(paths[:1], tmp_path) == tmp_path / "b.png"


def test_other_networks_bring_their_own_settings_and_leave_the_rest(tab):
    settings = tab.training.settings
    values = settings.values(dataclasses.replace(TINY, images=9984, seed=5).filled())
    config = through_the_page(settings, tab.training.network_chosen("notes", *values))
    assert (config.model, config.objective, config.g_learning_rate, config.averaging) == (
        "notes",
        "noisy labels",
        1e-4,
        0,
    )
    assert (config.images, config.seed, config.batch_size) == (9984, 5, 8)


def test_every_engine_of_this_tab_is_known():
    assert {"dcgan", "dcgan_walk", "dcgan_projection", "dcgan_training"} <= set(ENGINES)
