"""Test runs that nobody watches: they stop and can be resumed, unless they may run unattended."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image

from engines.recipes import read_recipe
from studio.runs import run as runs_module
from studio.runs.run import NOBODY_WATCHED, Run, may_run_unattended
from studio.services import Studio
from tests.engines.helpers import is_one_sentence, refusal
from tests.studio.conftest import SMALL
from tests.studio.helpers import Clock, LoopEngine, MemoryResultWriter, eventually, finished
from tests.studio.runs.helpers import gated, open_for_good


def test_a_run_that_nobody_watches_stops_with_its_last_frame_and_says_why(queue, monkeypatch):
    monkeypatch.setattr(runs_module, "UNWATCHED_SECONDS", 0.2)
    run = Run(LoopEngine(10**9), MemoryResultWriter())
    queue.submit(run)
    finished(run)
    assert (run.state, run.error, run.stop_reason) == ("stopped", "", NOBODY_WATCHED)
    assert is_one_sentence(run.stop_reason)
    assert run.result is not None
    assert run.unfinished.job.inputs, "all that is needed to go on"


def test_a_run_that_a_person_stops_has_no_stop_reason_and_cannot_be_resumed(queue):
    run = Run(LoopEngine(10**9), MemoryResultWriter())
    queue.submit(run)
    eventually(lambda: run.frame, "the first frame")
    run.stop()
    finished(run)
    assert (run.state, run.stop_reason, run.unfinished) == ("stopped", "", None)


def test_an_unattended_run_continues_to_its_end(queue, monkeypatch):
    monkeypatch.setattr(runs_module, "UNWATCHED_SECONDS", -1.0)
    run = Run(LoopEngine(20), MemoryResultWriter(), unattended=True)
    queue.submit(run)
    finished(run)
    assert (run.state, run.stop_reason, run.frame.step) == ("done", "", 20)


@pytest.mark.parametrize(
    ("changes", "alone"),
    [
        ({}, False),
        ({"config": dataclasses.replace(SMALL, pictures=2)}, True),
        ({"engine": "vae_training"}, True),
        ({"engine": "language_training"}, True),
        ({"engine": "vae"}, True),
        ({"engine": "deep_dream_sweep"}, True),
        ({"engine": "language_model"}, False),
    ],
    ids=str,
)
@pytest.mark.parametrize("shared", [True, False])
def test_trainings_videos_and_many_images_may_run_unattended_on_ones_own_machine(
    tmp_path, small_job, changes, alone, shared
):
    job = dataclasses.replace(small_job, **changes)
    assert may_run_unattended(job) == alone
    studio = Studio(outputs=tmp_path, shared=shared)
    run = studio.runs._submit(LoopEngine(1), job)
    assert run._unattended == (alone and not shared)
    studio.runs.close()


def test_a_dream_that_nobody_watched_is_resumed_from_its_last_image(studio, small_job, monkeypatch):
    job = dataclasses.replace(small_job, config=dataclasses.replace(SMALL, steps=6))
    whole = finished(studio.runs.start(job))
    with monkeypatch.context() as patch:
        patch.setattr(Run, "unwatched", property(lambda run: run.frame is not None and run.frame.step >= 2))
        run = finished(studio.runs.start(job))
    assert (run.state, run.frame.step, run.stop_reason) == ("stopped", 2, NOBODY_WATCHED)
    rest = finished(studio.runs.resume(run))
    assert (rest.state, rest.frame.step, rest.frame.total) == ("done", 6, 6)
    assert read_recipe(rest.result).interruptions == (2,)
    assert read_recipe(rest.result).config == read_recipe(whole.result).config
    assert np.asarray(Image.open(rest.result)).shape == np.asarray(Image.open(whole.result)).shape
    assert run.unfinished is None, "once"
    assert "no run to resume" in refusal(ValueError, studio.runs.resume, run)


def test_a_run_that_is_watched_goes_on(queue, monkeypatch):
    monkeypatch.setattr(runs_module, "UNWATCHED_SECONDS", 0.2)
    clock = Clock()
    monkeypatch.setattr(runs_module, "time", clock)
    engine, gate = gated(1000)
    run = Run(engine, MemoryResultWriter())
    queue.submit(run)
    for step in range(1, 11):
        clock.now += 0.15
        run.watched()
        gate.release()
        eventually(lambda step=step: run.frame and run.frame.step == step, f"step {step}")
    assert run.state == "running"
    clock.now += 0.25
    open_for_good(gate)
    finished(run)
    assert (run.state, run.frame.step) == ("stopped", 11)


def test_a_run_that_nobody_waits_for_any_more_never_starts(queue, monkeypatch):
    engine, gate = gated(1)
    queue.submit(Run(engine, MemoryResultWriter()))
    forgotten = LoopEngine(1)
    run = Run(forgotten, MemoryResultWriter())
    queue.submit(run)
    monkeypatch.setattr(runs_module, "UNWATCHED_SECONDS", -1.0)
    open_for_good(gate)
    finished(run)
    assert (run.state, forgotten.last) == ("stopped", None)
