"""Form of the latent map and of walks on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import gradio as gr

from engines.core.configs import setting
from engines.vae import WalkConfig
from studio.components.config_form import Settings

# Display title -> value.
SPACINGS = {"Follow the prior": "gaussian", "Even": "linear"}
OVERLAYS = {"None": "none", "Hide empty regions": "density", "Highlight fast changes": "sensitivity"}


@dataclass(frozen=True, kw_only=True)
class MapConfig(WalkConfig):
    """Settings of the map and of a walk on it."""

    count: int = setting(24, "Tiles per side.", label="Tiles per side", low=5, high=40)
    reach: float = setting(
        2.6,
        "Range of the map: from minus this value to plus this value on both axes.",
        label="Range (z from −r to r)",
        low=0.5,
        high=4.0,
    )
    spacing: str = setting("gaussian", "How the tiles are spaced.", choices=tuple(SPACINGS.values()))
    overlay: str = setting("none", "Overlay shown on the map.", choices=tuple(OVERLAYS.values()))


class MapSettings(Settings[MapConfig]):
    """Form of the map. Call `overlay`, `grid` and `walk` once each, where the tab wants the parts."""

    earlier_names: ClassVar = {"veil": "overlay"}

    def __init__(self):
        super().__init__(MapConfig(), "latent")

    def overlay(self) -> gr.Radio:
        """Create the control of the overlay."""
        return self._chips("overlay", OVERLAYS)

    def grid(self) -> list[Any]:
        """Create the controls of the grid: number of tiles, range, spacing."""
        count, reach = self.slider("count", 5, 40, 1, hint=False), self.slider("reach", 0.5, 4, 0.1, hint=False)
        return [count, reach, self._chips("spacing", SPACINGS)]

    def walk(self) -> list[Any]:
        """Create the controls of a walk: frames per segment, spherical interpolation, closed loop."""
        steps = self.slider("steps", 4, 60, 1, hint=False)
        closed = gr.Checkbox(False, label=self.label("closed"), container=False, elem_id="latent-closed")
        spherical = gr.Checkbox(False, label=self.label("spherical"), container=False, elem_id="latent-spherical")
        return [steps, self.add("spherical", spherical), self.add("closed", closed)]

    def _chips(self, name: str, meanings: dict[str, str]) -> gr.Radio:
        titles = {meant: title for title, meant in meanings.items()}
        first = getattr(self.initial, name)
        chips = gr.Radio(
            list(meanings), value=titles[first], label=self.label(name), elem_id=f"latent-{name}", elem_classes="chips"
        )
        return self.add(name, chips, show=titles.__getitem__, read=lambda title: meanings.get(title, first))
