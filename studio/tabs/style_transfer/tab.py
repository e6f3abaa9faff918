"""Style tab."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from engines.core.messages import message
from engines.core.options import format_weights, parse_weights
from engines.imaging.images import PictureError, check_picture
from engines.jobs import Job, repeated
from engines.jobs.sweep import StyleSweepConfig
from engines.recipes import Recipe
from engines.style_transfer import LAYERS, MOST_STYLES, StyleConfig, presets
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
from studio.tabs.style_transfer.region_painter import blank, masks_of, region_painter
from studio.tabs.style_transfer.style_picker import Palette, blend_of, paths_in

DEFAULT_BACKBONE = next(iter(LAYERS))
TIMES = {"Quick · 15 s": 15.0, "Good · 1 min": 60.0, "Fine · 5 min": 300.0, "By steps": 0.0}
COLORS = {
    "the painting's": "painting",
    "the photo's, exactly": "photo",
    "the painting's, moved to the photo's": "matched",
}


def named_time(seconds: float) -> str:
    """The choice of time that is nearest to so many seconds; 0 goes by steps."""
    if not seconds:
        return "By steps"
    return min((name for name in TIMES if TIMES[name]), key=lambda name: abs(TIMES[name] - seconds))


class StyleTab:
    """The controls of the tab and what they do."""

    def __init__(self, studio: Studio):
        self.studio = studio
        folder = studio.outputs / "examples"
        self.example_photos = examples(folder)
        self.palette = Palette(studio, folder / "paintings", "style")

    def build(self) -> None:
        """Lay the tab out and wire it, inside the page's Blocks."""
        first = self.example_photos[0]
        photo = self.studio.read(str(first))
        names = list(presets(DEFAULT_BACKBONE))
        self.settings = settings = Settings(presets(DEFAULT_BACKBONE)[names[0]], "style")
        self.stage = PictureStage(self.studio, "style")
        with gr.Row(elem_classes="workbench"):
            with gr.Column(elem_classes="inputs", min_width=300):
                with gr.Column(elem_classes="begin"):
                    self._build_pictures(first)
                    self.preset = gr.Radio(
                        names, value=names[0], label="Manner", elem_id="style-preset", elem_classes="chips"
                    )
                    self.time = settings.add(
                        "seconds",
                        gr.Radio(
                            list(TIMES),
                            value=named_time(settings.first.seconds),
                            label="Time",
                            elem_id="style-seconds",
                            elem_classes="chips",
                        ),
                        show=named_time,
                        read=lambda name: TIMES.get(name, 15.0),
                    )
                    self.stage.buttons("Paint")
                settings.slider("balance", "More style ↔ more photo", 0.0, 0.95, 0.01)
                settings.slider("style_scale", "Strokes", 0.25, 4.0, 0.05)
                settings.choice("color", "Colours", COLORS)
                self.palette.weights()
                title = "Regions: which painting goes where"
                with gr.Accordion(title, open=False, elem_id="style-regions-fold", elem_classes="fold"):
                    gr.Markdown("Paint on the photo where each painting belongs.", elem_classes="quiet")
                    self.regions = region_painter("style-regions", photo)
                self.start_fold = gr.Accordion(
                    "Go on from a picture", open=False, elem_id="style-start-fold", elem_classes="fold"
                )
                with self.start_fold:
                    self.start_image = Photo(
                        label="Go on from this picture, at full size",
                        sources=["upload", "clipboard"],
                        height=140,
                        elem_id="style-start-image",
                        elem_classes="drop",
                    )
                with gr.Accordion(
                    "More: size, weights, network, optimiser", open=False, elem_id="style-more", elem_classes="fold"
                ):
                    self._build_more()
                self.sweep = SweepPanel(settings, StyleSweepConfig, "style")
                self.sweep.build(self.stage)
                self.batch = BatchPanel(self.studio, "content_image", "style")
                self.batch.build(
                    self.stage, "All are painted with the settings above, one after another; regions are not used."
                )
                self.own = OwnSettings(self.studio, settings, "style")
                self.own.build()
            with gr.Column(elem_classes="outputs", min_width=320, scale=3):
                invitation = message("Press Paint, and watch the photo become a painting.")
                self.stage.canvas_with(photo, invitation)
                self.stage.under("Move a slider while it runs: the painting follows.", "Paint on from this")
        self.restored = gr.State(None)
        self._wire()

    def _build_pictures(self, first: Path) -> None:
        with gr.Row(elem_classes="pair pictures"):
            self.photo = Photo(
                value=str(first),
                label="Photo",
                show_label=False,
                sources=["upload", "clipboard", "webcam"],
                elem_id="style-photo",
                elem_classes="drop",
                height=180,
                min_width=140,
            )
            self.palette.drop_zone()
        example_row(self.example_photos, self.photo)
        self.palette.choices()

    def _build_more(self) -> None:
        settings = self.settings
        gr.Markdown("Size, sizes and steps count when Time is “By steps”.", elem_classes="quiet")
        settings.slider("size", "Size", 0, 2400, 16)
        settings.slider("scales", "Sizes on the way", 1, 6, 1)
        settings.slider("steps", "Steps at full size", 1, 500, 1)
        settings.slider("total_variation_weight", "Smoothness", 0.0, 10.0, 0.1)
        with gr.Row(elem_classes="pair"):
            settings.number("style_weight", "Style weight α")
            settings.number("content_weight", "Photo weight β")
        self.network = NetworkChoice(self.studio, tuple(LAYERS), "style")
        self.backbone = self.network.dropdown
        settings.add(
            "style_layers",
            gr.Textbox(
                format_weights(settings.first.style_layers),
                label="Style layers",
                info=settings.hint("style_layers"),
                placeholder="as suits the network",
                elem_id="style-layers",
            ),
            show=format_weights,
            read=lambda text: parse_weights(text or ""),
        )
        settings.add(
            "content_layer",
            gr.Textbox(
                settings.first.content_layer,
                label="Photo layer",
                info=settings.hint("content_layer"),
                placeholder="as suits the network",
                elem_id="style-content-layer",
            ),
            read=lambda text: (text or "").strip(),
        )
        settings.choice("losses", "Losses", {"each layer by its own size": "relative", "as in the book": "book"})
        settings.choice("pooling", "Pooling", {"max": "max", "average": "average"})
        settings.choice(
            "start", "Begin from", {"the photo": "content", "the bundled network's sketch": "sketch", "noise": "noise"}
        )
        settings.choice("optimizer", "Optimiser", {"L-BFGS": "lbfgs", "Adam": "adam", "SGD": "sgd"})
        with gr.Row(elem_classes="pair"):
            settings.number("learning_rate", "Learning rate")
            settings.number("seed", "Seed")
        settings.number("tile_size", "Tile size")

    def _wire(self) -> None:
        stage, settings, gallery, blend = self.stage, self.settings, self.palette.gallery, self.palette.blend
        moved = [*settings.components, *blend]
        seen: dict[str, Any] = {"api_visibility": "private"}
        # Events that bypass Gradio's queue cannot show a toast, so only those that never need one do.
        now = {**seen, "queue": False}
        quick = {**seen, "concurrency_limit": None}
        self._restorable = [self.photo, gallery, self.backbone, self.preset, *moved, self.restored, self.start_image]
        self._restorable += [self.regions, stage.canvas, *self.sweep.components]
        self.photo.change(self.photo_changed, [self.photo, gallery, stage.run_id], self._restorable, **quick)
        self.start_image.change(self.start_changed, [self.start_image], [self.start_image], **quick)
        self.palette.wire(regions_for, [self.regions], [self.regions])
        inputs = [self.preset, self.backbone, stage.run_id, gallery, *moved]
        self.preset.input(self.preset_chosen, inputs, settings.components, **quick)
        self.backbone.input(self.backbone_chosen, [self.backbone], [self.preset], **now)
        self.network.wire()
        inputs = [self.photo, gallery, self.regions, self.start_image, self.backbone, self.restored, *moved]
        stage.begin_on(stage.go.click, self.start, inputs)
        stage.begin_on(self.sweep.go.click, self.start_sweep, [*self.sweep.components, *inputs])
        shared = [self.batch.files, gallery, self.backbone, *moved]
        stage.begin_on(self.batch.go.click, self.start_batch, shared)
        self.sweep.wire()
        stage.again.click(stage.chosen_as_input, [stage.run_id, stage.moment], [self.start_image], **quick).then(
            lambda: gr.update(open=True), None, [self.start_fold], **now
        )
        stage.wire()
        self.own.wire(stage.go)
        stage.steered_by(moved, self.steer, [self.backbone, gallery, *moved])

    def on_visit(self, page: gr.Blocks, tab: gr.Tab) -> None:
        """Have a fresh page find its run again, and hang the example paintings once they are drawn."""
        self.stage.on_page_load(page)
        self.own.on_visit(tab)
        self.palette.on_page_load(page)

    # Pictures

    def doors(self) -> list[Handoff]:
        """A painting comes back; any picture may be painted, or be what is painted like."""
        gallery = self.palette.gallery
        photo = [gallery, self.stage.run_id], self._restorable
        return [
            Handoff("style", self._restore, [], self._restorable, engines=("style_transfer", "style_transfer_sweep")),
            Handoff("style", self.photo_entered, *photo, title="Paint it", kinds=("picture",)),
            Handoff("style", lambda path: {gallery: [path]}, [], [gallery], title="Paint like it", kinds=("picture",)),
        ]

    def photo_entered(self, path: str, gallery: Any, run_id: str) -> dict[Any, Any]:
        """A picture comes from another tab: as if it were dropped."""
        return {self.photo: path} | self.photo_changed(path, gallery, run_id)

    def photo_changed(self, path: str | None, gallery: Any, run_id: str) -> dict[Any, Any]:
        """Check a dropped photo at once and show it; a result of ours brings back the settings that made it."""
        run = self.stage.run(run_id)

        def show(image: np.ndarray) -> dict[Any, Any]:
            shown: dict[Any, Any] = {self.regions: blank(image, len(gallery or []))}
            return shown if run and not run.over else shown | {self.stage.canvas: at_rest(image)}

        return restore_from_upload(self.studio, path, self.photo, self.restored, show, self._restore)

    def _restore(self, recipe: Recipe) -> dict[Any, Any]:
        """Put a recipe into the controls, and the pictures that it was made from where they are still here.

        Raises:
            ValueError: a recipe of another tab, or one that this version cannot follow.
        """
        elsewhere = message("This picture was made on another tab; it can be painted, its settings stay there.")
        job = job_for_tab(recipe, "style_transfer", self.network.names, elsewhere, workshop=self.studio.workshop)
        found = {name: self.studio.gallery.find_input(hash_) for name, hash_ in recipe.inputs.items()}
        swept = job.config if isinstance(job.config, StyleSweepConfig) else None
        config = job.config if swept is None else StyleConfig(**swept.settings)
        update = self.settings.restored(config) | {self.backbone: job.backbone, self.restored: recipe.to_json()}
        update |= {} if swept is None else self.sweep.restored(swept)
        update[self.preset] = gr.update(choices=list(presets(job.backbone)), value=None)
        for i, slider in enumerate(self.palette.blend):
            weight = config.blend[i] if i < len(config.blend) else 1.0
            update[slider] = gr.update(value=weight, maximum=max(1.0, weight))
        styles = [found.get(f"style_images_{i}") for i in range(1, MOST_STYLES + 1)]
        update[self.palette.gallery] = [str(path) for path in styles if path]
        update[self.start_image] = str(found["start_image"]) if found.get("start_image") else None
        missing = [name for name, path in found.items() if path is None]
        masked = any(name.startswith("masks") for name in recipe.inputs)
        if found.get("content_image"):
            update[self.photo] = str(found["content_image"])
        if missing:
            inform(
                message("Settings restored. Not every picture that this was made from is here: drop them to repeat it.")
            )
        elif masked:
            inform(message("Settings and pictures restored. Regions are not: paint them again to repeat it."))
        else:
            inform(message("Settings restored, with the photo and the paintings that this was made from."))
        return update

    def start_changed(self, path: str | None):
        """Check a picture to go on from at once."""
        return checked_at_once(self.studio, path, self.start_image)

    # Settings and runs

    def preset_chosen(self, name: str, backbone: str, run_id: str, gallery: Any, *values: Any):
        """Put a preset's settings into the controls, and into the run if one is going."""
        config = presets(backbone).get(name)
        if config is None:
            return [gr.skip()] * len(self.settings.components)
        own, blend = self._split(values)
        current = self.settings.named(own)
        # A preset is about how it looks; size, time and seed are the visitor's own, unless they are the book's.
        book = "book" in (config.losses, current["losses"])
        kept = ("seed",) if book else ("seed", "seconds", "size", "scales", "steps")
        shown = self.settings.named(self.settings.values(config)) | {field: current[field] for field in kept}
        self.steer(run_id, backbone, gallery, *shown.values(), *blend)
        return self.settings.shown(list(shown.values()))

    def backbone_chosen(self, backbone: str):
        """Offer the backbone's presets."""
        return gr.update(choices=list(presets(backbone)), value=None)

    async def start(
        self,
        photo: str | None,
        gallery: Any,
        regions: Any,
        start_image: str | None,
        backbone: str,
        restored: str | None,
        *values: Any,
    ) -> AsyncIterator[dict[Any, Any]]:
        """Start a painting and watch it to its end."""

        def job() -> Job:
            return repeated(self._job(photo, gallery, regions, start_image, backbone, values), restored)

        async for update in self.stage.start(job):
            yield update

    async def start_sweep(
        self, columns: str, column_values: str, rows: str, row_values: str, photo: str | None, *others: Any
    ) -> AsyncIterator[dict[Any, Any]]:
        """Start a sweep of paintings and watch it to its end."""
        gallery, regions, start_image, backbone, restored, *values = others

        def job() -> Job:
            one = self._job(photo, gallery, regions, start_image, backbone, values)
            return repeated(self.sweep.job(one, columns, column_values, rows, row_values), restored)

        async for update in self.stage.start(job):
            yield update

    async def start_batch(
        self, files: list[str] | None, gallery: Any, backbone: str, *values: Any
    ) -> AsyncIterator[dict[Any, Any]]:
        """Paint many photos, and watch it to its end."""
        async for update in self.stage.start(lambda: self.batch.job(self._shared(gallery, backbone, values), files)):
            yield update

    def _job(
        self,
        photo: str | None,
        gallery: Any,
        regions: Any,
        start_image: str | None,
        backbone: str,
        values: Sequence[Any],
    ) -> Job:
        """What is asked for.

        Raises:
            ValueError: a sentence that says why it cannot be done.
        """
        if not photo:
            raise PictureError(message("Choose a photo first: drop one, or click one of the examples."))
        job = self._shared(gallery, backbone, values)
        picture = self.studio.load(photo)
        own = {"content_image": picture.pixels}
        if start_image:
            own["start_image"] = self.studio.read(start_image)
        for image in own.values():
            check_picture(image)
        masks = masks_of(regions, len(job.inputs))
        own |= {f"masks_{i}": mask for i, mask in enumerate(masks, 1) if mask is not None}
        return dataclasses.replace(job, inputs=own | dict(job.inputs), details=picture.details)

    def _shared(self, gallery: Any, backbone: str, values: Sequence[Any]) -> Job:
        """The same without a photo and all that belongs to it; raises as `_job`."""
        styles = paths_in(gallery)
        if not styles:
            raise PictureError(message("Choose a painting first: drop one, or click one of the examples."))
        if len(styles) > MOST_STYLES:
            raise PictureError(
                message("These are {count} paintings; use at most {most}.", count=len(styles), most=MOST_STYLES)
            )
        inputs = {f"style_images_{i}": self.studio.read(path) for i, path in enumerate(styles, 1)}
        for image in inputs.values():
            check_picture(image)
        require_weights(self.studio, backbone)
        return Job(engine="style_transfer", config=self._config(values, len(styles)), inputs=inputs, backbone=backbone)

    def _split(self, values: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
        """The settings' values, and the paintings' weights."""
        count = len(self.settings.components)
        return values[:count], values[count:]

    def _config(self, values: Sequence[Any], paintings_there: int) -> StyleConfig:
        own, weights = self._split(values)
        return dataclasses.replace(self.settings.config(own), blend=blend_of(weights, paintings_there))

    def steer(self, run_id: str, backbone: str, gallery: Any, *values: Any) -> None:
        """Send changed settings to this page's run, if one is going on this backbone."""
        self.stage.steer(run_id, backbone, lambda: self._config(values, len(paths_in(gallery))))


def regions_for(gallery: Any, painted: Any):
    """What the region painter shows for the paintings that there are now."""
    value = painted if isinstance(painted, dict) else {}
    count = max(1, min(len(paths_in(gallery)), MOST_STYLES))
    return [gr.skip() if value.get("count") == count else {**value, "count": count}]
