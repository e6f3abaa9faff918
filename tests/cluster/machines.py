"""Run a real Ray cluster on this machine, for tests and benchmarks: machines of one core that come and go."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# By default Ray's workers are niced: beside other tests, one would take minutes to start.
os.environ.setdefault("RAY_worker_niceness", "0")
# Start workers for runs only, notice soon when a machine is gone, and report nothing.
os.environ.setdefault("RAY_enable_worker_prestart", "0")
os.environ.setdefault("RAY_prestart_worker_first_driver", "0")
os.environ.setdefault("RAY_health_check_initial_delay_ms", "500")
os.environ.setdefault("RAY_health_check_period_ms", "500")
os.environ.setdefault("RAY_health_check_failure_threshold", "3")
os.environ.setdefault("RAY_enable_metrics_collection", "0")
os.environ.setdefault("RAY_task_events_report_interval_ms", "0")

from ray.cluster_utils import Cluster as RayCluster

from studio.cluster.client import Cluster, ClusterOptions
from tests.studio.helpers import eventually


class Machines:
    """A cluster to which tests add machines, and from which they remove some.

    Args:
        count: how many machines of one core there are at first.
        port: of the head; None for any.
        num_cpus: cores of the head.
    """

    def __init__(self, count: int, port: int | None = None, num_cpus: int = 0):
        options: dict[str, Any] = {
            "num_cpus": num_cpus,
            "include_dashboard": False,
            "include_log_monitor": False,
            "no_monitor": True,
        }
        # Its own folder, apart from other clusters of this machine. Its name is short because the names of sockets
        # begin with it and may have 107 bytes.
        self._folder = tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp")
        folder = Path(self._folder.name) / "ray"
        folder.mkdir()
        # Hide what only tests need: TensorFlow would load it.
        self._missing = Path(self._folder.name) / "missing"
        self._missing.mkdir()
        for name in ("jax", "scipy"):
            (self._missing / f"{name}.py").write_text(f"raise ModuleNotFoundError(name={name!r})\n", encoding="utf-8")
        options |= {"temp_dir": str(folder)} | ({"gcs_server_port": port} if port else {})
        # Ray also writes the head's address into its default folder, which exists only after a `ray start`.
        with self._environment(RAY_TMPDIR=self._folder.name):
            self.ray = RayCluster(initialize_head=True, head_node_args=options)
        self.nodes: list[Any] = []
        for _ in range(count):
            self.add()

    def _environment(self, **variables: str) -> Any:
        """A context in which a machine's processes are started."""
        path = os.pathsep.join([str(self._missing), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
        return mock.patch.dict(os.environ, PYTHONPATH=path.rstrip(os.pathsep), **variables)

    @property
    def address(self) -> str:
        return str(self.ray.address)

    def add(self, **options: Any) -> Any:
        """Add a machine of one core."""
        with self._environment():
            node = self.ray.add_node(**{"num_cpus": 1, **options})
        self.nodes.append(node)
        return node

    def remove(self, node: Any) -> None:
        """Remove a machine without a graceful shutdown."""
        self.nodes.remove(node)
        self.ray.remove_node(node, allow_graceful=False)

    def workers(self) -> list[int]:
        """Process ids of the workers on all machines."""
        return [pid for node in self._all for pid in self.workers_of(node)]

    def workers_of(self, node: Any) -> list[int]:
        """Process ids of the workers on a machine."""
        raylets = {int(info.process.pid) for info in node.all_processes.get("raylet", [])}
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
    """Kill a process with SIGKILL, so that it cannot clean up."""
    os.kill(pid, signal.SIGKILL)


def joined(address: str, **options: Any) -> Cluster:
    """Join a cluster, and wait until it answers or turns out to be missing."""
    cluster = Cluster(ClusterOptions(address=address, cpus=1, **options), warm=False)
    cluster.join()
    eventually(lambda: cluster.status.usable or cluster.status.message != "Looking for the cluster.", "the cluster", 60)
    return cluster
