"""Keep a pool of workers: start them where there is room, reuse them, end idle ones."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import math
import time
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from . import worker
from .messages import message, text_of
from .nodes import Node
from .project import Project

# How often the machines are polled, see `server`.
POLL_SECONDS = 1.0
# A worker starts an interpreter and may have to unpack the project first.
START_SECONDS = 120.0
# An idle worker blocks cores that other users of the cluster may need.
IDLE_SECONDS = 300.0
# A machine on which no worker could be started is tried again after this, as it may have been fixed.
REFUSED_SECONDS = 30.0

# The machines that start workers cannot import this package, so the class is sent by value.
ray.cloudpickle.register_pickle_by_value(worker)


class NoFreeWorkerError(Exception):
    """No worker became free in time."""


@dataclass
class WorkerHandle:
    """A worker of this studio.

    Attributes:
        id: its number in the studio's requests.
        node: id of its machine.
        title: title of its machine, with " · GPU" if the worker has one.
        gpus: its number of GPUs.
        actor: handle of the `RayWorker`.
        process: its process id on its machine.
        busy: whether it is reserved for a run.
        network: the network that it was last acquired for.
        since: when `busy` last changed, in `time.monotonic` seconds.
        started: when it became ready; infinite until then.
    """

    id: int
    node: str
    title: str
    gpus: float = 0.0
    actor: Any = None
    process: int = 0
    busy: bool = True
    network: str = ""
    since: float = field(default_factory=time.monotonic)
    started: float = math.inf


@dataclass(frozen=True)
class Refusal:
    """Why, and until when in `time.monotonic` seconds, no worker is started on a machine."""

    sentence: dict[str, Any]
    until: float


class WorkerPool:
    """The workers of this studio, on all machines.

    Args:
        cpus: cores of a run; on a machine with fewer, all of its cores.
        gpus: GPUs of a run, on machines with enough free GPUs.
        project: the code that workers import.
    """

    def __init__(self, cpus: float, gpus: float, project: Project):
        self._cpus, self._gpus, self._project = cpus, gpus, project
        self.nodes: dict[str, Node] = {}
        self.workers: dict[int, WorkerHandle] = {}
        self._refused: dict[str, Refusal] = {}
        self._ids = itertools.count(1)
        self._changed = asyncio.Event()

    def update(self, nodes: dict[str, Node]) -> None:
        """Update the machines; end workers whose machine is gone or that were idle for too long."""
        now = time.monotonic()
        self.nodes = nodes
        self._refused = {id: one for id, one in self._refused.items() if id in nodes and one.until > now}
        for handle in list(self.workers.values()):
            if handle.node not in nodes or (not handle.busy and now - handle.since > IDLE_SECONDS):
                self.drop(handle)
        self._notify()

    def _notify(self) -> None:
        """Wake all callers that wait in `acquire`."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _cpus_on(self, node: Node) -> float:
        """Cores of a run on a machine."""
        return min(self._cpus, node.cpus)

    def _unreported(self, node: Node) -> list[WorkerHandle]:
        """Workers on a machine that its free resources may not account for yet."""
        return [one for one in self.workers.values() if one.node == node.id and one.started > node.seen - POLL_SECONDS]

    def _gpus_on(self, node: Node) -> float:
        """GPUs of the next run on a machine; 0 if too few are free."""
        free = node.free_gpus - sum(one.gpus for one in self._unreported(node))
        return self._gpus if free >= self._gpus else 0.0

    def free_slots(self, node: Node) -> int:
        """Number of further workers that a machine has room for."""
        if node.id in self._refused or not node.cpus:
            return 0
        return max(0, int((node.free_cpus + 1e-6) // self._cpus_on(node)) - len(self._unreported(node)))

    @property
    def capacity(self) -> int:
        """Maximum number of concurrent runs if this studio had the cluster to itself."""
        return sum(
            int(node.cpus // self._cpus_on(node))
            for node in self.nodes.values()
            if node.cpus and node.id not in self._refused
        )

    @property
    def room(self) -> int:
        """Current maximum number of concurrent runs."""
        return len(self.workers) + sum(map(self.free_slots, self.nodes.values()))

    async def acquire(self, network: str, timeout: float) -> WorkerHandle:
        """Reserve a worker for a run.

        Prefers an idle worker, if possible one with a GPU or with the same network; otherwise starts one, if possible
        on a machine with free GPUs, and on the one with the most room.

        Args:
            network: name of the run's network.
            timeout: seconds to wait for a worker.

        Raises:
            NoFreeWorkerError: none became free in time.
        """
        deadline = time.monotonic() + timeout
        while True:
            idle = [one for one in self.workers.values() if not one.busy]
            if idle:
                handle = max(idle, key=lambda one: (one.gpus, one.network == network, one.since))
                handle.busy, handle.since, handle.network = True, time.monotonic(), network
                return handle
            free = [node for node in self.nodes.values() if self.free_slots(node)]
            if free:
                started = await self.start(max(free, key=lambda node: (self._gpus_on(node), self.free_slots(node))))
                if started is not None:
                    started.network = network
                    return started
                continue
            left = deadline - time.monotonic()
            if left <= 0:
                raise NoFreeWorkerError
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)

    async def start(self, node: Node) -> WorkerHandle | None:
        """Start a worker on a machine; None if it does not start or has another version, which excludes the machine."""
        gpus = self._gpus_on(node)
        handle = WorkerHandle(next(self._ids), node.id, node.title + (" · GPU" if gpus else ""), gpus)
        self.workers[handle.id] = handle
        try:
            handle.actor = self._create_actor(node, gpus)
            found, handle.process = await asyncio.wait_for(self._project.install(handle.actor), START_SECONDS)
        except (ray.exceptions.RayError, TimeoutError) as error:
            self.drop(handle)
            lines = str(error).strip().splitlines()
            why = lines[-1][:300] if lines else "no answer"
            self._refuse(node, message("Cannot start a worker on {machine}: {why}", machine=node.title, why=why))
            return None
        if found != self._project.version:
            self.drop(handle)
            self._refuse(
                node,
                message(
                    "The worker on {machine} runs Reverie {theirs}, but this studio runs {ours}; "
                    "install the same version on both.",
                    machine=node.title,
                    theirs=found,
                    ours=self._project.version,
                ),
            )
            return None
        handle.started = time.monotonic()
        return handle

    def _create_actor(self, node: Node, gpus: float) -> Any:
        cpus = self._cpus_on(node)
        threads = str(max(1, int(cpus)))
        variables = {
            "OMP_NUM_THREADS": threads,
            "TF_NUM_INTRAOP_THREADS": threads,
            "TF_NUM_INTEROP_THREADS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "2",
        }
        options = {
            "num_cpus": cpus,
            "num_gpus": gpus,
            "scheduling_strategy": NodeAffinitySchedulingStrategy(node.id, soft=False),
            "runtime_env": {"env_vars": variables},
            "max_restarts": 0,
        }
        return ray.remote(worker.RayWorker).options(**options).remote()

    def _refuse(self, node: Node, sentence: dict[str, Any]) -> None:
        logging.warning("%s", text_of(sentence))
        self._refused[node.id] = Refusal(sentence, time.monotonic() + REFUSED_SECONDS)

    def release(self, handle: WorkerHandle) -> None:
        """Mark a worker as idle after its run."""
        if handle.id in self.workers:
            handle.busy, handle.since = False, time.monotonic()
            self._notify()

    def drop(self, handle: WorkerHandle) -> None:
        """End a worker; one that is idle deletes its folder first, others leave it to the next worker there."""
        if self.workers.pop(handle.id, None) is not None:
            with contextlib.suppress(Exception):  # it may be gone with its machine
                if handle.busy:  # a step may take long, so it is not waited for
                    ray.kill(handle.actor)
                else:
                    handle.actor.leave.remote()
                    handle.actor.__ray_terminate__.remote()
            self._notify()

    def status(self) -> dict[str, Any]:
        """Describe the pool: room, capacity, and for each machine the fields of `studio.cluster.client.Machine`."""
        nodes = []
        for node in self.nodes.values():
            ours = [one for one in self.workers.values() if one.node == node.id]
            nodes.append(
                {
                    "title": node.title,
                    "cpus": node.cpus,
                    "gpus": node.gpus,
                    "free": node.free_cpus,
                    "busy": [one.id for one in ours if one.busy],
                    "warm": sum(not one.busy for one in ours),
                    "refused": self._refused[node.id].sentence if node.id in self._refused else None,
                }
            )
        nodes.sort(key=lambda one: str(one["title"]))
        return {"room": self.room, "capacity": self.capacity, "nodes": nodes}
