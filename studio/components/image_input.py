"""Image input: drop, paste, camera or example."""

from __future__ import annotations

import functools
import html
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from engines.core.messages import message
from engines.imaging.images import read_image
from studio.components.html_component import asset
from studio.i18n.catalog import translate
from studio.wire_format import data_uri

# Twice the displayed size, for high-density screens.
THUMBNAIL_SIDE = 64
# Names that need more than a capital at the beginning.
_NAMES = {"grace_hopper": "Grace Hopper"}


class Photo(gr.Image):
    """gr.Image whose handlers receive the path of the uploaded file, or None.

    Gradio's own decoding would raise a traceback for a damaged file, return palette indices for an animation, and drop
    the recipe inside a PNG. The engines' reader handles all of these. The class has no __init__ because Gradio reads a
    component's properties from that signature.
    """

    is_template = True  # otherwise Gradio looks for frontend code under this class's name

    def preprocess(self, payload: Any) -> str | None:
        """Return the path of the uploaded file."""
        return payload.path if payload else None


def example_title(path: Path) -> str:
    """Return an example's display title, made from the name of its file."""
    stem = path.stem.rstrip(string.digits)
    return _NAMES.get(stem) or stem.replace("_", " ").capitalize()


def thumbnails(paths: Sequence[Path]) -> str:
    """Render thumbnail buttons as HTML."""
    buttons = []
    for path in paths:
        name = translate(example_title(path))
        use = translate(message("Use example: {name}", name=name))
        buttons.append(
            f'<button type="button" title="{html.escape(name)}" aria-label="{html.escape(use)}">'
            f'<img alt="" src="{_thumbnail(path, path.stat().st_mtime_ns)}"></button>'
        )
    return "".join(buttons)


@functools.lru_cache(maxsize=64)
def _thumbnail(path: Path, changed: int) -> str:
    """Return a thumbnail as a data URI; cached, since every page load needs all of them.

    Args:
        path: the image.
        changed: its modification time in nanoseconds; part of the cache key.
    """
    thumbnail = Image.fromarray(read_image(path))
    thumbnail.thumbnail((2 * THUMBNAIL_SIDE, 2 * THUMBNAIL_SIDE))
    return data_uri(np.asarray(thumbnail))


def example_row(paths: Sequence[Path], photo: gr.Image | None, **options: Any) -> gr.HTML:
    """Create a row of thumbnails, with `thumbnails` as its value.

    A click puts the image into `photo`; if that is None, the `pick` event reports the index. gr.Examples is not used
    because its thumbnails have no accessible names.
    """
    row = gr.HTML(
        thumbnails(paths),
        html_template='<div class="thumbs">${value}</div>',
        js_on_load=asset(Path(__file__).with_suffix(".js")),
        apply_default_css=False,
        **options,
    )
    if photo is None:
        return row

    def picked(event: gr.EventData) -> str:
        return str(paths[event.index % len(paths)])

    row.pick(picked, None, photo, queue=False, api_visibility="private")
    return row
