"""The settings of the backbone's training, apart so that a command line may know them without anything heavy."""

from __future__ import annotations

from dataclasses import dataclass

from engines.configs import setting, validate


@dataclass(frozen=True, kw_only=True)
class BackboneTrainingConfig:
    """How the bundled backbone is trained."""

    epochs: int = setting(20, "Passes over the training pictures.", low=1, high=1000)
    batch_size: int = setting(128, "Pictures a step.", low=2, high=4096)
    learning_rate: float = setting(0.2, "Peak of the one-cycle schedule.", low=1e-6, high=10)
    warmup: float = setting(0.2, "Share of the steps in which the rate rises.", low=0, high=0.9)
    momentum: float = setting(0.9, "Nesterov momentum.", low=0, high=0.999)
    weight_decay: float = setting(5e-4, "Pull of every kernel towards zero.", low=0, high=1)
    label_smoothing: float = setting(0.1, "Share of each label spread over all classes.", low=0, high=0.9)
    first_size: int = setting(40, "Side of the crops at the start, in pixels.", low=16, high=64)
    last_size: int = setting(56, "Side of the crops at the end, in pixels.", low=16, high=64)
    least_area: float = setting(0.4, "Smallest share of a picture that a crop covers.", low=0.05, high=1)
    interval: int = setting(625, "Steps between checkpoints.", low=1, high=1_000_000)
    seed: int = setting(0, "Order of the pictures, crops and initial weights.", low=0, high=2**31 - 1)

    def __post_init__(self):
        validate(self)
        if self.first_size > self.last_size:
            raise ValueError("First size must not be above last size: crops grow over a training.")
