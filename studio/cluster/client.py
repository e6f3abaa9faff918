"""Connect the studio to a Ray cluster: its status, and workers for runs.

Ray kills the process that is connected to a cluster when the connection is lost. So the studio never connects itself:
it starts a process that does (`ray_process`), and restarts it to reconnect.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import logging
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.core.messages import message
from engines.jobs.version import version
from studio.cluster.lease import WorkerLease
from studio.cluster.project_package import pack_project
from studio.cluster.ray_process import GONE, LostError, RayProcess, result_of, sentence_of

logger = logging.getLogger(__name__)

# A run waits this long for a worker, then checks whether it was stopped meanwhile.
ACQUIRE_SECONDS = 2.0
RETRY_SECONDS = 3.0
# Maximum number of concurrent runs, however large the cluster is.
MAX_ROOM = 256


class AwayError(Exception):
    """The cluster is not available now."""


class BusyError(Exception):
    """No worker is free now."""


class ClusterError(ValueError):
    """The studio cannot use a cluster; the message is for the user."""


@dataclass(frozen=True)
class Machine:
    """A machine of the cluster.

    Attributes:
        title: its address, with a number where several machines share one.
        cpus, gpus: numbers of cores and GPUs that Ray may use.
        free: number of unused cores.
        busy: ids of this studio's workers that have a run.
        warm: number of this studio's idle workers.
        refused: why no worker can be started there, in a sentence; "" if one can.
    """

    title: str
    cpus: float
    gpus: float
    free: float
    busy: tuple[int, ...]
    warm: int
    refused: str


@dataclass(frozen=True)
class Status:
    """Status of the cluster.

    Attributes:
        connected: whether it responds.
        address: HOST:PORT of its head, or "auto" until that is known.
        message: why it does not respond or cannot start workers, in a sentence; "" otherwise.
        room: current maximum number of concurrent runs.
        capacity: the same if this studio had the cluster to itself.
    """

    connected: bool = False
    address: str = ""
    message: str = ""
    room: int = 0
    capacity: int = 0
    machines: tuple[Machine, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether runs can be sent to the cluster."""
        return self.connected and self.capacity > 0


@dataclass(frozen=True)
class ClusterOptions:
    """How to use a cluster.

    Attributes:
        address: HOST:PORT of its head; "auto" for the cluster that this machine belongs to.
        cpus: cores of each run; on a machine with fewer, all of its cores.
        gpus: GPUs of each run, on machines with enough free GPUs.
        project: the project's folder on every machine; "" to send the project to them.
    """

    address: str = "auto"
    cpus: float = 2.0
    gpus: float = 1.0
    project: str = ""


class Cluster:
    """A Ray cluster as the studio uses it.

    Args:
        changed: called on another thread after every status update, when a waiting run may be able to start.
        warm: whether to start a worker on every machine before the first run.

    Attributes:
        status: the newest status.

    Raises:
        ClusterError: Ray is not installed.
    """

    def __init__(self, options: ClusterOptions, changed: Callable[[], None] = lambda: None, *, warm: bool = True):
        if importlib.util.find_spec("ray") is None:
            raise ClusterError("Ray is not installed here; run: pip install -r requirements-cluster.txt")
        self._options, self._changed, self._warm = options, changed, warm
        self.status = Status(address=options.address, message=message("Looking for the cluster."))
        self._process: RayProcess | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._keep_connected, name="cluster", daemon=True)

    def on_change(self, changed: Callable[[], None]) -> None:
        """Replace the function that is called after every status update."""
        self._changed = changed

    def join(self) -> None:
        """Start connecting to the cluster, and reconnect whenever the connection is lost."""
        self._thread.start()

    def close(self) -> None:
        """Leave the cluster; this studio's workers end."""
        self._closed.set()
        process = self._process
        if process is not None:
            process.terminate()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def acquire(self, network: str) -> WorkerLease:
        """Reserve a worker for a run.

        Args:
            network: name of the run's network; a worker that has it loaded is preferred.

        Raises:
            AwayError: the cluster is not available, or has no capacity for this studio.
            BusyError: no worker is free.
        """
        process = self._process
        if not self.status.usable or process is None:
            raise AwayError
        try:
            kind, value = process.request("acquire", network, ACQUIRE_SECONDS).result()
        except LostError:
            raise AwayError from None
        if kind == "unavailable":
            raise BusyError
        if kind != "value":
            raise AwayError
        return WorkerLease(process, *value)

    def _keep_connected(self) -> None:
        with tempfile.TemporaryDirectory(prefix="reverie-cluster-") as folder:
            package = Path(folder) / "project.zip"
            if not self._options.project:
                pack_project(package)
            logged = ""
            while not self._closed.is_set():
                reason = self._connect_once(package)
                if self._closed.is_set():
                    break
                if reason != logged:
                    logger.warning("%s Looking for it every %d seconds.", reason, RETRY_SECONDS)
                    logged = reason
                self.status = Status(address=self._options.address, message=reason)
                self._changed()
                self._closed.wait(RETRY_SECONDS)

    def _connect_once(self, package: Path) -> str:
        """Stay connected until the connection is lost; returns why, in a sentence."""
        options = {**dataclasses.asdict(self._options), "package": str(package), "version": version()}
        process = self._process = RayProcess(options, package.parent)
        address = ""
        try:
            for kind, value in process.messages():
                if kind == "joined":
                    address = value
                elif kind == "status":
                    self._update(process, address, value)
                if self._closed.is_set():
                    break
        finally:
            # Before open requests are answered: a run that loses its worker must not request another.
            if self.status.connected:
                self.status = Status(address=self._options.address, message=GONE)
            reason = process.close()
        return reason

    def _update(self, process: RayProcess, address: str, value: dict[str, Any]) -> None:
        machines = tuple(
            Machine(**{**one, "busy": tuple(one["busy"]), "refused": sentence_of(one["refused"])})
            for one in value["nodes"]
        )
        refused = next((one.refused for one in machines if one.refused), "")
        before = self.status
        self.status = Status(
            connected=True,
            address=address,
            message=refused,
            room=value["room"],
            capacity=value["capacity"],
            machines=machines,
        )
        if not before.connected:
            logger.info("Runs go to the cluster at %s.", address)
            if self._warm:
                arguments = (process,)
                threading.Thread(target=_warm_workers, args=arguments, name="cluster-warm-up", daemon=True).start()
        if refused and refused != before.message:
            logger.warning("%s", refused)
        self._changed()


def _warm_workers(process: RayProcess) -> None:
    began = time.monotonic()
    try:
        result_of(process.request("warm").result())
    except LostError:
        return
    logger.info("Its workers are warm after %.0f s.", time.monotonic() - began)
