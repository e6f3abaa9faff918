"""A picture that was dropped on a tab: checked at once, and if it is a result of ours, its settings come back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from engines.parts.pictures import Picture, PictureError, check_picture
from engines.recipes import Recipe, read_recipe
from studio.notices import inform, warn
from studio.studio import Studio

# The formats that browsers show, as Pillow names them.
_SHOWN = frozenset({"JPEG", "MPO", "PNG", "WEBP", "AVIF", "GIF", "BMP"})


def looked_at(studio: Studio, path: str) -> tuple[Picture, str]:
    """A dropped picture, and the file with which a browser shows it; that it was shrunk is said.

    Raises:
        PictureError: it cannot be used.
    """
    picture = studio.load(path)
    check_picture(picture.pixels)
    for sentence in picture.notices:
        inform(sentence)
    shown = path if picture.format in _SHOWN else str(studio.gallery.keep_input(picture.pixels, picture.details))
    return picture, shown


def checked_at_once(studio: Studio, path: str | None) -> Any:
    """What the box of a picture shows that may be left out: nothing where it cannot be used, which is said."""
    if not path:
        return gr.skip()
    try:
        _, shown = looked_at(studio, path)
    except PictureError as error:
        warn(error)
        return None
    return gr.skip() if shown == path else shown


def taken_in(
    studio: Studio,
    path: str | None,
    photo: Any,
    restored: Any,
    show: Callable[[np.ndarray], dict[Any, Any]],
    restore: Callable[[Recipe], dict[Any, Any]],
) -> dict[Any, Any]:
    """What a tab shows once its photo is another.

    Args:
        photo: the box that it is in.
        restored: keeps the recipe that was brought back.
        show: the picture, (H, W, 3) uint8 RGB -> what shows it.
        restore: what brings a recipe's settings back; may raise ValueError with a sentence.
    """
    if not path:
        return {restored: None}
    try:
        picture, in_box = looked_at(studio, path)
    except PictureError as error:
        warn(error)
        return {photo: None, restored: None}
    if in_box != path:
        return {photo: in_box}  # which comes here in its turn
    shown = show(picture.pixels)
    try:
        recipe = read_recipe(Path(path))
        return shown if recipe is None else shown | restore(recipe)
    except ValueError as error:
        warn(error)
        return shown | {restored: None}
