"""Fixtures: studios with a cluster in this process, and what goes into videos."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.imaging.video import VideoWriter
from engines.jobs import Job
from studio.cluster import remote_job, worker_run
from studio.services import Studio
from tests.studio.cluster.parallel.fake_cluster import FakeCluster
from tests.studio.cluster.parallel.helpers import images_in, nothing_is_left


def of_image(job: Job) -> int:
    """The number of a batch's image, which is in its first pixel."""
    return int(job.inputs["image"][0, 0, 0])


@pytest.fixture(autouse=True)
def _no_step_is_requested_ahead(monkeypatch):
    """Settings take effect at the step at which they are sent, as in the sequential run that a test compares with."""
    monkeypatch.setattr(worker_run, "AHEAD_SECONDS", 0.0)
    monkeypatch.setattr(remote_job, "UNWATCHED_SECONDS", 0.0)


@pytest.fixture
def parallel(tmp_path, workshop) -> Iterator[Callable[..., tuple[Studio, FakeCluster]]]:
    """Makes studios with a cluster, and checks that nothing is left when they are closed."""
    made: list[tuple[Studio, FakeCluster]] = []

    def make(count: int = 3, label: Callable[[Job], Any] = of_image) -> tuple[Studio, FakeCluster]:
        machines = FakeCluster(workshop, count, label)
        studio = Studio(outputs=tmp_path / f"parallel {len(made)}", cluster=machines)
        studio.workshop.keep("deep_dream", "studio_vgg", workshop.network("deep_dream", "studio_vgg"))
        made.append((studio, machines))
        return studio, machines

    yield make
    for studio, machines in made:
        for gate in machines.gates.values():
            gate.release(100_000)
        studio.runs.close()
        nothing_is_left(studio, machines)


@pytest.fixture(autouse=True)
def write_video(monkeypatch) -> None:
    """What went into each video: the encoder does not always make the same of the same."""
    images_in.clear()
    add, finish = VideoWriter.add, VideoWriter.finish
    going_in: dict[int, list[np.ndarray]] = {}

    def adding(video: VideoWriter, image: np.ndarray) -> None:
        going_in.setdefault(id(video), []).append(image.copy())
        add(video, image)

    def finishing(video: VideoWriter, comment: str) -> Path:
        path = finish(video, comment)
        images_in[path] = going_in.pop(id(video))
        return path

    monkeypatch.setattr(VideoWriter, "add", adding)
    monkeypatch.setattr(VideoWriter, "finish", finishing)
