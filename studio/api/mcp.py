"""The API as MCP tools for language models."""

from __future__ import annotations

import importlib.util
from typing import Any

import gradio as gr
from anyio.to_thread import run_sync


class ToolsError(ValueError):
    """The tools cannot be served; the message is a sentence for a person."""


def check_installed() -> None:
    """Refuse to serve tools where what they need is missing: Gradio would serve the page without them.

    Raises:
        ToolsError: it is.
    """
    if importlib.util.find_spec("mcp") is None:
        raise ToolsError("--mcp needs what requirements-mcp.txt names: pip install -r requirements-mcp.txt.")


def check_served(page: gr.Blocks) -> None:
    """Make sure of a launched page that its tools are there, and that each value of an answer is told by itself.

    Raises:
        ToolsError: they are not.
    """
    server = page.mcp_server_obj
    if server is None:
        raise ToolsError("--mcp did not come up; install what it needs anew: pip install -r requirements-mcp.txt.")

    # A model that asks for no progress would be told of all values in one text, and never see a picture.
    async def each_value(job: Any) -> list[Any]:
        values = await run_sync(job.result)
        return list(values) if isinstance(values, tuple) else [values]

    server._execute_tool_without_progress = each_value
