"""DCGAN training panel."""

from __future__ import annotations

from typing import Any

import gradio as gr

from engines.core.messages import message
from engines.dcgan.config import DCGANTrainingConfig
from engines.imaging.formats import SUFFIXES
from engines.jobs import ENGINES
from studio.components.config_form import Settings
from studio.components.toasts import inform, warn
from studio.panels.training_panel import TrainingPanel, TrainingSpec
from studio.services import Studio

NETWORKS = ENGINES["dcgan"].network_choices


class GANTraining(TrainingPanel):
    """Controls and handlers of the training."""

    def __init__(self, studio: Studio):
        kind = TrainingSpec(
            engine="dcgan_training",
            initial=DCGANTrainingConfig(images=100_000, interval=50).filled(),
            data=message("a zip of images, or all images in a folder"),
            suffixes=(".zip", *sorted(SUFFIXES)),
            choose=self._choose,
            adjust=self._adjust,
            invitation=message("Samples from fixed noise appear here as the generator learns."),
            used="Use the trained model to generate faces.",
            network_defaults=lambda model: DCGANTrainingConfig(model=model),
            kept_fields=("images", "batch_size", "interval", "seed", "rollbacks"),
        )
        super().__init__(studio, kind, "gan-train")

    def _choose(self, settings: Settings) -> None:
        self.model = settings.choice("model", NETWORKS)

    def _adjust(self, settings: Settings) -> None:
        settings.slider("images", 5_000, 2_000_000, 5_000)
        settings.slider("d_learning_rate", 1e-5, 2e-3, 1e-5)
        settings.slider("dropout", 0.0, 0.8, 0.05)
        self.back = gr.Button("Roll back training", size="sm", elem_id="gan-train-back")
        settings.add("rollbacks", gr.State(0))
        with gr.Accordion("More settings", open=False, elem_id="gan-train-more", elem_classes="fold"):
            settings.number("g_learning_rate")
            settings.slider("batch_size", 16, 256, 16)
            settings.choice("objective", {"Hinge": "hinge", "Cross-entropy, noisy labels": "noisy labels"})
            kinds = {"None": "none", "Colour": "colour", "Colour and shift": "colour and shift"}
            settings.choice("augmentation", kinds)
            settings.number("averaging")
            label, hint = settings.label("mirrored"), settings.hint("mirrored")
            settings.add("mirrored", gr.Checkbox(True, label=label, info=hint, elem_id="gan-train-mirrored"))
            settings.slider("interval", 10, 1000, 10)
            settings.number("seed")

    def build(self) -> None:
        """Create and wire the controls."""
        super().build()
        self.wire_network(self.model, ("d_learning_rate", "dropout"))
        settings, options = self.settings, {"api_visibility": "private"}
        rollbacks = settings.controls["rollbacks"]
        self.back.click(self.add_rollback, [self.view.run_id, rollbacks], [rollbacks], **options).then(
            self.send_settings, [self.view.run_id, *settings.components], None, **options
        )

    def send_settings(self, run_id: str, *values: Any) -> None:
        """Send the current settings to the page's training."""
        self.view.steer(run_id, "", self.settings, values)

    def add_rollback(self, run_id: str, rollbacks: int) -> int:
        """Ask for one more rollback; return the new count."""
        run = self.view.run(run_id)
        if run is None or run.over:
            warn(message("No training is running."))
            return rollbacks
        inform(message("Rolling back to the last checkpoint without a warning."))
        return rollbacks + 1
