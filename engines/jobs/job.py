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
    "This was made with different network weights, so the result will differ; for best results with "
    "the current network, start from the defaults."
)


@dataclass(frozen=True, kw_only=True)
class Job:
    """Everything that an engine needs to run. Networks are given by name.

    Attributes:
        engine: key in `ENGINES`.
        config: an instance of the engine's config class.
        inputs: (H, W, 3) uint8 RGB arrays by input name.
        backbone: name of the network, resolved where the job runs.
        files: paths by parameter name.
        steering: (step, config) pairs to send when a recipe is replayed.
        stop_at: step to stop after, when a stopped run is replayed.
        weights: SHA-256 of the weights in a replayed recipe; the run adds a notice if the network has other weights.
        interruptions: steps after which to resume from the last image, as after a lost worker, when a recipe is
            replayed.
        details: metadata of the first input, to be copied to the result.
        notices: sentences about the inputs to show at the end of the run.
        pace: maximum number of frames per second for a live view; 0 for no limit.
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
    def makes_video(self) -> bool:
        """True if the job produces a video."""
        return ENGINES[self.engine].video or getattr(self.config, "pictures", 1) > 1

    @property
    def makes_sheet(self) -> bool:
        """True for contact sheets, which cannot seed a run."""
        return ENGINES[self.engine].sheet
