"""Language model training panel."""

from __future__ import annotations

import gradio as gr

from engines.core.messages import message
from engines.language_model.config import STEERABLE, LanguageTrainingConfig
from studio.components.config_form import Settings
from studio.panels.training_panel import TrainingPanel, TrainingSpec
from studio.run_views.text_run_view import TextRunView
from studio.services import Studio

NETWORKS = {"Reverie": "ours", "Chollet's book": "notes"}
CUTS = {"Subwords": "subwords", "Whole words": "words", "Characters": "characters"}
# Small enough to learn from a few pages of text while the user watches.
FIRST = LanguageTrainingConfig(
    tokens=500_000, embed_dim=128, num_layers=4, dense_dim=512, vocab_size=2048, block_size=128, interval=20
)


class LanguageTraining(TrainingPanel):
    """Controls and handlers of the training."""

    def __init__(self, studio: Studio):
        kind = TrainingSpec(
            engine="language_training",
            initial=FIRST.filled(),
            data=message("one or more UTF-8 text files"),
            suffixes=(".txt", ".md", ".jsonl", ".gz", ".zip"),
            choose=self._choose,
            adjust=self._adjust,
            invitation=message("Samples at five temperatures appear here during training."),
            used="Use the trained model in Write.",
            steerable=STEERABLE,
            saved=".json",
            network_defaults=lambda model: FIRST if model == FIRST.model else LanguageTrainingConfig(model=model),
            kept_fields=("tokens", "interval", "seed", "rate_factor", "prompt"),
        )
        super().__init__(studio, kind, "text-train", TextRunView(studio, "text-train"))

    def _choose(self, settings: Settings) -> None:
        self.model = settings.choice("model", "Model", NETWORKS)
        self.cut = settings.choice("tokeniser", "Tokeniser", CUTS)

    def _adjust(self, settings: Settings) -> None:
        settings.slider("tokens", "Total tokens", 50_000, 20_000_000, 50_000)
        settings.slider("rate_factor", "Learning rate multiplier", 0.0, 3.0, 0.05)
        settings.add(
            "prompt",
            gr.Textbox("", label="Sample prompt", info=settings.hint("prompt"), elem_id="text-train-prompt"),
            read=lambda text: text or "",
        )
        with gr.Accordion("More settings", open=False, elem_id="text-train-more", elem_classes="fold"):
            settings.slider("vocab_size", "Vocabulary", 64, 16_384, 64)
            settings.slider("block_size", "Context length", 16, 512, 4)
            settings.slider("embed_dim", "Width", 32, 512, 32)
            settings.slider("num_layers", "Blocks", 1, 12, 1)
            settings.slider("num_heads", "Heads", 1, 8, 1)
            settings.slider("dense_dim", "Feed-forward width", 64, 4096, 64)
            settings.slider("batch_tokens", "Tokens per step", 256, 32_768, 256)
            settings.choice("optimizer", "Optimiser", {"Muon and Adam": "muon", "RMSprop": "rmsprop"})
            settings.number("learning_rate", "Learning rate")
            settings.slider("falling", "Decay fraction", 0.0, 1.0, 0.05)
            settings.slider("interval", "Steps between samples", 5, 500, 5)
            settings.number("seed", "Seed")

    def build(self) -> None:
        """Create and wire the controls."""
        super().build()
        self.wire_network(self.model, STEERABLE)
