"""Advance runs in order of arrival, as many concurrently as there is room for."""

from __future__ import annotations

import statistics
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from engines.core.messages import message
from studio.runs.run import Run


class QueueFullError(ValueError):
    """The queue is full; the message is for the user."""


@dataclass(frozen=True)
class QueuePosition:
    """Position of a waiting run in the queue.

    Attributes:
        before: number of runs that must end or yield before it starts.
        seconds: estimated seconds until then; None if unknown.
    """

    before: int
    seconds: float | None


class RunQueue:
    """Starts waiting runs while there is room, each on a thread; a run that yields waits again.

    Args:
        name: prefix of the threads' names.
        max_waiting: maximum number of waiting runs.
        room: returns the current maximum number of concurrent runs.
        max_room: upper limit of `room`.
    """

    def __init__(self, name: str, max_waiting: int, room: Callable[[], int] = lambda: 1, max_room: int = 1):
        self._executor = ThreadPoolExecutor(max_workers=max_room, thread_name_prefix=name)
        self._max_waiting, self._room, self._max_room = max_waiting, room, max_room
        self._waiting: deque[Run] = deque()
        self._running: list[Run] = []
        self._borrowed = 0
        self._durations: deque[float] = deque(maxlen=10)
        self._lock = threading.Lock()
        self._closed = False

    def submit(self, run: Run) -> None:
        """Put a run at the end of the queue.

        Raises:
            QueueFullError: too many are waiting.
        """
        with self._lock:
            self._remove_ended()
            if len(self._waiting) >= self._max_waiting and not self._free:
                raise QueueFullError(message("The studio is busy and its queue is full; try again in a minute."))
            self._waiting.append(run)
        self.start_waiting()

    def start_waiting(self) -> None:
        """Start waiting runs while there is room. Call it whenever the room may have grown."""
        with self._lock:
            self._remove_ended()
            while self._waiting and self._free and not self._closed:
                run = self._waiting.popleft()
                self._running.append(run)
                self._executor.submit(self._advance, run)

    @property
    def _free(self) -> int:
        """Number of runs that may start now. Called with the lock held."""
        return max(0, min(self._room(), self._max_room) - len(self._running) - self._borrowed)

    def _remove_ended(self) -> None:
        """Remove runs that were stopped while they waited. Called with the lock held."""
        self._waiting = deque(run for run in self._waiting if not run.over)

    def _advance(self, run: Run) -> None:
        try:
            run.advance(lambda: self._others_wait())
        finally:
            with self._lock:
                # Stopped runs would make the estimate too short.
                if run.state == "done":
                    self._durations.append(run.seconds)
                self._running.remove(run)
                if run.state == "waiting":
                    # A run that yielded goes to the end; one that lost its worker has already waited.
                    (self._waiting.appendleft if run.waits_for_worker else self._waiting.append)(run)
            self.start_waiting()

    def _others_wait(self) -> bool:
        with self._lock:
            return any(not run.over for run in self._waiting)

    def acquire(self) -> bool:
        """Take a slot for a part of a running run, if one is free and no run waits for it; returns whether it did."""
        with self._lock:
            self._remove_ended()
            acquired = not self._waiting and self._free > 0
            self._borrowed += acquired
            return acquired

    def release(self) -> None:
        """Return a slot that was borrowed."""
        with self._lock:
            self._borrowed -= 1
        self.start_waiting()

    def position(self, run: Run) -> QueuePosition:
        """Return the position of a waiting run; zeros for any other run.

        The estimate assumes the median duration of recent runs for each waiting run before it; it is None until a run
        has been timed.
        """
        with self._lock:
            waiting = [other for other in self._waiting if not other.over]
            running = [other for other in self._running if not other.over]
            typical = statistics.median(self._durations) if self._durations else None
        if run not in waiting:
            return QueuePosition(0, 0.0)
        ahead, free = waiting.index(run), self._room() - len(running) - self._borrowed
        before = max(0, ahead + 1 - max(0, free)) if running else ahead
        if not before:
            return QueuePosition(0, 0.0)
        ends = [other.seconds_to_yield for other in running]
        if None in ends or (ahead and typical is None):
            return QueuePosition(before, None)
        # Each run before it takes the first slot that becomes free.
        free_at = [0.0] * max(0, free) + sorted(end for end in ends if end is not None)
        for _ in range(ahead):
            free_at = sorted([*free_at[1:], free_at[0] + (typical or 0.0)])
        return QueuePosition(before, free_at[0])

    def close(self) -> None:
        """Stop all runs and threads."""
        with self._lock:
            self._closed = True
            runs = [*self._running, *self._waiting]
        for run in runs:
            run.stop()
        self._executor.shutdown(wait=True, cancel_futures=True)
