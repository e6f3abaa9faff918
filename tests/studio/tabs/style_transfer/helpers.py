"""Calls of the style transfer tab's handlers as the page makes them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from engines.recipes import read_recipe
from engines.style_transfer import LAYERS, MAX_STYLES, StyleConfig, presets
from studio.runs.run import Run
from studio.tabs.style_transfer.tab import StyleTab
from tests.studio.conftest import QUICK_PAINTING
from tests.studio.helpers import eventually, finished, values_through_the_page, watched

EVERY_PRESET = [(backbone, name) for backbone in LAYERS for name in presets(backbone)]
LONG = dataclasses.replace(QUICK_PAINTING, steps=20_000)
# The layer belongs to another network.
MISFIT = dataclasses.replace(LONG, content_layer="mixed4")


def controls(tab: StyleTab, config: StyleConfig, blend: Sequence[float] = ()) -> list[Any]:
    """Return the values of the form and of the paintings' weights; `settings.inputs` also has the gallery."""
    return [*tab.settings.values(config), *blend, *[1] * (MAX_STYLES - len(blend))]


def start(
    tab: StyleTab,
    photo: str | None,
    gallery: Any,
    values: Sequence[Any],
    *,
    regions: Any = None,
    start_image: str | None = None,
    restored: str | None = None,
) -> list[dict[Any, Any]]:
    """Start a painting and return all updates until its end."""
    return watched(tab.start(photo, gallery, regions, start_image, "studio_vgg", restored, *values, gallery))


def steer(tab: StyleTab, run: Run, gallery: Any, values: Sequence[Any]) -> None:
    """Move a control while a run is going."""
    tab.view.steer(run.id, "studio_vgg", tab.settings, [*values, gallery])


def result_of(tab: StyleTab, updates: list[dict[Any, Any]]) -> Path:
    """Return the file that is offered at the end."""
    return Path(updates[-1][tab.view.save]["value"])


def of_the_page(tab: StyleTab, answer: dict[Any, Any], paintings: int) -> StyleConfig:
    """Return the config of the restored controls."""
    sliders = tab.style_picker.blend
    blend = values_through_the_page(sliders, [answer[slider] for slider in sliders])
    values = values_through_the_page(tab.settings.components, [answer[control] for control in tab.settings.components])
    return tab.settings.config([*values, *blend, ["painting.png"] * paintings])


def moment(step: int) -> gr.EventData:
    """A click on a snapshot; 0 returns to the newest image."""
    return gr.EventData(None, {"step": step})


def steering_of(run: Run) -> list[Any]:
    """Let a run make a few more steps, stop it, and return its steering."""
    at = run.frame.step
    eventually(lambda: run.over or run.frame.step >= at + 3, "three more steps")
    run.stop()
    return list(read_recipe(finished(run).result).steering)
