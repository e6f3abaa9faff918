"""Recipes: what made a result, stored in its file.

A recipe is plain JSON: the engine, its settings, the backbone with the SHA-256 of its weights, the SHA-256 of every
input, the steering, and where the run was stopped. It contains no code and no paths.

Steering is stored as differences from the previous settings: `[17, {"step_size": 0.03}]`. For a setting that is a
mapping, only the changed keys are stored, after a dot: `{"layer_weights.mixed4": 2.0}`. Recipes of version 1 store all
settings each time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from engines.core.files import written_atomically
from engines.core.messages import message
from engines.imaging.formats import ImageError, opened
from engines.imaging.metadata import NO_DETAILS, Details

VERSION = 2
_FULL_STEERING_VERSION = 1  # the last version whose steering repeats all settings
KEY = "reverie"
MAX_CHARACTERS = 1_000_000
# Maximum number of settings over all steps of steering, as a recipe in memory has all settings at each.
MAX_SETTINGS = 3_000_000


class RecipeError(ValueError):
    """A recipe that cannot be used; the message is for the user."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What made a result.

    Attributes:
        engine: name in `engines.jobs.ENGINES`.
        config: the settings at the start, by field name.
        backbone: name of the network.
        weights: SHA-256 of its weights.
        inputs: SHA-256 of each input (`engines.imaging.images.digest`), by name.
        steering: (step, settings) pairs: all settings in force after that step.
        stopped_at: the step after which the run was stopped; None if it was not.
        interruptions: steps after which the run lost its machine and resumed elsewhere from its last image.
        seconds: computing time; 0 if unknown. Ignored in comparisons.
    """

    engine: str
    config: Mapping[str, Any]
    backbone: str
    weights: str
    inputs: Mapping[str, str]
    steering: tuple[tuple[int, Mapping[str, Any]], ...] = ()
    stopped_at: int | None = None
    interruptions: tuple[int, ...] = ()
    seconds: float = field(default=0.0, compare=False)

    def to_json(self) -> str:
        """Serialise to a JSON object, for `from_json`."""
        values = asdict(replace(self, steering=()))
        if not self.interruptions:  # rare
            del values["interruptions"]
        in_force = [self.config, *(settings for _, settings in self.steering)]
        steps = [step for step, _ in self.steering]
        values["steering"] = list(zip(steps, map(_differences, in_force, in_force[1:]), strict=True))
        return json.dumps({KEY: VERSION, **values}, ensure_ascii=False)


def _differences(before: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The differences with which `_changed` turns `before` into `settings`."""
    differences: dict[str, Any] = {}
    for name, value in settings.items():
        old = before.get(name)
        if name in before and old == value:
            continue
        if isinstance(old, Mapping) and isinstance(value, Mapping) and old.keys() == value.keys():
            differences |= {f"{name}.{inner}": value[inner] for inner in value if value[inner] != old[inner]}
        else:
            differences[name] = value
    return differences


def _changed(before: Mapping[str, Any], differences: Mapping[str, Any]) -> dict[str, Any]:
    """Apply differences, as `_differences` returns them, to settings."""
    settings = dict(before)
    for name, value in differences.items():
        outer, dot, inner = name.partition(".")
        settings[outer] = {**settings[outer], inner: value} if dot else value
    return settings


_FIELD_TYPES: dict[str, type | tuple[type, ...]] = {
    "engine": str,
    "config": dict,
    "backbone": str,
    "weights": str,
    "inputs": dict,
    "steering": list,
    "stopped_at": (int, type(None)),
    "interruptions": list,
    "seconds": (int, float),
}
# Fields that older recipes lack.
_DEFAULTS: dict[str, Any] = {"seconds": 0.0, "interruptions": []}


def from_json(text: str) -> Recipe:
    """Parse a recipe from untrusted text. The config is validated later, by the engine's config class.

    Raises:
        RecipeError: not a recipe, a newer version, or unknown or invalid fields.
    """
    if len(text) > MAX_CHARACTERS:
        raise RecipeError(message("This recipe is too long."))
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecipeError(message("The recipe in this file is damaged.")) from error
    if not isinstance(values, dict) or type(values.get(KEY)) is not int or values[KEY] < 1:
        raise RecipeError(message("This is not a Reverie recipe."))
    version = values.pop(KEY)
    if version > VERSION:
        raise RecipeError(
            message(
                "This recipe has version {theirs}, but this studio supports only up to {ours}; update the studio.",
                theirs=version,
                ours=VERSION,
            )
        )
    values = {**_DEFAULTS, **values}
    unknown = sorted(set(values) - set(_FIELD_TYPES))
    if unknown:
        raise RecipeError(
            message("This recipe contains {unknown!r}, which this version does not support.", unknown=unknown[0][:40])
        )
    for name, kind in _FIELD_TYPES.items():
        if name not in values or not isinstance(values[name], kind) or isinstance(values[name], bool):
            raise RecipeError(message("The recipe in this file is damaged: {name!r} is missing or invalid.", name=name))
    if not all(isinstance(item, str) for item in values["inputs"].values()):
        raise RecipeError(message("The recipe in this file is damaged: 'inputs' is invalid."))
    if not all(type(step) is int for step in values["interruptions"]):
        raise RecipeError(message("The recipe in this file is damaged: 'interruptions' is invalid."))
    steering = tuple(_steering(values["config"], values["steering"], full=version <= _FULL_STEERING_VERSION))
    return Recipe(**{**values, "steering": steering, "interruptions": tuple(values["interruptions"])})


def _count(settings: dict[str, Any]) -> int:
    """Number of settings, including nested ones."""
    return sum(1 + (len(value) if isinstance(value, dict) else 0) for value in settings.values())


def _steering(config: dict[str, Any], items: list[Any], *, full: bool) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield a recipe's steering with all settings each time; `full` if it is stored that way. Raises RecipeError."""
    in_force, total = config, 0
    for item in items:
        total += _count(in_force)
        if total > MAX_SETTINGS:
            raise RecipeError(message("This recipe is too long."))
        try:
            step, settings = item
            if type(step) is not int or not isinstance(settings, dict):
                raise TypeError
            in_force = settings if full else _changed(in_force, settings)
        except (TypeError, ValueError, KeyError) as error:
            raise RecipeError(message("The recipe in this file is damaged: 'steering' is invalid.")) from error
        yield step, in_force


def write_png(path: Path, image: np.ndarray, recipe: Recipe, details: Details = NO_DETAILS) -> None:
    """Write (H, W, 3) uint8 sRGB as a PNG, atomically, with the recipe in an iTXt chunk and the photo's metadata."""
    text = PngImagePlugin.PngInfo()
    text.add(b"sRGB", b"\0")  # perceptual
    text.add_itxt(KEY, recipe.to_json(), zip=False)
    with written_atomically(path) as file:
        Image.fromarray(image).save(file, "PNG", pnginfo=text, compress_level=4, **details.options)


def write_text(path: Path, text: str, recipe: Recipe) -> None:
    """Write a text as UTF-8, and its recipe beside it as .json, each atomically.

    Raises:
        OSError: one of them cannot be written; the text may have been written without its recipe.
    """
    for file_path, content in ((path, text), (path.with_suffix(".json"), recipe.to_json())):
        with written_atomically(file_path) as file:
            file.write(content.encode("utf-8", "replace"))


def read_recipe(path: Path) -> Recipe | None:
    """Read the recipe in a PNG, MP4, GIF, WebP or JSON file, or beside a TXT file; None if there is none or the file
    cannot be read.

    Raises:
        RecipeError: the recipe cannot be used.
    """
    if path.suffix.lower() in (".txt", ".json"):
        sidecar = path.with_suffix(".json")
        try:
            content = sidecar.read_bytes().decode("utf-8") if sidecar.is_file() else ""
        except (OSError, UnicodeDecodeError):
            return None
        return from_json(content) if f'"{KEY}"' in content else None
    if path.suffix.lower() in (".mp4", ".gif", ".webp"):
        from engines.imaging.video import read_comment

        text = read_comment(path)
        return from_json(text) if text and f'"{KEY}"' in text else None
    try:
        with opened(path) as image:
            text = image.info.get(KEY) if image.format == "PNG" else None
    except ImageError:
        return None  # reading the image itself reports the error
    return from_json(str(text)) if text else None
