"""Descriptions of the sweep engines."""

import dataclasses
from typing import Any

from engines.core.description import import_string

_DREAM, _PAINTING = (
    import_string(f"engines.{package}.description:ENGINES")[0] for package in ("deep_dream", "style_transfer")
)
_SHEET: dict[str, Any] = {"function": "engines.jobs.sweep:sweep", "sheet": True, "batch": "", "batch_does": ""}
ENGINES = (
    dataclasses.replace(
        _DREAM,
        name="deep_dream_sweep",
        title="DeepDream sweep",
        does="A sheet of dreams that differ in one setting of deep_dream, or in two.",
        config="engines.jobs.sweep:DreamSweepConfig",
        **_SHEET,
    ),
    dataclasses.replace(
        _PAINTING,
        name="style_transfer_sweep",
        title="Style transfer sweep",
        does="A sheet of paintings that differ in one setting of style_transfer, or in two.",
        config="engines.jobs.sweep:StyleSweepConfig",
        **_SHEET,
    ),
)
