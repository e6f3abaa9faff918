"""The latent space tab's handlers: map, drawn and dropped digits, walks, faces, and refusals."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import io
import os
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from engines.core.files import make_room
from engines.imaging.images import middle_square
from engines.imaging.video import VideoWriter
from engines.jobs import ENGINES
from engines.latent.directions import principal_directions
from engines.latent.geometry import axis_values
from engines.recipes import Recipe
from engines.vae.config import CONCEPTS, MODELS, VAETrainingConfig
from engines.vae.model import VAE, Concept, vae_from_networks
from engines.vae.networks import ARCHITECTURES
from studio import trained_models
from studio.tabs.latent_space import latent_map
from studio.tabs.latent_space.face_editor import DIRECTIONS, EMPTY_FACE
from studio.tabs.latent_space.sketchpad import decode_sketch
from studio.tabs.latent_space.tab import LatentTab
from tests.engines.helpers import as_png, files_in, refusal
from tests.studio.helpers import decoded, unserved_page, warned, watched


def with_random_weights(name: str) -> VAE:
    keras.utils.set_random_seed(0)
    return vae_from_networks(name, ARCHITECTURES[name].build_encoder(), ARCHITECTURES[name].build_decoder())


@pytest.fixture(scope="module")
def digits() -> VAE:
    rng = np.random.default_rng(0)
    examples = rng.normal(size=(30, 2)).astype(np.float32), np.arange(30, dtype=np.uint8) % 10
    return dataclasses.replace(with_random_weights("digits_notes"), examples=examples)


@pytest.fixture(scope="module")
def faces() -> VAE:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(200, 256)).astype(np.float32)
    concepts = [
        Concept(name, row, row / np.linalg.norm(row), 0.5) for name, row in zip(CONCEPTS.values(), z, strict=False)
    ]
    return dataclasses.replace(
        with_random_weights("faces"), principal=principal_directions(z, 64), concepts=tuple(concepts)
    )


@pytest.fixture
def tab(studio, digits, faces) -> LatentTab:
    studio.workshop.keep("vae", "digits", digits)
    studio.workshop.keep("vae", "faces", faces)
    tab = LatentTab(studio)
    with unserved_page():
        tab.build()
    return tab


def a_seven() -> np.ndarray:
    sheet = np.zeros((280, 280, 3), np.uint8)
    sheet[40:60, 80:200] = 255
    sheet[40:240, 160:190] = 255
    return sheet


def uri(image: np.ndarray) -> str:
    return "data:image/png;base64," + base64.b64encode(as_png(image)).decode()


def call(handler, *arguments: Any) -> Any:
    """Run an async handler."""
    return asyncio.run(handler(*arguments))


GRID = ("digits", 6, 2.0, "Follow the prior", "nothing")


def test_the_models_that_can_be_named_are_those_that_there_are():
    assert set(MODELS) == set(ARCHITECTURES) == set(ENGINES["vae"].networks)


# Map


def test_the_map_holds_every_tile_where_it_belongs(tab, digits):
    value = call(tab.redraw, *GRID, {}, 0.5, -0.5)
    sheet = decoded(value["tiles"])
    tiles = digits.latent_grid(6, 2.0, "gaussian")
    np.testing.assert_array_equal(sheet[28:56, 112:140], tiles[1, 4, ..., 0])
    np.testing.assert_allclose(value["axis"], axis_values(6, 2.0, "gaussian"))
    assert (value["size"], len(value["dots"]), value["classes"]) == (28, 30, list("0123456789"))
    np.testing.assert_array_equal(decoded(value["exact"]), digits.decode(np.array([0.5, -0.5]))[0, ..., 0])


def test_what_was_set_on_the_map_stays_when_it_is_drawn_anew(tab):
    value = call(tab.redraw, *GRID, {"waypoints": [[0, 0], [1, 1]]}, 0.0, 0.0)
    assert value["waypoints"] == [[0, 0], [1, 1]]


@pytest.mark.parametrize("kind", ["density", "sensitivity"])
def test_an_overlay_is_as_fine_as_the_map_and_not_the_same_everywhere(digits, kind):
    shade = latent_map.overlay_image(digits, kind, 6, 2.0, "linear")
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(shade.split(",")[1]))))
    assert pixels.shape == (6, 6, 4)
    assert np.ptp(pixels[..., 3]) > 20
    assert latent_map.overlay_image(digits, "none", 6, 2.0, "linear") == ""


def test_a_click_decodes_exactly_and_moves_the_sliders(tab, digits):
    update, *z = call(tab.picked, "digits", {"axis": [1]}, SimpleNamespace(z=[0.123456, -1.0]))
    assert z == [0.12, -1.0]
    assert update["axis"] == [1]
    np.testing.assert_array_equal(decoded(update["exact"]), digits.decode(np.array([z]))[0, ..., 0])


@pytest.mark.parametrize("z", [[float("nan"), 0.0], [1e9, 0.0], [], [1.0]])
def test_a_place_that_is_none_is_told_in_a_sentence(tab, z):
    _, words = warned(lambda: call(tab.picked, "digits", {}, SimpleNamespace(z=z)))
    assert words


def test_a_network_whose_weights_are_missing_is_told_in_a_sentence(tab, studio, tmp_path):
    studio.workshop.store = dataclasses.replace(studio.workshop.store, bundled=tmp_path)
    _, words = warned(lambda: call(tab.redraw, "digits_notes", *GRID[1:], {}, 0.0, 0.0))
    assert "no weights" in words


def test_the_figure_with_axes_is_a_png(tab):
    path = call(tab.write_figure, "digits", 1.0, "Even")
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert min(image.size) > 1000


# Drawn and dropped digits


def test_a_drawn_digit_finds_its_place_and_its_samples(tab, digits):
    value, shown, *z = call(tab.encode_sketch, uri(a_seven()), "digits", {"axis": [1]})
    assert value["axis"] == [1]
    assert len(value["ellipse"]["deviations"]) == 2
    np.testing.assert_allclose(z, value["ellipse"]["mean"], atol=0.006)
    assert shown.count("<img") == 2 + 8
    cleared, shown, *_ = call(tab.encode_sketch, "", "digits", value)
    assert (cleared["ellipse"], shown) == (None, "")


def test_a_dropped_digit_finds_the_same_place(tab, tmp_path):
    path = tmp_path / "seven.png"
    path.write_bytes(as_png(255 - a_seven()))
    *_, a, b = call(tab.encode_image, str(path), "digits", {})
    *_, c, d = call(tab.encode_sketch, uri(a_seven()), "digits", {})
    assert (a, b) == (c, d)


@pytest.mark.parametrize(
    "value", ["data:image/png;base64,AAAA", "data:image/png;base64,é", "javascript:1", uri(a_seven())[:400]]
)
def test_a_drawing_that_did_not_arrive_whole_is_refused_in_a_sentence(value):
    assert "draw again" in refusal(ValueError, decode_sketch, value)


def test_an_empty_sheet_is_told_in_a_sentence(tab):
    _, words = warned(lambda: call(tab.encode_sketch, uri(np.zeros((280, 280, 3), np.uint8)), "digits", {}))
    assert "draw a digit first" in words


# Walk


def test_a_walk_through_waypoints_is_a_run(tab, studio):
    updates = watched(tab.start({"waypoints": [[0, 0], [1, 1]]}, "digits", 4, False, True))
    run = studio.runs.get(next(u[tab.view.run_id] for u in updates if tab.view.run_id in u))
    assert run.state == "done"
    assert run.frame.total == 9
    assert run.result.suffix == ".mp4", "a walk is a video"
    assert run.snapshots.steps == list(range(1, 10)), "and every picture of it is kept"


def test_a_saved_walk_brings_its_places_and_settings_back(tab, studio):
    updates = watched(tab.start({"waypoints": [[0, 0.5], [1, -1]]}, "digits", 4, True, True))
    run = studio.runs.get(next(u[tab.view.run_id] for u in updates if tab.view.run_id in u))
    value, *settings = tab.restore_walk_file(str(run.result), {"dots": [[0, 0, 1]]})
    assert value == {"dots": [[0, 0, 1]], "waypoints": [[0, 0.5], [1, -1]]}
    assert settings == ["digits", 4, True, True]


@pytest.mark.parametrize(
    ("engine", "backbone", "words"),
    [
        ("deep_dream", "studio_vgg", "on another tab"),
        ("vae", "faces", "network that is not available"),
        ("vae", "trained-0", "network that is not available"),
        (None, "", "has no walk"),
    ],
)
def test_a_video_that_is_no_walk_of_ours_is_told_in_a_sentence(tab, tmp_path, engine, backbone, words):
    path = tmp_path / "video.mp4"
    recipe = Recipe(engine=engine or "", config={}, backbone=backbone, weights="", inputs={})
    video = VideoWriter(path, (32, 32), 12)
    video.add(np.zeros((32, 32, 3), np.uint8))
    video.finish(recipe.to_json() if engine else "")
    outcome, said = warned(lambda: tab.restore_walk_file(str(path), {}))
    assert words in said
    assert len(outcome) == 5


def test_a_walk_without_two_places_is_told_in_a_sentence(tab):
    _, words = warned(lambda: watched(tab.start({"waypoints": [[0, 0]]}, "digits", 4, False, False)))
    assert "two waypoints" in words


# Faces


def test_sliders_move_a_face_by_standard_deviations(faces):
    first, second = np.zeros(256), np.ones(256)
    assert not faces.edited(first, second, 0.0, {}, ()).any()
    np.testing.assert_allclose(faces.edited(first, second, 1.0, {}, ()), 1.0)
    smiling = faces.edited(first, None, 0.0, {"smile": 2.0, "unknown": 1.0}, ())
    np.testing.assert_allclose(smiling, 2 * faces.concepts[0].direction, rtol=1e-5)
    expected = -1.5 * faces.principal.deviations[0] * faces.principal.directions[0]
    np.testing.assert_allclose(faces.edited(first, None, 0.0, {}, [-1.5]), expected, rtol=1e-5)


def test_the_middle_square_of_an_image_is_taken():
    wide = np.zeros((60, 200, 3), np.uint8)
    wide[:, 70:130] = 255
    assert middle_square(wide, 64).min() == 255


SLIDERS = len(CONCEPTS) + DIRECTIONS + 1


def test_a_random_face_is_another_each_time_and_shown(tab):
    seed, value, *sliders = call(tab.faces.draw_random, 0, EMPTY_FACE)
    assert seed == 1
    assert decoded(value["picture"]).shape == (64, 64, 3)
    assert sliders == [0.0] * SLIDERS
    assert call(tab.faces.draw_random, seed, value)[1]["first"] != value["first"]


def test_the_browser_asks_for_what_its_sliders_say(tab):
    value = call(tab.faces.draw_random, 0, EMPTY_FACE)[1]
    idle_message = call(tab.faces.edited, ["faces", value["first"], None, [0.0] * SLIDERS])
    assert idle_message == {"picture": value["picture"]}
    assert call(tab.faces.edited, ["faces", value["first"], None, [0.0, 2.0, *[0.0] * (SLIDERS - 2)]]) != idle_message


@pytest.mark.parametrize(
    "asked",
    [
        None,
        [],
        ["faces"],
        ["../faces", [0.0] * 256, None, [0.0] * SLIDERS],
        ["faces", None, None, [0.0] * SLIDERS],
        ["faces", [0.0] * 3, None, [0.0] * SLIDERS],
        ["faces", [0.0] * 256, [0.0], [0.5] * SLIDERS],
        ["faces", [0.0] * 256, None, ["much"] * SLIDERS],
        ["faces", [0.0] * 256, None, []],
    ],
)
def test_what_no_slider_says_gives_no_image_and_no_traceback(tab, asked):
    assert call(tab.faces.edited, asked) is None


def test_a_dropped_face_is_encoded_shown_beside_and_blended_with_another(tab, tmp_path, sample_image):
    path = tmp_path / "face.png"
    path.write_bytes(as_png(sample_image))
    value, *_ = call(tab.faces.encode_first, str(path), EMPTY_FACE)
    np.testing.assert_array_equal(decoded(value["original"]), middle_square(sample_image, 64))
    both, blend = call(tab.faces.encode_second, str(path), value, *[0.0] * SLIDERS)
    assert blend == 0.5
    np.testing.assert_allclose(both["second"], both["first"])


def test_another_face_alone_is_the_first(tab, tmp_path, sample_image):
    path = tmp_path / "face.png"
    path.write_bytes(as_png(sample_image))
    value, _ = call(tab.faces.encode_second, str(path), EMPTY_FACE, *[0.0] * SLIDERS)
    assert value["first"]
    assert decoded(value["picture"]).shape == (64, 64, 3)


def test_a_face_that_is_no_image_is_told_in_a_sentence(tab, tmp_path):
    path = tmp_path / "face.png"
    path.write_text("no pixels")
    _, words = warned(lambda: call(tab.faces.encode_first, str(path), EMPTY_FACE))
    assert "not an image" in words


# Training


@pytest.fixture
def mnist(tmp_path) -> str:
    """Forty noisy images instead of digits."""
    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28)).astype(np.uint8)
    labels = np.zeros(40, np.uint8)
    path = tmp_path / "mnist.npz"
    np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
    return str(path)


def trained(tab: LatentTab, data: str | None, model: str = "digits_notes") -> str:
    """Watch a training to its end and return its run id."""
    training = tab.training
    config = VAETrainingConfig(model=model, epochs=2, batch_size=16, interval=2)
    updates = watched(training.start([data] if data else None, *training.settings.values(config)))
    return next((u[training.view.run_id] for u in updates if training.view.run_id in u), "")


def test_what_was_trained_here_takes_its_place_on_the_map(tab, mnist, studio):
    run_id = trained(tab, mnist)
    run = studio.runs.get(run_id)
    assert (run.state, run.frame.step, run.frame.total) == ("done", 4, 4)
    assert {"reconstruction_loss", "kl_loss", "validation_loss"} <= set(run.curves)
    network, _ = call(tab.use_trained, run_id, {})
    assert network["value"] == f"trained-{run_id}"
    value = call(tab.redraw, network["value"], *GRID[1:], {}, 0.0, 0.0)
    assert len(value["dots"]) == 40


def test_a_training_is_not_done_twice(tab, mnist, studio, eagerly):
    first, again = trained(tab, mnist), trained(tab, mnist)
    assert studio.runs.get(first).job.files == studio.runs.get(again).job.files
    assert (studio.runs.get(again).state, len(studio.runs.get(again).curves["validation_loss"])) == ("done", 1)


def test_a_saved_result_brings_the_settings_of_its_training_back(tab, mnist, studio, eagerly):
    run = studio.runs.get(trained(tab, mnist))
    update = tab.training.data_chosen([str(run.result)])
    assert update[tab.training.data] is None, "a result is no data"
    assert update[tab.training.settings.controls["epochs"]]["value"] == 2
    assert update[tab.training.settings.controls["model"]] == "digits_notes"


def test_an_image_that_no_training_made_is_told_in_a_sentence(tab, tmp_path, sample_image):
    path = tmp_path / "one.png"
    path.write_bytes(as_png(sample_image))
    update, said = warned(lambda: tab.training.data_chosen([str(path)]))
    assert "contains no training data" in said
    assert update == {tab.training.data: None}


def test_of_many_trained_networks_the_newest_are_kept(tab, digits, studio, monkeypatch):
    monkeypatch.setattr(trained_models, "MAX_TRAINED", 2)
    monkeypatch.setattr(tab.training, "load_result", lambda run_id: digits)
    for run_id in ("one", "two", "one", "three"):
        call(tab.use_trained, run_id, {})
    assert studio.workshop.network("vae", "trained-one") is digits
    assert studio.workshop.network("vae", "trained-three") is digits
    assert "no weights named" in refusal(ValueError, lambda: studio.workshop.network("vae", "trained-two"))


def test_the_trainings_not_touched_for_longest_make_room(tmp_path):
    for age, name in enumerate(("new", "middle", "old")):
        (tmp_path / name).write_bytes(b"12345")
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    make_room(tmp_path, 15)
    assert files_in(tmp_path) == ["middle", "new", "old"]
    make_room(tmp_path, 9)
    assert files_in(tmp_path) == ["new"]


def test_training_without_data_or_with_something_else_is_told_in_a_sentence(tab, mnist):
    assert "Choose the training data first" in warned(lambda: trained(tab, None))[1]
    assert "has no images" in warned(lambda: trained(tab, mnist, model="faces"))[1]


def test_using_what_is_not_there_is_told_in_a_sentence(tab):
    _, words = warned(lambda: call(tab.use_trained, "", {}))
    assert "Nothing has been trained yet" in words
