"""Videos on several workers: no image is lost, few are buffered, and a video that waits gives its worker back."""

from __future__ import annotations

import dataclasses

from engines.recipes import read_recipe
from studio.cluster import prefetch, subjob
from tests.studio.cluster.parallel.helpers import (
    QUICK,
    all_prefetched,
    batch,
    here,
    images_of,
    prefetching_threads,
    same_results,
    steered_at,
    there,
)
from tests.studio.helpers import eventually, finished

VIDEO = dataclasses.replace(QUICK, steps=1, pictures=6)


def test_a_prefetched_video_loses_no_image_and_buffers_few(tmp_path, studio, parallel, monkeypatch):
    monkeypatch.setattr(subjob, "MAX_KEYFRAMES", 2)
    job = batch(tmp_path / "uploads", 2, config=VIDEO)
    alone, _ = steered_at(here(studio, job), {})
    wide, machines = parallel(2)
    machines.hold(0)
    run = wide.runs.start(job)
    eventually(lambda: machines.steps.get(1) == 2, "two pictures of the second video")
    assert prefetching_threads(), "it waits and keeps its worker"
    machines.release(0)
    same_results(finished(run), alone)
    assert len(images_of(run.results[1])) == 6
    assert machines.steps == {0: 6, 1: 6}


def test_a_video_that_is_steered_while_it_is_taken_from_the_buffer_is_made_again(tmp_path, studio, parallel):
    job = batch(tmp_path / "uploads", 2, config=VIDEO)
    stronger = dataclasses.replace(VIDEO, step_size=0.5)
    alone, _ = steered_at(here(studio, job), {8: stronger})
    wide, machines = parallel(2)

    steered, _ = steered_at(lambda: all_prefetched(there(wide, job)()), {8: stronger})
    same_results(steered, alone)
    assert [step for step, _ in read_recipe(steered.results[1]).steering] == [2]
    assert sorted(machines.started) == [0, 1, 1]


def test_a_waiting_video_releases_its_worker_while_its_run_is_idle(tmp_path, parallel, monkeypatch):
    monkeypatch.setattr(subjob, "MAX_KEYFRAMES", 2)
    monkeypatch.setattr(prefetch, "IDLE_SECONDS", 0.2)
    wide, machines = parallel(2)
    run = there(wide, batch(tmp_path / "uploads", 2, config=VIDEO))()
    run._execution.send(None)
    eventually(lambda: machines.steps.get(1) == 2, "two pictures of the second video")
    monkeypatch.setattr(wide.runs.queue, "acquire", lambda: False)
    eventually(lambda: not prefetching_threads(), "the second video to be discarded")
    assert machines.busy == 1
    while not run.over:
        run.advance()
    assert run.state == "done"
    assert len(images_of(run.results[1])) == 6
