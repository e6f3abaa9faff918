"""Fixtures of a real Ray cluster on this machine: a head and another machine of one core each, and a studio on it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-cluster.txt")

from engines.deep_dream import DreamConfig
from engines.jobs import Job
from engines.style_transfer import StyleConfig
from studio.cluster.client import Cluster
from studio.runs import run as runs
from studio.services import Studio
from tests.cluster.machines import Machines, joined
from tests.studio.helpers import eventually

# Seconds for a run on a worker, or a start with TensorFlow, on a busy machine.
PATIENCE = 180.0
DREAM = DreamConfig(size=0, octaves=2, steps=6, jitter=4, layer_weights={"block2_conv1": 1.0})
PAINTING = StyleConfig(
    seconds=0.0,
    size=72,
    scales=1,
    steps=24,
    optimizer="adam",
    style_layers={"block1_conv1": 1.0},
    content_layer="block1_conv2",
    tile_size=16_384,
)


@pytest.fixture(autouse=True)
def _runs_are_not_abandoned(monkeypatch):
    """No run is stopped because nobody watches it while a test waits for something else."""
    monkeypatch.setattr(runs, "UNWATCHED_SECONDS", 1000.0)


@pytest.fixture(scope="session")
def machines() -> Iterator[Machines]:
    """Two machines, the head and one that can be removed; every test leaves them as they were."""
    machines = Machines(1, num_cpus=1)
    yield machines
    machines.close()


@pytest.fixture(scope="session")
def cluster(machines) -> Iterator[Cluster]:
    """One connection for all tests, so that workers stay warm."""
    cluster = joined(machines.address)
    eventually(lambda: cluster.status.room == 2, "both machines")
    yield cluster
    cluster.close()


@pytest.fixture
def studio(tmp_path, cluster) -> Iterator[Studio]:
    """A studio whose runs go to the cluster."""
    studio = Studio(outputs=tmp_path / "outputs", cluster=cluster)
    yield studio
    studio.runs.queue.close()


@pytest.fixture
def dream_job(sample_image) -> Job:
    """A dream of twelve steps."""
    return Job(engine="deep_dream", config=DREAM, inputs={"image": sample_image}, backbone="studio_vgg")


@pytest.fixture
def painting_job(sample_image) -> Job:
    """A painting of 24 steps."""
    stripes = np.broadcast_to((np.arange(60) // 5 % 2)[None, :, None] * 200, (40, 60, 3)).astype(np.uint8)
    inputs = {"content_image": sample_image, "style_images_1": stripes}
    return Job(engine="style_transfer", config=PAINTING, inputs=inputs, backbone="studio_vgg")
