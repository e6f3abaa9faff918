"""Dataclass fields with validation and help, shared by recipes, command line and page."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from engines.core.messages import Message, message

C = TypeVar("C")


class SettingError(ValueError):
    """An invalid value of a setting.

    Attributes:
        field: the setting's name in the code and the API, where the sentence has another; else "".
    """

    def __init__(self, sentence: str, field: str = ""):
        super().__init__(sentence)
        self.field = field


def for_programs(error: Exception | str, sentence: str = "") -> str:
    """The sentence of an error, after the setting's name in the code: "tokens: Length must be at least 1, not 0.".

    Args:
        sentence: the translated sentence; by default the error's own.
    """
    field = error.field if isinstance(error, SettingError) else ""
    return f"{field}: {sentence or error}" if field else sentence or str(error)


def setting(
    default: Any,
    help: str,
    *,
    label: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] | None = None,
) -> Any:
    """Declare a dataclass field with one-line help, an inclusive range and choices. `dict` as default means an empty
    one. `label` is the field's name for people, by default its name in words: see `label_of`."""
    metadata = {"help": help, "label": label, "low": low, "high": high, "choices": choices}
    if default is dict:
        return dataclasses.field(default_factory=dict, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def fields_by_name(config: Any) -> dict[str, dataclasses.Field]:
    """The fields of a config, or of a config class, by name."""
    return {field.name: field for field in dataclasses.fields(config)}


def label_of(field: dataclasses.Field) -> Message:
    """The name of a field for people, on the page and in messages; translatable."""
    return message(field.metadata.get("label") or in_words(field.name))


def in_words(name: str) -> str:
    """`octave_scale` -> "Octave scale"."""
    return name.replace("_", " ").capitalize()


def _matches(value: Any, hint: Any) -> bool:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(_matches(value, argument) for argument in arguments)
    if origin is not None and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(
            _matches(key, arguments[0]) and _matches(item, arguments[1]) for key, item in value.items()
        )
    if origin is tuple:
        return isinstance(value, tuple) and all(_matches(item, arguments[0]) for item in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return value is None if hint is type(None) else isinstance(value, hint)


_KINDS = {
    int: message("a whole number"),
    float: message("a number"),
    bool: message("true or false"),
    str: message("text"),
}


def _kind(hint: Any) -> str:
    if typing.get_origin(hint) is Mapping:
        return (
            message("a mapping of names to values")
            if Any in typing.get_args(hint)
            else message("a mapping of names to numbers")
        )
    for part in (hint, *typing.get_args(hint)):
        if part in _KINDS:
            return _KINDS[part]
    return message("a mapping of names to numbers")


def _short(number: float) -> str:
    # An integer from a hostile recipe may have more digits than Python converts to a string.
    if abs(number) < 1e15:
        return str(number)
    return message("such a large number") if number > 0 else message("such a low number")


def validate(config: Any) -> None:
    """Check every field of a config against its declared type, range and choices.

    Raises:
        SettingError: one sentence with the field's label, what is allowed, and its value.
    """
    hints = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):
        value, meta = getattr(config, field.name), field.metadata
        name = label_of(field)
        other = "" if name == in_words(field.name) else field.name
        if not _matches(value, hints[field.name]):
            kind, given = _kind(hints[field.name]), repr(str(value)[:60])
            raise SettingError(message("{name} must be {kind}, not {given}.", name=name, kind=kind, given=given), other)
        numbers = list(value.values()) if isinstance(value, Mapping) else value if isinstance(value, tuple) else [value]
        for number in numbers:
            if isinstance(number, bool) or not isinstance(number, int | float):
                continue
            if isinstance(number, float) and not math.isfinite(number):
                raise SettingError(
                    message("{name} must be a finite number, not {given}.", name=name, given=number), other
                )
            low, high = meta.get("low"), meta.get("high")
            if (low is not None and number < low) or (high is not None and number > high):
                span = message("at least {low}", low=low)
                if high is not None:
                    span = message("between {low} and {high}", low=low, high=high)
                given = _short(number)
                raise SettingError(
                    message("{name} must be {kind}, not {given}.", name=name, kind=span, given=given), other
                )
        choices = meta.get("choices")
        if choices and value is not None and value not in choices:
            known, given = ", ".join(choices), str(value)[:60]
            raise SettingError(
                message("{name} must be one of {known}, not {given!r}.", name=name, known=known, given=given), other
            )


def with_defaults(config: C, defaults: Mapping[str, Any]) -> C:
    """A copy of a config dataclass with every None replaced by its entry in `defaults`."""
    missing = {name: value for name, value in defaults.items() if getattr(config, name) is None}
    return dataclasses.replace(config, **missing)  # type: ignore[type-var]


def with_fields_of(config: C, other: C, names: Iterable[str]) -> C:
    """A copy of a config dataclass with the named fields of another."""
    return dataclasses.replace(config, **{name: getattr(other, name) for name in names})  # type: ignore[type-var]


def from_mapping(config_class: type[C], values: Mapping[str, Any]) -> C:
    """Create a config from untrusted values, as read from JSON.

    Raises:
        ValueError: an unknown field, or an invalid value.
    """
    unknown = sorted(set(values) - set(fields_by_name(config_class)))
    if unknown:
        raise ValueError(message("This version has no setting {unknown!r}.", unknown=unknown[0][:40]))
    return config_class(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
