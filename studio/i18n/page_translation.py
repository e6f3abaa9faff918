"""Translate a built page and the updates sent to it.

Text of Gradio's components is translated here, according to the type of component, so tabs need not do it. Only text
inside HTML or in the value of a custom component goes through `studio.i18n.catalog.translate`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr
from gradio.blocks import Block

from studio.i18n.catalog import Language, use_language

# CSS class for user content. The name is HTML's own, which browsers' translators respect too.
OWN = "notranslate"
_TEXT_PROPERTIES = ("label", "info", "placeholder")
_WITH_TEXT_VALUE = (gr.Button, gr.Markdown)


def translate_page(page: gr.Blocks, language: Language) -> None:
    """Translate a language's route of a page, and make its handlers translate their answers."""
    for block in page.blocks.values():
        if block.page == language.path:
            translated = {
                name: translate_property(block, name, value, language)
                for name, value in translatable_properties(block).items()
            }
            for name, value in translated.items():
                setattr(block, name, value)
            # Gradio rebuilds a component from these when one of its properties changes.
            block.constructor_args.update({k: v for k, v in translated.items() if k in block.constructor_args})
    for event in page.fns.values():
        if event.page == language.path and event.fn is not None:
            event.fn = with_language(event.fn, language, event.outputs)


def translatable_properties(block: Block) -> dict[str, Any]:
    """Return the properties of a block that contain text to translate."""
    names = [*_TEXT_PROPERTIES]
    if not _is_user_content(block):
        names.append("choices")
    if _shows_value(block):
        names.append("value")
    return {name: value for name in names if (value := getattr(block, name, None)) and isinstance(value, str | list)}


def translate_property(block: Block, name: str, value: Any, language: Language) -> Any:
    """Translate a property; of choices only the titles."""
    if name in _TEXT_PROPERTIES and isinstance(value, str):
        return language.translate(value)
    if name == "choices" and isinstance(value, list | tuple) and not _is_user_content(block):
        pairs = [one if isinstance(one, list | tuple) else (one, one) for one in value]
        return [(language.translate(str(title)), choice) for title, choice in pairs]
    if name == "value" and isinstance(value, str) and _shows_value(block):
        return language.translate(value)
    return value


def _is_user_content(block: Block) -> bool:
    return OWN in (getattr(block, "elem_classes", None) or [])


def _shows_value(block: Block) -> bool:
    """True if a component's value is displayed text rather than user input."""
    return isinstance(block, _WITH_TEXT_VALUE) and not _is_user_content(block)


def translate_answer(outputs: Sequence[Block], answer: Any, language: Language) -> Any:
    """Translate a handler's answer."""

    def one(block: Block, value: Any) -> Any:
        if isinstance(value, dict) and value.get("__type__") == "update":
            return {name: translate_property(block, name, new, language) for name, new in value.items()}
        return translate_property(block, "value", value, language)

    if isinstance(answer, dict) and any(isinstance(key, Block) for key in answer):
        return {block: one(block, value) for block, value in answer.items()}
    if len(outputs) == 1:
        return one(outputs[0], answer)
    if isinstance(answer, list | tuple) and len(answer) == len(outputs):
        return type(answer)(map(one, outputs, answer))
    return answer


def with_language(
    function: Callable[..., Any], language: Language, outputs: Sequence[Block] = ()
) -> Callable[..., Any]:
    """Wrap a handler of any kind so that it runs in a language and its answers are translated.

    The language is set anew for each step, as a generator may resume on another thread.
    """

    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def async_generator(*values: Any) -> Any:
            answers = function(*values)
            try:
                while True:
                    with use_language(language):
                        try:
                            answer = await anext(answers)
                        except StopAsyncIteration:
                            return
                    yield translate_answer(outputs, answer, language)
            finally:
                await answers.aclose()

        return async_generator
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def generator(*values: Any) -> Any:
            answers = function(*values)
            try:
                while True:
                    with use_language(language):
                        try:
                            answer = next(answers)
                        except StopIteration:
                            return
                    yield translate_answer(outputs, answer, language)
            finally:
                answers.close()

        return generator
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def coroutine(*values: Any) -> Any:
            with use_language(language):
                answer = await function(*values)
            return translate_answer(outputs, answer, language)

        return coroutine

    @functools.wraps(function)
    def plain(*values: Any) -> Any:
        with use_language(language):
            answer = function(*values)
        return translate_answer(outputs, answer, language)

    return plain
