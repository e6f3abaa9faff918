"""Components of our own: a template, a script, and a value that goes between them and the page. Both are in static/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

STATIC = Path(__file__).parent / "static"


def asset(name: str) -> str:
    """The text of a file in static/."""
    return (STATIC / name).read_text(encoding="utf-8")


def component(name: str, elem_id: str, value: Any, **options: Any) -> gr.HTML:
    """The component whose look is in static/`name`.html and whose behaviour is in static/`name`.js.

    Args:
        value: what it shows at first; the script finds it as `props.value`.
        options: as for `gr.HTML`.
    """
    options = {"html_template": asset(f"{name}.html"), "js_on_load": asset(f"{name}.js")} | options
    return gr.HTML(value=value, apply_default_css=False, elem_id=elem_id, **options)
