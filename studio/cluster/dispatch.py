"""Which runs go to the cluster, and how: whole, or a part to each of several machines."""

from __future__ import annotations

from collections.abc import Callable

from engines.jobs import Job, StartedJob, Unfinished, Workshop
from engines.jobs.batch import Batch
from engines.jobs.sweep import SweepConfig
from studio.cluster.client import MOST_ROOM, Cluster
from studio.cluster.parallel import SpreadBatch, SpreadSweep
from studio.cluster.prefetch import Places
from studio.cluster.remote_job import RemoteJob
from studio.runs.queue import Lane


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

    def begin(self, job: Job, rest: Unfinished | None, lane: Lane) -> StartedJob:
        """A job, or what is left of one, begun; a batch or a sweep in parts, for which the lane lends places."""

        def begin(job: Job, rest: Unfinished | None) -> RemoteJob:
            return RemoteJob(job, self._workshop, self._cluster, rest)

        places = Places(begin, lambda: self._cluster.status.useful and lane.borrow(), lane.give_back)
        if isinstance(job, Batch):
            return SpreadBatch(job, self._workshop, places)
        if isinstance(job.config, SweepConfig):
            return SpreadSweep(job, self._workshop, places)
        return begin(job, rest)

    def close(self) -> None:
        """Leave the cluster."""
        self._cluster.close()
