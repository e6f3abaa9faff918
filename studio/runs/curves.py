"""Keep the curves of a run's metrics at bounded length."""

from __future__ import annotations

from collections.abc import Mapping

from engines.core.frames import Frame

VALUES_KEPT = 240


class MetricCurves:
    """The values of each metric at evenly spaced steps, at most VALUES_KEPT.

    Attributes:
        values: metric name -> values; replaced, never modified, as other threads read it.
    """

    def __init__(self) -> None:
        self.values: Mapping[str, list[float]] = {}
        self._stride = 1

    def add(self, frame: Frame) -> None:
        """Add a frame's metrics; when there are too many values, keep every second one."""
        if frame.step % self._stride:
            return
        values = {name: [*self.values.get(name, []), value] for name, value in frame.metrics.items()}
        if any(len(curve) > VALUES_KEPT for curve in values.values()):
            values, self._stride = {name: curve[1::2] for name, curve in values.items()}, 2 * self._stride
        self.values = values
