"""Recipes: what made a result, stored in its file.

A recipe is plain JSON: the engine, its settings, the backbone with the SHA-256 of its weights, the SHA-256 of every
input, what was changed while it ran, and where it was stopped. Nothing in it is executed and no path is in it.

What was changed is written as the differences from the settings before: `[17, {"step_size": 0.03}]`. Of a setting that
holds others, only those that differ are named, after a dot: `{"layer_weights.mixed4": 2.0}`. Recipes of version 1 have
all settings each time.
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
from engines.imaging.formats import PictureError, opened
from engines.imaging.metadata import NO_DETAILS, Details

VERSION = 2
_WHOLE_SETTINGS = 1  # the last version whose steering repeats all settings
KEY = "reverie"
MAX_CHARACTERS = 1_000_000
# Settings of all steps together, at each of which a recipe that was read has all of them.
MAX_SETTINGS = 3_000_000


class RecipeError(ValueError):
    """A recipe that cannot be used; the message is a sentence for a person."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What made a result.

    Attributes:
        engine: name in `engines.jobs.ENGINES`.
        config: the settings at the start, by field name.
        backbone: name of the network.
        weights: SHA-256 of its weights.
        inputs: SHA-256 of each input (`engines.imaging.images.digest`), by the input's name.
        steering: (step, settings) pairs: all settings, as they were in force after that step.
        stopped_at: the step after which the run was stopped; None if it ran to its end.
        interruptions: the steps after which the run, its machine lost, went on elsewhere from the picture as it was
            seen.
        seconds: how long it took; 0 where that is not known. It makes no recipe another.
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
        """One JSON object; `from_json` reads it back."""
        values = asdict(replace(self, steering=()))
        if not self.interruptions:  # hardly any recipe has some
            del values["interruptions"]
        in_force = [self.config, *(settings for _, settings in self.steering)]
        steps = [step for step, _ in self.steering]
        values["steering"] = list(zip(steps, map(_differences, in_force, in_force[1:]), strict=True))
        return json.dumps({KEY: VERSION, **values}, ensure_ascii=False)


def _differences(before: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """What `_changed` makes `settings` of `before` with."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        old = before.get(name)
        if name in before and old == value:
            continue
        if isinstance(old, Mapping) and isinstance(value, Mapping) and old.keys() == value.keys():
            found |= {f"{name}.{inner}": value[inner] for inner in value if value[inner] != old[inner]}
        else:
            found[name] = value
    return found


def _changed(before: Mapping[str, Any], differences: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with some of them changed, as `_differences` names these."""
    settings = dict(before)
    for name, value in differences.items():
        outer, dot, inner = name.partition(".")
        settings[outer] = {**settings[outer], inner: value} if dot else value
    return settings


_SHAPES: dict[str, type | tuple[type, ...]] = {
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
# What recipes of earlier days do not say.
_LATER: dict[str, Any] = {"seconds": 0.0, "interruptions": []}


def from_json(text: str) -> Recipe:
    """Read a recipe from untrusted text. The config is checked later, by the engine's own config class.

    Raises:
        RecipeError: no recipe, one of a newer version, or one with fields that a recipe does not have.
    """
    if len(text) > MAX_CHARACTERS:
        raise RecipeError(message("This recipe is too long to be one of Reverie's."))
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecipeError(message("The recipe in this file is damaged.")) from error
    if not isinstance(values, dict) or type(values.get(KEY)) is not int or values[KEY] < 1:
        raise RecipeError(message("This is not a recipe of Reverie's."))
    version = values.pop(KEY)
    if version > VERSION:
        raise RecipeError(
            message(
                "This recipe is of a newer version ({theirs}) than this studio ({ours}); update it.",
                theirs=version,
                ours=VERSION,
            )
        )
    values = {**_LATER, **values}
    unknown = sorted(set(values) - set(_SHAPES))
    if unknown:
        raise RecipeError(
            message("This recipe holds {unknown!r}, which this version does not know.", unknown=unknown[0][:40])
        )
    for name, kind in _SHAPES.items():
        if name not in values or not isinstance(values[name], kind) or isinstance(values[name], bool):
            raise RecipeError(
                message("The recipe in this file is damaged: {name!r} is missing or not what it should be.", name=name)
            )
    if not all(isinstance(item, str) for item in values["inputs"].values()):
        raise RecipeError(message("The recipe in this file is damaged: 'inputs' is not what it should be."))
    if not all(type(step) is int for step in values["interruptions"]):
        raise RecipeError(message("The recipe in this file is damaged: 'interruptions' is not what it should be."))
    steering = tuple(_steering(values["config"], values["steering"], whole=version <= _WHOLE_SETTINGS))
    return Recipe(**{**values, "steering": steering, "interruptions": tuple(values["interruptions"])})


def _count(settings: dict[str, Any]) -> int:
    """How many settings there are, those within settings among them."""
    return sum(1 + (len(value) if isinstance(value, dict) else 0) for value in settings.values())


def _steering(config: dict[str, Any], items: list[Any], *, whole: bool) -> Iterator[tuple[int, dict[str, Any]]]:
    """A recipe's steering with all settings each time; `whole`: it is written so. Raises RecipeError."""
    in_force, copied = config, 0
    for item in items:
        copied += _count(in_force)
        if copied > MAX_SETTINGS:
            raise RecipeError(message("This recipe is too long to be one of Reverie's."))
        try:
            step, settings = item
            if type(step) is not int or not isinstance(settings, dict):
                raise TypeError
            in_force = settings if whole else _changed(in_force, settings)
        except (TypeError, ValueError, KeyError) as error:
            raise RecipeError(
                message("The recipe in this file is damaged: 'steering' is not what it should be.")
            ) from error
        yield step, in_force


def write_png(path: Path, image: np.ndarray, recipe: Recipe, details: Details = NO_DETAILS) -> None:
    """Write (H, W, 3) uint8 RGB in sRGB as a PNG with the recipe in an international text chunk, and what goes on from
    the photo's file, atomically."""
    text = PngImagePlugin.PngInfo()
    text.add(b"sRGB", b"\0")  # perceptual
    text.add_itxt(KEY, recipe.to_json(), zip=False)
    with written_atomically(path) as file:
        Image.fromarray(image).save(file, "PNG", pnginfo=text, compress_level=4, **details.options)


def write_text(path: Path, text: str, recipe: Recipe) -> None:
    """Write a text as UTF-8, and then its recipe beside it as .json, each atomically.

    Raises:
        OSError: one of them cannot be written; the text may be there without its recipe.
    """
    for file_path, content in ((path, text), (path.with_suffix(".json"), recipe.to_json())):
        with written_atomically(file_path) as file:
            file.write(content.encode("utf-8", "replace"))


def read_recipe(path: Path) -> Recipe | None:
    """The recipe in a PNG, MP4, GIF, WebP or JSON file, or beside a TXT file; None where there is none, or the file
    is not readable as what its name says.

    Raises:
        RecipeError: there is one, but it cannot be used.
    """
    if path.suffix.lower() in (".txt", ".json"):
        beside = path.with_suffix(".json")
        try:
            said = beside.read_bytes().decode("utf-8") if beside.is_file() else ""
        except (OSError, UnicodeDecodeError):
            return None
        return from_json(said) if f'"{KEY}"' in said else None
    if path.suffix.lower() in (".mp4", ".gif", ".webp"):
        from engines.imaging.video import read_comment

        text = read_comment(path)
        return from_json(text) if text and f'"{KEY}"' in text else None
    try:
        with opened(path) as picture:
            text = picture.info.get(KEY) if picture.format == "PNG" else None
    except PictureError:
        return None  # whoever wants the picture itself will say what is wrong with it
    return from_json(str(text)) if text else None
