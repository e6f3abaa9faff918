"""Face grid component."""

from __future__ import annotations

from typing import Any

import gradio as gr

from engines.dcgan import sheet
from engines.dcgan.model import GAN
from studio.components.html_component import component
from studio.wire_format import data_uri


def face_grid(elem_id: str) -> gr.HTML:
    """Create the component, empty. Its value is what `grid_value` returns; its event `pick` reports the `index` of a
    face."""
    return component(__file__, elem_id, {})


def grid_value(gan: GAN, seed: int, count: int, truncation: float) -> dict[str, Any]:
    """Generate faces from consecutive seeds and score them; return the component's value."""
    images = gan.sample(range(seed, seed + count), truncation)
    whole = sheet(images)
    percentiles = [gan.score_percentile(float(score)) for score in gan.scores(images)]
    return {
        "sheet": data_uri(whole, quality=92),
        "columns": whole.shape[1] // gan.shape[1],
        "size": gan.shape[0],
        "score_percentiles": [None if one is None else round(one) for one in percentiles],
        "seed": seed,
        "truncation": truncation,
        "chosen": 0,
    }
