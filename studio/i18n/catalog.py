"""Translation catalogues.

The English text is the key, with a message's places by their names: "step 3 of 20" is looked up as "step {step} of
{total}". User content such as prompts and file names is never translated.
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
    """A language of the page.

    Attributes:
        code: language tag of HTML and browsers; also the name of its file in locales/ and the path of its page.
        title: the language's own name.
    """

    code: str
    title: str

    @property
    def path(self) -> str:
        """Path of its page below the server's root; "" for English."""
        return "" if self is ENGLISH else self.code

    @functools.cached_property
    def sentences(self) -> dict[str, str]:
        """English -> translation."""
        return {} if self is ENGLISH else json.loads((LOCALES / f"{self.code}.json").read_text(encoding="utf-8"))

    def translate(self, text: str) -> str:
        """Translate from English; unknown text is returned unchanged."""
        if not isinstance(text, Message):
            return self.sentences.get(text, text)
        # Only messages: plain text in a place may be user content.
        values = {name: self.translate(v) if isinstance(v, Message) else v for name, v in text.values.items()}
        return filled(self.sentences.get(text.template, text.template), values)


ENGLISH = Language("en", "English")
KOREAN = Language("ko", "한국어")
LANGUAGES = (ENGLISH, KOREAN)


def language_of(path: str) -> Language:
    """Return the language of a page's path; English if it has none."""
    return next((language for language in LANGUAGES if language.path == path), ENGLISH)


_current: ContextVar[Language] = ContextVar("language", default=ENGLISH)


def current_language() -> Language:
    """Return the language of the page that is being built or handled; English outside of pages."""
    return _current.get()


@contextlib.contextmanager
def use_language(language: Language) -> Iterator[None]:
    """Set the language of `translate` for the current thread or task."""
    before = _current.set(language)
    try:
        yield
    finally:
        _current.reset(before)


def translate(text: str) -> str:
    """Translate text into the current language."""
    return current_language().translate(text)
