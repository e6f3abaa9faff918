"""Translate a built page and the updates sent to it.

So nobody who writes a tab need think of it: what Gradio's components say is translated here, by what each of them
shows. Only where words are put inside of HTML, or into the value of a component of our own, they go through
`languages.translate`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr
from gradio.blocks import Block

from studio.i18n.catalog import Language, use_language

# For whatever a person has named: HTML's own word for it, which translators of browsers know too.
OWN = "notranslate"
_WORDED = ("label", "info", "placeholder")
_VALUES = (gr.Button, gr.Markdown)


def translate_page(page: gr.Blocks, language: Language) -> None:
    """Translate the route of a page that was built for a language, and have its handlers speak it."""
    for block in page.blocks.values():
        if block.page == language.path:
            translated = {
                name: translate_property(block, name, value, language)
                for name, value in translatable_properties(block).items()
            }
            for name, value in translated.items():
                setattr(block, name, value)
            # Gradio makes a component anew from these when something of it changes.
            block.constructor_args.update({k: v for k, v in translated.items() if k in block.constructor_args})
    for event in page.fns.values():
        if event.page == language.path and event.fn is not None:
            event.fn = with_language(event.fn, language, event.outputs)


def translatable_properties(block: Block) -> dict[str, Any]:
    """The properties of a component or a layout that hold words of ours."""
    names = [*_WORDED, *(["choices"] if not _is_own(block) else []), *(["value"] if _shows_value(block) else [])]
    return {name: value for name in names if (value := getattr(block, name, None)) and isinstance(value, str | list)}


def translate_property(block: Block, name: str, value: Any, language: Language) -> Any:
    """A property of a component as a language has it; the values behind choices stay."""
    if name in _WORDED and isinstance(value, str):
        return language.translate(value)
    if name == "choices" and isinstance(value, list | tuple) and not _is_own(block):
        pairs = [one if isinstance(one, list | tuple) else (one, one) for one in value]
        return [(language.translate(str(shown)), meant) for shown, meant in pairs]
    if name == "value" and isinstance(value, str) and _shows_value(block):
        return language.translate(value)
    return value


def _is_own(block: Block) -> bool:
    return OWN in (getattr(block, "elem_classes", None) or [])


def _shows_value(block: Block) -> bool:
    """Whether a component's value is what it says, rather than what a person has put into it."""
    return isinstance(block, _VALUES) and not _is_own(block)


def translate_answer(outputs: Sequence[Block], answer: Any, language: Language) -> Any:
    """What a handler sends to components, as a language has it."""

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
    """A handler, whatever kind of function it is, that speaks a language.

    The language is set for each step anew: between two of them a generator may go to another thread.
    """

    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def steps(*values: Any) -> Any:
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

        return steps
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def steps_on_a_thread(*values: Any) -> Any:
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

        return steps_on_a_thread
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
