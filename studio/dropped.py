"""A picture that was dropped on a tab: checked at once, and if it is a result of ours, its settings come back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from engines.parts.pictures import PictureError, check_picture
from engines.recipes import Recipe, read_recipe
from studio.notices import warn
from studio.studio import Studio


def checked_at_once(studio: Studio, path: str | None) -> Any:
    """What the box of a picture shows that may be left out: nothing where it cannot be used, which is said."""
    try:
        if path:
            check_picture(studio.read(path))
    except PictureError as error:
        warn(error)
        return None
    return gr.skip()


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
        image = studio.read(path)
        check_picture(image)
    except PictureError as error:
        warn(error)
        return {photo: None, restored: None}
    shown = show(image)
    try:
        recipe = read_recipe(Path(path))
        return shown if recipe is None else shown | restore(recipe)
    except ValueError as error:
        warn(error)
        return shown | {restored: None}
