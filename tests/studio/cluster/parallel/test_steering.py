"""Test steered batches on several workers: what was prefetched with other settings, and only that, is made again."""

from __future__ import annotations

import dataclasses

import pytest

from engines.recipes import read_recipe
from studio.cluster import prefetch, subjob
from tests.studio.cluster.parallel.helpers import (
    QUICK,
    all_prefetched,
    batch,
    here,
    prefetching_threads,
    same_results,
    steered_at,
    there,
)
from tests.studio.helpers import eventually, finished

STRONG = dataclasses.replace(QUICK, step_size=0.5)


@pytest.mark.parametrize("after", [1, 4])
def test_a_steered_batch_gives_the_results_of_a_sequential_one(tmp_path, studio, parallel, after):
    job = batch(tmp_path / "uploads", 4)
    alone, _ = steered_at(here(studio, job), {after: STRONG})
    wide, machines = parallel(4)
    steered, _ = steered_at(lambda: all_prefetched(there(wide, job)()), {after: STRONG})
    same_results(steered, alone)
    assert [read_recipe(path).config["step_size"] for path in steered.results] == [0.1, 0.5, 0.5, 0.5]
    assert [machines.started.count(number) for number in range(4)] == [1, 2, 2, 2], "made again with other settings"


def test_prefetched_parts_have_a_memory_limit(tmp_path, parallel, monkeypatch):
    monkeypatch.setattr(prefetch, "MAX_BYTES", 2 * 24 * 32 * 3 * 2 - 1)
    monkeypatch.setattr(subjob, "UNREAD_BYTES", 1)
    wide, machines = parallel(6)
    job = batch(tmp_path / "uploads", 6)
    run = there(wide, job)()
    execution = run._execution
    for _ in range(2):
        execution.send(None)
        eventually(lambda: not prefetching_threads(), "prefetching to end")
    waiting = set(machines.started) - {0}
    execution.send(None)
    assert set(machines.started) - {0} == waiting, "two hold as much as is allowed"
    while not run.over:
        run.advance()
    assert len(run.results) == 6


def test_steering_with_the_same_settings_discards_nothing(tmp_path, parallel):
    wide, machines = parallel(3)
    job = batch(tmp_path / "uploads", 3, config=dataclasses.replace(QUICK, layer_weights={}))
    machines.hold(0)
    run = wide.runs.start(job)
    eventually(lambda: machines.steps.get(2) == 4, "the others to be done")
    machines.release(0, 1)
    eventually(lambda: run.frame, "a frame")
    run.steer(job.config)
    machines.release(0)
    assert finished(run).state == "done"
    assert sorted(machines.started) == [0, 1, 2]
    assert [read_recipe(path).steering for path in run.results] == [(), (), ()]
