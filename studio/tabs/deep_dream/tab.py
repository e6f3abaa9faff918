"""DeepDream tab."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence
from typing import Any

import gradio as gr

from engines.core.messages import message
from engines.core.options import format_weights, parse_weights
from engines.deep_dream import PRESETS, DreamConfig, presets
from engines.imaging.images import ImageError
from engines.jobs import Job, replay_if_same
from engines.jobs.sweep import DreamSweepConfig
from engines.recipes import Recipe
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

DEFAULT_BACKBONE = next(iter(PRESETS))
BOOK = "Chollet's book"


class DreamTab(PageTab):
    """The tab's controls and event handlers."""

    id = "dream"
    title = "Dream"
    card = message("Amplify what a network sees in your photo.")

    def __init__(self, studio: Studio):
        super().__init__(studio)
        self.example_images = examples(studio.outputs / "examples")

    def build(self) -> None:
        """Create and wire the controls, inside the page's Blocks."""
        first = self.example_images[0]
        names = list(presets(DEFAULT_BACKBONE))
        self.settings = settings = Settings(presets(DEFAULT_BACKBONE)[names[0]], "dream")
        self.view = ImageRunView(self.studio, "dream")
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
                    example_row(self.example_images, self.photo)
                    self.preset = gr.Radio(
                        names, value=names[0], label="Preset", elem_id="dream-preset", elem_classes="chips"
                    )
                    self.view.build_buttons("Dream")
                settings.slider("step_size", 0.0, 0.1, 0.001)
                settings.slider("octaves", 1, 8, 1)
                settings.slider("steps", 1, 100, 1)
                settings.slider("size", 0, 2048, 16)
                with gr.Accordion(
                    "More: network, layers, guide, jitter", open=False, elem_id="dream-more", elem_classes="fold"
                ):
                    self._build_more()
                with gr.Accordion("Zoom video", open=False, elem_id="dream-video", elem_classes="fold"):
                    settings.slider("pictures", 1, 120, 1)
                    settings.slider("zoom", 0.9, 1.3, 0.01)
                    settings.slider("turn", -15, 15, 0.5)
                self.sweep = SweepPanel(settings, DreamSweepConfig, "dream")
                self.sweep.build(self.view)
                self.batch = BatchPanel(self.studio, "image", "dream")
                self.batch.build(self.view, "Runs DeepDream on every photo in turn with the settings above.")
                self.saved_settings = SavedSettings(self.studio, settings, "dream")
                self.saved_settings.build()
            with gr.Column(elem_classes="outputs", min_width=320, scale=3):
                invitation = message("Press Dream to see what the network sees in your photo.")
                self.view.build_canvas(self.studio.read(str(first)), invitation)
                self.view.build_footer("Move a slider during a run to change the result.", "Use as photo")
        self.restored = gr.State(None)
        self._wire()

    def _build_more(self) -> None:
        settings = self.settings
        self.network = NetworkPicker(self.studio, tuple(PRESETS), "dream")
        self.backbone = self.network.dropdown
        self.layers = settings.add(
            "layer_weights",
            gr.Textbox(
                format_weights(settings.initial.layer_weights),
                label=settings.label("layer_weights"),
                info="Layers to amplify, as name=weight, …",
                elem_id="dream-layers",
            ),
            show=format_weights,
            read=lambda text: parse_weights(text or ""),
        )
        self.guide = Photo(
            label="Guide image: what to look for",
            sources=["upload", "clipboard"],
            height=140,
            elem_id="dream-guide",
            elem_classes="drop",
        )
        settings.slider("octave_scale", 1.1, 2.0, 0.05)
        settings.slider("jitter", 0, 64, 1)
        units = {"Mean absolute gradient": "mean_absolute", "L2 norm, as in Chollet's book": "l2"}
        settings.choice("normalization", units)
        with gr.Row(elem_classes="pair"):
            # A textbox, as gr.Number returns 0 when emptied, which is a valid channel.
            settings.add(
                "channel",
                gr.Textbox(
                    "",
                    label=settings.label("channel"),
                    info=settings.hint("channel"),
                    placeholder="all",
                    elem_id="dream-channel",
                    min_width=120,
                ),
                show=lambda channel: "" if channel is None else str(channel),
                read=lambda text: parse_channel(text or ""),
            )
            settings.number("seed")
        with gr.Row(elem_classes="pair"):
            settings.number("max_loss")
            settings.number("tile_size")

    def _wire(self) -> None:
        view, controls = self.view, self.settings.components
        options: dict[str, Any] = {"api_visibility": "private"}
        # Events that bypass Gradio's queue cannot show toasts, so only handlers without toasts do.
        unqueued = {**options, "queue": False}
        concurrent = {**options, "concurrency_limit": None}
        self._restore_outputs = [
            self.photo,
            self.backbone,
            self.preset,
            *controls,
            self.restored,
            self.guide,
            view.canvas,
        ]
        self._restore_outputs += self.sweep.components
        self.photo.change(self.photo_changed, [self.photo, view.run_id], self._restore_outputs, **concurrent)
        self.guide.change(self.guide_changed, [self.guide], [self.guide], **concurrent)
        self.preset.input(
            self.preset_chosen, [self.preset, self.backbone, view.run_id, *controls], controls, **concurrent
        )
        # `input` fires only for the user's choice; a restored recipe keeps its own settings.
        self.backbone.input(self.backbone_chosen, [self.backbone], [self.preset, self.layers], **unqueued)
        self.network.wire()
        inputs = [self.photo, self.guide, self.backbone, self.restored, *controls]
        view.start_on(view.start_button.click, self.start, inputs)
        view.start_on(self.sweep.go.click, self.start_sweep, [*self.sweep.components, *inputs])
        shared = [self.batch.files, self.guide, self.backbone, *controls]
        view.start_on(self.batch.go.click, self.start_batch, shared)
        self.sweep.wire()
        view.reuse_button.click(view.image_as_input, [view.run_id, view.snapshot_step], [self.photo], **concurrent)
        view.wire()
        self.saved_settings.wire(view.start_button)
        view.steered_by(controls, self.settings, self.backbone)

    def on_visit(self, page: gr.Blocks, tab: gr.Tab) -> None:
        """Resume the run and load saved settings when a page opens."""
        self.view.on_page_load(page)
        self.saved_settings.on_visit(tab)

    def handoffs(self) -> list[Handoff]:
        """Handoffs: restore a dream; use an image as the photo or as the guide image."""
        photo = [self.view.run_id], self._restore_outputs
        return [
            Handoff(self.id, self._restore, [], self._restore_outputs, engines=("deep_dream", "deep_dream_sweep")),
            Handoff(self.id, self.use_as_photo, *photo, title="Apply DeepDream", kinds=("picture",)),
            Handoff(
                self.id,
                lambda path: {self.guide: path},
                [],
                [self.guide],
                title="Use as guide image",
                kinds=("picture",),
            ),
        ]

    def use_as_photo(self, path: str, run_id: str) -> dict[Any, Any]:
        """Use an image from another tab as the photo."""
        return {self.photo: path} | self.photo_changed(path, run_id)

    def photo_changed(self, path: str | None, run_id: str) -> dict[Any, Any]:
        """Show a dropped photo, and restore its recipe if it has one."""
        return drop_photo(self.studio, path, self.photo, self.restored, self.view, run_id, self._restore)[1]

    def _restore(self, recipe: Recipe) -> dict[Any, Any]:
        """Show a recipe in the controls, with its images if they are still in the gallery.

        Raises:
            ValueError: a recipe of another tab, or with settings that this version rejects.
        """
        elsewhere = message(
            "This image was made on another tab; you can use it as the photo, but its settings apply only there."
        )
        job = job_for_tab(recipe, "deep_dream", self.network.names, elsewhere, workshop=self.studio.workshop)
        found = {name: self.studio.gallery.find_input(hash_) for name, hash_ in recipe.inputs.items()}
        swept = job.config if isinstance(job.config, DreamSweepConfig) else None
        config = job.config if swept is None else DreamConfig(**swept.settings)
        update = self.settings.updates_for(config) | {self.backbone: job.backbone, self.restored: recipe.to_json()}
        update |= {} if swept is None else self.sweep.updates_for(swept)
        update[self.preset] = gr.update(choices=list(presets(job.backbone)), value=None)
        update[self.guide] = str(found["guide"]) if found.get("guide") else None
        if found.get("image"):
            inform(message("Settings and original photo restored."))
            update[self.photo] = str(found["image"])
        else:
            inform(message("Settings restored. The original photo is missing; add it to repeat the result."))
        return update

    def guide_changed(self, path: str | None):
        """Check a dropped guide image."""
        return check_upload(self.studio, path, self.guide)

    def preset_chosen(self, name: str, backbone: str, run_id: str, *values: Any):
        """Apply a preset to the controls, and to the current run."""
        config = presets(backbone).get(name)
        if config is None:
            return [gr.skip()] * len(values)
        current = self.settings.by_name(values)
        # Presets change the look only, not the size, the seed or the length of a video.
        kept = {field: current[field] for field in ("size", "seed", "pictures")}
        if name == BOOK:
            kept.pop("size")
        shown = self.settings.by_name(self.settings.values(config)) | kept
        self.view.steer(run_id, backbone, self.settings, list(shown.values()))
        return self.settings.updates(list(shown.values()))

    def backbone_chosen(self, backbone: str):
        """Return the presets of a network, and the layers of its first preset."""
        names = list(presets(backbone))
        return [
            gr.update(choices=names, value=None),
            format_weights(next(iter(presets(backbone).values())).layer_weights),
        ]

    async def start(
        self, photo: str | None, guide: str | None, backbone: str, restored: str | None, *values: Any
    ) -> AsyncIterator[dict[Any, Any]]:
        """Start a dream and watch it until it ends."""
        async for update in self.view.start(
            lambda: replay_if_same(self._job(photo, guide, backbone, values), restored)
        ):
            yield update

    async def start_sweep(
        self, columns: str, column_values: str, rows: str, row_values: str, photo: str | None, *others: Any
    ) -> AsyncIterator[dict[Any, Any]]:
        """Start a sweep and watch it until it ends."""
        guide, backbone, restored, *values = others

        def job() -> Job:
            one = self._job(photo, guide, backbone, values)
            return replay_if_same(self.sweep.job(one, columns, column_values, rows, row_values), restored)

        async for update in self.view.start(job):
            yield update

    async def start_batch(
        self, files: list[str] | None, guide: str | None, backbone: str, *values: Any
    ) -> AsyncIterator[dict[Any, Any]]:
        """Start a batch and watch it until it ends."""
        async for update in self.view.start(lambda: self.batch.job(self._shared(guide, backbone, values), files)):
            yield update

    def _job(self, photo: str | None, guide: str | None, backbone: str, values: Sequence[Any]) -> Job:
        """Create the job of a single dream.

        Raises:
            ValueError: no photo, or invalid settings; the message is for the user.
        """
        if not photo:
            raise ImageError(message("Choose a photo first: drop one or click an example."))
        image = self.studio.load(photo)
        job = self._shared(guide, backbone, values)
        return dataclasses.replace(job, inputs={"image": image.pixels, **job.inputs}, details=image.details)

    def _shared(self, guide: str | None, backbone: str, values: Sequence[Any]) -> Job:
        """Create the job without a photo, which a batch adds; raises as `_job`."""
        inputs = {}
        if guide:
            inputs["guide"] = self.studio.read(guide)
        require_weights(self.studio, backbone)
        config: DreamConfig = self.settings.config(values)
        return Job(engine="deep_dream", config=config, inputs=inputs, backbone=backbone)


def parse_channel(text: str) -> int | None:
    """Parse a channel number; empty text and "all" give None.

    Raises:
        ValueError: not a whole number.
    """
    text = text.strip().lower()
    if text in ("", "all"):
        return None
    if not text.isdecimal():
        raise ValueError(
            message("Channel must be a whole number, not {given!r}; leave it empty for all channels.", given=text[:20])
        )
    return int(text)
