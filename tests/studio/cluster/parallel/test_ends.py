"""Test how batches and sweeps on several workers end: stopped, unwatched, closed or failed, they leave nothing."""

from __future__ import annotations

from pathlib import Path

from engines.deep_dream import engine as deep_dream
from studio.runs import run as runs
from studio.runs.run import Run
from studio.services import Studio
from tests.studio.cluster.parallel.fake_cluster import FakeCluster
from tests.studio.cluster.parallel.helpers import batch, dreams, nothing_is_left, of_cell, release_all, sweep_of
from tests.studio.helpers import eventually, finished


def prefetching_batch(tmp_path: Path, wide: Studio, machines: FakeCluster) -> Run:
    """A batch of which three images are being made, and the first has a frame."""
    machines.hold(0, 1, 2)
    run = wide.runs.start(batch(tmp_path / "uploads", 5))
    machines.release(0, 1)
    eventually(lambda: run.frame and sorted(machines.started) == [0, 1, 2], "three jobs to run")
    return run


def test_a_stopped_batch_closes_its_prefetched_parts(tmp_path, parallel):
    wide, machines = parallel(3)
    run = prefetching_batch(tmp_path, wide, machines)
    run.stop()
    machines.release(0, 1)
    assert finished(run).state == "stopped"
    machines.release(1, 1)
    machines.release(2, 1)
    assert len(run.results) == 1
    nothing_is_left(wide, machines)
    assert set(machines.started) == {0, 1, 2}


def test_a_batch_that_is_no_longer_watched_stops(tmp_path, parallel, monkeypatch):
    wide, machines = parallel(3)
    run = prefetching_batch(tmp_path, wide, machines)
    run._unattended = False  # as on a shared server
    monkeypatch.setattr(runs, "UNWATCHED_SECONDS", -1.0)
    release_all(machines)
    assert finished(run).state == "stopped"
    nothing_is_left(wide, machines)


def test_a_studio_that_closes_leaves_nothing_running(tmp_path, parallel):
    wide, machines = parallel(3)
    run = prefetching_batch(tmp_path, wide, machines)
    release_all(machines)
    wide.runs.close()
    assert run.over
    nothing_is_left(wide, machines)


def test_a_sweep_whose_engine_fails_leaves_nothing_running(sample_image, parallel, monkeypatch):
    wide, machines = parallel(3, of_cell)
    real = deep_dream.OctavePyramid.step

    def step(self) -> float:
        if self.config.step_size == 0.1:
            raise ValueError("The dream has run away to infinity.")
        return real(self)

    monkeypatch.setattr(deep_dream.OctavePyramid, "step", step)
    run = finished(wide.runs.start(sweep_of(dreams(), sample_image)))
    assert (run.state, run.error) == ("failed", "The dream has run away to infinity.")
    assert run.frame.step == 4, "the first cell was seen whole"
    nothing_is_left(wide, machines)


def test_a_prefetched_image_that_is_refused_is_left_out_when_its_turn_comes(tmp_path, parallel, monkeypatch):
    wide, machines = parallel(3)
    real = deep_dream.OctavePyramid.__init__

    def begin(self, original, *arguments) -> None:
        real(self, original, *arguments)
        if round((float(original[0, 0, 0, 0]) + 1) * 127.5) == 1:
            raise ValueError("The dream has run away to infinity.")

    monkeypatch.setattr(deep_dream.OctavePyramid, "__init__", begin)
    machines.hold(0)
    run = wide.runs.start(batch(tmp_path / "uploads", 3))
    eventually(lambda: machines.steps.get(2) == 4, "the last")
    machines.release(0, 1)
    eventually(lambda: run.frame, "a frame")
    assert run._execution.notices == ()
    machines.release(0)
    finished(run)
    assert run.notices == ("picture1 was skipped: The dream has run away to infinity.",)
    assert len(run.results) == 2
