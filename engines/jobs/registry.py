"""Engine registry."""

from __future__ import annotations

import importlib.util

from engines.core.description import Engine, loaded


def described_in(package: str) -> tuple[Engine, ...]:
    """The engines of a package in `engines`: its `ENGINES`, or those of its `description`."""
    apart = importlib.util.find_spec(f"engines.{package}.description")
    return loaded(f"engines.{package}.description:ENGINES" if apart else f"engines.{package}:ENGINES")


# Packages that describe engines.
PACKAGES = ("deep_dream", "style_transfer", "jobs", "vae", "dcgan", "language_model")
ENGINES: dict[str, Engine] = {engine.name: engine for package in PACKAGES for engine in described_in(package)}
