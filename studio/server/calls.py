"""Validate HTTP calls before Gradio turns them into events."""

from __future__ import annotations

import inspect
import json
import logging
import re
from collections.abc import Awaitable, Callable

import gradio as gr
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from studio.components.refusals import error_message

logger = logging.getLogger(__name__)

_NAMED_CALL = re.compile(r"/gradio_api/call/v2/([^/]+)/?$")
_UPLOAD = re.compile(r"/gradio_api/upload/?$")
_NO_OBJECT = "The request body must be a JSON object of parameters by name."


class CallValidation:
    """Middleware that rejects calls with unknown names or parameters, and reports uploads that cannot be written.

    Plain ASGI, because answers are streamed.

    Args:
        app: the application.
        page: the page whose endpoints are called.
    """

    def __init__(self, app: ASGIApp, page: gr.Blocks):
        self.app = app
        self._endpoints = {
            str(event.api_name): inspect.signature(event.fn).parameters
            for event in page.fns.values()
            if event.api_name and event.fn is not None and event.api_visibility == "public"
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" and scope["method"] == "POST" else ""
        if named := _NAMED_CALL.search(path):
            await self._call(named[1], scope, receive, send)
        elif _UPLOAD.search(path):
            await self._upload(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _call(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        messages = [await receive()]
        while messages[-1]["type"] == "http.request" and messages[-1].get("more_body"):
            messages.append(await receive())
        status, sentence = self._validate(name, b"".join(message.get("body", b"") for message in messages))
        if sentence:
            await JSONResponse({"detail": sentence}, status)(scope, receive, send)
        else:
            await self.app(scope, _replay(messages, receive), send)

    def _validate(self, name: str, body: bytes) -> tuple[int, str]:
        """Return the HTTP status and the error message for a call; the message is "" if the call is valid."""
        known = self._endpoints.get(name)
        if known is None:
            return 404, f"Unknown endpoint {name[:60]!r}; use one of {', '.join(sorted(self._endpoints))}."
        try:
            given = json.loads(body)
        except (ValueError, RecursionError):
            return 422, _NO_OBJECT
        if not isinstance(given, dict):
            return 422, _NO_OBJECT
        unknown = [one for one in given if one not in known]
        if unknown:
            return 422, f"{name} has no parameter {unknown[0][:60]!r}; it has {', '.join(known)}."
        missing = [
            one for one, parameter in known.items() if parameter.default is inspect.Parameter.empty and one not in given
        ]
        return (422, f"{name} needs the parameter {missing[0]!r}.") if missing else (200, "")

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except OSError as error:  # Gradio responds after it has written the whole upload
            logger.warning("An upload cannot be written: %s", error)
            await JSONResponse({"detail": error_message(error)}, 507)(scope, receive, send)


def _replay(messages: list[Message], receive: Receive) -> Callable[[], Awaitable[Message]]:
    """Return a `receive` that first replays messages already received."""
    waiting = iter(messages)

    async def replayed() -> Message:
        return next(waiting, None) or await receive()

    return replayed
