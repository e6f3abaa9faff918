"""Latent tab."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from engines.core.files import written_atomically
from engines.core.messages import message
from engines.imaging.images import PictureError
from engines.jobs import Job
from engines.latent import geometry as latent
from engines.latent.walk_frames import enlarged
from engines.recipes import Recipe, RecipeError, read_recipe
from engines.vae import WalkConfig, resolve
from engines.vae.config import VAETrainingConfig
from engines.vae.digit_preprocessing import as_digit
from engines.vae.figure import latent_figure
from engines.vae.model import VAE
from studio.components.config_form import Settings
from studio.components.image_input import Photo
from studio.components.toasts import answered, inform, warn
from studio.i18n.catalog import translate
from studio.panels.handoff import Handoff
from studio.panels.recipe_restore import job_for_tab
from studio.panels.saved_settings import OwnSettings
from studio.panels.training_panel import Kind, Training
from studio.run_views.image_run_view import PictureStage
from studio.services import Studio
from studio.tabs.latent_space.face_editor import FaceEditor
from studio.tabs.latent_space.latent_map import at, explorer, overlay, plane
from studio.tabs.latent_space.map_form import SPACINGS, VEILS, MapSettings
from studio.tabs.latent_space.sketchpad import drawn, sketch
from studio.trained_models import Trained
from studio.wire_format import data_uri

NETWORKS = {"Ours": "digits", "As in the book": "digits_notes"}
SAMPLES = 8


def _choose_networks(settings: Settings) -> None:
    titles = {"Digits": "digits", "Digits, as in the book": "digits_notes", "Colour pictures, 64 x 64": "faces"}
    settings.choice("model", "Networks", titles)


def _adjust_training(settings: Settings) -> None:
    settings.slider("epochs", "Epochs", 1, 100, 1)
    settings.slider("batch_size", "Batch size", 16, 512, 16)
    settings.slider("kl_weight", "Weight of the divergence (beta)", 0.0, 4.0, 0.05)
    with gr.Accordion("More", open=False, elem_id="train-more", elem_classes="fold"):
        settings.number("learning_rate", "Learning rate")
        settings.slider("kl_warmup", "Its warm-up", 0.0, 1.0, 0.05)
        settings.slider("perceptual_weight", "Perceptual weight (colours)", 0.0, 1.0, 0.01)
        settings.slider("interval", "Steps between pictures", 10, 2000, 10)
        settings.number("seed", "Seed")


TRAINING = Kind(
    engine="vae_training",
    first=VAETrainingConfig(epochs=5, interval=60),
    data=message("mnist.npz, or a zip of pictures"),
    suffixes=(".npz", ".zip"),
    choose=_choose_networks,
    adjust=_adjust_training,
    invitation=message("Held-out pictures, what becomes of them, and samples appear here."),
    used="A finished network can take its place on the map.",
)


class LatentTab:
    """The controls of the tab and what they do."""

    def __init__(self, studio: Studio):
        self.studio = studio
        self._trained = Trained(studio, "vae")

    def build(self) -> None:
        """Lay the tab out and wire it, inside the page's Blocks."""
        self.stage = PictureStage(self.studio, "latent")
        self.faces = FaceEditor(self.studio)
        self.training = Training(self.studio, TRAINING, "train")
        self.settings = MapSettings()
        self.own = OwnSettings(self.studio, self.settings, "latent")
        with gr.Tabs() as self.parts:
            with gr.Tab("Digits", id="digits"):
                self._build_digits()
            with gr.Tab("Portraits", id="portraits") as faces:
                self.faces.build()
            self.faces.on_shown(faces)
            with gr.Tab("Train", id="train"):
                self.training.build()
        self._wire_training()

    def _build_digits(self) -> None:
        with gr.Row(elem_classes="workbench"):
            with gr.Column(elem_classes="inputs", min_width=300):
                self._build_controls()
            with gr.Column(elem_classes="outputs", min_width=320, scale=3):
                # Filled when the page has loaded: building a page loads no networks.
                self.map = explorer("latent-map", {})
                with gr.Accordion("Walk", open=True, elem_id="latent-walk", elem_classes="fold"):
                    gr.Markdown(
                        "Press “Place a waypoint”, click the map in a few places, then walk.", elem_classes="quiet"
                    )
                    with gr.Row(elem_classes="under inputs"):
                        self.steps, self.arcs, self.round = self.settings.walk()
                    self.stage.buttons("Walk")
                    self.stage.canvas_with(None, message("The film of the walk plays here."))
                    self.stage.under("Every picture is decoded exactly.")
                    with gr.Row(elem_classes="under"):
                        gr.Markdown("A walk saved as MP4 brings its places and settings back.", elem_classes="quiet")
                        self.saved = gr.UploadButton(
                            "Bring back a walk",
                            file_types=[".mp4", ".gif", ".webp"],
                            size="sm",
                            type="filepath",
                            elem_id="latent-saved",
                        )
        self._wire()

    def _build_controls(self) -> None:
        with gr.Column(elem_classes="begin"):
            self.network = gr.Radio(
                list(NETWORKS.items()), value="digits", label="Network", elem_id="latent-network", elem_classes="chips"
            )
        self.z = [gr.Slider(-4, 4, value=0, step=0.01, label=f"z[{i}]", elem_id=f"latent-z{i}") for i in range(2)]
        self.veil = self.settings.veil()
        with gr.Accordion("Draw a digit", open=True, elem_id="latent-draw", elem_classes="fold"):
            self.sheet = sketch("latent-sheet")
            self.dropped = Photo(
                label="or drop one",
                sources=["upload", "clipboard"],
                height=120,
                elem_id="latent-digit",
                elem_classes="drop",
            )
            self.reconstructions = gr.HTML("", elem_id="latent-reconstructions", apply_default_css=False)
        with gr.Accordion("Map", open=False, elem_id="latent-grid", elem_classes="fold"):
            self.count, self.reach, self.spacing = self.settings.grid()
            self.figure = gr.DownloadButton("The figure with axes", size="sm", elem_id="latent-figure")
        self.own.build()

    def _wire(self) -> None:
        seen: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
        newest = {**seen, "trigger_mode": "always_last"}
        grid = self._grid = [self.network, self.count, self.reach, self.spacing, self.veil]
        redraw = [self.network.input, self.count.release, self.reach.release, self.spacing.input, self.veil.input]
        gr.on(redraw, self.redrawn, [*grid, self.map, *self.z], [self.map], **newest)
        self.map.pick(self.picked, [self.network, self.map], [self.map, *self.z], **newest)
        gr.on([z.input for z in self.z], self.moved, [self.network, self.map, *self.z], [self.map], **newest)
        found = [self.map, self.reconstructions, *self.z]
        self.sheet.change(self.sketched, [self.sheet, self.network, self.map], found, **newest)
        self.dropped.upload(self.digit_dropped, [self.dropped, self.network, self.map], found, **seen)
        self.figure.click(self.figure_made, [self.network, self.reach, self.spacing], [self.figure], **seen)
        walk = self._walk = [self.map, self.network, self.steps, self.arcs, self.round]
        self.stage.begin_on(self.stage.go.click, self.start, walk)
        self.saved.upload(self.walk_restored, [self.saved, self.map], walk, **seen).then(
            self.redrawn, [*grid, self.map, *self.z], [self.map], **seen
        )
        self.stage.wire()
        self.own.wire(self.stage.go, redraw[1:])
        self.own.taken.then(self.redrawn, [*grid, self.map, *self.z], [self.map], **seen)

    def on_visit(self, page: gr.Blocks, tab: gr.Tab) -> None:
        """Have a fresh page find its walk and its training again, and draw the map when the tab is first looked at."""
        self.stage.on_page_load(page)
        self.training.stage.on_page_load(page)
        # Not as the page loads: whoever came to dream need not wait for a map of digits.
        self.own.on_visit(tab).then(
            self.first_drawn,
            [*self._grid, self.map, *self.z],
            [self.map],
            api_visibility="private",
            concurrency_limit=None,
        )

    def _wire_training(self) -> None:
        """What was trained here takes its place on the map or among the faces."""
        self.training.use.click(
            self.used,
            [self.training.stage.run_id, self.faces.picture],
            [self.network, self.faces.picture],
            api_visibility="private",
            concurrency_limit=None,
        ).then(
            self.redrawn,
            [self.network, self.count, self.reach, self.spacing, self.veil, self.map, *self.z],
            [self.map],
            api_visibility="private",
        )

    async def used(self, run_id: str, face: dict[str, Any]) -> Any:
        """Take up the network of a finished training."""
        vae = await answered(self.studio, lambda: self.training.finished(run_id))
        if not isinstance(vae, VAE):
            return [gr.skip(), gr.skip()]
        name = self._trained.take_up(run_id, vae)
        if vae.latent_dim == 2:
            inform(message("Your network is on the map now: see Digits."))
            return [gr.update(choices=[*NETWORKS.items(), (message("Yours"), name)], value=name), gr.skip()]
        inform(message("Your network is among the faces now: press Random face."))
        return [gr.skip(), {**face, "network": name, "first": None, "second": None}]

    async def first_drawn(
        self, network: str, count: float, reach: float, spacing: str, veil: str, value: Any, *z: float
    ) -> Any:
        """The map, unless it is there already."""
        if (value or {}).get("tiles"):
            return gr.skip()
        return await self.redrawn(network, count, reach, spacing, veil, value, *z)

    # The map

    def _vae(self, network: str) -> VAE:
        return self.studio.workshop.network("vae", network or "digits")

    async def redrawn(
        self, network: str, count: float, reach: float, spacing: str, veil: str, value: Any, *z: float
    ) -> Any:
        """The map of a network with a grid; the place, the walk and the ellipse that were on it stay."""

        def draw() -> dict[str, Any]:
            vae = self._vae(network)
            grid = (int(count), float(reach), SPACINGS.get(spacing, "gaussian"))
            shade = overlay(vae, VEILS.get(veil, "none"), *grid)
            kept = {"waypoints": (value or {}).get("waypoints", [])}
            return plane(vae, *grid) | kept | at(vae, np.array(z, np.float32)) | {"overlay": shade}

        return await answered(self.studio, draw)

    async def picked(self, network: str, value: Any, event: gr.EventData) -> Any:
        """A place on the map was clicked."""
        z = [round(float(number), 2) for number in (event.z or [])][:2]
        update = await answered(self.studio, lambda: (value or {}) | at(self._vae(network), np.array(z, np.float32)))
        return [update, *z] if isinstance(update, dict) else [gr.skip()] * 3

    async def moved(self, network: str, value: Any, *z: float) -> Any:
        """A slider was moved."""
        return await answered(self.studio, lambda: (value or {}) | at(self._vae(network), np.array(z, np.float32)))

    async def figure_made(self, network: str, reach: float, spacing: str) -> Any:
        """The book's figure: 30 x 30 digits with their axes."""

        def draw() -> Path:
            vae = self._vae(network)
            chosen = SPACINGS.get(spacing, "gaussian")
            path = self.studio.outputs / "figures" / f"{vae.name}-{chosen}-{float(reach):.1f}.png"
            axis = latent.axis_values(30, float(reach), chosen)
            path.parent.mkdir(parents=True, exist_ok=True)
            with written_atomically(path) as file:
                latent_figure(vae.latent_grid(30, float(reach), chosen), axis, file)
            return path

        path = await answered(self.studio, draw)
        return str(path) if isinstance(path, Path) else path

    # A digit of one's own

    async def sketched(self, sheet: str, network: str, value: Any) -> Any:
        """A digit was drawn: find its place."""
        if not sheet:
            return [{**(value or {}), "ellipse": None}, "", gr.skip(), gr.skip()]
        return await self._found(lambda: drawn(sheet), network, value)

    async def digit_dropped(self, path: str | None, network: str, value: Any) -> Any:
        """A picture of a digit was dropped: find its place."""
        if not path:
            return [gr.skip()] * 4
        return await self._found(lambda: self.studio.read(path), network, value)

    async def _found(self, read: Callable[[], np.ndarray], network: str, value: Any) -> Any:
        def find() -> list[Any]:
            vae = self._vae(network)
            digit = as_digit(read())
            mean, deviations, pictures = vae.posterior_of(digit, SAMPLES, seed=0)
            ellipse = {"mean": mean.tolist(), "deviations": deviations.tolist()}
            shown = (value or {}) | at(vae, mean) | {"ellipse": ellipse}
            return [shown, _row(digit, pictures), *(round(float(value), 2) for value in mean)]

        found = await answered(self.studio, find)
        return found if isinstance(found, list) else [gr.skip()] * 4

    # The walk

    def doors(self) -> list[Handoff]:
        """A walk and a training come back."""
        grid = [self.count, self.reach, self.spacing, self.veil, self.map, *self.z]
        return [
            Handoff("latent", self.walk_entered, grid, [self.parts, *self._walk], engines=("vae",)),
            Handoff(
                "latent", self.training_entered, [], [self.parts, *self.training.restorable], engines=("vae_training",)
            ),
        ]

    def training_entered(self, recipe: Recipe) -> dict[Any, Any]:
        """A training comes back from another tab."""
        return self.training.restored(recipe) | {self.parts: gr.update(selected="train")}

    async def walk_entered(
        self, recipe: Recipe, count: float, reach: float, spacing: str, veil: str, value: Any, *z: float
    ) -> dict[Any, Any]:
        """A walk comes back from another tab, onto its network's map."""
        updates = dict(zip(self._walk, self._walk_back(recipe, value), strict=True))
        network, walked = updates[self.network], updates[self.map]
        updates[self.map] = await self.redrawn(network, count, reach, spacing, veil, walked, *z)
        return updates | {self.parts: gr.update(selected="digits")}

    def walk_restored(self, path: str, value: Any) -> list[Any]:
        """A film of a walk was dropped: put its places on the map, and its settings beside them."""
        try:
            recipe = read_recipe(Path(path))
            if recipe is None:
                raise RecipeError(message("There is no walk in this file: bring an MP4 that was saved here."))
            return self._walk_back(recipe, value)
        except ValueError as error:
            warn(error)
            return [gr.skip()] * 5

    def _walk_back(self, recipe: Recipe, value: Any) -> list[Any]:
        job = job_for_tab(
            recipe,
            "vae",
            NETWORKS.values(),
            message("This film was made on another tab; drop it there."),
            workshop=self.studio.workshop,
        )
        config = resolve(job.config, self._vae(job.backbone))
        inform(message("The walk is back on the map; press Walk to see it."))
        places = [list(pair) for pair in zip(config.waypoints[::2], config.waypoints[1::2], strict=True)]
        return [{**(value or {}), "waypoints": places}, job.backbone, config.steps, config.spherical, config.closed]

    async def start(
        self, value: Any, network: str, steps: float, arcs: bool, back: bool
    ) -> AsyncIterator[dict[Any, Any]]:
        """Walk through the waypoints and watch."""

        def job() -> Job:
            points = [float(number) for point in (value or {}).get("waypoints", []) for number in point]
            if len(points) < 4:
                raise PictureError(message("A walk needs at least two places; set waypoints on the map first."))
            config = WalkConfig(waypoints=tuple(points), steps=int(steps), spherical=bool(arcs), closed=bool(back))
            self._vae(network)  # a sentence now rather than a run that fails
            return Job(engine="vae", config=config, inputs={}, backbone=network)

        async for update in self.stage.start(job):
            yield update


def _row(digit: np.ndarray, pictures: np.ndarray) -> str:
    """What was drawn, its reconstruction, and other digits that it may have been, as HTML."""
    first, second, *others = [data_uri(enlarged(one, 84), quality=92) for one in (digit, *pictures)]
    cells = [(translate("as the network sees it"), first), (translate("reconstruction"), second)]
    figures = "".join(
        f'<figure><img alt="" src="{uri}"><figcaption>{text}</figcaption></figure>' for text, uri in cells
    )
    rest = "".join(f'<img alt="" src="{uri}">' for uri in others)
    label = translate(message("{count} samples of the posterior", count=len(others)))
    return f'<div class="found">{figures}<div class="samples" role="img" aria-label="{label}">{rest}</div></div>'
