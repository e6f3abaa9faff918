"""Settings of style transfer. Importing this loads no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engines.core.configs import setting, validate
from engines.core.messages import message

MOST_SIDE = 4096
MOST_STYLES = 8
# What suits a network: style layers with weights, and the content layer.
LAYERS: dict[str, tuple[dict[str, float], str]] = {
    "studio_vgg": (
        {f"block{name}": 1.0 for name in ("1_conv1", "1_conv2", "2_conv1", "2_conv2", "3_conv1", "3_conv3", "4_conv1")},
        "block4_conv1",
    ),
    "vgg19": ({f"block{block}_conv1": 1.0 for block in range(1, 5)}, "block4_conv2"),
    "vgg16": ({f"block{block}_conv1": 1.0 for block in range(1, 5)}, "block4_conv2"),
}


@dataclass(frozen=True, kw_only=True)
class StyleConfig:
    """Settings of a painting. Those that say how it looks may change while it runs; size, scales and start may not."""

    seconds: float = setting(
        15.0, "Finish in about so many seconds; 0 goes by size, scales and steps instead.", low=0.0, high=7200.0
    )
    balance: float = setting(
        0.15, "The photo's share of the pull: more style to the left, more photo to the right.", low=0.0, high=0.95
    )
    size: int = setting(512, "Longest side of the painting in pixels; 0 keeps the photo's own.", low=0, high=MOST_SIDE)
    scales: int = setting(3, "How many sizes to paint at, from small to full.", low=1, high=8)
    steps: int = setting(30, "Steps at full size; smaller sizes take more.", low=1, high=20_000)
    style_weight: float = setting(1.0, "What the painting's loss counts (alpha).", low=0.0, high=1e9)
    content_weight: float = setting(1.0, "What the photo's loss counts (beta).", low=0.0, high=1e9)
    total_variation_weight: float = setting(1.0, "What roughness counts: more is smoother.", low=0.0, high=1e9)
    blend: tuple[float, ...] = setting(
        (), "What each painting counts, in their order; all the same if not given.", low=0.0, high=1000.0
    )
    style_scale: float = setting(1.0, "Size of the painting's strokes.", low=0.25, high=4.0)
    color: str = setting(
        "painting",
        "Whose colours: the painting's, the photo's exactly, or the painting's moved to the photo's.",
        choices=("painting", "photo", "matched"),
    )
    start: str = setting(
        "content",
        "What to begin from: the photo, noise, or what the bundled network makes of the photo; with a picture to go on "
        "from, that.",
        choices=("content", "noise", "sketch"),
    )
    optimizer: str = setting("lbfgs", "How the picture is moved downhill.", choices=("lbfgs", "adam", "sgd"))
    learning_rate: float = setting(
        5.0, "Grey levels a step for Adam, the rate for SGD; L-BFGS finds its own.", low=0.0, high=10_000.0
    )
    pooling: str = setting("max", "How the network shrinks its maps.", choices=("max", "average"))
    losses: str = setting(
        "relative", "Each layer's loss by its own size, or as in the book.", choices=("relative", "book")
    )
    style_layers: Mapping[str, float] = setting(
        dict, "Layers whose style counts and how much; as suits the network if not given.", low=0.0, high=1000.0
    )
    content_layer: str = setting("", "The layer at which the photo is recognised; as suits the network if not given.")
    tile_size: int = setting(
        0, "Work in squares of this many pixels; 0 decides by the memory that is free.", low=0, high=16_384
    )
    seed: int = setting(0, "Decides the noise that a painting may begin from.", low=0, high=2**31 - 1)

    def __post_init__(self):
        validate(self)
        if not (self.style_weight or self.content_weight or self.total_variation_weight):
            raise ValueError(message("All weights are zero; give the style, the photo or the smoothness a weight."))
        if self.style_layers and not any(self.style_layers.values()):
            raise ValueError(message("All style layers have weight zero; give at least one a weight."))
        if self.blend and not any(self.blend):
            raise ValueError(message("All paintings have weight zero; give at least one a weight."))

    @property
    def without_effect(self) -> dict[str, str]:
        """The settings that change nothing as the others stand, and why."""
        none: dict[str, str] = {}
        if self.seconds:
            none |= dict.fromkeys(
                ("size", "scales", "steps"), message("the time decides it; choose to go by steps instead")
            )
        if self.start != "noise":
            none["seed"] = message("the painting begins from the photo; begin from noise instead")
        if self.optimizer == "lbfgs":
            none["learning_rate"] = message("L-BFGS finds its own; choose another optimiser instead")
        if self.balance and self.style_weight and self.content_weight:
            none["content_weight"] = message("the balance decides it; set that to 0 instead")
        return none
