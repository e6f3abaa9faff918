"""Settings of a dream. Importing this loads no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engines.core.configs import setting, validate
from engines.core.messages import message

MOST_SIDE = 8192


@dataclass(frozen=True, kw_only=True)
class DreamConfig:
    """Settings of a dream. All may change while it runs; the ladder of octaves is then planned anew from there."""

    size: int = setting(640, "Longest side of the dream in pixels; 0 keeps the photo's own.", low=0, high=MOST_SIDE)
    octaves: int = setting(3, "How many sizes to dream at, from small to full.", low=1, high=12)
    octave_scale: float = setting(1.4, "How much larger each size is than the one before.", low=1.05, high=4.0)
    steps: int = setting(30, "Gradient-ascent steps at each size.", low=1, high=1000)
    step_size: float = setting(0.02, "How far each step moves the picture.", low=0.0, high=1000.0)
    normalization: str = setting(
        "mean_absolute",
        "Unit of the step: looks the same at every size, or L2 norm as in the book.",
        choices=("mean_absolute", "l2"),
    )
    jitter: int = setting(16, "Random shift before each step, in pixels; hides seams and grids.", low=0, high=256)
    max_loss: float = setting(0.0, "Leave a size once the loss is above this; 0 never does.", low=0.0, high=1e9)
    layer_weights: Mapping[str, float] = setting(
        dict, "Layers to amplify and how much each counts; as the backbone suggests if not given.", low=-100, high=100
    )
    channel: int | None = setting(None, "Amplify this one channel of the layers instead of all.", low=0, high=4095)
    tile_size: int = setting(
        0, "Work in squares of this many pixels; 0 decides by the picture's size.", low=0, high=4096
    )
    pictures: int = setting(1, "Length of the zoom film; 1 makes a single picture.", low=1, high=3000)
    zoom: float = setting(1.05, "How much a film zooms in from picture to picture.", low=0.5, high=2.0)
    turn: float = setting(0.0, "Degrees a film turns from picture to picture.", low=-180.0, high=180.0)
    seed: int = setting(0, "Decides the random shifts; the same seed gives the same dream.", low=0, high=2**31 - 1)

    def __post_init__(self):
        validate(self)
        if self.layer_weights and not any(self.layer_weights.values()):
            raise ValueError(message("All layer weights are zero; give at least one layer a weight."))
        if 0 < self.tile_size < 128:
            raise ValueError(message("Tile size must be 0 or at least 128 pixels."))

    @property
    def without_effect(self) -> dict[str, str]:
        """The settings that change nothing as the others stand, and why."""
        none: dict[str, str] = {}
        if self.pictures == 1:
            none |= dict.fromkeys(("zoom", "turn"), message("it is for films"))
        if self.jitter == 0:
            none["seed"] = message("without jitter there is no chance in a dream")
        if self.octaves == 1:
            none["octave_scale"] = message("there is one octave only")
        return none
