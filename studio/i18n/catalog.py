"""Translation catalogues.

The English text is the key. `{}` in it stands for whatever a sentence names: "step 3 of 20" is found as "step {} of
{}". What is a person's own, a prompt or the name of a file, is in no file of ours and stays as it is.
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
# Between the parts of a line, each of which is said by itself.
SEPARATOR = " · "
PLACE = "{}"


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

    @functools.cached_property
    def _patterns(self) -> list[tuple[re.Pattern[str], str]]:
        """Sentences with places for what they name; those that say most themselves come first, as they fit least."""
        keys = sorted((key for key in self.sentences if PLACE in key), key=lambda key: -len(key.replace(PLACE, "")))
        # A whole line is never taken for one of its parts.
        place = f"((?:(?!{re.escape(SEPARATOR)}).)*)"
        return [
            (re.compile(place.join(map(re.escape, key.split(PLACE))), re.DOTALL), self.sentences[key]) for key in keys
        ]

    @functools.cached_property
    def translate(self):
        """English -> this language; what is not known stays as it is."""
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
    """The language of the route of a page with this path; English where there is none of its own."""
    return next((language for language in LANGUAGES if language.path == path), ENGLISH)


_current: ContextVar[Language] = ContextVar("language", default=ENGLISH)


def current_language() -> Language:
    """The language of the page that is being built, or whose event is being handled; English where there is none."""
    return _current.get()


@contextlib.contextmanager
def use_language(language: Language) -> Iterator[None]:
    """Have `translate` say in a language what is said meanwhile on this thread or in this task."""
    before = _current.set(language)
    try:
        yield
    finally:
        _current.reset(before)


def translate(text: str) -> str:
    """A text of ours as the page's language has it."""
    return current_language().translate(text)
