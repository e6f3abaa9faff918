"""Toast messages."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import gradio as gr

from studio.i18n.catalog import translate
from studio.services import Studio


def warn(error: Exception | str) -> None:
    """Show a warning. Words that came out of a file are shown as words: Gradio would take them for HTML."""
    gr.Warning(html.escape(translate(str(error)), quote=False))


def api_error(error: Exception | str) -> gr.Error:
    """The error that tells a program the same, with nothing in the server's log."""
    return gr.Error(html.escape(translate(str(error)), quote=False), print_exception=False)


async def run_or_warn(studio: Studio, work: Callable[[], Any], count: int = 1) -> Any:
    """What `work` returns, done beside the renders; where it cannot be done, its sentence as a toast, and no change of
    the handler's outputs, of which there are `count`."""
    try:
        return await studio.run_interactive(work)
    except ValueError as error:
        warn(error)
        return gr.skip() if count == 1 else [gr.skip()] * count


def inform(sentence: str) -> None:
    """Show a piece of news."""
    gr.Info(html.escape(translate(sentence), quote=False))
