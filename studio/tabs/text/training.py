"""Language model training panel."""

from __future__ import annotations

import gradio as gr

from engines.core.messages import message
from engines.jobs import ENGINES
from engines.language_model.config import LanguageTrainingConfig
from studio.components.config_form import Settings
from studio.panels.training_panel import TrainingPanel, TrainingSpec
from studio.run_views.text_run_view import TextRunView
from studio.services import Studio

TOKENISERS = {"Subwords": "subwords", "Whole words": "words", "Characters": "characters"}
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
            saved=".json",
            network_defaults=lambda model: FIRST if model == FIRST.model else LanguageTrainingConfig(model=model),
            kept_fields=("tokens", "interval", "seed", "rate_factor", "prompt"),
        )
        super().__init__(studio, kind, "text-train", TextRunView(studio, "text-train"))

    def _choose(self, settings: Settings) -> None:
        self.model = settings.choice("model", ENGINES["language_model"].network_choices)
        self.tokeniser = settings.choice("tokeniser", TOKENISERS)

    def _adjust(self, settings: Settings) -> None:
        settings.slider("tokens", 50_000, 20_000_000, 50_000)
        settings.slider("rate_factor", 0.0, 3.0, 0.05)
        settings.add(
            "prompt",
            gr.Textbox("", label=settings.label("prompt"), info=settings.hint("prompt"), elem_id="text-train-prompt"),
            read=lambda text: text or "",
        )
        with gr.Accordion("More settings", open=False, elem_id="text-train-more", elem_classes="fold"):
            settings.slider("vocab_size", 64, 16_384, 64)
            settings.slider("block_size", 16, 512, 4)
            settings.slider("embed_dim", 32, 512, 32)
            settings.slider("num_layers", 1, 12, 1)
            settings.slider("num_heads", 1, 8, 1)
            settings.slider("dense_dim", 64, 4096, 64)
            settings.slider("batch_tokens", 256, 32_768, 256)
            settings.choice("optimizer", {"Muon and Adam": "muon", "RMSprop": "rmsprop"})
            settings.number("learning_rate")
            settings.slider("falling", 0.0, 1.0, 0.05)
            settings.slider("interval", 5, 500, 5)
            settings.number("seed")

    def build(self) -> None:
        """Create and wire the controls."""
        super().build()
        self.wire_network(self.model, ENGINES[self.kind.engine].steerable)
