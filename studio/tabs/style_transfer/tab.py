"""Style transfer tab."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from engines.core.messages import message
from engines.core.options import format_weights, parse_weights
from engines.imaging.images import ImageError
from engines.jobs import Job, replay_if_same
from engines.jobs.sweep import StyleSweepConfig
from engines.recipes import Recipe
from engines.style_transfer import LAYERS, MAX_STYLES, StyleConfig, presets
from studio.components.config_form import Settings
from studio.components.image_input import Photo, example_row
from studio.components.toasts import inform
from studio.examples.examples import examples
from studio.panels.batch_panel import BatchPanel
from studio.panels.handoff import Handoff
from studio.panels.image_drop import check_upload, drop_photo
from studio.panels.network_picker import NetworkPicker, require_weights
from studio.panels.recipe_restore import job_for_tab
from studio.panels.saved_settings import SavedSettings
from studio.panels.sweep_panel import SweepPanel
from studio.run_views.image_run_view import ImageRunView
from studio.services import Studio
from studio.tabs.page_tab import PageTab
from studio.tabs.style_transfer.region_painter import blank, masks_of, region_painter
from studio.tabs.style_transfer.style_picker import StylePicker, blend_of, paths_in

DEFAULT_BACKBONE = next(iter(LAYERS))
TIMES = {"Quick · 15 s": 15.0, "Good · 1 min": 60.0, "Best · 5 min": 300.0, "By steps": 0.0}
COLORS = {
    "From the style image": "painting",
    "From the photo": "photo",
    "Matched to the photo": "matched",
}


def time_choice(seconds: float) -> str:
    """Return the choice nearest to a time in seconds; 0 means by steps."""
    if not seconds:
        return "By steps"
    return min((name for name in TIMES if TIMES[name]), key=lambda name: abs(TIMES[name] - seconds))


class StyleTab(PageTab):
    """The tab's controls and event handlers."""

    id = "style"
    title = "Style"
    card = message("Paint your photo in the style of a painting.")

    def __init__(self, studio: Studio):
        super().__init__(studio)
        folder = studio.outputs / "examples"
        self.example_photos = examples(folder)
        self.style_picker = StylePicker(studio, folder / "paintings", "style")

    def build(self) -> None:
        """Create and wire the controls, inside the page's Blocks."""
        first = self.example_photos[0]
        photo = self.studio.read(str(first))
        names = list(presets(DEFAULT_BACKBONE))
        self.settings = settings = Settings(presets(DEFAULT_BACKBONE)[names[0]], "style")
        self.view = ImageRunView(self.studio, "style")
        with gr.Row(elem_classes="workbench"):
            with gr.Column(elem_classes="inputs", min_width=300):
                with gr.Column(elem_classes="begin"):
                    self._build_images(first)
                    self.preset = gr.Radio(
                        names, value=names[0], label="Preset", elem_id="style-preset", elem_classes="chips"
                    )
                    self.time = settings.add(
                        "seconds",
                        gr.Radio(
                            list(TIMES),
                            value=time_choice(settings.initial.seconds),
                            label=settings.label("seconds"),
                            elem_id="style-seconds",
                            elem_classes="chips",
                        ),
                        show=time_choice,
                        read=lambda name: TIMES.get(name, 15.0),
                    )
                    self.view.build_buttons("Paint")
                settings.slider("balance", 0.0, 0.95, 0.01)
                settings.slider("style_scale", 0.25, 4.0, 0.05)
                settings.choice("color", COLORS)
                self.style_picker.weights()
                title = "Regions: assign style images"
                with gr.Accordion(title, open=False, elem_id="style-regions-fold", elem_classes="fold"):
                    gr.Markdown("Paint the area of the photo for each style image.", elem_classes="quiet")
                    self.regions = region_painter("style-regions", photo)
                self.start_fold = gr.Accordion(
                    "Starting image", open=False, elem_id="style-start-fold", elem_classes="fold"
                )
                with self.start_fold:
                    self.start_image = Photo(
                        label="Starting image (the run starts at full size)",
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
                self.sweep.build(self.view)
                self.batch = BatchPanel(self.studio, "content_image", "style")
                self.batch.build(self.view, "Paints every photo in turn with the settings above; regions are ignored.")
                self.saved_settings = SavedSettings(self.studio, settings, "style")
                self.saved_settings.build()
            with gr.Column(elem_classes="outputs", min_width=320, scale=3):
                invitation = message("Press Paint to turn the photo into a painting.")
                self.view.build_canvas(photo, invitation)
                self.view.build_footer("Move a slider during a run to change the result.", "Use as starting image")
        self.restored = gr.State(None)
        self._wire()

    def _build_images(self, first: Path) -> None:
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
            self.style_picker.drop_zone()
        example_row(self.example_photos, self.photo)
        self.style_picker.choices()

    def _build_more(self) -> None:
        settings = self.settings
        gr.Markdown("Size, number of scales and steps apply only when Time is “By steps”.", elem_classes="quiet")
        settings.slider("size", 0, 2400, 16)
        settings.slider("scales", 1, 6, 1)
        settings.slider("steps", 1, 500, 1)
        settings.slider("total_variation_weight", 0.0, 10.0, 0.1)
        with gr.Row(elem_classes="pair"):
            settings.number("style_weight")
            settings.number("content_weight")
        self.network = NetworkPicker(self.studio, tuple(LAYERS), "style")
        self.backbone = self.network.dropdown
        settings.add(
            "style_layers",
            gr.Textbox(
                format_weights(settings.initial.style_layers),
                label=settings.label("style_layers"),
                info=settings.hint("style_layers"),
                placeholder="network default",
                elem_id="style-layers",
            ),
            show=format_weights,
            read=lambda text: parse_weights(text or ""),
        )
        settings.add(
            "content_layer",
            gr.Textbox(
                settings.initial.content_layer,
                label=settings.label("content_layer"),
                info=settings.hint("content_layer"),
                placeholder="network default",
                elem_id="style-content-layer",
            ),
            read=lambda text: (text or "").strip(),
        )
        losses = {"Normalised per layer": "relative", "As in Chollet's book": "book"}
        settings.choice("losses", losses)
        settings.choice("pooling", {"Max": "max", "Average": "average"})
        starts = {"Photo": "content", "Sketch by the bundled network": "sketch", "Noise": "noise"}
        settings.choice("start", starts)
        settings.choice("optimizer", {"L-BFGS": "lbfgs", "Adam": "adam", "SGD": "sgd"})
        with gr.Row(elem_classes="pair"):
            settings.number("learning_rate")
            settings.number("seed")
        settings.number("tile_size")

    def _wire(self) -> None:
        view, settings, gallery, blend = self.view, self.settings, self.style_picker.gallery, self.style_picker.blend
        settings.derive("blend", [*blend, gallery], lambda *values: blend_of(values[:-1], len(paths_in(values[-1]))))
        moved = [*settings.components, *blend]
        options: dict[str, Any] = {"api_visibility": "private"}
        # Events that bypass Gradio's queue cannot show toasts, so only handlers without toasts do.
        unqueued = {**options, "queue": False}
        concurrent = {**options, "concurrency_limit": None}
        self._restore_outputs = [
            self.photo,
            gallery,
            self.backbone,
            self.preset,
            *moved,
            self.restored,
            self.start_image,
        ]
        self._restore_outputs += [self.regions, view.canvas, *self.sweep.components]
        self.photo.change(self.photo_changed, [self.photo, gallery, view.run_id], self._restore_outputs, **concurrent)
        self.start_image.change(self.start_changed, [self.start_image], [self.start_image], **concurrent)
        self.style_picker.wire(regions_for, [self.regions], [self.regions])
        inputs = [self.preset, self.backbone, view.run_id, *settings.inputs]
        self.preset.input(self.preset_chosen, inputs, settings.components, **concurrent)
        self.backbone.input(self.backbone_chosen, [self.backbone], [self.preset], **unqueued)
        self.network.wire()
        inputs = [self.photo, gallery, self.regions, self.start_image, self.backbone, self.restored, *settings.inputs]
        view.start_on(view.start_button.click, self.start, inputs)
        view.start_on(self.sweep.go.click, self.start_sweep, [*self.sweep.components, *inputs])
        shared = [self.batch.files, gallery, self.backbone, *settings.inputs]
        view.start_on(self.batch.go.click, self.start_batch, shared)
        self.sweep.wire()
        view.reuse_button.click(
            view.image_as_input, [view.run_id, view.snapshot_step], [self.start_image], **concurrent
        ).then(lambda: gr.update(open=True), None, [self.start_fold], **unqueued)
        view.wire()
        self.saved_settings.wire(view.start_button)
        view.steered_by(moved, settings, self.backbone)

    def on_visit(self, page: gr.Blocks, tab: gr.Tab) -> None:
        """Resume the run, load saved settings and show the example paintings when a page opens."""
        self.view.on_page_load(page)
        self.saved_settings.on_visit(tab)
        self.style_picker.on_page_load(page)

    # Images

    def handoffs(self) -> list[Handoff]:
        """Handoffs: restore a style transfer; use an image as the photo or as the style image."""
        gallery = self.style_picker.gallery
        photo = [gallery, self.view.run_id], self._restore_outputs
        return [
            Handoff(
                self.id, self._restore, [], self._restore_outputs, engines=("style_transfer", "style_transfer_sweep")
            ),
            Handoff(self.id, self.use_as_photo, *photo, title="Paint this image", kinds=("picture",)),
            Handoff(
                self.id, lambda path: {gallery: [path]}, [], [gallery], title="Use as style image", kinds=("picture",)
            ),
        ]

    def use_as_photo(self, path: str, gallery: Any, run_id: str) -> dict[Any, Any]:
        """Use an image from another tab as the photo."""
        return {self.photo: path} | self.photo_changed(path, gallery, run_id)

    def photo_changed(self, path: str | None, gallery: Any, run_id: str) -> dict[Any, Any]:
        """Show a dropped photo, and restore its recipe if it has one."""
        image, update = drop_photo(self.studio, path, self.photo, self.restored, self.view, run_id, self._restore)
        return update if image is None else {self.regions: blank(image, len(gallery or []))} | update

    def _restore(self, recipe: Recipe) -> dict[Any, Any]:
        """Show a recipe in the controls, with its images if they are still in the gallery.

        Raises:
            ValueError: a recipe of another tab, or with settings that this version rejects.
        """
        elsewhere = message(
            "This image was made on another tab; you can use it as the photo, but its settings apply only there."
        )
        job = job_for_tab(recipe, "style_transfer", self.network.names, elsewhere, workshop=self.studio.workshop)
        found = {name: self.studio.gallery.find_input(hash_) for name, hash_ in recipe.inputs.items()}
        swept = job.config if isinstance(job.config, StyleSweepConfig) else None
        config = job.config if swept is None else StyleConfig(**swept.settings)
        update = self.settings.updates_for(config) | {self.backbone: job.backbone, self.restored: recipe.to_json()}
        update |= {} if swept is None else self.sweep.updates_for(swept)
        update[self.preset] = gr.update(choices=list(presets(job.backbone)), value=None)
        for i, slider in enumerate(self.style_picker.blend):
            weight = config.blend[i] if i < len(config.blend) else 1.0
            update[slider] = gr.update(value=weight, maximum=max(1.0, weight))
        styles = [found.get(f"style_images_{i}") for i in range(1, MAX_STYLES + 1)]
        update[self.style_picker.gallery] = [str(path) for path in styles if path]
        update[self.start_image] = str(found["start_image"]) if found.get("start_image") else None
        missing = [name for name, path in found.items() if path is None]
        masked = any(name.startswith("masks") for name in recipe.inputs)
        if found.get("content_image"):
            update[self.photo] = str(found["content_image"])
        if missing:
            inform(message("Settings restored. Some original images are missing; add them to repeat the result."))
        elif masked:
            inform(message("Settings and images restored, but not regions. Paint them again to repeat the result."))
        else:
            inform(message("Settings, photo and style images restored."))
        return update

    def start_changed(self, path: str | None):
        """Check a dropped start image."""
        return check_upload(self.studio, path, self.start_image)

    # Settings and runs

    def preset_chosen(self, name: str, backbone: str, run_id: str, *values: Any):
        """Apply a preset to the controls, and to the current run."""
        config = presets(backbone).get(name)
        if config is None:
            return [gr.skip()] * len(self.settings.components)
        count = len(self.settings.components)
        current = self.settings.by_name(values[:count])
        # Presets change the look only, not size, time or seed, except for the book's own.
        book = "book" in (config.losses, current["losses"])
        kept = ("seed",) if book else ("seed", "seconds", "size", "scales", "steps")
        shown = self.settings.by_name(self.settings.values(config)) | {field: current[field] for field in kept}
        self.view.steer(run_id, backbone, self.settings, [*shown.values(), *values[count:]])
        return self.settings.updates(list(shown.values()))

    def backbone_chosen(self, backbone: str):
        """Return the presets of a network."""
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
        """Start a style transfer and watch it until it ends."""

        def job() -> Job:
            return replay_if_same(self._job(photo, gallery, regions, start_image, backbone, values), restored)

        async for update in self.view.start(job):
            yield update

    async def start_sweep(
        self, columns: str, column_values: str, rows: str, row_values: str, photo: str | None, *others: Any
    ) -> AsyncIterator[dict[Any, Any]]:
        """Start a sweep and watch it until it ends."""
        gallery, regions, start_image, backbone, restored, *values = others

        def job() -> Job:
            one = self._job(photo, gallery, regions, start_image, backbone, values)
            return replay_if_same(self.sweep.job(one, columns, column_values, rows, row_values), restored)

        async for update in self.view.start(job):
            yield update

    async def start_batch(
        self, files: list[str] | None, gallery: Any, backbone: str, *values: Any
    ) -> AsyncIterator[dict[Any, Any]]:
        """Start a batch and watch it until it ends."""
        async for update in self.view.start(lambda: self.batch.job(self._shared(gallery, backbone, values), files)):
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
        """Create the job of a single style transfer.

        Raises:
            ValueError: missing images, or invalid settings; the message is for the user.
        """
        if not photo:
            raise ImageError(message("Choose a photo first: drop one or click an example."))
        job = self._shared(gallery, backbone, values)
        image = self.studio.load(photo)
        own = {"content_image": image.pixels}
        if start_image:
            own["start_image"] = self.studio.read(start_image)
        masks = masks_of(regions, len(job.inputs))
        own |= {f"masks_{i}": mask for i, mask in enumerate(masks, 1) if mask is not None}
        return dataclasses.replace(job, inputs=own | dict(job.inputs), details=image.details)

    def _shared(self, gallery: Any, backbone: str, values: Sequence[Any]) -> Job:
        """Create the job without photo, start image and regions, which a batch cannot share; raises as `_job`."""
        styles = paths_in(gallery)
        if not styles:
            raise ImageError(message("Choose a style image first: drop one, or click an example."))
        if len(styles) > MAX_STYLES:
            raise ImageError(
                message("There are {count} style images; use at most {most}.", count=len(styles), most=MAX_STYLES)
            )
        inputs = {f"style_images_{i}": self.studio.read(path) for i, path in enumerate(styles, 1)}
        require_weights(self.studio, backbone)
        return Job(engine="style_transfer", config=self.settings.config(values), inputs=inputs, backbone=backbone)


def regions_for(gallery: Any, painted: Any):
    """Return the region painter's value for the current number of style images."""
    value = painted if isinstance(painted, dict) else {}
    count = max(1, min(len(paths_in(gallery)), MAX_STYLES))
    return [gr.skip() if value.get("count") == count else {**value, "count": count}]
