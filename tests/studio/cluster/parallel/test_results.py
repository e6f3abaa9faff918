"""Test batches on several workers: results and frames of a sequential one, in its order, each part done once."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engines.recipes import read_recipe
from studio.services import Studio
from tests.studio.cluster.parallel.helpers import batch, here, pixels, release_all, same_results, steered_at, there
from tests.studio.helpers import eventually, finished


def pixels_of_input(studio: Studio, result: Path) -> np.ndarray:
    """The image from which a result was made."""
    return pixels(studio.gallery.find_input(read_recipe(result).inputs["image"]))


def test_a_parallel_batch_gives_the_results_of_a_sequential_one(tmp_path, studio, parallel):
    job = batch(tmp_path / "uploads", 6, bad=(0, 3))
    alone, _ = steered_at(here(studio, job), {})
    wide, machines = parallel(3)
    machines.hold(1, 2, 4)
    run = wide.runs.start(job)
    machines.release(1, 1)
    eventually(lambda: machines.busy == 3, "three jobs to run")
    release_all(machines)
    same_results(finished(run), alone)
    assert sorted(machines.started) == [1, 2, 4, 5], "each is done once"


def test_frames_are_counted_as_in_a_sequential_batch(tmp_path, studio, parallel):
    job = batch(tmp_path / "uploads", 5)
    _, alone = steered_at(here(studio, job), {})
    wide, _ = parallel(3)
    _, seen = steered_at(there(wide, job), {})
    assert set(seen) <= set(alone)
    assert [frame for frame in seen if frame[0] % 4 == 0] == alone[3::4], "the end of every picture is seen"


def test_prefetched_parts_wait_for_their_turn_and_free_slots_are_used(tmp_path, parallel):
    wide, machines = parallel(3)
    machines.hold(0, 4)
    run = wide.runs.start(batch(tmp_path / "uploads", 6))
    eventually(lambda: sorted(machines.started) == [0, 1, 2, 3, 4, 5], "all to start")
    eventually(
        lambda: {n: machines.steps.get(n, 0) for n in (1, 2, 3, 5)} == dict.fromkeys((1, 2, 3, 5), 4), "the others"
    )
    assert run.results == ()
    assert run.frame is None
    machines.release(0, 1)
    eventually(lambda: run.frame, "the first part's first frame")
    assert (run.frame.step, run.frame.total, run.where) == (1, 24, machines.where[0])
    machines.release(0)
    eventually(lambda: len(run.results) == 4, "prefetched parts to come at once")
    machines.release(4, 2)
    eventually(lambda: run.frame.step == 18, "the next part")
    assert run.where == machines.where[4]
    machines.release(4)
    assert finished(run).state == "done"
    assert [int(pixels_of_input(wide, path)[0, 0, 0]) for path in run.results] == list(range(6))
    assert machines.started.count(4) == 1


def test_a_half_prefetched_part_continues_on_its_worker_when_its_turn_comes(tmp_path, studio, parallel):
    job = batch(tmp_path / "uploads", 2)
    alone, _ = steered_at(here(studio, job), {})
    wide, machines = parallel(2)
    machines.hold(0, 1)
    run = wide.runs.start(job)
    eventually(lambda: sorted(machines.started) == [0, 1], "both to start")
    machines.release(1, 2)
    eventually(lambda: machines.steps.get(1) == 2, "the second to be half way")
    machines.release(0)
    eventually(lambda: run.frame and run.frame.step == 4, "the end of the first")
    machines.release(1, 1)
    eventually(lambda: run.frame.step == 7, "the second to run")
    eventually(lambda: wide.runs.queue._borrowed == 0, "the slot to be returned")
    machines.release(1)
    same_results(finished(run), alone)
    assert sorted(machines.started) == [0, 1]
