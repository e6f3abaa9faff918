"""Run view for text."""

from __future__ import annotations

from typing import Any

import gradio as gr

from studio.run_views.live_text import live_text
from studio.run_views.run_view import RunView
from studio.runs.run import Run
from studio.services import Studio


class TextRunView(RunView):
    """Run view with live text."""

    def __init__(self, studio: Studio, prefix: str):
        super().__init__(studio, prefix)
        # [row, index] of the selected token, or None.
        self.token_position = gr.State(None)
        self.continue_button: gr.Button | None = None

    def build_canvas(self, original: None, invitation: str) -> None:
        """Create the live text."""
        self.canvas = live_text(f"{self._prefix}-canvas", invitation)

    def build_footer(self, hint: str) -> None:
        """Create the row under the text: a hint, Save and Recipe."""
        with gr.Row(elem_classes="under"):
            gr.Markdown(hint, elem_classes="quiet")
            self.save = gr.DownloadButton("Save", size="sm", interactive=False, elem_id=f"{self._prefix}-save")
            self.recipe = gr.DownloadButton("Recipe", size="sm", interactive=False, elem_id=f"{self._prefix}-recipe")

    def build_continue_button(self, label: str) -> None:
        """Create the button that continues a finished text."""
        self.continue_button = gr.Button(label, size="sm", interactive=False, elem_id=f"{self._prefix}-continue")

    @property
    def outputs(self) -> list[Any]:
        """List the components that a watched run updates."""
        return [
            *super().outputs,
            self.token_position,
            self.recipe,
            *([self.continue_button] if self.continue_button else []),
        ]

    def updates_on_start(self) -> dict[Any, Any]:
        """Reset the selected token, the recipe and the continue button."""
        return {
            self.token_position: None,
            self.recipe: gr.update(value=None, interactive=False),
        } | self._allow_continue(False)

    def updates_on_end(self, run: Run) -> dict[Any, Any]:
        """Offer the recipe, which is stored beside the text."""
        beside = None if run.result is None else run.result.with_suffix(".json")
        there = beside is not None and beside.is_file()
        path = str(beside) if there else None
        written = run.frame is not None and bool(run.frame.written)
        return {self.recipe: gr.update(value=path, interactive=there)} | self._allow_continue(written)

    def _allow_continue(self, there: bool) -> dict[Any, Any]:
        return {self.continue_button: gr.update(interactive=there)} if self.continue_button else {}
