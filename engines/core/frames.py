"""Frame: one update of a run."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

C = TypeVar("C")


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One moment of a run.

    Attributes:
        step: steps done so far; 0 while what the first needs is prepared, of which there is nothing to keep.
        total: steps of the whole run as it is now planned; the last frame has `step == total`.
        image: (H, W, 3) uint8 RGB, or None where there is nothing to draw at this moment.
        metrics: losses, scores and the like, by their name in the field.
        note: where in the run this is, in words ("octave 2 of 3").
        progress: share of the run's work that is done, in [0, 1], where steps cost unequally; -1 means step / total.
        keyframe: whether this moment belongs in a film of the run.
        yield_point: whether a part of the run ends here, so that another run may have its place for a while.
        config: the settings that have been in force since the frame before, where the engine itself chose or changed
            them; None where they are what was asked for and sent.
        written: of an engine that writes: its texts as they stand, a `Generation` each.
        text: what of it a person keeps.
        z: where in a latent space the picture lies, (Z,) float32; None for engines without one.
        notices: what a person should be told when the run is over, in sentences: which data was left out.
        position: where the run stands, for its engine to go on from this frame's picture; None where it cannot.
    """

    step: int
    total: int
    image: np.ndarray | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    progress: float = -1.0
    keyframe: bool = True
    yield_point: bool = False
    config: Any = None
    written: tuple[Any, ...] = ()
    text: str = ""
    z: np.ndarray | None = None
    notices: tuple[str, ...] = ()
    position: Mapping[str, int] | None = None

    def __post_init__(self):
        if self.progress < 0:
            object.__setattr__(self, "progress", self.step / self.total)

    @property
    def preparing(self) -> bool:
        """Whether no step is done yet."""
        return self.step == 0


# What every engine returns: iterate it to run, `send` a changed config to steer, `close` it to stop.
Frames = Generator[Frame, C | None, None]
