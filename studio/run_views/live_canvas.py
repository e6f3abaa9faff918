"""Live canvas component."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from studio.components.html_component import asset, component
from studio.i18n.catalog import translate
from studio.run_views.stream import acknowledge
from studio.wire_format import data_uri

HERE = Path(__file__).parent


def idle_message(original: np.ndarray) -> dict[str, str]:
    """Return the canvas value that shows a photo, (H, W, 3) uint8 RGB, without a run."""
    return {"state": "ready", "original": data_uri(original)}


def live_component(
    name: str, elem_id: str, value: dict[str, Any], invitation: str, *, classes: Sequence[str] = ()
) -> gr.HTML:
    """Create a component that shows a run.

    Args:
        name: stem of its template and script in this folder. INVITATION, STATUS and CURVES in the template are
            replaced.
        elem_id: element id.
        value: initial message, as of `studio.run_views.stream.Watcher`.
        invitation: text shown before the first run.
        classes: additional CSS classes.
    """
    template = asset(HERE / f"{name}.html").replace("INVITATION", html.escape(translate(invitation)))
    return component(
        HERE / name,
        elem_id,
        value,
        html_template=template.replace("STATUS", asset(HERE / "run_status.html")).replace(
            "CURVES", asset(HERE / "training_curves.html")
        ),
        js_on_load="\n".join([asset(HERE / "run_status.js"), asset(HERE / f"{name}.js")]),
        server_functions=[acknowledge],
        elem_classes=[name.replace("_", "-"), *classes],
    )


def live_canvas(elem_id: str, original: np.ndarray | None, invitation: str) -> gr.HTML:
    """Create a canvas for images.

    Args:
        elem_id: element id.
        original: (H, W, 3) uint8 RGB, shown behind the invitation; None for an empty canvas.
        invitation: text shown before the first run.
    """
    return live_component(
        "live_canvas", elem_id, {"state": "ready"} if original is None else idle_message(original), invitation
    )
