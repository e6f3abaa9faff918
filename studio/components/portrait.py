"""Portrait component: a face that follows its sliders."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import gradio as gr

from studio.components.html_component import component

Answer = Callable[[list[Any]], Awaitable[dict[str, str] | None]]

# Runs in the browser when a slider moves. The component fetches the image itself, in less than half the time of a
# Gradio event, which would send every slider's state to the server and back through the whole page.
MOVED = """(...sliders) => {
  document.querySelector('#ELEM_ID .faces').dispatchEvent(new CustomEvent('moved', { detail: sliders }));
}"""


def portrait(
    elem_id: str, value: dict[str, Any], answer: Callable[[list[Any]], Awaitable[dict[str, str] | None]]
) -> gr.HTML:
    """Create the component.

    Args:
        elem_id: element id.
        value: a dict with `network`, its name; `first` and `second`, latent vectors as lists or None; `picture` and
            `original`, data URIs of the edited face and of the uploaded photo, or ""; `caption`, the line under the
            image.
        answer: coroutine function that the browser calls with [network, first, second, sliders]; returns `picture` and
            `caption`, or None.
    """

    async def edited(
        asked: list[Any],
    ) -> dict[str, str] | None:  # Gradio marks callable functions with an attribute, which methods do not allow
        return await answer(asked)

    return component(__file__, elem_id, value, server_functions=[edited])


def follow(image: gr.HTML, sliders: Sequence[Any]) -> None:
    """Redraw the image whenever a slider moves."""
    moved = MOVED.replace("ELEM_ID", str(image.elem_id))
    gr.on([slider.input for slider in sliders], None, list(sliders), None, js=moved, api_visibility="private")
