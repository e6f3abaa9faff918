"""Portrait component: a face that follows its sliders."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import gradio as gr

from studio.components.html_component import component

Answer = Callable[[list[Any]], Awaitable[dict[str, str] | None]]

# Run in the browser when a slider moves. A page's event would carry every slider's state to the server and back
# through all of the page; the component asks for a picture and draws it, in less than half the time.
MOVED = """(...sliders) => {
  document.querySelector('#ELEM_ID .faces').dispatchEvent(new CustomEvent('moved', { detail: sliders }));
}"""


def portrait(
    elem_id: str, value: dict[str, Any], answer: Callable[[list[Any]], Awaitable[dict[str, str] | None]]
) -> gr.HTML:
    """The component.

    Args:
        value: `network`, its name; `first` and `second`, where faces lie, lists or None; `picture` and `original`, data
            URIs of what the sliders say and of what was dropped, or nothing; `caption`, a line under the picture.
        answer: called by the browser with [network, first, second, sliders]; gives `picture` and `caption`, or None.
    """

    async def edited(
        asked: list[Any],
    ) -> dict[str, str] | None:  # Gradio marks what the browser may call, which a method cannot bear
        return await answer(asked)

    return component(__file__, elem_id, value, server_functions=[edited])


def follow(picture: gr.HTML, sliders: Sequence[Any]) -> None:
    """Have the picture follow the sliders."""
    moved = MOVED.replace("ELEM_ID", str(picture.elem_id))
    gr.on([slider.input for slider in sliders], None, list(sliders), None, js=moved, api_visibility="private")
