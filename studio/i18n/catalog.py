"""Translation catalogues.

The English text is the key. `{}` stands for a variable part: "step 3 of 20" is looked up as "step {} of {}". User
content such as prompts and file names is never translated.
"""

from __future__ import annotations

import contextlib
import functools
import json
import re
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

LOCALES = Path(__file__).parent / "locales"
# Separates parts of a line that are translated one by one.
SEPARATOR = " · "
PLACE = "{}"


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

    @functools.cached_property
    def _patterns(self) -> list[tuple[re.Pattern[str], str]]:
        """Patterns of sentences with variable parts; the longest fixed text comes first, as it is the most specific."""
        keys = sorted((key for key in self.sentences if PLACE in key), key=lambda key: -len(key.replace(PLACE, "")))
        # A variable part never spans a separator.
        place = f"((?:(?!{re.escape(SEPARATOR)}).)*)"
        return [
            (re.compile(place.join(map(re.escape, key.split(PLACE))), re.DOTALL), self.sentences[key]) for key in keys
        ]

    @functools.cached_property
    def translate(self):
        """Cached translation from English; unknown text is returned unchanged."""
        return functools.lru_cache(maxsize=4096)(self._translate)

    def _translate(self, text: str) -> str:
        if not self.sentences or not text:
            return text
        known = self.sentences.get(text)
        if known is not None:
            return known
        if SEPARATOR in text:
            return SEPARATOR.join(map(self._translate, text.split(SEPARATOR)))
        for pattern, sentence in self._patterns:
            found = pattern.fullmatch(text)
            if found:
                return sentence.format(*map(self._translate, found.groups()))
        return text


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
