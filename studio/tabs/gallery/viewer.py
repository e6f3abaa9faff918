"""Viewer component: an opened result, or two images side by side."""

from __future__ import annotations

import secrets
from typing import Any

import gradio as gr

from engines.core.messages import message
from engines.recipes import Recipe
from studio.components.html_component import component
from studio.gallery.gallery import Result, url_of
from studio.gallery.thumbnails import image_size
from studio.i18n.catalog import translate
from studio.panels.network_picker import title_of_network
from studio.run_views.engine_titles import TITLES

MAX_TEXT = 20_000
UNREADABLE = message("This file cannot be read.")


def viewer(elem_id: str) -> gr.HTML:
    """Create the component, empty. Its value is what `viewer_value` or `comparison_value` returns."""
    return component(__file__, elem_id, {})


def title_of(result: Result) -> str:
    """Return the display title of a result."""
    return translate(TITLES.get(result.engine, (result.engine, ""))[0])


def date_text(result: Result) -> str:
    """Format the date of a result; "" if it is unknown."""
    return "" if result.made is None else f"{result.made:%Y-%m-%d %H:%M}"


def viewer_value(result: Result, recipe: Recipe | None) -> dict[str, Any]:
    """Return the viewer's value for a result."""
    size = image_size(result)
    facts = [title_of(result), date_text(result)]
    if recipe is not None and recipe.seconds:
        facts.append(
            translate(
                message("took {seconds:.0f} s", seconds=recipe.seconds)
                if recipe.seconds >= 1
                else message("took under 1 s")
            )
        )
    if recipe is not None:
        facts.append(title_of_network(recipe.backbone))
    if size:
        facts.append(f"{size[0]} × {size[1]}")
    value = {"title": title_of(result), "facts": " · ".join(filter(None, facts)), "fresh": secrets.token_hex(4)}
    if result.kind == "text":
        try:
            return value | {"kind": "text", "text": result.path.read_bytes()[:MAX_TEXT].decode("utf-8", "replace")}
        except OSError:
            return value | {"kind": "damaged", "text": translate(UNREADABLE)}
    if size is None:
        return value | {"kind": "damaged", "text": translate(UNREADABLE)}
    return value | {"kind": result.kind, "url": url_of(result.path)}


def comparison_value(left: Result, right: Result) -> dict[str, Any]:
    """Return the viewer's value that compares two images."""
    return {
        "kind": "compare",
        "url": url_of(left.path),
        "other": url_of(right.path),
        "left": f"{title_of(left)}, {date_text(left)}",
        "right": f"{title_of(right)}, {date_text(right)}",
        "between": translate("Comparison slider"),
        "fresh": secrets.token_hex(4),
    }
