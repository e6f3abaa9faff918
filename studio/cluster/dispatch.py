"""Dispatch runs to the cluster, whole or in parts."""

from __future__ import annotations

from collections.abc import Callable

from engines.jobs import Job, JobExecution, ResumableJob, Workshop
from engines.jobs.batch import Batch
from engines.jobs.sweep import SweepConfig
from studio.cluster.client import MAX_ROOM, Cluster
from studio.cluster.parallel import ParallelBatch, ParallelSweep
from studio.cluster.remote_job import RemoteJob
from studio.cluster.subjob import WorkerSlots
from studio.runs.queue import RunQueue


class ClusterDispatcher:
    """Starts runs on a cluster, or in this process while it is not connected; a `studio.runs.manager.Dispatcher`."""

    max_room = MAX_ROOM

    def __init__(self, workshop: Workshop, cluster: Cluster):
        self._workshop, self._cluster = workshop, cluster

    @property
    def room(self) -> int:
        """Current maximum number of concurrent runs; 1 while the cluster is not available."""
        status = self._cluster.status
        return status.room if status.usable else 1

    def on_change(self, call: Callable[[], None]) -> None:
        """Set the function to call whenever `room` may have changed."""
        self._cluster.on_change(call)

    def begin(self, job: Job, unfinished: ResumableJob | None, queue: RunQueue) -> JobExecution:
        """Start or resume a job; parts of a batch or sweep borrow slots of the queue."""

        def begin(job: Job, unfinished: ResumableJob | None) -> RemoteJob:
            return RemoteJob(job, self._workshop, self._cluster, unfinished)

        slots = WorkerSlots(begin, lambda: self._cluster.status.usable and queue.acquire(), queue.release)
        if isinstance(job, Batch):
            return ParallelBatch(job, self._workshop, slots)
        if isinstance(job.config, SweepConfig):
            return ParallelSweep(job, self._workshop, slots)
        return begin(job, unfinished)

    def close(self) -> None:
        """Disconnect from the cluster."""
        self._cluster.close()
