"""Download files that are created when their button is pressed."""

from __future__ import annotations

from typing import Any

import gradio as gr


def download_when_ready(made: Any, file: gr.DownloadButton) -> None:
    """Start a browser download once an event has put a file into a hidden button.

    Args:
        made: the event's dependency, as `button.click(...)` returns it. Nothing is downloaded if it set the button to
            None.
        file: a button with the class "invisible-button" and an element id.
    """
    # The page updates the button's link only when it redraws the button.
    js = f"file => {{ if (file) setTimeout(() => document.querySelector('#{file.elem_id}').click(), 300); }}"
    made.success(None, [file], None, js=js, api_visibility="private")
