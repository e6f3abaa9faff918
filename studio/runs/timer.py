"""Measure and estimate the working time of a run."""

from __future__ import annotations

import time


class RunTimer:
    """Measures the working time of a run, not counting waiting time.

    Args:
        progress_before: share of the run's work that was already done, in [0, 1].

    Attributes:
        seconds: seconds of work up to the last pause.
    """

    def __init__(self, progress_before: float = 0.0):
        self.seconds = 0.0
        self._progress_before = progress_before
        self._resumed_at: float | None = None
        # Seconds of work up to the last yield point, and between it and the one before.
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
        """Seconds of work so far."""
        resumed_at = self._resumed_at
        return self.seconds + (0.0 if resumed_at is None else time.monotonic() - resumed_at)

    def end_part(self) -> None:
        """Record a yield point."""
        worked = self.worked
        self._part_start, self._part_seconds = worked, worked - self._part_start

    def seconds_left(self, progress: float) -> float | None:
        """Estimate the seconds to the end of the run from its progress in [0, 1]; None if unknown."""
        if progress <= self._progress_before:
            return None
        return self.worked * (1 - progress) / (progress - self._progress_before)

    def seconds_to_yield(self, progress: float) -> float | None:
        """Estimate the seconds to the next yield point, if parts take equally long, or to the end if that is sooner."""
        left, part = self.seconds_left(progress), self._part_seconds
        if left is None or part is None:
            return left
        return min(left, max(0.0, part - (self.worked - self._part_start)))
