"""Files created when their download button is pressed."""

from __future__ import annotations

from typing import Any

import gradio as gr


def download_when_ready(made: Any, file: gr.DownloadButton) -> None:
    """Have the browser fetch what an event has put into a button that nobody sees, unless it was nothing.

    Args:
        made: what connecting the event returned.
        file: with the class "offstage" and an id.
    """
    # The button's own link is another only once the page has drawn it anew.
    js = f"file => {{ if (file) setTimeout(() => document.querySelector('#{file.elem_id}').click(), 300); }}"
    made.success(None, [file], None, js=js, api_visibility="private")
