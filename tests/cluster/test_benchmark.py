"""The benchmark of the cluster at toy size, on the machines that the other tests use."""

from __future__ import annotations

import pytest

from tests.benchmarks import cluster as benchmark


@pytest.fixture(autouse=True)
def _toy(monkeypatch):
    toy = {"DREAMS": 2, "SIDE": 64, "FRAMES": 40, "FRAME_SIDE": 64, "VISITORS": 2, "RUNS_EACH": 1}
    for name, value in toy.items():
        assert hasattr(benchmark, name)
        monkeypatch.setattr(benchmark, name, value)


def test_a_batch_frames_images_and_visitors_are_measured(studio, tmp_path):
    assert benchmark.batch_seconds(studio, tmp_path) > 0
    assert benchmark.frame_seconds(studio) > 0
    assert benchmark.images_per_second(studio) > 0
    row = benchmark.fifty_visitors(studio)
    assert row.ours * row.ratio == pytest.approx(row.reference)


def test_the_same_without_a_cluster():
    assert benchmark.frame_seconds_here() > 0
