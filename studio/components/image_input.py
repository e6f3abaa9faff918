"""Image input: drop, paste, camera or example."""

from __future__ import annotations

import functools
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from engines.core.messages import message
from engines.imaging.images import read_picture
from studio.i18n.catalog import translate
from studio.wire_format import data_uri

# Twice as many pixels as are shown, for screens that have them.
THUMBNAIL_SIDE = 64
_PICK = """
element.addEventListener('click', event => {
  const button = event.target.closest('.thumbs button');
  if (button) trigger('pick', { index: [...button.parentElement.children].indexOf(button) });
});
"""


class Photo(gr.Image):
    """gr.Image whose handlers get the path of the uploaded file as it is, or None.

    Gradio would decode it first: a damaged file would end in a traceback instead of our sentence, an animation in
    palette numbers, and a recipe inside a PNG would be lost. The engines' own reader handles all of these.
    It has no __init__ of its own, as Gradio reads a component's properties off that one's parameters.
    """

    is_template = True  # Gradio finds a component's browser side by class name, unless it is a template

    def preprocess(self, payload: Any) -> str | None:
        """The path of the uploaded file."""
        return payload.path if payload else None


def thumbnails(paths: Sequence[Path]) -> str:
    """Buttons with small pictures, as HTML."""
    buttons = []
    for path in paths:
        name = translate(path.stem.replace("_", " "))
        use = translate(message("Use the example {name}", name=name))
        buttons.append(
            f'<button type="button" title="{html.escape(name)}" aria-label="{html.escape(use)}">'
            f'<img alt="" src="{_thumbnail(path, path.stat().st_mtime_ns)}"></button>'
        )
    return "".join(buttons)


@functools.lru_cache(maxsize=64)
def _thumbnail(path: Path, changed: int) -> str:
    """A picture in little, as a data URI, made once: every page that is opened asks for all of them.

    Args:
        changed: when its file was, so that another one under the same name is made little anew.
    """
    thumbnail = Image.fromarray(read_picture(path))
    thumbnail.thumbnail((2 * THUMBNAIL_SIDE, 2 * THUMBNAIL_SIDE))
    return data_uri(np.asarray(thumbnail))


def example_row(paths: Sequence[Path], photo: gr.Image | None, **options: Any) -> gr.HTML:
    """A row of thumbnails; a click on one puts its picture into `photo`, or is only told of by the event `pick`.

    Its value is what `thumbnails` makes. gr.Examples would do, but its thumbnails have no names that a screen reader
    could say.
    """
    row = gr.HTML(
        thumbnails(paths),
        html_template='<div class="thumbs">${value}</div>',
        js_on_load=_PICK,
        apply_default_css=False,
        **options,
    )
    if photo is None:
        return row

    def picked(event: gr.EventData) -> str:
        return str(paths[event.index % len(paths)])

    row.pick(picked, None, photo, queue=False, api_visibility="private")
    return row
