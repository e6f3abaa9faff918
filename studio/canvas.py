"""The live canvas: a component that draws a run's pictures as they arrive. Its look and behaviour are in static/."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from studio.previews import data_uri
from studio.streaming import acknowledge

STATIC = Path(__file__).parent / "static"


def at_rest(original: np.ndarray) -> dict[str, str]:
    """The message that shows a photo, (H, W, 3) uint8 RGB, before anything is done to it."""
    return {"state": "ready", "original": data_uri(original)}


def live(name: str, elem_id: str, value: dict[str, Any], invitation: str, *, classes: Sequence[str] = ()) -> gr.HTML:
    """A component that shows a run, whose value is a message of `studio.streaming.Watcher`.

    Args:
        name: of its template and its script in static/. The template has INVITATION, STATUS and CURVES where these
            belong.
        value: the message at first.
        classes: that it has besides its own.
    """
    template, status, curves = (
        (STATIC / file).read_text(encoding="utf-8") for file in (f"{name}.html", "status.html", "curves.html")
    )
    template = template.replace("INVITATION", html.escape(invitation))
    scripts = [(STATIC / file).read_text(encoding="utf-8") for file in ("run.js", f"{name}.js")]
    return gr.HTML(
        value=value,
        html_template=template.replace("STATUS", status).replace("CURVES", curves),
        js_on_load="\n".join(scripts),
        server_functions=[acknowledge],
        apply_default_css=False,
        elem_id=elem_id,
        elem_classes=[f"live-{name}", *classes],
    )


def live_canvas(elem_id: str, original: np.ndarray | None, invitation: str) -> gr.HTML:
    """A canvas for pictures; at rest, an invitation, and behind it `original` if there is one."""
    return live("canvas", elem_id, {"state": "ready"} if original is None else at_rest(original), invitation)
