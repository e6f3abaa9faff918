"""Messages: English sentences that can be looked up in a catalogue after they have been filled.

A sentence is found by its template, which has a place with a name for whatever it tells of: `message("step {step} of
{total}", step=3, total=20)` reads "step 3 of 20" and remembers what it was made of. Wherever it goes, into an error, a
log, a file or another process, it is a text like any other.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from typing import Any

# Between the parts of a line, each of which is said by itself.
SEPARATOR = " · "
_FORMATTER = string.Formatter()


class Message(str):
    """An English sentence, filled.

    Attributes:
        template: the sentence with its places.
        values: what stands in the places, by their names: formatted as the template says, or messages themselves.
            Without any the template is the sentence as it is.
    """

    template: str
    values: Mapping[str, str]

    def __new__(cls, template: str, values: Mapping[str, str]) -> Message:
        self = super().__new__(cls, filled(template, values))
        self.template, self.values = template, values
        return self

    def __str__(self) -> str:
        # Not a plain copy: so `str(error)` of an error that was raised with a message is that message.
        return self

    def __getnewargs__(self) -> tuple[str, Mapping[str, str]]:  # type: ignore[override]
        return self.template, self.values


def message(template: str, /, **values: Any) -> Message:
    """A sentence with values in its places, which may be formatted as in `str.format`: "{seconds:.1f} s".

    Args:
        template: a literal, as translators are shown what stands in the source; or a message without values.
        values: by the names of the places. Those that are messages are translated too.
    """
    template = template.template if isinstance(template, Message) else template
    return Message(template, _formatted(template, values) if values else {})


def joined(parts: Iterable[str], separator: str = SEPARATOR) -> Message:
    """A line of several parts, those that are messages each translated by itself; empty ones are left out."""
    values = {f"part_{number}": part for number, part in enumerate(filter(None, parts), 1)}
    return Message(separator.join(f"{{{name}}}" for name in values), values)


def filled(template: str, values: Mapping[str, str]) -> str:
    """A template, or a translation of it, with values in its places; how they are formatted is decided already."""
    if not values:
        return template
    return "".join(text + (values[name] if name else "") for text, name, _, _ in _FORMATTER.parse(template))


def places_of(template: str) -> set[str]:
    """The names of a template's places."""
    return {name for _, name, _, _ in _FORMATTER.parse(template) if name is not None}


def _formatted(template: str, values: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for _, name, spec, conversion in _FORMATTER.parse(template):
        if name is not None:
            value = values[name]
            as_it_is = isinstance(value, Message) and not spec and not conversion
            found[name] = value if as_it_is else format(_FORMATTER.convert_field(value, conversion), spec or "")
    return found
