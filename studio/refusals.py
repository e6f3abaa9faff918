"""What a call is refused with before its endpoint is there to say why, or after: a sentence, where Gradio says nothing.

Gradio tells callers of errors of ours only. What it raises itself, over a file that is no upload, a parameter that is
not there or a full folder of temporary files, would reach them as `{"error": null}`, or as a status of 500.
"""

from __future__ import annotations

import inspect
import json
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import gradio as gr
from gradio.exceptions import InvalidPathError
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engines.parts.files import FULL, cause_of
from studio.notices import refused, warn

logger = logging.getLogger(__name__)

NO_UPLOAD = "A file of this call is no upload, or is not here any longer; upload it again."
NO_ROOM = "The server's folder of temporary files is full; whoever runs it has to make room."
UNFIT = "The parameters of this call are not what they should be; gradio_api/openapi.json lists them."
_NAMED_CALL = re.compile(r"/gradio_api/call/v2/([^/]+)/?$")
_UPLOAD = re.compile(r"/gradio_api/upload/?$")


def said_of(error: Exception) -> str:
    """What there is to say of an error that Gradio, or the disk, raises over what a call brings."""
    if isinstance(error, InvalidPathError | FileNotFoundError):
        return NO_UPLOAD
    if isinstance(error, OSError):
        return NO_ROOM if error.errno in FULL else f"A file of this call could not be taken: {cause_of(error)}."
    return UNFIT


def speak_up(page: gr.Blocks) -> None:
    """Have a page's events say what is wrong with what they are given, and leave out of their answers a file for which
    there is no room."""
    before, after = page.preprocess_data, page.postprocess_data

    async def preprocess_data(*arguments: Any, **options: Any) -> Any:
        try:
            return await before(*arguments, **options)
        except gr.Error:
            raise
        except Exception as error:  # whatever Gradio makes of what strangers send
            logger.info("A call is refused: %s", error)
            raise refused(said_of(error)) from error

    async def postprocess_data(block_fn: Any, predictions: Any, state: Any) -> Any:
        try:
            return await after(block_fn, predictions, state)
        except OSError as error:
            logger.warning("An answer cannot hold its file: %s", error)
            if isinstance(predictions, dict):
                predictions = [predictions.get(block, gr.skip()) for block in block_fn.outputs]
            kept = [_without_file(block, one) for block, one in zip(block_fn.outputs, predictions, strict=False)]
            if kept == list(predictions):
                raise refused(said_of(error)) from error
            warn(said_of(error))
            return await after(block_fn, kept, state)

    page.preprocess_data, page.postprocess_data = preprocess_data, postprocess_data  # type: ignore[method-assign]


def _without_file(block: Any, answer: Any) -> Any:
    """An answer for a button that fetches a file, without the file."""
    if not isinstance(block, gr.DownloadButton):
        return answer
    said = answer if isinstance(answer, dict) else {}
    return gr.update(**{name: new for name, new in said.items() if name not in ("__type__", "value")} | {"value": None})


class Refusals:
    """Answers calls over HTTP that cannot become an event, in a sentence. Plain ASGI, as answers are streamed.

    Args:
        page: whose endpoints are called.
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
        status, sentence = self._checked(name, b"".join(message.get("body", b"") for message in messages))
        if sentence:
            await JSONResponse({"detail": sentence}, status)(scope, receive, send)
        else:
            await self.app(scope, _again(messages, receive), send)

    def _checked(self, name: str, body: bytes) -> tuple[int, str]:
        """The status and the sentence that a call is refused with; "" where there is nothing to say against it."""
        known = self._endpoints.get(name)
        if known is None:
            return 404, f"There is no endpoint {name[:60]!r}; there are {_listed(sorted(self._endpoints))}."
        try:
            given = json.loads(body)
        except (ValueError, RecursionError):
            return 422, "The body of a call must be a JSON object with the parameters by their names."
        if not isinstance(given, dict):
            return 422, "The body of a call must be a JSON object with the parameters by their names."
        unknown = [one for one in given if one not in known]
        if unknown:
            return 422, f"{name} has no parameter {unknown[0][:60]!r}; it has {_listed(list(known))}."
        lacking = [one for one, told in known.items() if told.default is inspect.Parameter.empty and one not in given]
        return (422, f"{name} needs the parameter {lacking[0]!r}.") if lacking else (200, "")

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except OSError as error:  # Gradio answers when all has been written
            logger.warning("An upload cannot be written: %s", error)
            await JSONResponse({"detail": said_of(error)}, 507)(scope, receive, send)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def _again(messages: list[Message], receive: Receive) -> Callable[[], Awaitable[Message]]:
    """Messages that were received, and then those that come."""
    waiting = iter(messages)

    async def again() -> Message:
        return next(waiting, None) or await receive()

    return again
