"""The live canvas: a component that draws a run's pictures as they arrive. Its look and behaviour are in static/."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from studio.streaming import acknowledge

STATIC = Path(__file__).parent / "static"


def live_canvas(elem_id: str) -> gr.HTML:
    """A canvas whose value is a message of `studio.streaming.Watcher`."""
    return gr.HTML(
        value={},
        html_template=(STATIC / "canvas.html").read_text(encoding="utf-8"),
        js_on_load=(STATIC / "canvas.js").read_text(encoding="utf-8"),
        server_functions=[acknowledge],
        apply_default_css=False,
        elem_id=elem_id,
        elem_classes="live-canvas",
    )
