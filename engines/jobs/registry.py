"""Engine registry."""

from __future__ import annotations

from engines.core.description import Engine, loaded


def described_in(package: str) -> tuple[Engine, ...]:
    """The engines of a package in `engines`: its `ENGINES`, or those of its `description`."""
    try:
        return loaded(f"engines.{package}.description:ENGINES")
    except ModuleNotFoundError:
        return loaded(f"engines.{package}:ENGINES")


# Packages with a `description` of their engines.
PACKAGES = ("deep_dream", "style_transfer", "jobs", "vae", "dcgan", "language_model")
ENGINES: dict[str, Engine] = {engine.name: engine for package in PACKAGES for engine in described_in(package)}
