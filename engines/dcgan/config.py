"""The settings of an adversarial training, apart so that a page may know them before anything heavy is imported."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from engines.core.configs import setting, validate

# As in `engines.dcgan.networks.ARCHITECTURES`.
MODELS = ("faces", "notes")
# As in `engines.dcgan.augmentation.AUGMENTATIONS`.
AUGMENTATIONS = ("none", "colour", "colour and shift")
# Fields that may be changed while a training runs, or when it goes on.
STEERABLE = ("d_learning_rate", "dropout", "rollbacks")
# Pictures that the critic compares with one another.
GROUP = 4
OBJECTIVES = ("hinge", "noisy labels")


@dataclass(frozen=True, kw_only=True)
class DCGANTrainingConfig:
    """How a generator and its critic are trained. What is None is as the model has it: see `MODELS_OWN`."""

    model: str = setting("faces", "Which networks.", choices=MODELS)
    images: int = setting(200_000, "How many real pictures the critic is shown in all.", low=16, high=10**9)
    batch_size: int = setting(64, "Pictures a step.", low=4, high=1024)
    objective: str | None = setting(
        None,
        "The hinge loss (Lim & Ye 2017), or the book's cross-entropy with noise on the labels.",
        choices=OBJECTIVES,
    )
    g_learning_rate: float | None = setting(None, "Adam's rate for the generator.", low=1e-7, high=0.1)
    d_learning_rate: float | None = setting(
        None, "Adam's rate for the critic; may be moved while it runs.", low=1e-7, high=0.1
    )
    dropout: float | None = setting(
        None,
        "Share of the critic's last features that is hidden from it; may be moved while it runs.",
        low=0.0,
        high=0.9,
    )
    augmentation: str | None = setting(
        None,
        "How pictures, drawn and real, are changed before the critic sees them.",
        choices=AUGMENTATIONS,
    )
    averaging: float | None = setting(
        None,
        "Share of the averaged weights, with which is drawn, that a step leaves; 0 for none.",
        low=0.0,
        high=0.99999,
    )
    mirrored: bool | None = setting(None, "Whether every other picture is shown from the other side.")
    rollbacks: int = setting(0, "One more sends the training back to its last good moment.", low=0, high=1000)
    interval: int = setting(250, "Steps between pictures and checkpoints.", low=1, high=1_000_000)
    seed: int = setting(0, "Order of the pictures, noise and initial weights.", low=0, high=2**31 - 1)

    def __post_init__(self):
        validate(self)
        if self.batch_size % GROUP:
            raise ValueError(f"Batch size must be a multiple of {GROUP}, not {self.batch_size}.")

    def filled(self) -> DCGANTrainingConfig:
        """The same with what is None as the model has it."""
        own = MODELS_OWN[self.model]
        return dataclasses.replace(self, **{name: own[name] for name in own if getattr(self, name) is None})


MODELS_OWN: dict[str, dict[str, Any]] = {
    "faces": {
        "objective": "hinge",
        "g_learning_rate": 3e-4,
        "d_learning_rate": 6e-4,
        "dropout": 0.0,
        "augmentation": "colour and shift",
        "averaging": 0.999,
        "mirrored": True,
    },
    # Chollet's listing, section 12.5: nothing but dropout and noisy labels against overconfidence.
    "notes": {
        "objective": "noisy labels",
        "g_learning_rate": 1e-4,
        "d_learning_rate": 1e-4,
        "dropout": 0.2,
        "augmentation": "none",
        "averaging": 0.0,
        "mirrored": False,
    },
}
