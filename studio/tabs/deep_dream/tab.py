"""Dream tab."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence
from typing import Any

import gradio as gr
import numpy as np

from engines.core.messages import message
from engines.core.options import format_weights, parse_weights
from engines.deep_dream import PRESETS, DreamConfig, presets
from engines.imaging.images import PictureError, check_picture
from engines.jobs import Job, repeated
from engines.jobs.sweep import DreamSweepConfig
from engines.recipes import Recipe
from studio.components.config_form import Settings
from studio.components.image_input import Photo, example_row
from studio.components.toasts import inform
from studio.examples.examples import examples
from studio.panels.batch_panel import BatchPanel
from studio.panels.handoff import Handoff
from studio.panels.image_drop import checked_at_once, restore_from_upload
from studio.panels.network_picker import NetworkChoice, require_weights
from studio.panels.recipe_restore import job_for_tab
from studio.panels.saved_settings import OwnSettings
from studio.panels.sweep_panel import SweepPanel
from studio.run_views.image_run_view import PictureStage
from studio.run_views.live_canvas import at_rest
from studio.services import Studio

DEFAULT_BACKBONE = next(iter(PRESETS))
BOOK = "As in the book"


class DreamTab:
    """The controls of the tab and what they do."""

    def __init__(self, studio: Studio):
        self.studio = studio
        self.example_pictures = examples(studio.outputs / "examples")

    def build(self) -> None:
        """Lay the tab out and wire it, inside the page's Blocks."""
        first = self.example_pictures[0]
        names = list(presets(DEFAULT_BACKBONE))
        self.settings = settings = Settings(presets(DEFAULT_BACKBONE)[names[0]], "dream")
        self.stage = PictureStage(self.studio, "dream")
        with gr.Row(elem_classes="workbench"):
            with gr.Column(elem_classes="inputs", min_width=300):
                with gr.Column(elem_classes="begin"):
                    self.photo = Photo(
                        value=str(first),
                        label="Photo",
                        show_label=False,
                        sources=["upload", "clipboard", "webcam"],
                        elem_id="dream-photo",
                        elem_classes="drop",
                        height=220,
                    )
                    example_row(self.example_pictures, self.photo)
                    self.preset = gr.Radio(
                        names, value=names[0], label="Preset", elem_id="dream-preset", elem_classes="chips"
                    )
                    self.stage.buttons("Dream")
                settings.slider("step_size", "Strength", 0.0, 0.1, 0.001)
                settings.slider("octaves", "Octaves", 1, 8, 1)
                settings.slider("steps", "Steps per octave", 1, 100, 1)
                settings.slider("size", "Size", 0, 2048, 16)
                with gr.Accordion(
                    "More: network, layers, guide, jitter", open=False, elem_id="dream-more", elem_classes="fold"
                ):
                    self._build_more()
                with gr.Accordion("Zoom film", open=False, elem_id="dream-film", elem_classes="fold"):
                    settings.slider("pictures", "Length", 1, 120, 1)
                    settings.slider("zoom", "Zoom", 0.9, 1.3, 0.01)
                    settings.slider("turn", "Turn", -15, 15, 0.5)
                self.sweep = SweepPanel(settings, DreamSweepConfig, "dream")
                self.sweep.build(self.stage)
                self.batch = BatchPanel(self.studio, "image", "dream")
                self.batch.build(self.stage, "All are dreamt on with the settings above, one after another.")
                self.own = OwnSettings(self.studio, settings, "dream")
                self.own.build()
            with gr.Column(elem_classes="outputs", min_width=320, scale=3):
                invitation = message("Press Dream, and watch what the network sees in your picture.")
                self.stage.canvas_with(self.studio.read(str(first)), invitation)
                self.stage.under("Move a slider while it runs: the dream follows.", "Dream on from this")
        self.restored = gr.State(None)
        self._wire()

    def _build_more(self) -> None:
        settings = self.settings
        self.network = NetworkChoice(self.studio, tuple(PRESETS), "dream")
        self.backbone = self.network.dropdown
        self.layers = settings.add(
            "layer_weights",
            gr.Textbox(
                format_weights(settings.first.layer_weights),
                label="Layers",
                info="Which layers to amplify, as name=weight, …",
                elem_id="dream-layers",
            ),
            show=format_weights,
            read=lambda text: parse_weights(text or ""),
        )
        self.guide = Photo(
            label="Guide picture: what the dream should look for",
            sources=["upload", "clipboard"],
            height=140,
            elem_id="dream-guide",
            elem_classes="drop",
        )
        settings.slider("octave_scale", "Octave scale", 1.1, 2.0, 0.05)
        settings.slider("jitter", "Jitter", 0, 64, 1)
        units = {"mean absolute gradient": "mean_absolute", "L2 norm, as in the book": "l2"}
        settings.choice("normalization", "Unit of the step", units)
        with gr.Row(elem_classes="pair"):
            # Text, as an empty number box reads as 0, and channel 0 is a channel.
            settings.add(
                "channel",
                gr.Textbox(
                    "",
                    label="Channel",
                    info=settings.hint("channel"),
                    placeholder="all",
                    elem_id="dream-channel",
                    min_width=120,
                ),
                show=lambda channel: "" if channel is None else str(channel),
                read=lambda text: parse_channel(text or ""),
            )
            settings.number("seed", "Seed")
        with gr.Row(elem_classes="pair"):
            settings.number("max_loss", "Max loss")
            settings.number("tile_size", "Tile size")

    def _wire(self) -> None:
        stage, controls = self.stage, self.settings.components
        seen: dict[str, Any] = {"api_visibility": "private"}
        # Events that bypass Gradio's queue cannot show a toast, so only those that never need one do.
        now = {**seen, "queue": False}
        quick = {**seen, "concurrency_limit": None}
        self._restorable = [self.photo, self.backbone, self.preset, *controls, self.restored, self.guide, stage.canvas]
        self._restorable += self.sweep.components
        self.photo.change(self.photo_changed, [self.photo, stage.run_id], self._restorable, **quick)
        self.guide.change(self.guide_changed, [self.guide], [self.guide], **quick)
        self.preset.input(self.preset_chosen, [self.preset, self.backbone, stage.run_id, *controls], controls, **quick)
        # A person's choice brings the network's own presets; a recipe's comes with its own settings.
        self.backbone.input(self.backbone_chosen, [self.backbone], [self.preset, self.layers], **now)
        self.network.wire()
        inputs = [self.photo, self.guide, self.backbone, self.restored, *controls]
        stage.begin_on(stage.go.click, self.start, inputs)
        stage.begin_on(self.sweep.go.click, self.start_sweep, [*self.sweep.components, *inputs])
        shared = [self.batch.files, self.guide, self.backbone, *controls]
        stage.begin_on(self.batch.go.click, self.start_batch, shared)
        self.sweep.wire()
        stage.again.click(stage.chosen_as_input, [stage.run_id, stage.moment], [self.photo], **quick)
        stage.wire()
        self.own.wire(stage.go)
        stage.steered_by(controls, self.steer, [self.backbone, *controls])

    def on_visit(self, page: gr.Blocks, tab: gr.Tab) -> None:
        """Have a fresh page find its run again."""
        self.stage.on_page_load(page)
        self.own.on_visit(tab)

    def doors(self) -> list[Handoff]:
        """A dream comes back; any picture may be dreamt on, or be what is looked for."""
        photo = [self.stage.run_id], self._restorable
        return [
            Handoff("dream", self._restore, [], self._restorable, engines=("deep_dream", "deep_dream_sweep")),
            Handoff("dream", self.photo_entered, *photo, title="Dream on it", kinds=("picture",)),
            Handoff(
                "dream", lambda path: {self.guide: path}, [], [self.guide], title="Dream of it", kinds=("picture",)
            ),
        ]

    def photo_entered(self, path: str, run_id: str) -> dict[Any, Any]:
        """A picture comes from another tab: as if it were dropped."""
        return {self.photo: path} | self.photo_changed(path, run_id)

    def photo_changed(self, path: str | None, run_id: str) -> dict[Any, Any]:
        """Check a dropped picture at once and show it; a result of ours brings back the settings that made it."""
        run = self.stage.run(run_id)

        def show(image: np.ndarray) -> dict[Any, Any]:
            return {} if run and not run.over else {self.stage.canvas: at_rest(image)}

        return restore_from_upload(self.studio, path, self.photo, self.restored, show, self._restore)

    def _restore(self, recipe: Recipe) -> dict[Any, Any]:
        """Put a recipe into the controls, and the photo that it was made from where it is still here.

        Raises:
            ValueError: a recipe of another tab, or one that this version cannot follow.
        """
        elsewhere = message("This picture was made on another tab; it can be dreamt on, its settings stay there.")
        job = job_for_tab(recipe, "deep_dream", self.network.names, elsewhere, workshop=self.studio.workshop)
        found = {name: self.studio.gallery.find_input(hash_) for name, hash_ in recipe.inputs.items()}
        swept = job.config if isinstance(job.config, DreamSweepConfig) else None
        config = job.config if swept is None else DreamConfig(**swept.settings)
        update = self.settings.restored(config) | {self.backbone: job.backbone, self.restored: recipe.to_json()}
        update |= {} if swept is None else self.sweep.restored(swept)
        update[self.preset] = gr.update(choices=list(presets(job.backbone)), value=None)
        update[self.guide] = str(found["guide"]) if found.get("guide") else None
        if found.get("image"):
            inform(message("Settings restored, with the photo that this was made from."))
            update[self.photo] = str(found["image"])
        else:
            inform(
                message(
                    "Settings restored. The photo that this was made from is not here: drop it to repeat the dream."
                )
            )
        return update

    def guide_changed(self, path: str | None):
        """Check a guide at once."""
        return checked_at_once(self.studio, path, self.guide)

    def preset_chosen(self, name: str, backbone: str, run_id: str, *values: Any):
        """Put a preset's settings into the controls, and into the run if one is going."""
        config = presets(backbone).get(name)
        if config is None:
            return [gr.skip()] * len(values)
        current = self.settings.named(values)
        # A preset is about how it looks; size, seed and film are the visitor's own.
        kept = {field: current[field] for field in ("size", "seed", "pictures")}
        if name == BOOK:
            kept.pop("size")
        shown = self.settings.named(self.settings.values(config)) | kept
        self.steer(run_id, backbone, *shown.values())
        return self.settings.shown(list(shown.values()))

    def backbone_chosen(self, backbone: str):
        """Offer the backbone's presets, and the layers of the first."""
        names = list(presets(backbone))
        return [
            gr.update(choices=names, value=None),
            format_weights(next(iter(presets(backbone).values())).layer_weights),
        ]

    async def start(
        self, photo: str | None, guide: str | None, backbone: str, restored: str | None, *values: Any
    ) -> AsyncIterator[dict[Any, Any]]:
        """Start a dream and watch it to its end."""
        async for update in self.stage.start(lambda: repeated(self._job(photo, guide, backbone, values), restored)):
            yield update

    async def start_sweep(
        self, columns: str, column_values: str, rows: str, row_values: str, photo: str | None, *others: Any
    ) -> AsyncIterator[dict[Any, Any]]:
        """Start a sweep of dreams and watch it to its end."""
        guide, backbone, restored, *values = others

        def job() -> Job:
            one = self._job(photo, guide, backbone, values)
            return repeated(self.sweep.job(one, columns, column_values, rows, row_values), restored)

        async for update in self.stage.start(job):
            yield update

    async def start_batch(
        self, files: list[str] | None, guide: str | None, backbone: str, *values: Any
    ) -> AsyncIterator[dict[Any, Any]]:
        """Dream on many pictures, and watch it to its end."""
        async for update in self.stage.start(lambda: self.batch.job(self._shared(guide, backbone, values), files)):
            yield update

    def _job(self, photo: str | None, guide: str | None, backbone: str, values: Sequence[Any]) -> Job:
        """What is asked for.

        Raises:
            ValueError: a sentence that says why it cannot be done.
        """
        if not photo:
            raise PictureError(message("Choose a photo first: drop one, or click one of the examples."))
        picture = self.studio.load(photo)
        check_picture(picture.pixels)
        job = self._shared(guide, backbone, values)
        return dataclasses.replace(job, inputs={"image": picture.pixels, **job.inputs}, details=picture.details)

    def _shared(self, guide: str | None, backbone: str, values: Sequence[Any]) -> Job:
        """The same without a photo; raises as `_job`."""
        inputs = {}
        if guide:
            inputs["guide"] = self.studio.read(guide)
            check_picture(inputs["guide"])
        require_weights(self.studio, backbone)
        config: DreamConfig = self.settings.config(values)
        return Job(engine="deep_dream", config=config, inputs=inputs, backbone=backbone)

    def steer(self, run_id: str, backbone: str, *values: Any) -> None:
        """Send changed settings to this page's run, if one is going on this backbone."""
        self.stage.steer(run_id, backbone, lambda: self.settings.config(values))


def parse_channel(text: str) -> int | None:
    """A channel's number; None, which means all, for nothing or "all"."""
    text = text.strip().lower()
    if text in ("", "all"):
        return None
    if not text.isdecimal():
        raise ValueError(
            message("Channel must be a whole number, or empty for all channels, not {given!r}.", given=text[:20])
        )
    return int(text)
