"""Test how runs are found by their id, how many are remembered, and how little of a run is kept."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from studio.runs import manager
from studio.runs.curves import VALUES_KEPT
from studio.runs.run import Run
from tests.studio.conftest import SMALL
from tests.studio.helpers import LoopEngine, MemoryResultWriter, finished
from tests.studio.runs.helpers import LONG


@pytest.mark.parametrize("run_id", ["", None, "no such run", "0" * 32])
def test_an_unknown_id_finds_no_run(studio, small_job, run_id):
    run = finished(studio.runs.start(small_job))
    assert studio.runs.get(run_id) is None
    assert studio.runs.get(run.id) is run


def test_a_runs_id_cannot_be_guessed_from_another_one():
    ids = {Run(LoopEngine(1), MemoryResultWriter()).id for _ in range(200)}
    assert len(ids) == 200
    assert all(len(name) == 32 and int(name, 16) for name in ids)
    assert len({name[:8] for name in ids}) == 200


def test_only_so_many_finished_runs_are_remembered_and_the_newest_of_them(studio, small_job, monkeypatch):
    monkeypatch.setattr(manager, "RUNS_REMEMBERED", 3)
    quick = dataclasses.replace(small_job, config=dataclasses.replace(SMALL, steps=1))
    runs = [finished(studio.runs.start(quick)) for _ in range(6)]
    going = studio.runs.start(dataclasses.replace(small_job, config=LONG))
    assert [studio.runs.get(run.id) is run for run in runs] == [False] * 3 + [True] * 3
    assert studio.runs.get(going.id) is going
    assert all(run.result.is_file() for run in runs), "what is forgotten is still on disk"
    going.stop()


def test_at_most_a_hundred_finished_runs_are_remembered():
    assert 1 <= manager.RUNS_REMEMBERED <= 100


def test_a_run_that_is_over_keeps_no_full_size_images(queue):
    run = Run(LoopEngine(2, image=np.zeros((40, 3000, 3), np.uint8)), MemoryResultWriter())
    assert run.job.inputs["image"].shape == (40, 3000, 3)
    queue.submit(run)
    finished(run)
    assert run.job.inputs == {}
    assert max(run.frame.image.shape[:2]) == max(run.original.shape[:2]) == 1280
    assert run._execution is None


def test_losses_are_thinned_evenly_over_a_long_run(queue):
    run = Run(LoopEngine(2000), MemoryResultWriter())
    queue.submit(run)
    finished(run)
    assert VALUES_KEPT / 2 - 1 <= len(run.curves["loss"]) <= VALUES_KEPT
    gaps = np.diff(run.curves["loss"])
    assert set(gaps) == {gaps[0]}, "one loss in every so many, from the first to the last"
    assert run.curves["loss"][0] < 20
    assert run.curves["loss"][-1] > 1980
