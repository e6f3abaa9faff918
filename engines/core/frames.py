"""Frame: one update of a run."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

C = TypeVar("C")


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One update of a run.

    Attributes:
        step: steps done so far; 0 during preparation.
        total: total steps as currently planned; the last frame has `step == total`.
        image: (H, W, 3) uint8 RGB, or None.
        metrics: losses and scores by name.
        note: the stage of the run, in words ("octave 2 of 3").
        progress: share of the work done, in [0, 1], for steps of unequal cost; -1 means step / total.
        keyframe: True if the frame belongs in a video of the run.
        yield_point: True if a part of the run ends here, so that another run may go first.
        config: the settings in force since the previous frame, if the engine itself chose or changed them; None if they
            are those that were passed or sent.
        written: for engines that write text: a `Generation` for each text.
        text: the text to save.
        z: latent vector of the image, (Z,) float32; None for engines without a latent space.
        notices: sentences to show when the run is over, for example about skipped data.
        position: state from which the engine can resume with this frame's image; None if it cannot.
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
        """True before the first step."""
        return self.step == 0


# The return type of every engine: iterate to run, `send` a changed config to steer, `close` to stop.
Frames = Generator[Frame, C | None, None]
