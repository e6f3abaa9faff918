"""Score a text token by token."""

from __future__ import annotations

import time
import uuid
from typing import Any

import gradio as gr

from engines.core.messages import message
from engines.language_model.config import SamplingConfig
from studio.components.toasts import warn
from studio.run_views.live_text import live_text
from studio.run_views.token_inspector import token_details, token_inspector
from studio.services import Studio
from studio.wire_format import written_rows


class TextScore:
    """Controls and handlers for scoring."""

    def __init__(self, studio: Studio):
        self.studio = studio

    def build(self) -> None:
        """Create the controls."""
        with gr.Row(elem_classes="workbench"):
            with gr.Column(elem_classes="inputs", min_width=300), gr.Column(elem_classes="begin"):
                self.text = gr.Textbox(
                    label="Text",
                    info="Up to 10,000 characters.",
                    lines=8,
                    max_lines=16,
                    placeholder="Paste or type a text.",
                    elem_id="score-text",
                )
                with gr.Row(elem_classes="actions"):
                    self.go = gr.Button("Score", variant="primary", elem_id="score-go")
            with gr.Column(elem_classes="outputs", min_width=320, scale=3):
                invitation = message("Words are coloured by how surprising the model finds them.")
                self.canvas = live_text("scored", invitation, classes=["coloured"])
                self.summary = gr.Markdown("", elem_id="score-said")
                self.token_inspector = token_inspector("score-token-inspector")
        self.scored = gr.State(None)

    def wire(self, model: Any) -> None:
        """Connect the controls.

        Args:
            model: control that selects the language model.
        """
        options: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
        outputs = [self.canvas, self.summary, self.scored, self.token_inspector]
        self.go.click(self.score, [self.text, model], outputs, **options)
        self.canvas.pick(
            self.picked, [self.scored, model], [self.token_inspector], trigger_mode="always_last", **options
        )

    async def score(self, text: str | None, name: str | None) -> list[Any]:
        """Score a text: perplexity, and the surprisal of each token."""

        def work() -> list[Any]:
            from engines.language_model import score
            from engines.language_model.engine import Generation

            if not name:
                raise ValueError(message("No language model is available; train one or restore the bundled weights."))
            started = time.monotonic()
            model = self.studio.workshop.network("language_model", name)
            scored = score(text or "", SamplingConfig(temperature=1.0), model)
            shown = {
                "state": "done",
                "run": uuid.uuid4().hex[:8],
                "progress": 1,
                "seconds": time.monotonic() - started,
                "written": written_rows([Generation(1.0, scored.pieces, scored.distributions)]),
            }
            summary = message(
                "Perplexity **{perplexity:.1f}** per token over {tokens:,} tokens, **{bits:.2f}** "
                "bits per character. Click a word to see the alternatives.",
                perplexity=scored.perplexity,
                tokens=len(scored.distributions),
                bits=scored.bits_per_character,
            )
            return [shown, summary, scored, {}]

        try:
            return await self.studio.run_in_thread(work)
        except ValueError as error:
            warn(error)
            return [gr.skip()] * 4

    def picked(self, scored: Any, name: str, event: gr.EventData) -> dict[str, Any]:
        """Inspect the selected token."""
        index = int(event.index)
        if scored is None or not 0 <= index < len(scored.distributions):
            return {}
        tokeniser = self.studio.workshop.network("language_model", name).tokeniser
        return token_details(
            scored.distributions, scored.pieces, index, lambda token: tokeniser.pieces([token])[0], rewritable=False
        )
