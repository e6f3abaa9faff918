"""Test batches while slots and machines come and go: others get their turn, and what a lost worker did is resumed."""

from __future__ import annotations

import pytest

from engines.recipes import read_recipe
from studio.cluster import subjob
from tests.studio.cluster.parallel.helpers import batch, here, release_all, same_results, steered_at
from tests.studio.helpers import eventually, finished


def test_nothing_is_prefetched_while_a_run_waits_and_a_batch_yields_between_images(tmp_path, parallel, small_job):
    wide, machines = parallel(2)
    label, machines._label = machines._label, lambda job: "dream" if job.config.steps == 3 else label(job)
    machines.hold(0, 1, "dream")
    run = wide.runs.start(batch(tmp_path / "uploads", 4))
    eventually(lambda: sorted(machines.started) == [0, 1], "two to run")
    others = [wide.runs.start(small_job), wide.runs.start(small_job)]
    machines.release(1)
    eventually(lambda: others[0].state == "running", "the other to get the slot")
    assert 2 not in machines.started
    machines.release(0)
    eventually(lambda: others[1].state == "running", "the batch to yield")
    assert (run.state, run.frame.step) == ("waiting", 4)
    machines.release("dream")
    assert [finished(one).state for one in (*others, run)] == ["done"] * 3
    assert len(run.results) == 4


def test_while_the_cluster_is_away_parts_run_here_one_by_one(tmp_path, studio, parallel):
    job = batch(tmp_path / "uploads", 3)
    alone, _ = steered_at(here(studio, job), {})
    wide, machines = parallel(0)
    run = finished(wide.runs.start(job))
    same_results(run, alone)
    assert machines.started == []


def test_a_prefetched_part_returns_its_slot_while_the_cluster_is_away(tmp_path, parallel, monkeypatch):
    monkeypatch.setattr(subjob, "RETRY_SECONDS", 0.0)
    wide, machines = parallel(2)
    machines.hold(0, 1)
    run = wide.runs.start(batch(tmp_path / "uploads", 2))
    eventually(lambda: sorted(machines.started) == [0, 1], "both to run")
    machines.lost += [0, 1]
    machines.have(0)
    release_all(machines)
    assert finished(run).state == "done", "both continued here"
    assert (len(run.results), machines.started.count(1)) == (2, 1)


@pytest.mark.parametrize("lost", [0, 1])
def test_an_image_whose_worker_is_lost_is_resumed(tmp_path, parallel, lost, monkeypatch):
    monkeypatch.setattr(subjob, "RETRY_SECONDS", 0.0)
    wide, machines = parallel(2)
    machines.hold(0, 1)
    run = wide.runs.start(batch(tmp_path / "uploads", 2))
    eventually(lambda: sorted(machines.started) == [0, 1], "both to run")
    machines.release(lost, 2)
    eventually(lambda: machines.steps.get(lost) == 2, "two steps")
    machines.lost.append(lost)
    release_all(machines)
    assert (finished(run).state, run.notices) == ("done", ())
    assert [read_recipe(path).interruptions for path in run.results] == [(2,) if n == lost else () for n in (0, 1)]
    assert machines.started.count(lost) == 2


def test_an_image_whose_workers_are_lost_twice_is_left_out(tmp_path, parallel):
    wide, machines = parallel(2)
    machines.lost += [0, 0]
    run = finished(wide.runs.start(batch(tmp_path / "uploads", 2)))
    assert run.notices == ("picture0 was skipped: The worker was lost twice; run this one again on its own.",)
    assert len(run.results) == 1
