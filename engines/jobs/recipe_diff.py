"""Compare two recipes field by field."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engines.core.messages import message
from engines.jobs.registry import ENGINES
from engines.jobs.sweep import SweepConfig
from engines.recipes import Recipe, RecipeError

SAME = message("The same recipe: the same processor makes the same pixels from it.")

# Of a value, where it is longer: around the place where the two part.
MOST_CHARACTERS, BEFORE_THE_PLACE = 100, 30
# Engines compute with float32, which rounds by less than this.
ROUNDING = 1e-7
_LACKING = object()


@dataclass(frozen=True)
class Difference:
    """A field in which two recipes differ.

    Attributes:
        name: of the field, in words.
        first, second: its two values, as a person reads them.
        help: a setting's one-line help; "" for whatever is no setting.
    """

    name: str
    first: str
    second: str
    help: str = ""


def differences(first: Recipe, second: Recipe) -> tuple[Difference, ...]:
    """All that two recipes differ in: engine, network, settings, inputs, what was changed on the way, where it stopped.

    Recipes of two engines say so first and are compared in what they share. The values are not checked: a recipe that
    this version cannot follow is compared as it is. Nothing differs: `SAME`.

    Raises:
        RecipeError: settings that are nested so deep that no engine wrote them.
    """
    try:
        return tuple(_found(first, second))
    except RecursionError as error:
        raise RecipeError(message("The settings of these recipes are nested too deep to be compared.")) from error


def _found(first: Recipe, second: Recipe) -> Iterator[Difference]:
    one_engine = first.engine == second.engine
    if not one_engine:
        yield _difference(message("Engine"), first.engine.replace("_", " "), second.engine.replace("_", " "))
    if first.backbone != second.backbone:
        yield _difference("Network", first.backbone, second.backbone)
    if first.weights != second.weights:
        yield _difference(message("Weights of the network"), first.weights[:12], second.weights[:12])
    yield from _settings(first, second)
    for name in dict.fromkeys((*first.inputs, *second.inputs)):
        hashes = first.inputs.get(name, ""), second.inputs.get(name, "")
        if hashes[0] != hashes[1] and (one_engine or all(hashes)):
            yield _difference(_input(name), hashes[0][:12], hashes[1][:12])
    if one_engine:
        yield from _steering(first, second)
    if first.interruptions != second.interruptions:
        told = [", ".join(map(str, recipe.interruptions)) or message("never") for recipe in (first, second)]
        yield _difference(message("Went on from its picture after step"), told[0], told[1])
    if first.stopped_at != second.stopped_at:
        yield Difference(message("Stopped"), *(_stopped(recipe.stopped_at) for recipe in (first, second)))


def _settings(first: Recipe, second: Recipe) -> Iterator[Difference]:
    fields = _fields(second.engine) | _fields(first.engine)
    configs = _flat(first.config), _flat(second.config)
    for name in dict.fromkeys((*fields, *configs[0], *configs[1])):
        values = configs[0].get(name, _LACKING), configs[1].get(name, _LACKING)
        lacking = sum(value is _LACKING for value in values)
        if lacking == 2 or (lacking and first.engine != second.engine) or _same(*values):
            continue
        help = fields[name].metadata.get("help", "") if name in fields else ""
        if lacking:
            told = [_lacking(fields.get(name)) if value is _LACKING else _read(value) for value in values]
        else:
            told = _both_read(*values)
        yield _difference(_words(name), told[0], told[1], help)


def _fields(engine: str) -> dict[str, dataclasses.Field]:
    """The fields of an engine's settings by name; none for an engine that is not here."""
    if engine not in ENGINES:
        return {}
    config_class = ENGINES[engine].config_class
    shared = (
        dataclasses.fields(ENGINES[config_class.engine].config_class) if issubclass(config_class, SweepConfig) else ()
    )
    return {field.name: field for field in (*dataclasses.fields(config_class), *shared)}


def _flat(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings of a sweep with those that its pictures share beside them; any others as they are."""
    shared = settings.get("settings")
    if not isinstance(shared, Mapping):
        return settings
    return {**{name: value for name, value in settings.items() if name != "settings"}, **shared}


def _lacking(field: dataclasses.Field | None) -> str:
    if field is None:
        return message("not in this recipe")
    default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    return message("older than this setting, so as by default: {value}", value=_read(default))


def _steering(first: Recipe, second: Recipe) -> Iterator[Difference]:
    changes = _changes(first), _changes(second)
    for step in sorted({*changes[0], *changes[1]}):
        made = [of_one.get(step, []) for of_one in changes]
        if not _same(*made):
            told = ["; ".join(map(_change, of_one)) or message("nothing") for of_one in made]
            yield _difference(message("Changed after step {step}", step=step), told[0], told[1])


def _changes(recipe: Recipe) -> dict[int, list[dict[str, Any]]]:
    """By step, of all settings that took effect after it, those that were others before."""
    before, changes = _flat(recipe.config), dict[int, list[dict[str, Any]]]()
    for step, steered in recipe.steering:
        settings = _flat(steered)
        pairs = {name: (before.get(name, _LACKING), settings.get(name, _LACKING)) for name in {**before, **settings}}
        moved = {name: now for name, (then, now) in pairs.items() if not _same(then, now)}
        changes.setdefault(step, []).append(moved)
        before = settings
    return changes


def _change(moved: Mapping[str, Any]) -> str:
    """One change of settings in words."""
    told = [
        f"{_words(name).lower()} {message('by default') if v is _LACKING else _read(v)}" for name, v in moved.items()
    ]
    return ", ".join(told) or message("the same settings again")


def _stopped(step: int | None) -> str:
    return message("not: it ran to its end") if step is None else message("after step {step}", step=step)


def _same(first: Any, second: Any) -> bool:
    """Whether two values of a recipe are the same to an engine; those of JSON are lists where a config has tuples."""
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, int | float) and isinstance(second, int | float):
        whole = isinstance(first, int) and isinstance(second, int)
        return first == second or (not whole and _close(first, second))
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return first.keys() == second.keys() and all(_same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(map(_same, first, second))
    return first == second


def _close(first: float, second: float) -> bool:
    try:
        return math.isclose(first, second, rel_tol=ROUNDING)
    except OverflowError:  # a whole number that no float holds
        return False


def _words(name: str) -> str:
    return name[:40].replace("_", " ").capitalize()


def _input(name: str) -> str:
    """An input in words: one of a series by its number."""
    series = re.fullmatch(r"(\w+)s_(\d+)", name)
    return message(_words(series[1]) + " {number}", number=series[2]) if series else _words(name)


def _read(value: Any) -> str:
    """A value as a person reads it."""
    if isinstance(value, bool):
        return message("yes") if value else message("no")
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_read(item)}" for key, item in value.items()) or message("none")
    if isinstance(value, list | tuple):
        return ", ".join(map(_read, value)) or message("none")
    return message("none") if value is None else str(value) or message("none")


def _both_read(first: Any, second: Any) -> list[str]:
    """Two values that differ, with all their digits where fewer would not tell them apart."""
    told = [_read(first), _read(second)]
    return [repr(first), repr(second)] if told[0] == told[1] else told


def _difference(name: str, first: str, second: str, help: str = "") -> Difference:
    """A difference, its values cut where they are long."""
    shorter = min(len(first), len(second))
    parting = next((i for i in range(shorter) if first[i] != second[i]), shorter)
    begin = max(0, parting - BEFORE_THE_PLACE) if max(len(first), len(second)) > MOST_CHARACTERS else 0
    return Difference(name, _cut(first, begin), _cut(second, begin), help)


def _cut(text: str, begin: int) -> str:
    end = begin + MOST_CHARACTERS
    if not begin and len(text) <= end:
        return text or message("none")
    return ("…" if begin else "") + text[begin:end] + ("…" if len(text) > end else "")
