"""The DeepDream tab."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from engines.deep_dream import DreamConfig, presets
from engines.jobs import Job, job_from_recipe
from engines.options import format_weights, parse_weights
from engines.parts.pictures import PictureError, check_picture, digest, read_picture
from engines.parts.weights import OFFICIAL_FILES, WeightsError
from engines.recipes import Recipe, RecipeError, from_json, read_recipe
from studio.canvas import at_rest, live_canvas
from studio.examples import examples
from studio.notices import inform, warn
from studio.photo import Photo, example_row
from studio.runs import Run
from studio.streaming import Watcher
from studio.studio import Studio

DEFAULT_BACKBONE = "studio_vgg"
FIELDS = {field.name: field for field in dataclasses.fields(DreamConfig)}
FIRST = next(iter(presets(DEFAULT_BACKBONE).values()))


def _slider(name: str, label: str, low: float, high: float, step: float) -> gr.Slider:
    """A slider for a config field; its hint is the field's own."""
    value = getattr(FIRST, name)
    return gr.Slider(low, high, value=value, step=step, label=label, info=FIELDS[name].metadata["help"])


def _number(name: str, label: str) -> gr.Number:
    """A box for a config field that is a number; its hint is the field's own."""
    return gr.Number(
        getattr(FIRST, name), label=label, info=FIELDS[name].metadata["help"], elem_id=f"dream-{name}", min_width=120
    )


def backbone_choices(studio: Studio) -> list[tuple[str, str]]:
    """Every backbone with where its weights are, as a dropdown shows them."""
    from engines.parts.backbones import ARCHITECTURES

    choices = []
    for name, architecture in ARCHITECTURES.items():
        located = studio.workshop.store.find(name)
        if located is None:
            where = f"download {OFFICIAL_FILES[name].megabytes} MB" if name in OFFICIAL_FILES else "missing"
        else:
            size = located.path.stat().st_size / 1e6
            where = {"bundled": "bundled", "folder": "your file", "cache": "downloaded"}[located.source]
            where = f"{where}, {size:.0f} MB"
        choices.append((f"{architecture.title} · {where}", name))
    return choices


class DreamTab:
    """The controls of the tab and what they do."""

    def __init__(self, studio: Studio):
        self.studio = studio
        self.example_pictures = examples(studio.gallery.folder / "examples")

    def build(self) -> None:
        """Lay the tab out and wire it, inside the page's Blocks."""
        names = list(presets(DEFAULT_BACKBONE))
        with gr.Row(elem_classes="workbench"):
            with gr.Column(elem_classes="inputs", min_width=300):
                with gr.Column(elem_classes="begin"):
                    self.photo = Photo(
                        value=str(self.example_pictures[0]),
                        label="Photo",
                        show_label=False,
                        sources=["upload", "clipboard", "webcam"],
                        elem_id="dream-photo",
                        height=220,
                    )
                    example_row(self.example_pictures, self.photo)
                    self.preset = gr.Radio(
                        names, value=names[0], label="Preset", elem_id="dream-preset", elem_classes="chips"
                    )
                    with gr.Row(elem_classes="actions"):
                        # Alive once the page knows whether it has a run already.
                        self.go = gr.Button("Dream", variant="primary", elem_id="dream-go", interactive=False)
                        self.halt = gr.Button("Stop", elem_id="dream-stop", interactive=False, min_width=80)
                self.step_size = _slider("step_size", "Strength", 0.0, 0.1, 0.001)
                self.octaves = _slider("octaves", "Octaves", 1, 8, 1)
                self.steps = _slider("steps", "Steps per octave", 1, 100, 1)
                self.size = _slider("size", "Size", 0, 2048, 16)
                with gr.Accordion("More: network, layers, guide, jitter", open=False, elem_id="dream-more"):
                    self._build_more()
                with gr.Accordion("Zoom film", open=False, elem_id="dream-film"):
                    self.pictures = _slider("pictures", "Length", 1, 120, 1)
                    self.zoom = _slider("zoom", "Zoom", 0.9, 1.3, 0.01)
                    self.turn = _slider("turn", "Turn", -15, 15, 0.5)
            with gr.Column(elem_classes="outputs", min_width=320, scale=3):
                self.canvas = live_canvas("dream-canvas", self.studio.read(str(self.example_pictures[0])))
                with gr.Row(elem_classes="under"):
                    gr.Markdown("Move a slider while it runs: the dream follows.", elem_classes="quiet")
                    self.again = gr.Button("Dream on from this", size="sm", interactive=False, elem_id="dream-again")
                    self.save = gr.DownloadButton("Save", size="sm", interactive=False, elem_id="dream-save")
        self.run_id = gr.State("")
        self.restored = gr.State(None)
        # The browser keeps the run's secret, so that a reloaded page finds its run again and nobody else does.
        self.remembered = gr.BrowserState("", storage_key="reverie-dream-run", secret="reverie-dream-run")
        self._wire()

    def _build_more(self) -> None:
        self.backbone = gr.Dropdown(
            backbone_choices(self.studio),
            value=DEFAULT_BACKBONE,
            label="Network",
            info="Whose eyes the picture is seen through.",
            elem_id="dream-backbone",
        )
        self.fetch = gr.Button("Download its weights", size="sm", visible=False, elem_id="dream-fetch")
        self.fetched = gr.Markdown("", elem_id="dream-fetched", visible=False)
        self.layers = gr.Textbox(
            format_weights(FIRST.layer_weights),
            label="Layers",
            info="Which layers to amplify, as name=weight, …",
            elem_id="dream-layers",
        )
        self.guide = Photo(
            label="Guide picture: what the dream should look for",
            sources=["upload", "clipboard"],
            height=140,
            elem_id="dream-guide",
        )
        self.octave_scale = _slider("octave_scale", "Octave scale", 1.1, 2.0, 0.05)
        self.jitter = _slider("jitter", "Jitter", 0, 64, 1)
        self.normalization = gr.Dropdown(
            [("mean absolute gradient", "mean_absolute"), ("L2 norm, as in the book", "l2")],
            value="mean_absolute",
            label="Unit of the step",
            info=FIELDS["normalization"].metadata["help"],
        )
        with gr.Row(elem_classes="pair"):
            # Text, as an empty number box reads as 0, and channel 0 is a channel.
            self.channel = gr.Textbox(
                "",
                label="Channel",
                info=FIELDS["channel"].metadata["help"],
                placeholder="all",
                elem_id="dream-channel",
                min_width=120,
            )
            self.seed = _number("seed", "Seed")
        with gr.Row(elem_classes="pair"):
            self.max_loss = _number("max_loss", "Max loss")
            self.tile_size = _number("tile_size", "Tile size")

    @property
    def settings(self) -> dict[str, Any]:
        """The control of each config field."""
        return {
            "size": self.size,
            "octaves": self.octaves,
            "octave_scale": self.octave_scale,
            "steps": self.steps,
            "step_size": self.step_size,
            "normalization": self.normalization,
            "jitter": self.jitter,
            "max_loss": self.max_loss,
            "layer_weights": self.layers,
            "channel": self.channel,
            "tile_size": self.tile_size,
            "pictures": self.pictures,
            "zoom": self.zoom,
            "turn": self.turn,
            "seed": self.seed,
        }

    def _wire(self) -> None:
        controls = list(self.settings.values())
        seen = {"show_progress": "hidden", "api_visibility": "private"}
        # Events that bypass Gradio's queue cannot show a toast, so only those that never need one do.
        now = {**seen, "queue": False}
        quick = {**seen, "concurrency_limit": None}
        buttons = [self.go, self.halt, self.save, self.again]
        watched = [self.canvas, self.run_id, self.remembered, *buttons]
        restorable = [self.photo, self.backbone, self.preset, *controls, self.restored, self.guide, self.canvas]
        self.photo.change(self.photo_changed, [self.photo, self.run_id], restorable, **quick)
        self.guide.change(self.guide_changed, [self.guide], [self.guide], **quick)
        self.preset.input(self.preset_chosen, [self.preset, self.backbone, self.run_id, *controls], controls, **quick)
        # A person's choice brings the network's own presets; a recipe's comes with its own settings.
        self.backbone.input(self.backbone_chosen, [self.backbone], [self.preset, self.layers], **now)
        self.backbone.change(self.offer_download, [self.backbone], [self.fetch, self.fetched], **now)
        self.fetch.click(self.download, [self.backbone], [self.fetch, self.fetched, self.backbone], **seen)
        inputs = [self.photo, self.guide, self.backbone, self.restored, *controls]
        self.go.click(self.start, inputs, watched, concurrency_limit=None, **seen)
        self.halt.click(self.stop, [self.run_id], None, **now)
        self.again.click(self.dream_on, [self.run_id], [self.photo], **now)
        gr.on(
            [control.input for control in controls],
            self.steer,
            [self.run_id, self.backbone, *controls],
            None,
            trigger_mode="always_last",
            **quick,
        )

    def on_page_load(self, page: gr.Blocks) -> None:
        """What a fresh page does: find its run again."""
        buttons = [self.go, self.halt, self.save, self.again]
        page.load(
            self.resume,
            [self.remembered],
            [self.canvas, self.run_id, self.remembered, *buttons],
            concurrency_limit=None,
            show_progress="hidden",
            api_visibility="private",
        )

    # What the events do

    def _values(self, config: DreamConfig) -> list[Any]:
        """What each control says for a config."""
        values = dataclasses.asdict(config)
        values["layer_weights"] = format_weights(config.layer_weights)
        values["channel"] = "" if config.channel is None else str(config.channel)
        return [values[name] for name in self.settings]

    def _shown(self, values: Sequence[Any]) -> list[Any]:
        """Updates that put values into the controls; a slider that does not reach far enough is made to."""
        updates = []
        for control, value in zip(self.settings.values(), values, strict=True):
            if isinstance(control, gr.Slider):
                updates.append(
                    gr.update(value=value, minimum=min(control.minimum, value), maximum=max(control.maximum, value))
                )
            else:
                updates.append(value)
        return updates

    def _config(self, values: tuple[Any, ...]) -> DreamConfig:
        named = dict(zip(self.settings, values, strict=True))
        named["layer_weights"] = parse_weights(named["layer_weights"] or "")
        named["channel"] = parse_channel(named["channel"] or "")
        for name, value in named.items():
            kind = FIELDS[name].type
            if value is None and name != "channel":
                named[name] = FIELDS[name].default
            elif kind in ("int", "int | None") and isinstance(value, float) and value.is_integer():
                named[name] = int(value)
        return DreamConfig(**named)

    def photo_changed(self, path: str | None, run_id: str) -> dict[Any, Any]:
        """Check a dropped picture at once and show it; a result of ours brings back the settings that made it."""
        if not path:
            return {self.restored: None}
        try:
            image = self.studio.read(path)
            check_picture(image)
        except PictureError as error:
            warn(error)
            return {self.photo: None, self.restored: None}
        run = self.studio.runs.get(run_id)
        shown = {} if run and not run.over else {self.canvas: at_rest(image)}
        try:
            recipe = read_recipe(Path(path))
            return shown if recipe is None else shown | self._restore(recipe)
        except ValueError as error:
            warn(error)
            return shown | {self.restored: None}

    def _restore(self, recipe: Recipe) -> dict[Any, Any]:
        """Put a recipe into the controls, and the photo that it was made from where it is still here.

        Raises:
            ValueError: a recipe of another tab, or one that this version cannot follow.
        """
        if recipe.engine != "deep_dream":
            raise RecipeError("This picture was made on another tab; it can be dreamt on, its settings stay there.")
        job = job_from_recipe(recipe, {})
        if job.backbone not in {name for _, name in backbone_choices(self.studio)}:
            raise RecipeError(f"This recipe names a network that is not here: {job.backbone[:40]!r}.")
        found = {name: self.studio.gallery.find_input(hash_) for name, hash_ in recipe.inputs.items()}
        update: dict[Any, Any] = dict(zip(self.settings.values(), self._shown(self._values(job.config)), strict=True))
        update |= {self.backbone: job.backbone, self.restored: recipe.to_json()}
        update[self.preset] = gr.update(choices=list(presets(job.backbone)), value=None)
        update[self.guide] = str(found["guide"]) if found.get("guide") else None
        if found.get("image"):
            inform("Settings restored, with the photo that this was made from.")
            update[self.photo] = str(found["image"])
        else:
            inform("Settings restored. The photo that this was made from is not here: drop it to repeat the dream.")
        return update

    def guide_changed(self, path: str | None):
        """Check a guide at once."""
        try:
            if path:
                check_picture(self.studio.read(path))
        except PictureError as error:
            warn(error)
            return None
        return gr.skip()

    def preset_chosen(self, name: str, backbone: str, run_id: str, *values: Any):
        """Put a preset's settings into the controls, and into the run if one is going."""
        config = presets(backbone).get(name)
        if config is None:
            return [gr.skip()] * len(self.settings)
        current = dict(zip(self.settings, values, strict=True))
        # A preset is about how it looks; size, seed and film are the visitor's own.
        kept = {"size": current["size"], "seed": current["seed"], "pictures": current["pictures"]}
        if name == "As in the book":
            kept.pop("size")
        shown = dict(zip(self.settings, self._values(config), strict=True)) | kept
        self.steer(run_id, backbone, *shown.values())
        return self._shown(list(shown.values()))

    def backbone_chosen(self, backbone: str):
        """Offer the backbone's presets, and the layers of the first."""
        names = list(presets(backbone))
        return [
            gr.update(choices=names, value=None),
            format_weights(next(iter(presets(backbone).values())).layer_weights),
        ]

    def offer_download(self, backbone: str):
        """Show the download button where the backbone's weights are not here."""
        missing = self.studio.workshop.store.find(backbone) is None
        megabytes = OFFICIAL_FILES[backbone].megabytes if backbone in OFFICIAL_FILES else 0
        label = f"Download its weights ({megabytes} MB)"
        return [
            gr.update(visible=missing, value=label, interactive=True),
            gr.update(value="", visible=False),
        ]

    def download(self, backbone: str):
        """Fetch a backbone's weights, showing how far it is."""
        yield gr.update(interactive=False), gr.update(value="Connecting …", visible=True), gr.skip()
        try:
            for done, total in self.studio.workshop.store.download(backbone):
                share = f"{100 * done / total:.0f} %" if total else ""
                yield gr.skip(), f"Downloading: {done / 1e6:.0f} MB {share}", gr.skip()
        except WeightsError as error:
            yield gr.update(interactive=True), str(error), gr.skip()
            return
        choices = gr.update(choices=backbone_choices(self.studio))
        yield gr.update(visible=False), "Downloaded and verified.", choices

    async def start(
        self, photo: str | None, guide: str | None, backbone: str, restored: str | None, *values: Any
    ) -> AsyncIterator[dict[Any, Any]]:
        """Start a dream and watch it to its end."""
        try:
            if not photo:
                raise PictureError("Choose a photo first: drop one, or click one of the examples.")
            inputs = {"image": self.studio.read(photo)}
            if guide:
                inputs["guide"] = self.studio.read(guide)
            for image in inputs.values():
                check_picture(image)
            if self.studio.workshop.store.find(backbone) is None:
                raise WeightsError("This network's weights are not here yet; download them under More, or use another.")
            job = Job(engine="deep_dream", config=self._config(values), inputs=inputs, backbone=backbone)
            run = self.studio.runs.start(repeated(job, restored))
        except ValueError as error:
            warn(error)
            yield {self.go: gr.skip()}
            return
        async for update in self._watch(run):
            yield update

    async def resume(self, run_id: str) -> AsyncIterator[dict[Any, Any]]:
        """Find a reloaded page's run again."""
        run = self.studio.runs.get(run_id)
        if run is None:
            yield {self.run_id: "", self.go: gr.update(interactive=True)}
            return
        async for update in self._watch(run):
            yield update

    async def _watch(self, run: Run) -> AsyncIterator[dict[Any, Any]]:
        yield {
            self.run_id: run.id,
            self.remembered: run.id,
            self.go: gr.update(interactive=False),
            self.halt: gr.update(interactive=True),
            self.save: gr.update(interactive=False),
            self.again: gr.update(interactive=False),
        }
        async for message in Watcher(run, self.studio.runs.render).messages():
            yield {self.canvas: gr.skip() if message is None else message}
        there = run.result is not None
        if run.error:
            warn(run.error)
        yield {
            self.go: gr.update(interactive=True),
            self.halt: gr.update(interactive=False),
            self.save: gr.update(value=str(run.result) if there else None, interactive=there),
            self.again: gr.update(interactive=there and run.result is not None and run.result.suffix == ".png"),
        }

    def stop(self, run_id: str) -> None:
        """Stop this page's run."""
        run = self.studio.runs.get(run_id)
        if run:
            run.stop()

    def steer(self, run_id: str, backbone: str, *values: Any) -> None:
        """Send changed settings to this page's run, if one is going on this backbone."""
        run = self.studio.runs.get(run_id)
        if run is None or run.over or run.job.backbone != backbone:
            return
        try:
            run.steer(self._config(values))
        except ValueError as error:
            warn(error)

    def dream_on(self, run_id: str):
        """Make the result the next photo, without its recipe: it is a photo now."""
        run = self.studio.runs.get(run_id)
        if run is None or run.result is None:
            return gr.skip()
        return str(self.studio.gallery.keep_input(read_picture(run.result)))


def parse_channel(text: str) -> int | None:
    """A channel's number; None, which means all, for nothing or "all"."""
    text = text.strip().lower()
    if text in ("", "all"):
        return None
    if not text.isdecimal():
        raise ValueError(f"Channel must be a whole number, or empty for all channels, not {text[:20]!r}.")
    return int(text)


def repeated(job: Job, recipe_text: str | None) -> Job:
    """The job, with what was changed while it ran and where it was stopped, if it is just what a restored recipe says.

    A restored recipe repeats to the same pixels this way, even if its run was steered; as soon as a control, the
    photo or the backbone is another, it is a new job.
    """
    if not recipe_text:
        return job
    recipe = from_json(recipe_text)
    again = job_from_recipe(recipe, job.inputs)
    same_inputs = {name: digest(image) for name, image in job.inputs.items()} == dict(recipe.inputs)
    same = again.config == job.config and again.backbone == job.backbone and same_inputs
    return again if same else job
