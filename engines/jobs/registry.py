"""Engine registry."""

from __future__ import annotations

from engines.core.description import Engine, loaded

# Packages with a `description` of their engines.
PACKAGES = ("deep_dream", "style_transfer", "jobs", "vae", "dcgan", "language_model")
ENGINES: dict[str, Engine] = {
    engine.name: engine for package in PACKAGES for engine in loaded(f"engines.{package}.description:ENGINES")
}
