"""Settings of the backbone's distillation. Importing this loads no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass

from engines.core.configs import setting, validate


@dataclass(frozen=True, kw_only=True)
class DistillationConfig:
    """How the first blocks of the bundled backbone learn the features of VGG19's."""

    steps: int = setting(8000, "Training steps.", low=1, high=10_000_000)
    batch_size: int = setting(8, "Crops a step.", low=2, high=256)
    paintings: int = setting(4, "Paintings in the making that a step learns from besides.", low=1, high=256)
    size: int = setting(128, "Side of a crop, in pixels.", low=32, high=512)
    largest_scale: float = setting(3.2, "By how much a crop may be shrunk.", low=1, high=16)
    learning_rate: float = setting(2e-3, "Peak of the one-cycle schedule of Adam.", low=1e-6, high=1)
    warmup: float = setting(0.02, "Share of the steps in which the rate rises.", low=0, high=0.9)
    gram_weight: float = setting(0.5, "Weight of the distance of Gram matrices.", low=0, high=100)
    isometry_weight: float = setting(0.3, "Weight of the maps' distance from isometries.", low=0, high=100)
    paintings_age: int = setting(24, "Steps that a photo is painted for.", low=1, high=1000)
    paintings_rate: float = setting(0.06, "How far a step moves a painting, in the range [-1, 1].", low=0, high=1)
    interval: int = setting(250, "Steps between checkpoints.", low=1, high=1_000_000)
    seed: int = setting(0, "Choice of the crops, and initial weights.", low=0, high=2**31 - 1)

    def __post_init__(self):
        validate(self)
