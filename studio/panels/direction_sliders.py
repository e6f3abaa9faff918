"""A row of sliders along directions of a latent space."""

from __future__ import annotations

import gradio as gr

from engines.core.messages import message


def direction_sliders(count: int, z_range: float, elem_id: str) -> list[gr.Slider]:
    """Create `count` sliders from -z_range to z_range, with the ids `<elem_id>1` and so on."""
    with gr.Row(elem_classes="directions inputs"):
        return [
            gr.Slider(
                -z_range,
                z_range,
                value=0,
                step=0.05,
                label=message("Direction {number}", number=number),
                elem_id=f"{elem_id}{number}",
            )
            for number in range(1, count + 1)
        ]
