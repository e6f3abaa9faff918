"""A config's fields as command-line options: name, type, default and help come from the dataclass itself."""

from __future__ import annotations

import argparse
import dataclasses
import typing
from typing import Any

_MISSING = object()


def _pairs(text: str) -> dict[str, float]:
    pairs = (part.partition("=") for part in text.split(",") if part.strip())
    return {name.strip(): float(value) for name, _, value in pairs}


def _reader(hint: Any) -> Any:
    """The function that reads an option's text into a field's type."""
    options = [h for h in typing.get_args(hint) if h is not type(None)] or [hint]
    hint = options[0] if typing.get_origin(hint) is not None and type(None) in typing.get_args(hint) else hint
    if typing.get_origin(hint) is not None:
        return _pairs
    return hint


def add_options(parser: argparse.ArgumentParser, config_class: type) -> None:
    """Add one option a field: `octave_scale: float = setting(1.4, "...")` becomes `--octave-scale`."""
    hints = typing.get_type_hints(config_class)
    group = parser.add_argument_group("settings")
    for field in dataclasses.fields(config_class):
        name = "--" + field.name.replace("_", "-")
        text = field.metadata["help"].replace("%", "%%")
        if hints[field.name] is bool:
            group.add_argument(name, action=argparse.BooleanOptionalAction, default=_MISSING, help=text)
            continue
        reader = _reader(hints[field.name])
        metavar = "NAME=WEIGHT,…" if reader is _pairs else reader.__name__.upper()
        if field.default is not None and field.default is not dataclasses.MISSING:
            text = f"{text} [{field.default}]"
        choices = field.metadata.get("choices")
        group.add_argument(
            name, type=reader, default=_MISSING, help=text, choices=choices, metavar=None if choices else metavar
        )


def changed_options(arguments: argparse.Namespace, config_class: type) -> dict[str, Any]:
    """The fields that the command line set, by name."""
    values = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(config_class)}
    return {name: value for name, value in values.items() if value is not _MISSING}
