"""Toast messages."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import gradio as gr

from engines.core.configs import for_programs
from studio.i18n.catalog import translate
from studio.services import Studio


def warn(error: Exception | str) -> None:
    """Show a warning. The text is escaped, as Gradio renders it as HTML and it may quote a file."""
    gr.Warning(html.escape(translate(str(error)), quote=False))


def api_error(error: Exception | str) -> gr.Error:
    """Create an error for an API client that leaves no traceback in the server's log; it names the parameter."""
    text = for_programs(error, translate(str(error)))
    return gr.Error(html.escape(text, quote=False), print_exception=False)


async def run_or_warn(studio: Studio, work: Callable[[], Any], count: int = 1) -> Any:
    """Run short work on the interactive thread; show a ValueError as a toast.

    Args:
        work: function without arguments.
        count: number of the handler's outputs.

    Returns:
        What `work` returns; after a ValueError, updates that change none of the outputs.
    """
    try:
        return await studio.run_interactive(work)
    except ValueError as error:
        warn(error)
        return gr.skip() if count == 1 else [gr.skip()] * count


def inform(sentence: str) -> None:
    """Show a notice."""
    gr.Info(html.escape(translate(sentence), quote=False))
