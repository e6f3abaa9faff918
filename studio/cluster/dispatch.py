"""Dispatch runs to the cluster, whole or in parts."""

from __future__ import annotations

from collections.abc import Callable

from engines.jobs import Job, JobExecution, ResumableJob, Workshop
from engines.jobs.batch import Batch
from engines.jobs.sweep import SweepConfig
from studio.cluster.client import MOST_ROOM, Cluster
from studio.cluster.parallel import ParallelBatch, ParallelSweep
from studio.cluster.prefetch import WorkerSlots
from studio.cluster.remote_job import RemoteJob
from studio.runs.queue import RunQueue


class ClusterDispatcher:
    """Begins runs on a cluster while it is there, and here while it is away."""

    most_room = MOST_ROOM

    def __init__(self, workshop: Workshop, cluster: Cluster):
        self._workshop, self._cluster = workshop, cluster

    @property
    def room(self) -> int:
        """How many runs there can be at this moment; one while the cluster is away."""
        status = self._cluster.status
        return status.room if status.useful else 1

    def on_change(self, call: Callable[[], None]) -> None:
        """Have it called when machines come or go."""
        self._cluster.on_change(call)

    def begin(self, job: Job, rest: ResumableJob | None, lane: RunQueue) -> JobExecution:
        """A job, or what is left of one, begun; a batch or a sweep in parts, for which the lane lends places."""

        def begin(job: Job, rest: ResumableJob | None) -> RemoteJob:
            return RemoteJob(job, self._workshop, self._cluster, rest)

        places = WorkerSlots(begin, lambda: self._cluster.status.useful and lane.borrow(), lane.give_back)
        if isinstance(job, Batch):
            return ParallelBatch(job, self._workshop, places)
        if isinstance(job.config, SweepConfig):
            return ParallelSweep(job, self._workshop, places)
        return begin(job, rest)

    def close(self) -> None:
        """Leave the cluster."""
        self._cluster.close()
