"""Settings of a dream. Importing this loads no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engines.core.configs import setting, validate
from engines.core.messages import message

MAX_SIDE = 8192


@dataclass(frozen=True, kw_only=True)
class DreamConfig:
    """Settings of DeepDream. All but size, seed and pictures may change during a run, from its next step on."""

    size: int = setting(640, "Longest side of the result in pixels; 0 keeps the photo's size.", low=0, high=MAX_SIDE)
    octaves: int = setting(3, "Number of octaves (image sizes), from small to full size.", low=1, high=12)
    octave_scale: float = setting(1.4, "Size ratio between one octave and the next.", low=1.05, high=4.0)
    steps: int = setting(30, "Gradient ascent steps per octave.", label="Steps per octave", low=1, high=1000)
    step_size: float = setting(0.02, "How much each step changes the image.", label="Strength", low=0.0, high=1000.0)
    normalization: str = setting(
        "mean_absolute",
        "Step normalisation: mean absolute value (same look at every size) or L2 norm (as in Chollet's book).",
        label="Step normalisation",
        choices=("mean_absolute", "l2"),
    )
    jitter: int = setting(
        16, "Random shift before each step, in pixels; hides seams and grid patterns.", low=0, high=256
    )
    max_loss: float = setting(
        0.0, "Move to the next octave once the loss exceeds this; 0 for no limit.", low=0.0, high=1e9
    )
    layer_weights: Mapping[str, float] = setting(
        dict,
        "Layers to amplify and their weights; if empty, the network's defaults.",
        label="Layers",
        low=-100,
        high=100,
    )
    channel: int | None = setting(
        None, "Amplify only this channel of the layers, instead of all channels.", low=0, high=4095
    )
    tile_size: int = setting(
        0, "Process the image in square tiles of this many pixels; 0 chooses by image size.", low=0, high=4096
    )
    pictures: int = setting(
        1, "Number of frames in the zoom video; 1 makes a single image.", label="Frames", low=1, high=3000
    )
    zoom: float = setting(1.05, "Zoom factor from one frame to the next.", low=0.5, high=2.0)
    turn: float = setting(0.0, "Rotation per frame, in degrees.", label="Rotation", low=-180.0, high=180.0)
    seed: int = setting(0, "Seed of the random shifts; the same seed gives the same result.", low=0, high=2**31 - 1)

    def __post_init__(self):
        validate(self)
        if self.layer_weights and not any(self.layer_weights.values()):
            raise ValueError(message("All layer weights are zero; give at least one layer a weight."))
        if 0 < self.tile_size < 128:
            raise ValueError(message("Tile size must be 0 or at least 128 pixels."))

    @property
    def without_effect(self) -> dict[str, str]:
        """The settings that have no effect given the others, and why."""
        none: dict[str, str] = {}
        if self.pictures == 1:
            none |= dict.fromkeys(("zoom", "turn"), message("it applies only to videos"))
        if self.jitter == 0:
            none["seed"] = message("without jitter nothing is random")
        if self.octaves == 1:
            none["octave_scale"] = message("there is only one octave")
        return none
