"""The live canvas: a component that draws a run's pictures as they arrive. Its look and behaviour are in static/."""

from __future__ import annotations

import html
from pathlib import Path

import gradio as gr
import numpy as np

from studio.previews import data_uri
from studio.streaming import acknowledge

STATIC = Path(__file__).parent / "static"


def at_rest(original: np.ndarray) -> dict[str, str]:
    """The message that shows a photo, (H, W, 3) uint8 RGB, before anything is done to it."""
    return {"state": "ready", "original": data_uri(original)}


def live_canvas(elem_id: str, original: np.ndarray | None, invitation: str) -> gr.HTML:
    """A canvas whose value is a message of `studio.streaming.Watcher`; at rest, an invitation, and behind it `original`
    if there is one."""
    template = (STATIC / "canvas.html").read_text(encoding="utf-8")
    return gr.HTML(
        value={"state": "ready"} if original is None else at_rest(original),
        html_template=template.replace("INVITATION", html.escape(invitation)),
        js_on_load=(STATIC / "canvas.js").read_text(encoding="utf-8"),
        server_functions=[acknowledge],
        apply_default_css=False,
        elem_id=elem_id,
        elem_classes="live-canvas",
    )
