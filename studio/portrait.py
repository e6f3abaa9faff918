"""The picture of a face that sliders move: a component. Its look and behaviour are in static/."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import gradio as gr

from studio.canvas import STATIC

# Run in the browser when a slider moves. A page's event would carry every slider's state to the server and back
# through all of the page; the component asks for a picture and draws it, in less than half the time.
MOVED = """(...sliders) => {
  document.querySelector('#ELEM_ID .faces').dispatchEvent(new CustomEvent('moved', { detail: sliders }));
}"""


def portrait(elem_id: str, value: dict[str, Any], answer: Callable[[list[Any]], Awaitable[str]]) -> gr.HTML:
    """The component.

    Args:
        value: `network`, its name; `first` and `second`, where faces lie, lists or None; `picture` and `original`, data
            URIs of what the sliders say and of what was dropped, or nothing.
        answer: called by the browser with [network, first, second, sliders]; gives the picture's data URI, or nothing.
    """

    async def edited(asked: list[Any]) -> str:  # Gradio marks what the browser may call, which a method cannot bear
        return await answer(asked)

    return gr.HTML(
        value=value,
        html_template=(STATIC / "portrait.html").read_text(encoding="utf-8"),
        js_on_load=(STATIC / "portrait.js").read_text(encoding="utf-8"),
        server_functions=[edited],
        apply_default_css=False,
        elem_id=elem_id,
    )


def follow(picture: gr.HTML, sliders: list[gr.Slider]) -> None:
    """Have the picture follow the sliders."""
    moved = MOVED.replace("ELEM_ID", str(picture.elem_id))
    gr.on([slider.input for slider in sliders], None, sliders, None, js=moved, api_visibility="private")
