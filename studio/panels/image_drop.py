"""Read a dropped image and its recipe."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from engines.imaging.images import ImageError, LoadedImage
from engines.recipes import Recipe, read_recipe
from studio.components.toasts import inform, warn
from studio.gallery.visitors import current_session
from studio.run_views.image_run_view import ImageRunView
from studio.run_views.live_canvas import idle_message
from studio.services import Studio

# Gradio reports a dropped image twice, a few hundredths of a second apart; the second report is ignored.
ECHO_SECONDS = 0.5
_BOXES_KNOWN = 1000
_newest: OrderedDict[tuple[str, str], tuple[str, float]] = OrderedDict()
_lock = threading.Lock()


def is_echo(box_id: str, path: str | None) -> bool:
    """True if an image box of this page reported the same file, or none, within the last `ECHO_SECONDS`.

    Args:
        box_id: the box's `elem_id`.
        path: the file that it holds now; None if it is empty.
    """
    page, now = current_session(), time.monotonic()
    if not page:
        return False
    with _lock:
        before, at = _newest.pop((page, box_id), ("", 0.0))
        _newest[page, box_id] = path or "", now
        if len(_newest) > _BOXES_KNOWN:
            _newest.popitem(last=False)
    return before == (path or "") and now - at < ECHO_SECONDS


def open_upload(studio: Studio, path: str) -> tuple[LoadedImage, str]:
    """Read a dropped image; a toast says if it was shrunk.

    Returns:
        The image, and the path of a file that browsers can show.

    Raises:
        ImageError: it cannot be read, or is too small.
    """
    image = studio.load(path)
    for sentence in image.notices:
        inform(sentence)
    return image, studio.displayable(path, image)


def check_upload(studio: Studio, path: str | None, box: Any) -> Any:
    """Check the image in an optional image box.

    Returns:
        An update of the box: a displayable copy, None to clear it if the image cannot be used, or no change.
    """
    if is_echo(box.elem_id, path) or not path:
        return gr.skip()
    try:
        _, shown = open_upload(studio, path)
    except ImageError as error:
        warn(error)
        return None
    return gr.skip() if shown == path else shown


def read_upload(
    studio: Studio, path: str | None, box: Any, restored: Any
) -> tuple[np.ndarray | None, Recipe | None, dict[Any, Any]]:
    """Read a dropped image and the recipe in it; a toast says what is wrong with either.

    Args:
        path: the file in the box; None if it was cleared.
        box: the image box.
        restored: the state that holds the restored recipe.

    Returns:
        The image, (H, W, 3) uint8 RGB, or None if there is nothing to show; its recipe, if it has one; and the
        updates of `box` and `restored`.
    """
    if is_echo(box.elem_id, path):
        return None, None, {restored: gr.skip()}
    if not path:
        return None, None, {restored: None}
    try:
        image, shown = open_upload(studio, path)
    except ImageError as error:
        warn(error)
        return None, None, {box: None, restored: None}
    if shown != path:
        return None, None, {box: shown}  # the box then reports the copy
    try:
        return image.pixels, read_recipe(Path(path)), {}
    except ValueError as error:
        warn(error)
        return image.pixels, None, {restored: None}


def drop_photo(
    studio: Studio,
    path: str | None,
    box: Any,
    restored: Any,
    view: ImageRunView,
    run_id: str,
    restore: Callable[[Recipe], dict[Any, Any]],
) -> tuple[np.ndarray | None, dict[Any, Any]]:
    """Read a dropped photo like `read_upload`, show it in the run view unless a run is active, and restore its recipe.

    Args:
        restore: returns the updates that show a recipe; raises ValueError for one that does not belong to this tab.

    Returns:
        The photo, (H, W, 3) uint8 RGB, or None if there is nothing to show; and the updates of the page.
    """
    image, recipe, update = read_upload(studio, path, box, restored)
    if image is None:
        return None, update
    run = view.run(run_id)
    if run is None or run.over:
        update[view.canvas] = idle_message(image)
    try:
        return image, update if recipe is None else update | restore(recipe)
    except ValueError as error:
        warn(error)
        return image, update | {restored: None}
