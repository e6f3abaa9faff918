"""Error messages for events that fail before or after their handler.

Gradio reports only `gr.Error` to callers. Its own exceptions, for a path that is not an upload or a full temporary
folder, would arrive as `{"error": null}`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import gradio as gr
from gradio.exceptions import InvalidPathError
from gradio.utils import is_prop_update

from engines.core.files import DISK_FULL, cause_of
from engines.core.messages import message
from studio.components.toasts import api_error, warn
from studio.i18n.catalog import language_of, use_language

logger = logging.getLogger(__name__)

NO_UPLOAD = message("A file in this request was not uploaded or no longer exists; upload it again.")
GONE = message("This file is no longer available; create it again.")
NO_ROOM = message("The server's temporary folder is full; the administrator must free up space.")
BROKEN = message("Something went wrong; see the server log for details.")
UNFIT = message("Invalid request parameters; see gradio_api/openapi.json for the expected ones.")


def error_message(error: Exception) -> str:
    """Return the message for an exception that Gradio or the disk raised while a call's inputs were read."""
    if isinstance(error, InvalidPathError | FileNotFoundError):
        return NO_UPLOAD
    if isinstance(error, OSError):
        if error.errno in DISK_FULL:
            return NO_ROOM
        return message("Could not read a file in this request: {cause}.", cause=cause_of(error))
    return UNFIT


def install_error_messages(page: gr.Blocks) -> None:
    """Report a page's failures to its callers: invalid inputs, unexpected exceptions of handlers, and files that cannot
    be sent.

    If there is no room for a file, the answer is sent without it.
    """
    before, call, after = page.preprocess_data, page.call_function, page.postprocess_data

    async def preprocess_data(block_fn: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return await before(block_fn, *arguments, **options)
        except gr.Error:
            raise
        except Exception as error:  # anything that Gradio raises for malformed input
            logger.info("Call refused: %s", error)
            with use_language(language_of(block_fn.page)):
                raise api_error(error_message(error)) from error

    async def call_function(block_fn: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return await call(block_fn, *arguments, **options)
        except gr.Error:
            raise
        except Exception as error:  # a full disk or a bug: the details belong in the server's log
            logger.exception("A handler failed.")
            text = BROKEN
            if isinstance(error, OSError):
                text = message("Could not read or write a file: {cause}.", cause=cause_of(error))
            with use_language(language_of(block_fn.page)):
                raise api_error(text) from error

    async def postprocess_data(block_fn: Any, predictions: Any, state: Any) -> Any:
        answers = _split_answer(block_fn.outputs, predictions)
        try:
            return await after(block_fn, predictions, state)
        except OSError as error:
            logger.warning("The response cannot contain its file: %s", error)
            kept = [_without_file(block, one) for block, one in zip(block_fn.outputs, answers, strict=False)]
            with use_language(language_of(block_fn.page)):
                if kept == answers:
                    raise api_error(_unsendable_message(error)) from error
                warn(_unsendable_message(error))
            return await after(block_fn, kept[0] if len(block_fn.outputs) == 1 else kept, state)

    page.preprocess_data, page.call_function, page.postprocess_data = preprocess_data, call_function, postprocess_data


def _split_answer(outputs: Sequence[Any], answer: Any) -> list[Any]:
    """Split a handler's answer into one value per output. Dicts are copied, as Gradio modifies updates in place."""
    if isinstance(answer, dict) and not is_prop_update(answer):
        answers = [answer.get(block, gr.skip()) for block in outputs]
    else:
        several = len(outputs) > 1 and isinstance(answer, list | tuple)
        answers = list(answer) if several else [answer]
    return [dict(one) if isinstance(one, dict) else one for one in answers]


def _unsendable_message(error: OSError) -> str:
    """Return the message for a result file that cannot be sent."""
    return GONE if isinstance(error, InvalidPathError | FileNotFoundError) else error_message(error)


def _without_file(block: Any, answer: Any) -> Any:
    """Remove the file from the answer for a download button."""
    if not isinstance(block, gr.DownloadButton) or answer == gr.skip():
        return answer
    update = answer if isinstance(answer, dict) else {}
    return gr.update(
        **{name: new for name, new in update.items() if name not in ("__type__", "value")} | {"value": None}
    )
