"""Job: what an engine is asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engines.core.messages import message
from engines.imaging.metadata import NO_DETAILS, Details
from engines.jobs.registry import ENGINES

OTHER_WEIGHTS = message(
    "This was made with an earlier network, or another file of its weights, and comes out differently now; for the "
    "best of the network that is here begin from the defaults."
)


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that an engine needs, with names where things are heavy.

    Attributes:
        engine: key in `ENGINES`.
        config: an instance of the engine's config class.
        inputs: (H, W, 3) uint8 RGB arrays by the engine's input names.
        backbone: name of the network, resolved where the job runs.
        files: by the engine's names for them.
        steering: (step, config) pairs to send again, when a recipe is repeated.
        stop_at: the step to stop after, when a stopped run is repeated.
        weights: SHA-256 of the network's weights that what is repeated was made with; with others the run says that it
            cannot come out the same.
        interruptions: the steps after which to go on from the picture as it was seen, as after a loss, when a recipe is
            repeated.
        details: what the file of its first input says that goes on into what is made from it.
        notices: what a person should be told of its inputs when it is over, in sentences.
        pace: how many frames a second there may be at most, for somebody who watches; 0 for as many as there can be.
    """

    engine: str
    config: Any
    inputs: Mapping[str, np.ndarray]
    backbone: str
    files: Mapping[str, Path] = field(default_factory=dict)
    steering: tuple[tuple[int, Any], ...] = ()
    stop_at: int | None = None
    weights: str = ""
    interruptions: tuple[int, ...] = ()
    details: Details = NO_DETAILS
    notices: tuple[str, ...] = ()
    pace: float = 0.0

    @property
    def makes_film(self) -> bool:
        """Whether its pictures are a film, by its engine or because it was asked for several."""
        return ENGINES[self.engine].film or getattr(self.config, "pictures", 1) > 1

    @property
    def makes_sheet(self) -> bool:
        """Whether its picture is a sheet of several, from which nobody goes on."""
        return ENGINES[self.engine].sheet
