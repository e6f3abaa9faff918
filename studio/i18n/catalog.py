"""Translation catalogues.

The English text is the key, with its places where it is a message's: "step 3 of 20" is found as "step {step} of
{total}". What is a person's own, a prompt or the name of a file, is in no file of ours and stays as it is.
"""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from engines.core.messages import Message, filled

LOCALES = Path(__file__).parent / "locales"


@dataclass(frozen=True)
class Language:
    """A language that the page is in.

    Attributes:
        code: as HTML and browsers name it; also of its file in locales/, and of its page.
        title: what those who speak it call it.
    """

    code: str
    title: str

    @property
    def path(self) -> str:
        """Of its page, after the address of the server; "" for the page that everybody begins with."""
        return "" if self is ENGLISH else self.code

    @functools.cached_property
    def sentences(self) -> dict[str, str]:
        """What is said in it, by the English."""
        return {} if self is ENGLISH else json.loads((LOCALES / f"{self.code}.json").read_text(encoding="utf-8"))

    def translate(self, text: str) -> str:
        """A text as this language has it; what is not known stays as it is."""
        if not isinstance(text, Message):
            return self.sentences.get(text, text)
        # Only messages: another text in a place may be a person's own.
        values = {name: self.translate(v) if isinstance(v, Message) else v for name, v in text.values.items()}
        return filled(self.sentences.get(text.template, text.template), values)


ENGLISH = Language("en", "English")
KOREAN = Language("ko", "한국어")
LANGUAGES = (ENGLISH, KOREAN)


def language_of(path: str) -> Language:
    """The language of the route of a page with this path; English where there is none of its own."""
    return next((language for language in LANGUAGES if language.path == path), ENGLISH)


_spoken: ContextVar[Language] = ContextVar("language", default=ENGLISH)


def current_language() -> Language:
    """The language of the page that is being built, or whose event is being handled; English where there is none."""
    return _spoken.get()


@contextlib.contextmanager
def use_language(language: Language) -> Iterator[None]:
    """Have `translate` say in a language what is said meanwhile on this thread or in this task."""
    before = _spoken.set(language)
    try:
        yield
    finally:
        _spoken.reset(before)


def translate(text: str) -> str:
    """A text of ours as the page's language has it."""
    return current_language().translate(text)
