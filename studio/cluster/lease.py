"""Use one worker of the cluster for one run."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engines.jobs.worker import WorkerTask
from studio.cluster.ray_process import LostError, RayProcess, result_of


class WorkerLease:
    """A worker reserved for one run.

    Attributes:
        id: the worker's number in the cluster's status.
        title: title of its machine.
        pid: its process id on that machine.
    """

    def __init__(self, process: RayProcess, id: int, title: str, pid: int):
        self._process, self.id, self.title, self.pid = process, id, title, pid
        self._writes: dict[str, str] = {}

    def begin(self, task: WorkerTask, paths: dict[str, Path], writes: dict[str, Path]) -> None:
        """Send the files that a job needs, and start it.

        Args:
            paths: SHA-256 -> path of each file that the job reads.
            writes: parameter name -> path of each file that it writes.

        Raises:
            LostError: the worker is lost.
            ValueError: a file was corrupted in transfer.
        """
        # Absolute: the process that reads and writes them has another working directory.
        self._writes = {name: str(path.absolute()) for name, path in writes.items()}
        if task.needed:
            sources = {sha256: str(path.absolute()) for sha256, path in paths.items()}
            self._request("send_files", pickle.dumps(task.needed), sources)
        self.call("begin", task)

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of `engines.jobs.worker.Worker` and return its result; raises as `result_of`."""
        return self.start_call(method, *arguments)()

    def start_call(self, method: str, *arguments: Any) -> Callable[[], Any]:
        """Start a call; returns a function that waits for its result and raises as `result_of`.

        Raises:
            LostError: the worker is lost.
        """
        answer = self._process.request("call", self.id, method, pickle.dumps(arguments, protocol=5), self._writes)
        return lambda: pickle.loads(result_of(answer.result()))

    def release(self) -> None:
        """Stop the job and release the worker for the next run; does nothing if the worker is lost."""
        with contextlib.suppress(LostError):
            try:
                self.call("close")
            except (ValueError, RuntimeError):
                self._request("drop")  # not fit for another run
                raise
            self._request("release")

    def _request(self, name: str, *arguments: Any) -> Any:
        return result_of(self._process.request(name, self.id, *arguments).result())
