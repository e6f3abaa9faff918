"""Settings of the backbone's training and of its distillation. Importing this loads no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass

from engines.core.configs import setting, validate


@dataclass(frozen=True, kw_only=True)
class BackboneTrainingConfig:
    """How blocks 4 and 5 and the classifier of the bundled backbone are trained; the defaults suit further training."""

    epochs: int = setting(2, "Number of passes over the training images.", low=1, high=1000)
    batch_size: int = setting(64, "Images per step.", low=2, high=4096)
    photos: int = setting(8, "Photo crops added to each step.", low=1, high=256)
    hinted: int = setting(8, "Images per step that the teacher also sees.", low=1, high=4096)
    hint_weight: float = setting(1.0, "Weight of the distance from the teacher's features.", low=0, high=100)
    learning_rate: float = setting(0.005, "Peak of the one-cycle schedule of Muon.", low=1e-6, high=10)
    warmup: float = setting(0.05, "Share of the steps used to warm up the learning rate.", low=0, high=0.9)
    weight_decay: float = setting(0.02, "Weight decay of the kernels, relative to the rate.", low=0, high=1)
    label_smoothing: float = setting(0.1, "Share of each label spread over all classes.", low=0, high=0.9)
    first_size: int = setting(96, "Side of the crops at the start, in pixels.", low=80, high=256)
    last_size: int = setting(96, "Side of the crops at the end, in pixels.", low=80, high=256)
    least_area: float = setting(0.4, "Smallest share of an image that a crop covers.", low=0.05, high=1)
    largest_scale: float = setting(3.2, "Largest downscaling factor of a crop.", low=1, high=16)
    pasted_share: float = setting(
        0.5, "Share of the steps that paste a square of other images into each image.", low=0, high=1
    )
    interval: int = setting(250, "Steps between checkpoints.", low=1, high=1_000_000)
    seed: int = setting(0, "Seed for the order of images, the crops and the initial weights.", low=0, high=2**31 - 1)

    def __post_init__(self):
        validate(self)
        if self.first_size > self.last_size:
            raise ValueError("First size must not exceed last size: crops grow during training.")


@dataclass(frozen=True, kw_only=True)
class DistillationConfig:
    """How the style branch of the bundled backbone learns the features of VGG19's first blocks."""

    steps: int = setting(2400, "Training steps.", low=1, high=10_000_000)
    batch_size: int = setting(6, "Crops per step.", low=2, high=256)
    paintings: int = setting(3, "Unfinished paintings added to each step.", low=1, high=256)
    size: int = setting(112, "Side of a crop, in pixels.", low=32, high=512)
    largest_scale: float = setting(3.2, "Largest downscaling factor of a crop.", low=1, high=16)
    learning_rate: float = setting(0.04, "Peak of the one-cycle schedule of Muon.", low=1e-6, high=1)
    warmup: float = setting(0.02, "Share of the steps used to warm up the learning rate.", low=0, high=0.9)
    gram_weight: float = setting(0.5, "Weight of the distance of Gram matrices.", low=0, high=100)
    isometry_weight: float = setting(0.3, "Weight of the maps' distance from isometries.", low=0, high=100)
    paintings_age: int = setting(24, "Style transfer steps per painting.", low=1, high=1000)
    paintings_rate: float = setting(0.06, "Style transfer step size, for pixels in [-1, 1].", low=0, high=1)
    interval: int = setting(100, "Steps between checkpoints.", low=1, high=1_000_000)
    seed: int = setting(0, "Seed for the crops and the initial weights.", low=0, high=2**31 - 1)

    def __post_init__(self):
        validate(self)
