"""Run queue and run manager."""

from __future__ import annotations

import statistics
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from engines.core.messages import message
from engines.jobs import Job, JobExecution, ResumableJob, Workshop
from studio.runs.journal import RunJournal
from studio.runs.run import ResultWriter, Run, is_left_alone

RUNS_REMEMBERED = 30
# Of those that are over, how many keep their pictures in memory, to go on or to be written yet.
RUNS_TO_GO_ON_WITH = 5


class QueueFullError(ValueError):
    """No more runs can wait; the message is a sentence for a person."""


@dataclass(frozen=True)
class Place:
    """A waiting run's place in its lane: how many are before it, and an estimate of the wait, None if unknown."""

    before: int
    seconds: float | None


class RunQueue:
    """Advances runs in the order in which they came, as many at once as there is room for.

    Args:
        room: how many that is at this moment.
        most_room: how many it can be at most: each run at work has a thread.
    """

    def __init__(self, name: str, most_waiting: int, room: Callable[[], int] = lambda: 1, most_room: int = 1):
        self._executor = ThreadPoolExecutor(max_workers=most_room, thread_name_prefix=name)
        self._most_waiting, self._room, self._most_room = most_waiting, room, most_room
        self._waiting: deque[Run] = deque()
        self._working: list[Run] = []
        self._lent = 0
        self._durations: deque[float] = deque(maxlen=10)
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, run: Run) -> None:
        """Put a run at the end of the lane.

        Raises:
            LaneFullError: too many are waiting.
        """
        with self._lock:
            self._leave_out_the_over()
            if len(self._waiting) >= self._most_waiting and not self._free:
                raise QueueFullError(message("The studio is busy and its waiting line is full; try again in a minute."))
            self._waiting.append(run)
        self.look()

    def look(self) -> None:
        """Have runs that wait begin, where there is room: called when there may be more than before."""
        with self._lock:
            self._leave_out_the_over()
            while self._waiting and self._free and not self._closed:
                run = self._waiting.popleft()
                self._working.append(run)
                self._executor.submit(self._advance, run)

    @property
    def _free(self) -> int:
        """How many more may begin. Called with the lock held."""
        return max(0, min(self._room(), self._most_room) - len(self._working) - self._lent)

    def _leave_out_the_over(self) -> None:
        self._waiting = deque(run for run in self._waiting if not run.over)

    def _advance(self, run: Run) -> None:
        try:
            run.advance(lambda: self._others_wait())
        finally:
            with self._lock:
                # A run that was stopped says nothing of how long one takes.
                if run.state == "done":
                    self._durations.append(run.seconds)
                self._working.remove(run)
                if run.state == "waiting":
                    # Who gave way waits behind the others; who lost its place has waited already.
                    (self._waiting.appendleft if run.displaced else self._waiting.append)(run)
            self.look()

    def _others_wait(self) -> bool:
        """Whether a run waits that a place would help."""
        with self._lock:
            return any(not run.over for run in self._waiting)

    def borrow(self) -> bool:
        """Take a place for a part of a run at work, if one is free and nobody waits for it."""
        with self._lock:
            self._leave_out_the_over()
            lent = not self._waiting and self._free > 0
            self._lent += lent
            return lent

    def give_back(self) -> None:
        """Give a place back that was borrowed."""
        with self._lock:
            self._lent -= 1
        self.look()

    def place(self, run: Run) -> Place:
        """Where a waiting run stands: how many must end or give way before it begins.

        The estimate takes the median of recent runs for each that waits before it, and is None until a run has been
        timed.
        """
        with self._lock:
            waiting = [other for other in self._waiting if not other.over]
            working = [other for other in self._working if not other.over]
            typical = statistics.median(self._durations) if self._durations else None
        if run not in waiting:
            return Place(0, 0.0)
        ahead, free = waiting.index(run), self._room() - len(working) - self._lent
        before = max(0, ahead + 1 - max(0, free)) if working else ahead
        if not before:
            return Place(0, 0.0)
        ends = [other.seconds_in_the_way for other in working]
        if None in ends or (ahead and typical is None):
            return Place(before, None)
        # Whoever waits longest takes the place that is free first.
        soonest = [0.0] * max(0, free) + sorted(end for end in ends if end is not None)
        for _ in range(ahead):
            soonest = sorted([*soonest[1:], soonest[0] + (typical or 0.0)])
        return Place(before, soonest[0])

    def close(self) -> None:
        """Stop all runs and the threads."""
        with self._lock:
            self._closed = True
            runs = [*self._working, *self._waiting]
        for run in runs:
            run.stop()
        self._executor.shutdown(wait=True, cancel_futures=True)


class Dispatcher(Protocol):
    """Where runs go, if not here (`studio.cluster.dispatch`)."""

    most_room: int

    @property
    def room(self) -> int:
        """How many there can be at this moment."""

    def on_change(self, call: Callable[[], None]) -> None:
        """Have it called when there may be room for more, or for fewer."""

    def begin(self, job: Job, rest: ResumableJob | None, lane: RunQueue) -> JobExecution:
        """A job, or what is left of one, begun; in parts where it has some and the lane lends places."""

    def close(self) -> None:
        """Give up what it holds."""


class RunManager:
    """The runs that a page may ask for by id, and the lane that they wait in.

    Runs that are over are remembered for a while, so that a reloaded page still finds its result.

    Args:
        records: where it is noted which runs go on.
        dispatcher: where they go; None for here.
        patient: whether trainings, films and the like run to their end though nobody watches, as they may where they
            keep nobody else waiting.
    """

    def __init__(
        self,
        workshop: Workshop,
        make_keeper: Callable[[Job], ResultWriter],
        *,
        records: RunJournal,
        most_waiting: int = 20,
        dispatcher: Dispatcher | None = None,
        patient: bool = False,
    ):
        self.workshop, self.records, self._dispatcher = workshop, records, dispatcher
        if dispatcher is None:
            self.render = RunQueue("render", most_waiting)
        else:
            self.render = RunQueue("render", most_waiting, lambda: dispatcher.room, dispatcher.most_room)
            dispatcher.on_change(self.render.look)
        self._make_keeper, self._patient = make_keeper, patient
        self._by_id: dict[str, Run] = {}
        self._lock = threading.Lock()

    def start(self, job: Job) -> Run:
        """Queue a job.

        Raises:
            LaneFullError: too many are waiting.
        """
        return self._started(self._begun(job), job)

    def go_on(self, run: Run) -> Run:
        """Queue what is left of a run that ended before its time, as a run of its own.

        Raises:
            LaneFullError: too many are waiting.
            ValueError: nothing is left of it.
        """
        rest = run.unfinished
        if rest is None:
            raise ValueError(message("There is nothing to go on with; start it anew."))
        begun = self._started(self._begun(rest.job, rest), rest.job)
        run.unfinished = None
        return begun

    def _begun(self, job: Job, rest: ResumableJob | None = None) -> JobExecution:
        """A job, or what is left of one, begun here or where the dispatcher has it begin."""
        if self._dispatcher is not None:
            return self._dispatcher.begin(job, rest, self.render)
        standing = None if rest is None else rest.standing
        return self.workshop.start(job) if standing is None else JobExecution(job, self.workshop, standing)

    def _started(self, started: JobExecution, job: Job) -> Run:
        patient = self._patient and is_left_alone(job)
        run = Run(started, self._make_keeper(job), self.records.remove, patient=patient)
        self.records.add(run)
        try:
            self.render.submit(run)
        except QueueFullError:
            self.records.remove(run)
            raise
        with self._lock:
            self._by_id[run.id] = run
            over = [r for r in self._by_id.values() if r.over]
            for old in over[: max(0, len(over) - RUNS_REMEMBERED)]:
                del self._by_id[old.id]
                old.forget()
            for old in over[:-RUNS_TO_GO_ON_WITH]:
                old.let_go()
        return run

    @property
    def going(self) -> list[Run]:
        """Those that are at work or wait."""
        with self._lock:
            return [run for run in self._by_id.values() if not run.over]

    def left_alone(self, stage: str) -> Run | None:
        """A run of a tab that goes on though its page is gone; None where there is none."""
        return next((run for run in self.going if run.stage == stage and run.unwatched), None)

    def get(self, run_id: str | None) -> Run | None:
        """The run with this id, or None where there is none (any longer)."""
        with self._lock:
            return self._by_id.get(run_id or "")

    def close(self) -> None:
        """Stop everything; results so far are written."""
        self.render.close()
        if self._dispatcher is not None:
            self._dispatcher.close()
        for run in self._by_id.values():
            run.forget()
