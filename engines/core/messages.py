"""Messages: English sentences that can still be translated after their values have been filled in.

A translation is looked up by the sentence's template, which has a named placeholder for each value: `message("step
{step} of {total}", step=3, total=20)` reads "step 3 of 20" and keeps template and values. In an error, a log, a file or
another process it is a string like any other.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from typing import Any

# Between the parts of a line that are translated one by one.
SEPARATOR = " · "
_FORMATTER = string.Formatter()


class Message(str):
    """An English sentence with its values filled in.

    Attributes:
        template: the sentence with placeholders.
        values: placeholder -> value, formatted as the template says, or a message itself. If there are none, the
            template is the sentence itself.
    """

    template: str
    values: Mapping[str, str]

    def __new__(cls, template: str, values: Mapping[str, str]) -> Message:
        self = super().__new__(cls, filled(template, values))
        self.template, self.values = template, values
        return self

    def __str__(self) -> str:
        # Not a plain `str`, so that `str(error)` of an error that was raised with a message is that message.
        return self

    def __getnewargs__(self) -> tuple[str, Mapping[str, str]]:  # type: ignore[override]
        return self.template, self.values


def message(template: str, /, **values: Any) -> Message:
    """Create a message; values may be formatted as in `str.format`: "{seconds:.1f} s".

    Args:
        template: a literal, as texts to translate are extracted from the source; or a message without values.
        values: the values by placeholder. Those that are messages are translated too.
    """
    template = template.template if isinstance(template, Message) else template
    return Message(template, _formatted(template, values) if values else {})


def joined(parts: Iterable[str], separator: str = SEPARATOR) -> Message:
    """Join the non-empty parts of a line; parts that are messages are translated one by one."""
    values = {f"part_{number}": part for number, part in enumerate(filter(None, parts), 1)}
    return Message(separator.join(f"{{{name}}}" for name in values), values)


def filled(template: str, values: Mapping[str, str]) -> str:
    """Fill a template, or a translation of it, with values that are already formatted."""
    if not values:
        return template
    return "".join(text + (values[name] if name else "") for text, name, _, _ in _FORMATTER.parse(template))


def places_of(template: str) -> set[str]:
    """The names of a template's placeholders."""
    return {name for _, name, _, _ in _FORMATTER.parse(template) if name is not None}


def _formatted(template: str, values: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for _, name, spec, conversion in _FORMATTER.parse(template):
        if name is not None:
            value = values[name]
            translatable = isinstance(value, Message) and not spec and not conversion
            found[name] = value if translatable else format(_FORMATTER.convert_field(value, conversion), spec or "")
    return found
