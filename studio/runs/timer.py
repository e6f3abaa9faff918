"""Measure how long a run worked, and estimate how long it will."""

from __future__ import annotations

import time


class RunTimer:
    """Measures the time that a run works, without the time that it waits.

    Args:
        progress_before: share of the run's work that was done before, in [0, 1].

    Attributes:
        seconds: the seconds worked until it was paused last.
    """

    def __init__(self, progress_before: float = 0.0):
        self.seconds = 0.0
        self._progress_before = progress_before
        self._resumed_at: float | None = None
        # Seconds worked at the last yield point, and how many the part before that took.
        self._part_start = 0.0
        self._part_seconds: float | None = None

    def resume(self) -> None:
        """Start measuring."""
        self._resumed_at = time.monotonic()

    def pause(self) -> None:
        """Stop measuring."""
        self.seconds = self.worked
        self._resumed_at = None

    @property
    def worked(self) -> float:
        """The seconds worked until now."""
        resumed_at = self._resumed_at
        return self.seconds + (0.0 if resumed_at is None else time.monotonic() - resumed_at)

    def end_part(self) -> None:
        """Note that the run is at a yield point."""
        worked = self.worked
        self._part_start, self._part_seconds = worked, worked - self._part_start

    def seconds_left(self, progress: float) -> float | None:
        """Estimate the seconds to the end of the run from its progress in [0, 1]; None while that is unknown."""
        if progress <= self._progress_before:
            return None
        return self.worked * (1 - progress) / (progress - self._progress_before)

    def seconds_to_yield(self, progress: float) -> float | None:
        """Estimate the seconds to the next yield point, if parts take equally long, or to the end if that is sooner."""
        left, part = self.seconds_left(progress), self._part_seconds
        if left is None or part is None:
            return left
        return min(left, max(0.0, part - (self.worked - self._part_start)))
