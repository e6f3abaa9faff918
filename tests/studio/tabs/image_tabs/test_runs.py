"""Runs of both image tabs: started, steered, stopped and repeated."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from engines.backbones.backbone import Backbone
from engines.imaging.images import read_image
from engines.jobs import ENGINES
from engines.recipes import read_recipe
from engines.weights.store import WeightsStore
from tests.studio.helpers import eventually, finished, value_in, warned, watched

# Starting


def test_a_run_is_started_watched_and_its_file_is_offered(subject, photo):
    view = subject.tab.view
    first, *middle, last = subject.start(photo, subject.values(subject.quick))
    assert first[view.run_id] == first[view.remembered]
    run = subject.studio.runs.get(first[view.run_id])
    assert not first[view.start_button]["interactive"]
    assert first[view.stop_button]["interactive"]
    assert all(set(update) == {view.canvas} for update in middle)
    assert middle[-1][view.canvas]["state"] == "done"
    assert last[view.start_button]["interactive"]
    assert not last[view.stop_button]["interactive"]
    assert last[view.save] == gr.update(value=str(run.result), interactive=True, label="Save")
    assert last[view.reuse_button]["interactive"]
    assert read_recipe(run.result).stopped_at is None


def test_without_a_photo_nothing_starts(subject):
    taken, sentence = warned(lambda: subject.start(None, subject.values(subject.quick)))
    assert sentence.startswith("Choose a photo first")
    assert taken == [{subject.tab.view.start_button: gr.skip()}]
    assert subject.studio.runs._by_id == {}


def test_a_network_whose_weights_are_missing_starts_nothing(subject, photo, tmp_path, monkeypatch):
    monkeypatch.setattr(subject.studio.workshop, "store", WeightsStore(cache=tmp_path, bundled=tmp_path))
    _, sentence = warned(lambda: subject.start(photo, subject.values(subject.quick), backbone="vgg16"))
    assert "weights are missing" in sentence
    assert subject.studio.runs._by_id == {}


def test_a_full_line_refuses_with_a_sentence(subject, photo, monkeypatch):
    monkeypatch.setattr(subject.studio.runs.queue, "_max_waiting", 0)
    subject.begun(subject.long)
    _, sentence = warned(lambda: subject.start(photo, subject.values(subject.quick)))
    assert "full; try again" in sentence


def test_a_layer_that_the_network_does_not_have_fails_with_one_sentence_and_offers_no_file(subject, photo):
    misfit = dataclasses.replace(subject.quick, **dict([subject.misfit]))
    updates, sentence = warned(lambda: subject.start(photo, subject.values(misfit)))
    view = subject.tab.view
    assert sentence.startswith("Studio VGG has no layer 'mixed4'")
    assert (updates[-2][view.canvas]["state"], updates[-2][view.canvas]["error"]) == ("failed", sentence)
    assert updates[-1][view.start_button]["interactive"]
    assert not updates[-1][view.save]["interactive"]
    assert not updates[-1][view.reuse_button]["interactive"]


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
    run, view = subject.begun(subject.long), subject.tab.view
    for other in ("", None, "no such run", run.id[:8]):
        view.stop(other)
    at = run.frame.step
    eventually(lambda: run.frame.step > at + 1, "two more steps")
    view.stop(run.id)
    assert finished(run).state == "stopped"
    first, *_, last = watched(view.resume(run.id))
    assert first[view.run_id] == run.id
    assert last[view.save]["value"] == str(run.result)
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
    again = Path(updates[-1][subject.tab.view.save]["value"])
    assert again != run.result
    np.testing.assert_array_equal(read_image(again), read_image(run.result))
    assert read_recipe(again) == read_recipe(run.result)
