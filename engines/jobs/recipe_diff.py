"""Compare two recipes field by field."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engines.core.configs import fields_by_name, in_words, label_of
from engines.core.messages import message
from engines.jobs.registry import ENGINES
from engines.jobs.sweep import SweepConfig
from engines.recipes import Recipe, RecipeError

SAME = message("The recipes are the same; on the same processor they give identical pixels.")

# Longest excerpt of a value, and how much of it precedes the first difference.
MAX_CHARACTERS, CONTEXT_CHARACTERS = 100, 30
# Relative tolerance: the rounding error of float32, in which engines compute.
ROUNDING = 1e-7
_MISSING = object()


@dataclass(frozen=True)
class Difference:
    """A field in which two recipes differ.

    Attributes:
        name: label of a setting; name of another field, in words.
        first, second: its two values, as text.
        help: one-line help of a setting; "" for other fields.
    """

    name: str
    first: str
    second: str
    help: str = ""


def differences(first: Recipe, second: Recipe) -> tuple[Difference, ...]:
    """All differences between two recipes: engine, network, settings, inputs, steering, and where they stopped.

    Recipes of different engines are compared in the settings that they share. Values are not validated, so recipes that
    this version cannot run can be compared too. If the result is empty, show `SAME`.

    Raises:
        RecipeError: settings that are nested too deeply.
    """
    try:
        return tuple(_differences(first, second))
    except RecursionError as error:
        raise RecipeError(message("The settings of these recipes are nested too deeply to compare.")) from error


def _differences(first: Recipe, second: Recipe) -> Iterator[Difference]:
    same_engine = first.engine == second.engine
    if not same_engine:
        yield _difference(message("Engine"), _engine(first.engine), _engine(second.engine))
    if first.backbone != second.backbone:
        yield _difference("Network", first.backbone, second.backbone)
    if first.weights != second.weights:
        yield _difference(message("Network weights"), first.weights[:12], second.weights[:12])
    yield from _settings(first, second)
    for name in dict.fromkeys((*first.inputs, *second.inputs)):
        hashes = first.inputs.get(name, ""), second.inputs.get(name, "")
        if hashes[0] != hashes[1] and (same_engine or all(hashes)):
            yield _difference(_input(name), hashes[0][:12], hashes[1][:12])
    if same_engine:
        yield from _steering(first, second)
    if first.interruptions != second.interruptions:
        texts = [", ".join(map(str, recipe.interruptions)) or message("never") for recipe in (first, second)]
        yield _difference(message("Resumed after step"), texts[0], texts[1])
    if first.stopped_at != second.stopped_at:
        yield Difference(message("Stopped"), *(_stopped(recipe.stopped_at) for recipe in (first, second)))


def _settings(first: Recipe, second: Recipe) -> Iterator[Difference]:
    fields = _fields(second.engine) | _fields(first.engine)
    configs = _flat(first.config), _flat(second.config)
    for name in dict.fromkeys((*fields, *configs[0], *configs[1])):
        values = configs[0].get(name, _MISSING), configs[1].get(name, _MISSING)
        missing = sum(value is _MISSING for value in values)
        if missing == 2 or (missing and first.engine != second.engine) or _same(*values):
            continue
        help = fields[name].metadata.get("help", "") if name in fields else ""
        if missing:
            texts = [_missing_text(fields.get(name)) if value is _MISSING else _as_text(value) for value in values]
        else:
            texts = _as_distinct_texts(*values)
        yield _difference(_label(name, fields), texts[0], texts[1], help)


def _fields(engine: str) -> dict[str, dataclasses.Field]:
    """The fields of an engine's settings by name; empty for an unknown engine."""
    if engine not in ENGINES:
        return {}
    config_class = ENGINES[engine].config_class
    shared = fields_by_name(ENGINES[config_class.engine].config_class) if issubclass(config_class, SweepConfig) else {}
    return fields_by_name(config_class) | shared


def _flat(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Merge the shared settings of a sweep into its own settings; other settings unchanged."""
    shared = settings.get("settings")
    if not isinstance(shared, Mapping):
        return settings
    return {**{name: value for name, value in settings.items() if name != "settings"}, **shared}


def _missing_text(field: dataclasses.Field | None) -> str:
    if field is None:
        return message("not in this recipe")
    default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    return message("default, as the recipe predates this setting: {value}", value=_as_text(default))


def _steering(first: Recipe, second: Recipe) -> Iterator[Difference]:
    fields, changes = _fields(first.engine), (_changes(first), _changes(second))
    for step in sorted({*changes[0], *changes[1]}):
        changes_at = [changes_of_recipe.get(step, []) for changes_of_recipe in changes]
        if not _same(*changes_at):
            texts = [
                "; ".join(_change(changed, fields) for changed in changes_of_recipe) or message("nothing")
                for changes_of_recipe in changes_at
            ]
            yield _difference(message("Changed after step {step}", step=step), texts[0], texts[1])


def _changes(recipe: Recipe) -> dict[int, list[dict[str, Any]]]:
    """By step, the settings that were changed after it, with their new values."""
    before, changes = _flat(recipe.config), dict[int, list[dict[str, Any]]]()
    for step, steered in recipe.steering:
        settings = _flat(steered)
        pairs = {name: (before.get(name, _MISSING), settings.get(name, _MISSING)) for name in {**before, **settings}}
        changed = {name: after for name, (previous, after) in pairs.items() if not _same(previous, after)}
        changes.setdefault(step, []).append(changed)
        before = settings
    return changes


def _change(changed: Mapping[str, Any], fields: Mapping[str, dataclasses.Field]) -> str:
    """Changed settings in words."""
    texts = [
        f"{_label(name, fields)} {message('default') if v is _MISSING else _as_text(v)}" for name, v in changed.items()
    ]
    return ", ".join(texts) or message("same settings")


def _stopped(step: int | None) -> str:
    return message("not stopped") if step is None else message("after step {step}", step=step)


def _same(first: Any, second: Any) -> bool:
    """Whether two values of a recipe are equal for an engine; lists from JSON equal tuples."""
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
    except OverflowError:  # an integer too large for a float
        return False


def _label(name: str, fields: Mapping[str, dataclasses.Field]) -> str:
    """The label of a setting; its name in words if this version does not have it."""
    return label_of(fields[name]) if name in fields else _words(name)


def _words(name: str) -> str:
    return in_words(name[:40])


def _engine(name: str) -> str:
    """The display title of an engine; its name in words if this version does not have it."""
    return message(ENGINES[name].title) if name in ENGINES else name.replace("_", " ")


def _input(name: str) -> str:
    """An input in words: one of a series by its number."""
    series = re.fullmatch(r"(\w+)s_(\d+)", name)
    return message(_words(series[1]) + " {number}", number=series[2]) if series else _words(name)


def _as_text(value: Any) -> str:
    """A value as display text."""
    if isinstance(value, bool):
        return message("yes") if value else message("no")
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_as_text(item)}" for key, item in value.items()) or message("none")
    if isinstance(value, list | tuple):
        return ", ".join(map(_as_text, value)) or message("none")
    return message("none") if value is None else str(value) or message("none")


def _as_distinct_texts(first: Any, second: Any) -> list[str]:
    """Two different values as text, with all digits if they would look the same otherwise."""
    texts = [_as_text(first), _as_text(second)]
    return [repr(first), repr(second)] if texts[0] == texts[1] else texts


def _difference(name: str, first: str, second: str, help: str = "") -> Difference:
    """Create a `Difference` with excerpts of long values around their first difference."""
    shorter = min(len(first), len(second))
    divergence = next((i for i in range(shorter) if first[i] != second[i]), shorter)
    start = max(0, divergence - CONTEXT_CHARACTERS) if max(len(first), len(second)) > MAX_CHARACTERS else 0
    return Difference(name, _excerpt(first, start), _excerpt(second, start), help)


def _excerpt(text: str, start: int) -> str:
    end = start + MAX_CHARACTERS
    if not start and len(text) <= end:
        return text or message("none")
    return ("…" if start else "") + text[start:end] + ("…" if len(text) > end else "")
