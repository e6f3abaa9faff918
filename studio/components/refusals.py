"""Error messages for events that fail before or after their handler.

Gradio tells callers of errors of ours only. What it raises itself, over a file that is no upload or a full folder of
temporary files, would reach them as `{"error": null}`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import gradio as gr
from gradio.exceptions import InvalidPathError
from gradio.utils import is_prop_update

from engines.core.files import FULL, cause_of
from engines.core.messages import message
from studio.components.toasts import refused, warn
from studio.i18n.catalog import language_of, use_language

logger = logging.getLogger(__name__)

NO_UPLOAD = message("A file of this call is no upload, or is not here any longer; upload it again.")
GONE = message("This file is not here any longer; make it again.")
NO_ROOM = message("The server's folder of temporary files is full; whoever runs it has to make room.")
BROKEN = message("Something went wrong; the details are in the server's log.")
UNFIT = message("The parameters of this call are not what they should be; gradio_api/openapi.json lists them.")


def said_of(error: Exception) -> str:
    """What there is to say of an error that Gradio, or the disk, raises over what a call brings."""
    if isinstance(error, InvalidPathError | FileNotFoundError):
        return NO_UPLOAD
    if isinstance(error, OSError):
        if error.errno in FULL:
            return NO_ROOM
        return message("A file of this call could not be taken: {cause}.", cause=cause_of(error))
    return UNFIT


def speak_up(page: gr.Blocks) -> None:
    """Have a page's events say what is wrong with what they are given and what their handlers did not expect, and leave
    out of their answers a file for which there is no room."""
    before, call, after = page.preprocess_data, page.call_function, page.postprocess_data

    async def preprocess_data(block_fn: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return await before(block_fn, *arguments, **options)
        except gr.Error:
            raise
        except Exception as error:  # whatever Gradio makes of what strangers send
            logger.info("A call is refused: %s", error)
            with use_language(language_of(block_fn.page)):
                raise refused(said_of(error)) from error

    async def call_function(block_fn: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return await call(block_fn, *arguments, **options)
        except gr.Error:
            raise
        except Exception as error:  # a disk, a bug: the details are for whoever runs the server
            logger.exception("A handler failed.")
            said = BROKEN
            if isinstance(error, OSError):
                said = message("A file could not be written or read: {cause}.", cause=cause_of(error))
            with use_language(language_of(block_fn.page)):
                raise refused(said) from error

    async def postprocess_data(block_fn: Any, predictions: Any, state: Any) -> Any:
        answers = _one_by_one(block_fn.outputs, predictions)
        try:
            return await after(block_fn, predictions, state)
        except OSError as error:
            logger.warning("An answer cannot hold its file: %s", error)
            kept = [_without_file(block, one) for block, one in zip(block_fn.outputs, answers, strict=False)]
            with use_language(language_of(block_fn.page)):
                if kept == answers:
                    raise refused(_unsendable(error)) from error
                warn(_unsendable(error))
            return await after(block_fn, kept[0] if len(block_fn.outputs) == 1 else kept, state)

    page.preprocess_data, page.call_function, page.postprocess_data = preprocess_data, call_function, postprocess_data


def _one_by_one(outputs: Sequence[Any], answer: Any) -> list[Any]:
    """What a handler has answered, for each of its outputs; copied, as Gradio takes updates apart where they are."""
    if isinstance(answer, dict) and not is_prop_update(answer):
        answers = [answer.get(block, gr.skip()) for block in outputs]
    else:
        several = len(outputs) > 1 and isinstance(answer, list | tuple)
        answers = list(answer) if several else [answer]
    return [dict(one) if isinstance(one, dict) else one for one in answers]


def _unsendable(error: OSError) -> str:
    """What there is to say of a file of ours that cannot be sent."""
    return GONE if isinstance(error, InvalidPathError | FileNotFoundError) else said_of(error)


def _without_file(block: Any, answer: Any) -> Any:
    """An answer for a button that fetches a file, without the file."""
    if not isinstance(block, gr.DownloadButton) or answer == gr.skip():
        return answer
    said = answer if isinstance(answer, dict) else {}
    return gr.update(**{name: new for name, new in said.items() if name not in ("__type__", "value")} | {"value": None})
