"""Saved settings: saved, applied, deleted, exported, imported, restored on the next visit; and refusals."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import gradio as gr
import pytest

from engines.deep_dream import DreamConfig
from studio.components.config_form import Settings
from studio.panels.saved_settings import LONGEST_NAME, MAX_SAVED, SavedSettings
from studio.tabs.faces.tab import FacesTab
from studio.tabs.latent_space.tab import LatentTab
from tests.studio.helpers import unserved_page, value_in, warned


@pytest.fixture
def own(studio) -> SavedSettings:
    settings = Settings(DreamConfig(layer_weights={"block1_conv1": 1.0}), "test")
    with unserved_page():
        settings.slider("octaves", 1, 8, 1)
        settings.slider("steps", 1, 100, 1)
        own = SavedSettings(studio, settings, "test")
        own.build()
        own.wire(gr.Button("Go"))
    return own


def shown(updates) -> list:
    return [value_in(update) for update in updates]


def test_settings_are_saved_under_a_name_chosen_again_and_deleted(own):
    kept, choice, name = own.save_settings({}, "  mine ", 2, 33)
    assert (choice["choices"], choice["value"], name) == (["mine"], "mine", "")
    assert shown(own.apply(kept, "mine")) == [2, 33]
    kept, *_ = own.save_settings(kept, "other", 3, 44)
    kept, *_ = own.save_settings(kept, "mine", 4, 55)
    assert shown(own.apply(kept, "mine")) == [4, 55]
    kept, choice = own.delete(kept, "mine")
    assert list(kept) == ["other"]


def test_what_is_kept_is_json_that_names_the_fields(own):
    kept, *_ = own.save_settings({}, "mine", 2, 33)
    assert json.loads(json.dumps(kept))["mine"]["steps"] == 33


def test_what_no_control_shows_does_not_come_back(studio):
    settings = Settings(DreamConfig(layer_weights={"block1_conv1": 1.0}), "test")
    with unserved_page():
        settings.slider("octaves", 1, 8, 1)
        settings.add("seed", gr.State(0))
        own = SavedSettings(studio, settings, "test")
    assert "seed" not in own.remember_last(2, 99)


def test_settings_used_last_are_found_again_after_a_reload(own):
    last = own.remember_last(5, 66)
    choice, *updates = own.restore_last({"mine": last}, last)
    assert shown(updates) == [5, 66]
    assert choice["choices"] == ["mine"]


@pytest.mark.parametrize("last", [{}, None, [], "x", {"steps": "many"}, {"other": 1}, {"steps": 10**9}])
def test_what_a_browser_keeps_of_another_version_is_passed_over(own, last):
    _, *updates = own.restore_last("damaged", last)
    assert [update == gr.skip() for update in updates] == [True, True]


def test_a_name_is_asked_for_and_there_is_room_for_so_many(own):
    assert "Name these settings first" in warned(own.save_settings, {}, "  ", 2, 3)[1]
    full = {str(i): {} for i in range(MAX_SAVED)}
    assert f"up to {MAX_SAVED}" in warned(own.save_settings, full, "one more", 2, 3)[1]
    kept, *_ = own.save_settings(full, "0", 2, 3)
    assert len(kept) == MAX_SAVED
    (long_name,) = own.save_settings({}, "x" * 500, 2, 3)[0]
    assert len(long_name) == LONGEST_NAME
    assert "delete first" in warned(own.delete, full, "gone")[1]
    assert "damaged" in warned(own.apply, {}, "gone")[1]


def test_whoever_walks_past_the_choice_by_keyboard_is_told_nothing(own):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert own.apply({}, None) == own.apply({}, "") == [gr.skip()] * 2


def test_saved_settings_are_exported_and_imported_elsewhere(own):
    kept, *_ = own.save_settings({}, "mine", 2, 33)
    path = own.export_all(kept)
    there, _ = own.import_file(path, {"already": kept["mine"]})
    assert set(there) == {"already", "mine"}
    assert shown(own.apply(there, "mine")) == [2, 33]
    assert "no saved settings to export" in warned(own.export_all, {})[1]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "no saved settings"),
        ("[]", "no saved settings"),
        ('{"reverie": 1}', "no saved settings"),
        ("[" * 100_000, "no saved settings"),
        ('{"reverie_settings": 1, "tab": "style", "settings": {}}', "another tab"),
        ('{"reverie_settings": 2, "tab": "test", "settings": {}}', "another tab or version"),
        ('{"reverie_settings": 1, "tab": "test", "settings": {"a": {"steps": -1}}}', "Steps per octave must be"),
        ('{"reverie_settings": 1, "tab": "test", "settings": {"a": {"x": 1}}}', "has no setting"),
        ('{"reverie_settings": 1, "tab": "test", "settings": {"a": 1}}', "damaged"),
        (" " * 400_000, "too large"),
    ],
)
def test_a_file_that_holds_no_such_settings_is_refused_with_one_sentence(own, tmp_path, content, said):
    path = Path(tmp_path / "settings.json")
    path.write_text(content, encoding="utf-8")
    answer, sentence = warned(own.import_file, str(path), {"mine": {}})
    assert said in sentence
    assert answer == [gr.skip()] * 2


# Map and faces


def test_settings_of_the_map_and_of_a_walk_on_it_come_back(studio):
    with unserved_page():
        tab = LatentTab(studio)
        tab.build()
    said = {"count": 7, "reach": 1.5, "steps": 9, "spherical": True, "closed": True}
    said |= {"spacing": "Even", "overlay": "Hide empty regions"}
    values = [said[name] for name in tab.settings.controls]
    kept = {"mine": tab.saved_settings.remember_last(*values)}
    assert kept["mine"] == said | {"spacing": "linear", "overlay": "density"}
    assert shown(tab.saved_settings.apply(kept, "mine")) == values
    earlier = {"veil" if name == "overlay" else name: value for name, value in kept["mine"].items()}
    assert shown(tab.saved_settings.apply({"mine": earlier}, "mine")) == values
    assert (
        "Tiles per side must be between 5 and 40"
        in warned(tab.saved_settings.apply, {"mine": {"count": 1000}}, "mine")[1]
    )


def test_settings_of_faces_come_back_and_the_grid_is_drawn_anew(studio):
    with unserved_page() as page:
        tab = FacesTab(studio)
        tab.build()
    said = {"truncation": 0.7, "steps": 9, "spherical": False, "closed": False}
    values = [said[name] for name in tab.settings.controls]
    assert tab.saved_settings.remember_last(*values) == said
    assert shown(tab.saved_settings.apply({"mine": said}, "mine")) == values
    events = page.get_config_file()["dependencies"]
    taken = next(event["id"] for event in events if event["targets"] == [(tab.saved_settings.choice._id, "input")])
    following = [event for event in events if event["trigger_after"] == taken]
    assert [tab.face_grid._id in event["outputs"] for event in following] == [True]
