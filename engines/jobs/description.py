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
        does="Make a contact sheet of dreams that vary one or two settings of deep_dream.",
        config="engines.jobs.sweep:DreamSweepConfig",
        **_SHEET,
    ),
    dataclasses.replace(
        _PAINTING,
        name="style_transfer_sweep",
        title="Style transfer sweep",
        does="Make a contact sheet of style transfers that vary one or two settings of style_transfer.",
        config="engines.jobs.sweep:StyleSweepConfig",
        **_SHEET,
    ),
)
