"""Engine registry."""

from __future__ import annotations

import importlib.util

from engines.core.description import Engine, import_string


def engines_in(package: str) -> tuple[Engine, ...]:
    """The engines of a package in `engines`: `ENGINES` of its module `description`, or its own."""
    has_description = importlib.util.find_spec(f"engines.{package}.description")
    return import_string(f"engines.{package}.description:ENGINES" if has_description else f"engines.{package}:ENGINES")


# Packages that describe engines.
PACKAGES = ("deep_dream", "style_transfer", "vae", "dcgan", "language_model")
ENGINES: dict[str, Engine] = {engine.name: engine for package in PACKAGES for engine in engines_in(package)}
