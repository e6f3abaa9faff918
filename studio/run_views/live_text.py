"""Live text component."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr

from studio.run_views.live_canvas import live_component


def live_text(elem_id: str, invitation: str, *, classes: Sequence[str] = ()) -> gr.HTML:
    """Create the component that shows a text as it is written; its event `pick` reports a token's `row` and `index`."""
    return live_component("live_text", elem_id, {"state": "ready"}, invitation, classes=classes)
