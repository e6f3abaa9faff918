"""A picture that a person drops, pastes, photographs or picks."""

from __future__ import annotations

from typing import Any

import gradio as gr


def photo_input(**options: Any) -> gr.Image:
    """gr.Image whose handlers get the path of the uploaded file as it is, or None.

    Gradio would decode it first: a damaged file would end in a traceback instead of our sentence, an animation in
    palette numbers, and a recipe inside a PNG would be lost. The engines' own reader handles all of these.
    """
    photo = gr.Image(type="filepath", image_mode=None, **options)
    photo.preprocess = lambda payload: payload.path if payload else None
    return photo
