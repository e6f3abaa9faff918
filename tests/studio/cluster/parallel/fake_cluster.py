"""A cluster whose workers are in this process and do real steps, when a test lets them."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engines.jobs import Job, Workshop
from engines.jobs.worker import Worker
from studio.cluster.client import AwayError, BusyError, Status
from studio.cluster.ray_process import LostError
from tests.studio.helpers import LONGEST_WAIT


class FakeCluster:
    """Replaces `Cluster`: workers in this process that do real steps, one at a time.

    Attributes:
        started: labels of the jobs that were started, in order.
        steps: label -> how many steps were done.
        gates: label -> what a job waits for before each step.
        where: label -> title of the machine on which a job was started last.
        lost: labels of jobs that lose their worker at their next step, once each.
        busy: how many workers have a job.
    """

    def __init__(self, workshop: Workshop, count: int, label: Callable[[Job], Any]):
        self._workshop, self._label = workshop, label
        self.started: list[Any] = []
        self.steps: dict[Any, int] = {}
        self.gates: dict[Any, threading.Semaphore] = {}
        self.where: dict[Any, str] = {}
        self.lost: list[Any] = []
        self.busy = 0
        self.lock = threading.RLock()
        self._numbers = itertools.count(1)
        self.changed: Callable[[], None] = lambda: None
        self.have(count)

    def have(self, count: int) -> None:
        """Change the number of machines."""
        self.count = count
        self.status = Status(connected=count > 0, room=count, capacity=count)
        self.changed()

    def on_change(self, changed: Callable[[], None]) -> None:
        self.changed = changed

    def close(self) -> None:
        self.status = Status()

    def acquire(self, network: str) -> FakeLease:
        if not self.status.usable:
            raise AwayError
        with self.lock:
            if self.busy >= self.count:
                raise BusyError
            self.busy += 1
        return FakeLease(self, next(self._numbers))

    def hold(self, *labels: Any) -> None:
        """Make jobs wait before each step until they are released."""
        for label in labels:
            self.gates[label] = threading.Semaphore(0)

    def release(self, label: Any, steps: int = 100_000) -> None:
        self.gates[label].release(steps)


class FakeLease:
    """Replaces `WorkerLease`: a worker in this process."""

    def __init__(self, machines: FakeCluster, id: int):
        self.id, self.title = id, f"machine {id}"
        self._machines = machines
        self._worker = Worker(Path("no files come here"))
        self._worker._workshop = machines._workshop
        self._label: Any = None
        self._gone = False

    def begin(self, task, paths, writes) -> None:
        with self._machines.lock:
            self._worker.begin(task)
            self._label = self._machines._label(task.job)
            self._machines.started.append(self._label)
            self._machines.where[self._label] = self.title

    def call(self, method: str, *arguments: Any) -> Any:
        machines, label = self._machines, self._label
        gate = machines.gates.get(label)
        if gate is not None and not gate.acquire(timeout=LONGEST_WAIT):
            raise AssertionError(f"nobody let {label} go on")
        with machines.lock:
            if label in machines.lost:
                machines.lost.remove(label)
                machines.busy -= 1
                self._gone = True
                self._worker.leave()
                raise LostError("It is gone.")
            result = getattr(self._worker, method)(*arguments)
            machines.steps[label] = machines.steps.get(label, 0) + 1
        return result

    def start_call(self, method: str, *arguments: Any) -> Callable[[], Any]:
        """Do the step when its result is asked for, so that a test decides when that is."""
        return lambda: self.call(method, *arguments)

    def release(self) -> None:
        if not self._gone:
            with self._machines.lock:
                self._worker.leave()
                self._machines.busy -= 1
