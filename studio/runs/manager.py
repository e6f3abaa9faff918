"""Start runs, find them by id, and forget old ones."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from engines.core.messages import message
from engines.jobs import Job, JobExecution, ResumableJob, Workshop
from studio.runs.journal import RunJournal
from studio.runs.queue import QueueFullError, RunQueue
from studio.runs.run import ResultWriter, Run, may_run_unattended

RUNS_REMEMBERED = 30
# Number of finished runs that stay in memory to be resumed or saved.
RESUMABLE_RUNS = 5


class Dispatcher(Protocol):
    """Starts jobs outside of this process (`studio.cluster.dispatch`).

    Attributes:
        max_room: upper limit of `room`.
    """

    max_room: int

    @property
    def room(self) -> int:
        """Current maximum number of concurrent runs."""

    def on_change(self, call: Callable[[], None]) -> None:
        """Set the function to call whenever `room` may have changed."""

    def begin(self, job: Job, unfinished: ResumableJob | None, queue: RunQueue) -> JobExecution:
        """Start or resume a job; its parts, if any, borrow slots of the queue."""

    def close(self) -> None:
        """Release all resources."""


class RunManager:
    """All runs of a studio, and their queue.

    The last RUNS_REMEMBERED finished runs are kept, so that a reloaded page finds its result.

    Args:
        make_writer: creates the writer of a job's result.
        journal: journal of the active runs on disk.
        max_waiting: maximum number of waiting runs.
        dispatcher: starts jobs outside of this process; None to run them here.
        unattended: whether long jobs, see `may_run_unattended`, continue while no page watches them.
    """

    def __init__(
        self,
        workshop: Workshop,
        make_writer: Callable[[Job], ResultWriter],
        *,
        journal: RunJournal,
        max_waiting: int = 20,
        dispatcher: Dispatcher | None = None,
        unattended: bool = False,
    ):
        self.workshop, self.journal, self._dispatcher = workshop, journal, dispatcher
        if dispatcher is None:
            self.queue = RunQueue("render", max_waiting)
        else:
            self.queue = RunQueue("render", max_waiting, lambda: dispatcher.room, dispatcher.max_room)
            dispatcher.on_change(self.queue.start_waiting)
        self._make_writer, self._unattended = make_writer, unattended
        self._by_id: dict[str, Run] = {}
        self._lock = threading.Lock()

    def start(self, job: Job) -> Run:
        """Queue a job.

        Raises:
            QueueFullError: too many are waiting.
        """
        return self._submit(self._begin(job), job)

    def resume(self, run: Run) -> Run:
        """Queue the rest of a run that ended early, as a new run.

        Raises:
            QueueFullError: too many are waiting.
            ValueError: it cannot be resumed.
        """
        unfinished = run.unfinished
        if unfinished is None:
            raise ValueError(message("There is no run to resume; start a new one."))
        resumed = self._submit(self._begin(unfinished.job, unfinished), unfinished.job)
        run.unfinished = None
        return resumed

    def _begin(self, job: Job, unfinished: ResumableJob | None = None) -> JobExecution:
        """Start or resume a job, here or through the dispatcher."""
        if self._dispatcher is not None:
            return self._dispatcher.begin(job, unfinished, self.queue)
        resume_point = None if unfinished is None else unfinished.resume_point
        return self.workshop.start(job) if resume_point is None else JobExecution(job, self.workshop, resume_point)

    def _submit(self, execution: JobExecution, job: Job) -> Run:
        unattended = self._unattended and may_run_unattended(job)
        run = Run(execution, self._make_writer(job), self.journal.remove, unattended=unattended)
        self.journal.add(run)
        try:
            self.queue.submit(run)
        except QueueFullError:
            self.journal.remove(run)
            raise
        with self._lock:
            self._by_id[run.id] = run
            over = [r for r in self._by_id.values() if r.over]
            for old in over[: max(0, len(over) - RUNS_REMEMBERED)]:
                del self._by_id[old.id]
                old.forget()
            for old in over[:-RESUMABLE_RUNS]:
                old.free_memory()
        return run

    @property
    def active(self) -> list[Run]:
        """The runs that are running or waiting."""
        with self._lock:
            return [run for run in self._by_id.values() if not run.over]

    def unwatched_run(self, tab: str) -> Run | None:
        """Return a run of a tab that is active but whose page was closed; None if there is none."""
        return next((run for run in self.active if run.tab == tab and run.unwatched), None)

    def get(self, run_id: str | None) -> Run | None:
        """Return the run with an id; None if there is none, or it was forgotten."""
        with self._lock:
            return self._by_id.get(run_id or "")

    def close(self) -> None:
        """Stop all runs; their results so far are written."""
        self.queue.close()
        if self._dispatcher is not None:
            self._dispatcher.close()
        for run in self._by_id.values():
            run.forget()
