"""Lanes: which run is whose turn; and the runs that a page may ask for."""

from __future__ import annotations

import statistics
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from engines.jobs import Job, Workshop
from studio.runs import Keeper, Run

RUNS_REMEMBERED = 30


class LaneFullError(ValueError):
    """No more runs can wait; the message is a sentence for a person."""


@dataclass(frozen=True)
class Place:
    """A waiting run's place in its lane: how many are before it, and an estimate of the wait, None if unknown."""

    before: int
    seconds: float | None


class Lane:
    """One thread that advances runs one after another."""

    def __init__(self, name: str, most_waiting: int):
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._most_waiting = most_waiting
        self._runs: list[Run] = []
        self._durations: deque[float] = deque(maxlen=10)
        self._lock = threading.Lock()

    def submit(self, run: Run) -> None:
        """Put a run at the end of the lane.

        Raises:
            LaneFullError: too many are waiting.
        """
        with self._lock:
            self._runs = [r for r in self._runs if not r.over]
            if len(self._runs) > self._most_waiting:
                raise LaneFullError("The studio is busy and its waiting line is full; try again in a minute.")
            self._runs.append(run)
        self._executor.submit(self._advance, run)

    def _advance(self, run: Run) -> None:
        try:
            run.advance(lambda: self._others_wait(run))
        finally:
            with self._lock:
                # A run that was stopped says nothing of how long one takes.
                if run.state == "done":
                    self._durations.append(run.seconds)
                self._runs = [r for r in self._runs if r is not run]
                goes_on = run.state == "waiting"
                if goes_on:
                    self._runs.append(run)
            if goes_on:
                self._executor.submit(self._advance, run)

    def _others_wait(self, run: Run) -> bool:
        with self._lock:
            return any(other is not run and not other.over for other in self._runs)

    def place(self, run: Run) -> Place:
        """Where a waiting run stands. The estimate is the time until the running one is over or gives way, plus the
        median of recent runs for each other before it, and is None until a run has been timed."""
        with self._lock:
            ahead = [r for r in self._runs[: self._runs.index(run)] if not r.over] if run in self._runs else []
            typical = statistics.median(self._durations) if self._durations else None
        seconds = 0.0
        for other in ahead:
            left = other.seconds_in_the_way if other.state == "running" else typical
            if left is None:
                return Place(len(ahead), None)
            seconds += left
        return Place(len(ahead), seconds)

    def close(self) -> None:
        """Stop all runs and the thread."""
        with self._lock:
            runs = list(self._runs)
        for run in runs:
            run.stop()
        self._executor.shutdown(wait=True, cancel_futures=True)


class Runs:
    """The runs that a page may ask for by id, and the lane that they wait in.

    Runs that are over are remembered for a while, so that a reloaded page still finds its result.
    """

    def __init__(self, workshop: Workshop, make_keeper: Callable[[Job], Keeper], *, most_waiting: int = 20):
        self.workshop = workshop
        self.render = Lane("render", most_waiting)
        self._make_keeper = make_keeper
        self._by_id: dict[str, Run] = {}
        self._lock = threading.Lock()

    def start(self, job: Job) -> Run:
        """Queue a job.

        Raises:
            LaneFullError: too many are waiting.
        """
        run = Run(self.workshop.start(job), self._make_keeper(job))
        self.render.submit(run)
        with self._lock:
            self._by_id[run.id] = run
            over = [r for r in self._by_id.values() if r.over]
            for old in over[: max(0, len(over) - RUNS_REMEMBERED)]:
                del self._by_id[old.id]
                old.forget()
        return run

    def get(self, run_id: str | None) -> Run | None:
        """The run with this id, or None where there is none (any longer)."""
        with self._lock:
            return self._by_id.get(run_id or "")

    def close(self) -> None:
        """Stop everything; results so far are written."""
        self.render.close()
        for run in self._by_id.values():
            run.forget()
