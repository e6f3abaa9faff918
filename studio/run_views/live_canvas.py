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
    """The message that shows a photo, (H, W, 3) uint8 RGB, before anything is done to it."""
    return {"state": "ready", "original": data_uri(original)}


def live_component(
    name: str, elem_id: str, value: dict[str, Any], invitation: str, *, classes: Sequence[str] = ()
) -> gr.HTML:
    """A component that shows a run, whose value is a message of `studio.run_views.stream.Watcher`.

    Args:
        name: of its template and its script in this folder. The template has INVITATION, STATUS and CURVES where these
            belong.
        value: the message at first.
        classes: that it has besides its own.
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
    """A canvas for pictures; at rest, an invitation, and behind it `original` if there is one."""
    return live_component(
        "live_canvas", elem_id, {"state": "ready"} if original is None else idle_message(original), invitation
    )
