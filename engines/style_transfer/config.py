"""Settings of style transfer. Importing this loads no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engines.core.configs import setting, validate
from engines.core.messages import message

MAX_SIDE = 4096
MAX_STYLES = 8
# Each network's default style layers with weights, and its content layer.
LAYERS: dict[str, tuple[dict[str, float], str]] = {
    "studio_vgg": (
        {f"style_block{name}": 1.0 for name in ("1_conv1", "2_conv1", "3_conv1", "3_conv3")},
        "style_block3_conv2",
    ),
    "vgg19": ({f"block{block}_conv1": 1.0 for block in range(1, 5)}, "block4_conv2"),
    "vgg16": ({f"block{block}_conv1": 1.0 for block in range(1, 5)}, "block4_conv2"),
}


@dataclass(frozen=True, kw_only=True)
class StyleConfig:
    """Settings of style transfer.

    All but seconds, size, scales, tile_size, seed and start may change during a run; with a time limit, steps may not
    change either.
    """

    seconds: float = setting(
        15.0,
        "Finish in about this many seconds; 0 uses size, scales and steps instead.",
        label="Time",
        low=0.0,
        high=7200.0,
    )
    balance: float = setting(
        0.15,
        "The photo's share: lower for more style, higher for more photo.",
        label="More style ↔ more photo",
        low=0.0,
        high=0.95,
    )
    size: int = setting(512, "Longest side of the image in pixels; 0 keeps the photo's size.", low=0, high=MAX_SIDE)
    scales: int = setting(
        3, "Number of scales to work through, from small to full size.", label="Number of scales", low=1, high=8
    )
    steps: int = setting(
        30, "Steps at full size; smaller sizes take more.", label="Steps at full size", low=1, high=20_000
    )
    style_weight: float = setting(1.0, "Weight of the style loss (alpha).", label="Style weight α", low=0.0, high=1e9)
    content_weight: float = setting(
        1.0, "Weight of the content loss (beta).", label="Photo weight β", low=0.0, high=1e9
    )
    total_variation_weight: float = setting(
        1.0, "Weight of the total variation loss; higher is smoother.", label="Smoothness", low=0.0, high=1e9
    )
    blend: tuple[float, ...] = setting(
        (), "Weight of each style image, in order; equal if empty.", low=0.0, high=1000.0
    )
    style_scale: float = setting(1.0, "Size of the brush strokes.", label="Stroke size", low=0.25, high=4.0)
    color: str = setting(
        "painting",
        "Which colours to use: the style image's, the photo's exactly, or the style image's matched to the photo's.",
        label="Colours",
        choices=("painting", "photo", "matched"),
    )
    start: str = setting(
        "content",
        "Start from the photo, noise, or the bundled network's sketch of the photo; a starting image, "
        "if given, is used instead.",
        label="Start from",
        choices=("content", "noise", "sketch"),
    )
    optimizer: str = setting("lbfgs", "How the loss is minimised.", label="Optimiser", choices=("lbfgs", "adam", "sgd"))
    learning_rate: float = setting(
        5.0,
        "For Adam, the change per step on a 0-255 scale; for SGD, the learning rate. L-BFGS sets its own.",
        low=0.0,
        high=10_000.0,
    )
    pooling: str = setting("max", "How the network downsamples its feature maps.", choices=("max", "average"))
    losses: str = setting(
        "relative",
        "Normalise the loss of each layer, or not, as in Chollet's book.",
        label="Loss normalisation",
        choices=("relative", "book"),
    )
    style_layers: Mapping[str, float] = setting(
        dict, "Style layers and their weights; if empty, the network's defaults.", low=0.0, high=1000.0
    )
    content_layer: str = setting(
        "", "Layer that preserves the photo's content; if empty, the network's default.", label="Photo layer"
    )
    tile_size: int = setting(0, "Tile size in pixels; 0 chooses by free memory.", low=0, high=16_384)
    seed: int = setting(0, "Seed for the noise, when starting from noise.", low=0, high=2**31 - 1)

    def __post_init__(self):
        validate(self)
        if not (self.style_weight or self.content_weight or self.total_variation_weight):
            raise ValueError(message("All weights are zero; give the style, the photo or the smoothness a weight."))
        if self.style_layers and not any(self.style_layers.values()):
            raise ValueError(message("All style layers have weight zero; give at least one a weight."))
        if self.blend and not any(self.blend):
            raise ValueError(message("All style images have weight zero; give at least one a weight."))

    @property
    def without_effect(self) -> dict[str, str]:
        """The settings that have no effect given the others, and why."""
        none: dict[str, str] = {}
        if self.seconds:
            why = message("the time limit determines it; set Time to “By steps”")
            none |= dict.fromkeys(("size", "scales", "steps"), why)
        if self.start != "noise":
            none["seed"] = message("only used when starting from noise")
        if self.optimizer == "lbfgs":
            none["learning_rate"] = message("L-BFGS sets its own; choose another optimiser")
        if self.balance and self.style_weight and self.content_weight:
            none["content_weight"] = message("“More style ↔ more photo” determines it; set that slider to 0 first")
        return none
