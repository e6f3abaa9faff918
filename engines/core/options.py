"""Command-line options from the fields of a config."""

from __future__ import annotations

import argparse
import dataclasses
import json
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from engines.core.messages import message

_MISSING = object()


def parse_weights(text: str) -> dict[str, float]:
    """Parse "name=weight, ..." into weights by name; a name alone has weight 1.

    Raises:
        ValueError: a weight is not a number.
    """
    weights = {}
    for part in filter(None, (part.strip() for part in text.replace("\n", ",").split(","))):
        name, _, weight = part.partition("=")
        try:
            weights[name.strip()] = float(weight) if weight.strip() else 1.0
        except ValueError as error:
            raise ValueError(
                message("The weight of {name!r} must be a number, such as name=1.5.", name=name.strip()[:40])
            ) from error
    return weights


def format_weights(weights: Mapping[str, float]) -> str:
    """Inverse of `parse_weights`."""
    return ", ".join(f"{name}={format_number(weight)}" for name, weight in weights.items())


def format_number(value: float) -> str:
    """The shortest text that is parsed as the same number."""
    if abs(value) < 1e15 and value == int(value):
        return str(int(value))
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))


def parse_numbers(text: str) -> tuple[float, ...]:
    """Parse numbers, "1, 0.5"; raises ValueError."""
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ValueError(message("Enter numbers separated by commas, not {given!r}.", given=text[:40])) from error


def format_numbers(numbers: Iterable[float]) -> str:
    """Inverse of `parse_numbers`."""
    return ", ".join(map(format_number, numbers))


def parse_whole_numbers(text: str) -> tuple[int, ...]:
    """Parse integers, "1, 2"; raises ValueError."""
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ValueError(message("Enter whole numbers separated by commas, not {given!r}.", given=text[:40])) from error


def parse_text(text: str) -> tuple[str, ...]:
    r"""A tuple of one text, with "\n" replaced by a line break; empty for ""."""
    return (text.replace("\\n", "\n"),) if text else ()


def parse_settings(text: str) -> dict[str, Any]:
    """Parse settings by name from a JSON object.

    Raises:
        ValueError: not a JSON object.
    """
    try:
        settings = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            message('Settings must be a JSON object such as {{"steps": 10}}, not {given!r}.', given=text[:40])
        ) from error
    if not isinstance(settings, dict):
        raise ValueError(
            message('Settings must be a JSON object such as {{"steps": 10}}, not {given!r}.', given=text[:40])
        )
    return settings


def _without_none(hint: Any) -> Any:
    """`float | None` -> `float`; other types unchanged."""
    parts = typing.get_args(hint)
    return next(part for part in parts if part is not type(None)) if type(None) in parts else hint


def _reader(hint: Any) -> Any:
    """The function that parses an option's text for a field's type."""
    hint = _without_none(hint)
    if typing.get_origin(hint) is tuple:
        return {int: parse_whole_numbers, float: parse_numbers, str: parse_text}[typing.get_args(hint)[0]]
    if typing.get_origin(hint) is None:
        return hint
    return parse_settings if typing.get_args(hint)[1] is Any else parse_weights


def add_options(parser: argparse.ArgumentParser, config_class: type) -> None:
    """Add an option for each field: `octave_scale: float = setting(1.4, "...")` becomes `--octave-scale`."""
    hints = typing.get_type_hints(config_class)
    group = parser.add_argument_group("settings")
    for field in dataclasses.fields(config_class):
        name = "--" + field.name.replace("_", "-")
        text = field.metadata["help"].replace("%", "%%")
        if _without_none(hints[field.name]) is bool:
            group.add_argument(name, action=argparse.BooleanOptionalAction, default=_MISSING, help=text)
            continue
        reader = _reader(hints[field.name])
        metavars = {
            parse_weights: "NAME=WEIGHT,…",
            parse_numbers: "NUMBER,…",
            parse_whole_numbers: "NUMBER,…",
            parse_text: "TEXT",
            parse_settings: "JSON",
        }
        metavar = metavars.get(reader) or reader.__name__.upper()
        if field.default is not None and field.default is not dataclasses.MISSING:
            text = f"{text} [{field.default}]"
        choices = field.metadata.get("choices")
        group.add_argument(
            name, type=reader, default=_MISSING, help=text, choices=choices, metavar=None if choices else metavar
        )


def changed_options(arguments: argparse.Namespace, config_class: type) -> dict[str, Any]:
    """The fields set on the command line, by name."""
    values = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(config_class)}
    return {name: value for name, value in values.items() if value is not _MISSING}
