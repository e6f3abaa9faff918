"""Handle a dropped picture: check it, show it, restore its recipe."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from engines.imaging.images import Picture, PictureError, check_picture
from engines.recipes import Recipe, read_recipe
from studio.components.toasts import inform, warn
from studio.gallery.visitors import current_session
from studio.services import Studio

# The formats that browsers show, as Pillow names them.
_SHOWN = frozenset({"JPEG", "MPO", "PNG", "WEBP", "AVIF", "GIF", "BMP"})


# Gradio tells twice of a picture that is dropped, a few hundredths of a second apart; to read one takes up to seconds.
ECHO_SECONDS = 0.5
_BOXES_KNOWN = 1000
_newest: OrderedDict[tuple[str, str], tuple[str, float]] = OrderedDict()
_lock = threading.Lock()


def told_before(box: str, path: str | None) -> bool:
    """Whether we were told a moment ago that a box of this page holds this file, or none.

    Args:
        box: one of the page's, by its id.
    """
    page, now = current_session(), time.monotonic()
    if not page:
        return False
    with _lock:
        before, at = _newest.pop((page, box), ("", 0.0))
        _newest[page, box] = path or "", now
        if len(_newest) > _BOXES_KNOWN:
            _newest.popitem(last=False)
    return before == (path or "") and now - at < ECHO_SECONDS


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


def checked_at_once(studio: Studio, path: str | None, box: Any) -> Any:
    """What the box of a picture shows that may be left out: nothing where it cannot be used, which is said."""
    if told_before(box.elem_id, path) or not path:
        return gr.skip()
    try:
        _, shown = looked_at(studio, path)
    except PictureError as error:
        warn(error)
        return None
    return gr.skip() if shown == path else shown


def restore_from_upload(
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
    if told_before(photo.elem_id, path):
        return {restored: gr.skip()}
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
