"""A real Ray cluster on this machine: a head without cores and two machines of one core each, and a studio on it."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-cluster.txt")

from ray.cluster_utils import Cluster as RayCluster

from engines.deep_dream import DreamConfig
from engines.jobs import Job
from engines.style_transfer import StyleConfig
from studio.cluster import Cluster, ClusterOptions
from studio.studio import Studio
from tests.studio.helpers import eventually

# Of a run on a worker, of a start with TensorFlow on a busy machine.
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


class Machines:
    """A cluster whose machines come and go as a test wants."""

    def __init__(self, count: int, port: int | None = None):
        options: dict[str, Any] = {"num_cpus": 0, "include_dashboard": False}
        # Each with a folder of its own: on one machine two would unpack the project into the same at once.
        self._folder = tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp")
        self.ray = RayCluster(
            initialize_head=True,
            head_node_args=options | ({"port": port} if port else {}) | {"temp_dir": self._folder.name},
        )
        self.nodes = [self.add() for _ in range(count)]

    @property
    def address(self) -> str:
        return str(self.ray.address)

    def add(self, **options: Any) -> Any:
        """One more machine of one core."""
        return self.ray.add_node(**{"num_cpus": 1, **options})

    def remove(self, node: Any) -> None:
        """Take a machine away, as when its plug is pulled."""
        self.ray.remove_node(node, allow_graceful=False)

    def workers(self) -> list[int]:
        """Process ids of the workers that are there."""
        raylets = {int(info.process.pid) for node in self._all for info in node.all_processes.get("raylet", [])}
        return [pid for pid in _processes("ray::RayWorker") if _parent(pid) in raylets]

    @property
    def _all(self) -> list[Any]:
        return [self.ray.head_node, *self.ray.worker_nodes] if self.ray.head_node else list(self.ray.worker_nodes)

    def close(self) -> None:
        self.ray.shutdown()
        self._folder.cleanup()


def _processes(beginning: str) -> list[int]:
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            except OSError:
                continue
            if command.startswith(beginning):
                found.append(int(path.name))
    return found


def _parent(pid: int) -> int:
    try:
        return int((Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def kill(pid: int) -> None:
    """End a process so that it can tidy nothing up."""
    os.kill(pid, signal.SIGKILL)


def joined(address: str, **options: Any) -> Cluster:
    """The studio's end of a cluster that answers."""
    cluster = Cluster(ClusterOptions(address=address, cpus=1, **options), warm=False)
    cluster.join()
    eventually(lambda: cluster.status.useful or cluster.status.said != "Looking for the cluster.", "the cluster", 60)
    return cluster


@pytest.fixture(scope="session")
def machines() -> Iterator[Machines]:
    """Two machines that every test leaves as they were."""
    machines = Machines(2)
    yield machines
    machines.close()


@pytest.fixture(scope="session")
def cluster(machines) -> Iterator[Cluster]:
    """One connection to it, so that workers stay warm from test to test."""
    cluster = joined(machines.address)
    eventually(lambda: cluster.status.room == 2, "both machines")
    yield cluster
    cluster.close()


@pytest.fixture
def studio(tmp_path, cluster) -> Iterator[Studio]:
    """A studio whose runs go to the cluster."""
    studio = Studio(outputs=tmp_path / "outputs", cluster=cluster)
    yield studio
    studio.runs.render.close()


@pytest.fixture
def dream_job(picture) -> Job:
    """A dream of twelve steps."""
    return Job(engine="deep_dream", config=DREAM, inputs={"image": picture}, backbone="studio_vgg")


@pytest.fixture
def painting_job(picture) -> Job:
    """A painting of 24 steps."""
    stripes = np.broadcast_to((np.arange(60) // 5 % 2)[None, :, None] * 200, (40, 60, 3)).astype(np.uint8)
    inputs = {"content_image": picture, "style_images_1": stripes}
    return Job(engine="style_transfer", config=PAINTING, inputs=inputs, backbone="studio_vgg")
