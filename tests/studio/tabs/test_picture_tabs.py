"""Handlers that the DeepDream and style transfer tabs have in common."""

from __future__ import annotations

import abc
import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from engines import deep_dream
from engines.backbones.backbone import Backbone
from engines.imaging import images
from engines.imaging.images import read_picture
from engines.jobs import ENGINES, Job
from engines.recipes import Recipe, read_recipe, write_png
from engines.style_transfer import MOST_STYLES
from engines.style_transfer import engine as style_transfer
from engines.weights.store import WeightsStore
from studio.panels.image_drop import ECHO_SECONDS
from studio.runs.run import Run
from studio.tabs.deep_dream.tab import DreamTab
from studio.tabs.style_transfer.tab import StyleTab
from tests.engines.helpers import as_png
from tests.studio.conftest import QUICK_PAINTING, SMALL
from tests.studio.helpers import (
    Clock,
    decoded,
    eventually,
    finished,
    forget_runs,
    huge_png,
    names_of,
    png_with_late_chunk,
    png_with_text,
    studio_of_its_own,
    through_the_page,
    unserved_page,
    value_in,
    warned,
    watched,
)

BACKBONES = {"deep_dream": list(deep_dream.PRESETS), "style_transfer": list(style_transfer.LAYERS)}
PRESETS = {"deep_dream": deep_dream.presets, "style_transfer": style_transfer.presets}
EVERY_PRESET = [
    (engine, backbone, name)
    for engine, backbones in BACKBONES.items()
    for backbone in backbones
    for name in PRESETS[engine](backbone)
]


class Subject(abc.ABC):
    """A tab, and how the page calls it.

    Attributes:
        engine: key in `engines.jobs.ENGINES`.
        quick: config of few steps.
        most_steps: maximum number of steps.
        change: a field that can be steered, and a new value.
        misfit: a field, and a value with a layer that the network does not have.
    """

    engine: str
    quick: Any
    most_steps: int
    change: tuple[str, Any]
    misfit: tuple[str, Any]

    def __init__(self, tab: Any, picture: np.ndarray, painting: np.ndarray, paintings: list[tuple[str, None]]):
        self.tab, self.studio, self.paintings = tab, tab.studio, paintings
        self.inputs = self.inputs_of(picture, painting)

    @staticmethod
    @abc.abstractmethod
    def inputs_of(picture: np.ndarray, painting: np.ndarray) -> dict[str, np.ndarray]:
        """Return a job's inputs."""

    @abc.abstractmethod
    def values(self, config: Any) -> list[Any]:
        """Return the form's values for a config."""

    @abc.abstractmethod
    def drop(self, path: str | None, run_id: str = "") -> dict[Any, Any]:
        """Drop a photo and return the updates."""

    @abc.abstractmethod
    def start(
        self, photo: str | None, values: list[Any], *, backbone: str = "studio_vgg", restored: str | None = None
    ) -> list[dict[Any, Any]]:
        """Start a run and return all updates until its end."""

    def steer(self, run_id: str, values: list[Any], *, backbone: str = "studio_vgg") -> None:
        """Move a control while a run is going."""
        self.tab.stage.steer(run_id, backbone, self.tab.settings, values)

    @abc.abstractmethod
    def choose_preset(self, name: str | None, backbone: str, values: list[Any], *, run_id: str = "") -> list[Any]:
        """Choose a preset and return the form's updates."""

    @property
    def long(self) -> Any:
        """A config that runs until it is stopped."""
        return dataclasses.replace(self.quick, steps=self.most_steps)

    @property
    def changed(self) -> Any:
        """The same config with the change to steer."""
        return dataclasses.replace(self.long, **dict([self.change]))

    def begun(self, config: Any) -> Run:
        """Start a run and wait for its first frame."""
        job = Job(engine=self.engine, config=config, inputs=self.inputs, backbone="studio_vgg")
        run = self.studio.runs.start(job)
        eventually(lambda: run.frame, "the first frame")
        return run

    def steering_of(self, run: Run) -> list[Any]:
        """Let a run make a few more steps, stop it, and return its steering."""
        at = run.frame.step
        eventually(lambda: run.over or run.frame.step >= at + 3, "three more steps")
        run.stop()
        return list(read_recipe(finished(run).result).steering)

    def recipe(self, **changes: Any) -> dict[str, Any]:
        """Return a recipe of this tab, as JSON, with changes."""
        recipe = Recipe(
            engine=self.engine,
            config=dataclasses.asdict(self.quick),
            backbone="studio_vgg",
            weights="",
            inputs={name: str(number) * 64 for number, name in enumerate(self.inputs)},
        )
        return json.loads(recipe.to_json()) | changes


class Dream(Subject):
    """The DeepDream tab."""

    engine = "deep_dream"
    quick = SMALL
    most_steps = 1000
    change = "step_size", 0.001
    misfit = "layer_weights", {"mixed4": 1.0}

    @staticmethod
    def inputs_of(picture: np.ndarray, painting: np.ndarray) -> dict[str, np.ndarray]:
        return {"image": picture}

    def values(self, config):
        return self.tab.settings.values(config)

    def drop(self, path, run_id=""):
        return self.tab.photo_changed(path, run_id)

    def start(self, photo, values, *, backbone="studio_vgg", restored=None):
        return watched(self.tab.start(photo, None, backbone, restored, *values))

    def choose_preset(self, name, backbone, values, *, run_id=""):
        return self.tab.preset_chosen(name, backbone, run_id, *values)


class Style(Subject):
    """The style transfer tab, with one painting chosen."""

    engine = "style_transfer"
    quick = QUICK_PAINTING
    most_steps = 20_000
    change = "balance", 0.6
    misfit = "content_layer", "mixed4"

    @staticmethod
    def inputs_of(picture: np.ndarray, painting: np.ndarray) -> dict[str, np.ndarray]:
        return {"content_image": picture, "style_images_1": painting}

    def values(self, config):
        return [*self.tab.settings.values(config), *[1] * MOST_STYLES, self.paintings]

    def drop(self, path, run_id=""):
        return self.tab.photo_changed(path, self.paintings, run_id)

    def start(self, photo, values, *, backbone="studio_vgg", restored=None):
        return watched(self.tab.start(photo, self.paintings, None, None, backbone, restored, *values))

    def choose_preset(self, name, backbone, values, *, run_id=""):
        return self.tab.preset_chosen(name, backbone, run_id, *values)


SUBJECTS = {"deep_dream": Dream, "style_transfer": Style}


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory, studio_vgg, drawn) -> Iterator[dict[str, Any]]:
    """Both tabs, each with its own studio and page; building them for every test would take too long."""
    tabs = {}
    for engine, kind in (("deep_dream", DreamTab), ("style_transfer", StyleTab)):
        tabs[engine] = kind(studio_of_its_own(tmp_path_factory.mktemp(engine), studio_vgg, drawn))
        with unserved_page():
            tabs[engine].build()
    yield tabs
    for tab in tabs.values():
        tab.studio.runs.close()


def subject_of(engine: str, laid_out, picture, painting, tmp_path) -> Subject:
    Image.fromarray(painting).save(tmp_path / "painting.png")
    return SUBJECTS[engine](laid_out[engine], picture, painting, [(str(tmp_path / "painting.png"), None)])


@pytest.fixture(params=list(SUBJECTS))
def subject(request, laid_out, picture, painting, tmp_path) -> Iterator[Subject]:
    """Each tab in turn; its studio is cleared after each test."""
    subject = subject_of(request.param, laid_out, picture, painting, tmp_path)
    yield subject
    forget_runs(subject.studio)
    for path in subject.studio.gallery.inputs.glob("*"):
        path.unlink()


def config_in(subject: Subject, answer: dict[Any, Any]) -> Any:
    """Return the config that the form shows after an answer."""
    return through_the_page(subject.tab.settings, [answer[control] for control in subject.tab.settings.components])


# Controls and presets


@pytest.mark.parametrize(("engine", "backbone", "name"), EVERY_PRESET)
def test_every_preset_is_within_what_the_controls_accept_and_comes_out_equal(
    laid_out, picture, painting, tmp_path, engine, backbone, name
):
    subject = subject_of(engine, laid_out, picture, painting, tmp_path)
    config = PRESETS[engine](backbone)[name]
    settings = subject.tab.settings
    assert settings.config(tuple(settings.values(config))) == config
    assert through_the_page(settings, subject.choose_preset(name, backbone, subject.values(config))) == config


def test_the_page_begins_with_the_first_preset(subject):
    (name, first), *_ = PRESETS[subject.engine]("studio_vgg").items()
    tab = subject.tab
    assert through_the_page(tab.settings, [control.value for control in tab.settings.components]) == first
    assert (tab.preset.value, tab.backbone.value) == (name, "studio_vgg")


def test_numbers_come_as_floats_from_a_browser_and_empty_controls_mean_the_default(subject):
    settings = subject.tab.settings
    values = settings.values(subject.quick)
    config = settings.config(tuple(float(value) if isinstance(value, int) else value for value in values))
    assert config == subject.quick
    for field in dataclasses.fields(config):
        if field.type in (int, "int"):
            assert isinstance(getattr(config, field.name), int), field.name
    assert settings.config(tuple(None for _ in settings.controls)) == type(subject.quick)()


def test_a_preset_that_the_network_does_not_have_changes_nothing(subject):
    values = subject.values(subject.quick)
    for name in ("No such preset", None):
        assert subject.choose_preset(name, "studio_vgg", values) == [gr.skip()] * len(subject.tab.settings.components)


def test_a_preset_steers_the_run_that_is_going(subject):
    run = subject.begun(subject.long)
    name, preset = list(PRESETS[subject.engine]("studio_vgg").items())[2]
    subject.choose_preset(name, "studio_vgg", subject.values(subject.long), run_id=run.id)
    ((_, settings),) = subject.steering_of(run)
    telling = "layer_weights" if subject.engine == "deep_dream" else "balance"
    assert settings[telling] == getattr(preset, telling) != getattr(subject.long, telling)


# Dropped photos


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("notes.png", b"These are not pixels.", "not an image"),
        ("empty.png", b"", "not an image"),
        ("cut.png", as_png(np.zeros((40, 40, 3), np.uint8))[:60], "damaged"),
        ("tiny.png", as_png(np.zeros((8, 40, 3), np.uint8)), "at least 16 x 16"),
        ("page.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a supported image"),
        ("huge.png", huge_png(30_000), "million pixels"),
        ("odd profile.png", png_with_late_chunk(np.zeros((40, 40, 3), np.uint8), b"iCCP", b"a"), "damaged"),
        ("odd colours.png", png_with_late_chunk(np.zeros((40, 40, 3), np.uint8), b"cHRM", b"12345"), "damaged"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_file_is_refused_with_one_sentence_and_the_photo_cleared(subject, tmp_path, name, content, told):
    path = tmp_path / name
    path.write_bytes(content)
    answer, sentence = warned(subject.drop, str(path))
    assert told in sentence
    assert answer == {subject.tab.photo: None, subject.tab.restored: None}


def test_a_photo_is_shown_on_the_canvas(subject, photo, picture):
    shown = subject.drop(photo)[subject.tab.stage.canvas]
    assert shown["state"] == "ready"
    assert abs(decoded(shown["original"]).astype(int) - picture).mean() < 12


def test_a_photo_dropped_while_a_run_goes_does_not_cover_it(subject, photo):
    run = subject.begun(subject.long)
    assert subject.tab.stage.canvas not in subject.drop(photo, run.id)
    run.stop()
    finished(run)
    assert subject.tab.stage.canvas in subject.drop(photo, run.id)


@pytest.mark.parametrize("name", ["photo.png", "photo.tiff"])  # browsers show the first, and a copy of the second
def test_a_dropped_photo_is_decoded_once_and_checked_once(subject, picture, tmp_path, monkeypatch, name):
    Image.fromarray(picture).save(tmp_path / name)
    decoded_photos, checked_photos = [], []

    def decode(*arguments: Any, real: Any = images._pixels) -> np.ndarray:
        pixels = real(*arguments)
        decoded_photos.append(np.array_equal(pixels, picture))
        return pixels

    def check(image: np.ndarray, **options: Any) -> None:
        checked_photos.append(np.array_equal(image, picture))
        images.check_picture(image, **options)

    monkeypatch.setattr(images, "_pixels", decode)
    monkeypatch.setattr("studio.services.check_picture", check)
    path = str(tmp_path / name)
    answer = subject.drop(path)
    shown = answer.get(subject.tab.photo, path)
    if shown != path:
        answer = subject.drop(shown)  # as the box reports the copy
    assert answer[subject.tab.stage.canvas]["state"] == "ready"
    subject.start(shown, subject.values(subject.quick))
    assert (sum(decoded_photos), sum(checked_photos)) == (1, 1)


def test_a_photo_that_was_changed_on_the_disk_is_read_anew(subject, picture, tmp_path):
    path = tmp_path / "photo.png"
    for image in (picture, picture[::-1, :-8]):
        Image.fromarray(image).save(path)
        np.testing.assert_array_equal(subject.studio.read(str(path)), image)


def test_a_cleared_photo_forgets_the_recipe(subject):
    assert subject.drop(None) == {subject.tab.restored: None}


HOSTILE: list[str | dict[str, Any]] = [
    "{",
    "[" * 100_000,
    "{" + " " * 300_000 + "}",
    "null",
    "[1, 2]",
    '{"reverie": "1"}',
    {"reverie": 99},
    {"surprise": 1},
    {"engine": "neural_style"},
    {"engine": ["deep_dream"]},
    {"backbone": "../../etc/passwd"},
    {"backbone": None},
    {"config": {"size": "huge"}},
    {"config": {"size": 10**9}},
    {"config": {"__class__": 1}},
    {"config": []},
    {"inputs": {"image": 5}},
    {"inputs": []},
    {"steering": [[1, {"size": "huge"}]]},
    {"steering": [["1", {}]]},
    {"stopped_at": "soon"},
    {"stopped_at": True},
]
HOSTILE_DREAMS: list[dict[str, Any]] = [
    {"config": {"step_size": float("inf")}},
    {"config": {"layer_weights": {"block1_conv1": float("nan")}}},
    {"config": {"layer_weights": ["block1_conv1"]}},
]
HOSTILE_PAINTINGS: list[dict[str, Any]] = [
    {"engine": "deep_dream"},
    {"backbone": "inception_v3"},
    {"config": {"style_weight": float("inf")}},
    {"config": {"blend": "much"}},
    {"config": {"blend": [[1]]}},
    {"config": {"blend": [-1]}},
    {"config": {"blend": [0, 0]}},
    {"config": {"blend": [float("nan")]}},
    {"config": {"blend": [10**400]}},
    {"config": {"style_layers": {"block1_conv1": 0}}},
    {"config": {"style_layers": ["block1_conv1"]}},
    {"config": {"content_layer": 1}},
    {"steering": [[1, {"blend": "much"}]]},
]


def test_a_hostile_recipe_is_refused_with_one_sentence_and_the_picture_is_still_a_photo(subject, tmp_path):
    own = HOSTILE_DREAMS if subject.engine == "deep_dream" else HOSTILE_PAINTINGS
    for hostile in [*HOSTILE, *own]:
        text = hostile if isinstance(hostile, str) else json.dumps(subject.recipe(**hostile))
        answer, sentence = warned(subject.drop, png_with_text(tmp_path / "hostile.png", text))
        assert len(sentence) < 200, hostile
        assert answer[subject.tab.restored] is None, hostile
        assert answer[subject.tab.stage.canvas]["state"] == "ready", hostile
        assert not set(answer) & set(subject.tab.settings.components), hostile


def test_the_recipe_that_the_hostile_ones_differ_from_is_good(subject, tmp_path):
    answer = subject.drop(png_with_text(tmp_path / "good.png", json.dumps(subject.recipe())))
    assert answer[subject.tab.restored]
    assert config_in(subject, answer) == subject.quick


def test_an_input_hash_in_a_recipe_cannot_name_another_file(subject, tmp_path, picture):
    Image.fromarray(picture).save(subject.studio.gallery.folder / "private.png")
    for digest in ("../private", "..\\private", "/etc/passwd"):
        inputs = dict.fromkeys((*subject.inputs, "guide", "start_image"), digest)
        inputs.pop("start_image" if subject.engine == "deep_dream" else "guide")
        answer = subject.drop(png_with_text(tmp_path / "path.png", json.dumps(subject.recipe(inputs=inputs))))
        assert answer[subject.tab.restored]
        assert subject.tab.photo not in answer
        assert not any(str(value).endswith(("private.png", "passwd")) for value in answer.values())


def test_a_picture_of_another_engine_keeps_its_settings_to_itself(subject, tmp_path, picture):
    other = "style_transfer" if subject.engine == "deep_dream" else "deep_dream"
    for engine in (other, "latents"):
        path = tmp_path / f"{engine}.png"
        write_png(path, picture, Recipe(engine=engine, config={}, backbone="studio_vgg", weights="", inputs={}))
        answer, sentence = warned(subject.drop, str(path))
        assert "another tab" in sentence
        assert answer[subject.tab.restored] is None


def test_what_the_page_tells_twice_is_read_once(subject, photo, monkeypatch):
    tab, clock = subject.tab, Clock()
    monkeypatch.setattr("studio.panels.image_drop.current_session", lambda: "this page")
    monkeypatch.setattr("studio.panels.image_drop.time", clock)
    assert tab.stage.canvas in subject.drop(photo)
    clock.now += ECHO_SECONDS / 2
    assert subject.drop(photo) == {tab.restored: gr.skip()}
    # Removed and dropped again, or dropped again later, it is a new drop.
    assert subject.drop(None) == {tab.restored: None}
    assert tab.stage.canvas in subject.drop(photo)
    clock.now += 2 * ECHO_SECONDS
    assert tab.stage.canvas in subject.drop(photo)


# Starting


def test_a_run_is_started_watched_and_its_file_is_offered(subject, photo):
    stage = subject.tab.stage
    first, *middle, last = subject.start(photo, subject.values(subject.quick))
    assert first[stage.run_id] == first[stage.remembered]
    run = subject.studio.runs.get(first[stage.run_id])
    assert not first[stage.start_button]["interactive"]
    assert first[stage.stop_button]["interactive"]
    assert all(set(update) == {stage.canvas} for update in middle)
    assert middle[-1][stage.canvas]["state"] == "done"
    assert last[stage.start_button]["interactive"]
    assert not last[stage.stop_button]["interactive"]
    assert last[stage.save] == gr.update(value=str(run.result), interactive=True, label="Save")
    assert last[stage.reuse_button]["interactive"]
    assert read_recipe(run.result).stopped_at is None


def test_without_a_photo_nothing_starts(subject):
    taken, sentence = warned(lambda: subject.start(None, subject.values(subject.quick)))
    assert sentence.startswith("Choose a photo first")
    assert taken == [{subject.tab.stage.start_button: gr.skip()}]
    assert subject.studio.runs._by_id == {}


def test_a_network_whose_weights_are_missing_starts_nothing(subject, photo, tmp_path, monkeypatch):
    monkeypatch.setattr(subject.studio.workshop, "store", WeightsStore(cache=tmp_path, bundled=tmp_path))
    _, sentence = warned(lambda: subject.start(photo, subject.values(subject.quick), backbone="vgg16"))
    assert "weights are missing" in sentence
    assert subject.studio.runs._by_id == {}


def test_a_full_line_refuses_with_a_sentence(subject, photo, monkeypatch):
    monkeypatch.setattr(subject.studio.runs.queue, "_most_waiting", 0)
    subject.begun(subject.long)
    _, sentence = warned(lambda: subject.start(photo, subject.values(subject.quick)))
    assert "full; try again" in sentence


def test_a_layer_that_the_network_does_not_have_fails_with_one_sentence_and_offers_no_file(subject, photo):
    misfit = dataclasses.replace(subject.quick, **dict([subject.misfit]))
    updates, sentence = warned(lambda: subject.start(photo, subject.values(misfit)))
    stage = subject.tab.stage
    assert sentence.startswith("Studio VGG has no layer 'mixed4'")
    assert (updates[-2][stage.canvas]["state"], updates[-2][stage.canvas]["error"]) == ("failed", sentence)
    assert updates[-1][stage.start_button]["interactive"]
    assert not updates[-1][stage.save]["interactive"]
    assert not updates[-1][stage.reuse_button]["interactive"]


# Steering, stopping, repeating


def test_steering_needs_the_runs_id_its_network_and_a_config_that_can_be(subject):
    run = subject.begun(subject.long)
    changed = subject.values(subject.changed)
    subject.steer("no such run", changed)
    subject.steer(run.id, changed, backbone="vgg16")
    misfit = subject.values(dataclasses.replace(subject.long, **dict([subject.misfit])))
    _, sentence = warned(subject.steer, run.id, misfit)
    assert "no layer 'mixed4'" in sentence
    impossible = subject.values(subject.long)
    impossible[list(subject.tab.settings.controls).index("seed")] = -1
    _, sentence = warned(subject.steer, run.id, impossible)
    assert "Seed must be between" in sentence
    at = run.frame.step
    eventually(lambda: run.frame.step > at + 2, "three more steps")
    subject.steer(run.id, changed)
    ((step, settings),) = subject.steering_of(run)
    assert step >= 1
    name, value = subject.change
    assert settings[name] == value
    subject.steer(run.id, changed)


def test_a_move_is_read_resolved_and_checked_once(subject, monkeypatch):
    run = subject.begun(subject.long)
    calls: list[str] = []

    def counted(owner: Any, name: str) -> None:
        real = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *arguments: calls.append(name) or real(*arguments))

    counted(subject.tab.settings, "config")
    package = ENGINES[subject.engine].module
    counted(sys.modules[package], "resolve")
    counted(sys.modules[f"{package}.engine"], "resolve")
    counted(Backbone, "check_layers")
    subject.steer(run.id, subject.values(subject.changed))
    ((_, settings),) = subject.steering_of(run)
    name, value = subject.change
    assert settings[name] == value
    assert calls == ["config", "resolve", "check_layers"]


def test_stop_ends_the_run_of_its_id_only_and_a_reloaded_page_finds_what_there_is(subject):
    run, stage = subject.begun(subject.long), subject.tab.stage
    for other in ("", None, "no such run", run.id[:8]):
        stage.stop(other)
    at = run.frame.step
    eventually(lambda: run.frame.step > at + 1, "two more steps")
    stage.stop(run.id)
    assert finished(run).state == "stopped"
    first, *_, last = watched(stage.resume(run.id))
    assert first[stage.run_id] == run.id
    assert last[stage.save]["value"] == str(run.result)
    assert read_recipe(run.result).stopped_at == run.frame.step


def test_a_steered_and_stopped_run_repeats_to_the_same_pixels_from_its_own_file(subject):
    run = subject.begun(subject.long)
    eventually(lambda: run.frame.step >= 2, "two steps")
    subject.steer(run.id, subject.values(subject.changed))
    assert len(subject.steering_of(run)) == 1
    answer = subject.drop(str(run.result))
    values = [value_in(answer[control]) for control in subject.tab.settings.components]
    if subject.engine == "style_transfer":
        subject.paintings = [(path, None) for path in answer[subject.tab.style_picker.gallery]]
    values += subject.values(subject.quick)[len(values) :]
    updates = subject.start(answer[subject.tab.photo], values, restored=answer[subject.tab.restored])
    again = Path(updates[-1][subject.tab.stage.save]["value"])
    assert again != run.result
    np.testing.assert_array_equal(read_picture(again), read_picture(run.result))
    assert read_recipe(again) == read_recipe(run.result)


# Networks and examples


@pytest.mark.parametrize(
    ("engine", "backbone"), [(engine, backbone) for engine, names in BACKBONES.items() for backbone in names]
)
def test_a_network_comes_with_its_own_presets(laid_out, engine, backbone):
    answer = laid_out[engine].backbone_chosen(backbone)
    preset = answer[0] if isinstance(answer, (list, tuple)) else answer
    assert names_of(preset) == list(PRESETS[engine](backbone))
    assert preset["value"] is None


def test_only_networks_that_fit_are_offered_and_the_examples_are_pictures(subject):
    assert [name for _, name in subject.tab.backbone.choices] == BACKBONES[subject.engine]
    examples = subject.tab.example_pictures if subject.engine == "deep_dream" else subject.tab.example_photos
    for path in examples:
        assert min(read_picture(path).shape[:2]) >= 200
