"""Dispatch runs to the cluster, whole or in parts."""

from __future__ import annotations

from collections.abc import Callable

from engines.jobs import Job, JobExecution, ResumableJob, Workshop
from engines.jobs.batch import Batch
from engines.jobs.sweep import SweepConfig
from studio.cluster.client import MOST_ROOM, Cluster
from studio.cluster.parallel import ParallelBatch, ParallelSweep
from studio.cluster.remote_job import RemoteJob
from studio.cluster.subjob import WorkerSlots
from studio.runs.queue import RunQueue


class ClusterDispatcher:
    """Begins runs on a cluster, or in this process while the cluster is away; a `studio.runs.queue.Dispatcher`."""

    most_room = MOST_ROOM

    def __init__(self, workshop: Workshop, cluster: Cluster):
        self._workshop, self._cluster = workshop, cluster

    @property
    def room(self) -> int:
        """How many runs there can be at once now; one while the cluster is away."""
        status = self._cluster.status
        return status.room if status.usable else 1

    def on_change(self, call: Callable[[], None]) -> None:
        """Call a function whenever the room may have changed."""
        self._cluster.on_change(call)

    def begin(self, job: Job, unfinished: ResumableJob | None, queue: RunQueue) -> JobExecution:
        """Begin a job, or what is left of one; parts of a batch or sweep borrow slots of the queue."""

        def begin(job: Job, unfinished: ResumableJob | None) -> RemoteJob:
            return RemoteJob(job, self._workshop, self._cluster, unfinished)

        slots = WorkerSlots(begin, lambda: self._cluster.status.usable and queue.borrow(), queue.give_back)
        if isinstance(job, Batch):
            return ParallelBatch(job, self._workshop, slots)
        if isinstance(job.config, SweepConfig):
            return ParallelSweep(job, self._workshop, slots)
        return begin(job, unfinished)

    def close(self) -> None:
        """Leave the cluster."""
        self._cluster.close()
