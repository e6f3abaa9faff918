"""The API as MCP tools for language models."""

from __future__ import annotations

import importlib.util
from typing import Any

import gradio as gr
from anyio.to_thread import run_sync


class ToolsError(ValueError):
    """The tools cannot be served; the message is for the user."""


def check_installed() -> None:
    """Check that the MCP packages are installed; without them Gradio would silently serve no tools.

    Raises:
        ToolsError: they are missing.
    """
    if importlib.util.find_spec("mcp") is None:
        raise ToolsError("--mcp needs more packages: pip install -r requirements-mcp.txt.")


def check_served(page: gr.Blocks) -> None:
    """Check that a launched page serves its tools, and send each value of a result as content of its own.

    Raises:
        ToolsError: the tools are not served.
    """
    server = page.mcp_server_obj
    if server is None:
        raise ToolsError("The MCP server did not start; reinstall its packages: pip install -r requirements-mcp.txt.")

    # Without a progress token Gradio joins all values into one text, which loses the images.
    async def each_value(job: Any) -> list[Any]:
        values = await run_sync(job.result)
        return list(values) if isinstance(values, tuple) else [values]

    server._execute_tool_without_progress = each_value
