"""Presets for each network, the default first."""

from __future__ import annotations

from typing import Any

from engines.deep_dream.config import DreamConfig


def presets(backbone_name: str) -> dict[str, DreamConfig]:
    """Presets for a backbone, the default first."""
    return PRESETS[backbone_name]


def _book(layer_weights: dict[str, float]) -> DreamConfig:
    """The settings of Chollet's listing, for the given layers."""
    return DreamConfig(
        size=0,
        octaves=3,
        octave_scale=1.4,
        steps=30,
        step_size=20.0,
        normalization="l2",
        jitter=0,
        max_loss=15.0,
        layer_weights=layer_weights,
    )


def _preset(layer_weights: dict[str, float], **changes: Any) -> DreamConfig:
    settings: dict[str, Any] = {"octaves": 4, "steps": 24, "step_size": 0.012, "layer_weights": layer_weights}
    return DreamConfig(**settings | changes)


def _objects(layer: str = "block5_conv2", **changes: Any) -> DreamConfig:
    """A late layer of the bundled network, or one of its channels: objects."""
    return _preset({layer: 1.0}, **{"steps": 20, "step_size": 0.014} | changes)


_VGG_PRESETS = {
    "Deep": _preset({"block5_conv2": 1.0}),
    "Middle": _preset({"block4_conv2": 1.0}),
    "Shallow": _preset({"block3_conv2": 1.0}),
}


PRESETS: dict[str, dict[str, DreamConfig]] = {
    "studio_vgg": {
        "Creatures": _objects("block5_conv1"),
        "Villages": _objects(),
        "Palaces": _objects(channel=119),
        "City lights": _objects(channel=109),
        "Bridges": _objects(channel=247),
        "Quilt": _objects(channel=87),
        "Coils": _objects(channel=94),
        "Eyes": _objects("block4_conv1"),
        "Peacock": _objects("block4_conv2"),
        "Beads": _preset({"block3_conv2": 1.0}, octaves=4, steps=14, step_size=0.01),
        "Weave": _preset({"block2_conv2": 1.0}, octaves=4, steps=12, step_size=0.01),
    },
    "inception_v3": {
        "Chollet's book": _book({"mixed4": 1.0, "mixed5": 1.5, "mixed6": 2.0, "mixed7": 2.5}),
        "Ornaments": _preset({"mixed3": 1.0, "mixed4": 0.5}),
        "Spirals": _preset({"mixed0": 1.0}, steps=16, step_size=0.01),
        "Deep": _preset({"mixed6": 1.0, "mixed7": 1.0}, steps=30, step_size=0.015),
    },
    "vgg16": _VGG_PRESETS,
    "vgg19": _VGG_PRESETS,
    "xception": {
        "Deep": _preset({"block13_sepconv1_act": 1.0}),
        "Middle": _preset({"block8_sepconv2_act": 1.0}),
        "Shallow": _preset({"block4_sepconv1_act": 1.0}),
    },
    "resnet50": {
        "Deep": _preset({"conv4_block6_out": 1.0}),
        "Middle": _preset({"conv4_block2_out": 1.0}),
        "Shallow": _preset({"conv3_block3_out": 1.0}),
    },
}
