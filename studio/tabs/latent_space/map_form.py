"""Form of the latent map and of walks on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from engines.core.configs import setting
from engines.vae import WalkConfig
from studio.components.config_form import Settings

# Display title -> value.
SPACINGS = {"Follow the prior": "gaussian", "Even": "linear"}
VEILS = {"None": "none", "Hide empty regions": "density", "Highlight fast changes": "sensitivity"}


@dataclass(frozen=True, kw_only=True)
class MapConfig(WalkConfig):
    """Settings of the map and of a walk on it."""

    count: int = setting(24, "Tiles per side.", low=5, high=40)
    reach: float = setting(
        2.6, "Range of the map: from minus this value to plus this value on both axes.", low=0.5, high=4.0
    )
    spacing: str = setting("gaussian", "How the tiles are spaced.", choices=tuple(SPACINGS.values()))
    veil: str = setting("none", "Overlay shown on the map.", choices=tuple(VEILS.values()))


class MapSettings(Settings[MapConfig]):
    """Form of the map. Call `veil`, `grid` and `walk` once each, where the tab wants the parts."""

    def __init__(self):
        super().__init__(MapConfig(), "latent")

    def veil(self) -> gr.Radio:
        """Create the control of the overlay."""
        return self._chips("veil", "Overlay", VEILS)

    def grid(self) -> list[Any]:
        """Create the controls of the grid: number of tiles, range, spacing."""
        count = gr.Slider(5, 40, value=self.initial.count, step=1, label="Tiles per side", elem_id="latent-count")
        reach = gr.Slider(
            0.5, 4, value=self.initial.reach, step=0.1, label="Range: z from −r to r", elem_id="latent-reach"
        )
        spacing = self._chips("spacing", "Spacing", SPACINGS)
        return [self.add("count", count), self.add("reach", reach), spacing]

    def walk(self) -> list[Any]:
        """Create the controls of a walk: frames per segment, spherical interpolation, closed loop."""
        steps = gr.Slider(4, 60, value=self.initial.steps, step=1, label="Frames per segment", elem_id="latent-steps")
        closed = gr.Checkbox(False, label="Closed loop", container=False, elem_id="latent-closed")
        spherical = gr.Checkbox(False, label="Spherical interpolation", container=False, elem_id="latent-spherical")
        return [self.add("steps", steps), self.add("spherical", spherical), self.add("closed", closed)]

    def _chips(self, name: str, label: str, meanings: dict[str, str]) -> gr.Radio:
        titles = {meant: title for title, meant in meanings.items()}
        first = getattr(self.initial, name)
        chips = gr.Radio(
            list(meanings), value=titles[first], label=label, elem_id=f"latent-{name}", elem_classes="chips"
        )
        return self.add(name, chips, show=titles.__getitem__, read=lambda title: meanings.get(title, first))
