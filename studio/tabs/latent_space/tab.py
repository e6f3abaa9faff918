"""Latent space tab."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from engines.core.files import written_atomically
from engines.core.messages import message
from engines.imaging.images import ImageError
from engines.jobs import ENGINES, Job
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
from studio.components.toasts import inform, run_or_warn, warn
from studio.i18n.catalog import translate
from studio.panels.handoff import Handoff
from studio.panels.recipe_restore import job_for_tab
from studio.panels.saved_settings import SavedSettings
from studio.panels.training_panel import TrainingPanel, TrainingSpec
from studio.run_views.image_run_view import ImageRunView
from studio.services import Studio
from studio.tabs.latent_space.face_editor import FACES, FaceEditor
from studio.tabs.latent_space.latent_map import latent_map, map_value, overlay_image, point_value
from studio.tabs.latent_space.map_form import OVERLAYS, SPACINGS, MapSettings
from studio.tabs.latent_space.sketchpad import decode_sketch, sketch
from studio.tabs.page_tab import PageTab
from studio.trained_models import TrainedNetworks
from studio.wire_format import data_uri

# Those with a map: of two dimensions.
NETWORKS = {title: name for title, name in ENGINES["vae"].network_choices.items() if name != FACES}
SAMPLES = 8


def _choose_networks(settings: Settings) -> None:
    networks = ENGINES["vae"].networks
    # The network of faces can be trained on any colour images, as its short title says.
    titles = {network.short if name == FACES else network.title: name for name, network in networks.items()}
    settings.choice("model", titles)


def _adjust_training(settings: Settings) -> None:
    settings.slider("epochs", 1, 100, 1)
    settings.slider("batch_size", 16, 512, 16)
    settings.slider("kl_weight", 0.0, 4.0, 0.05)
    with gr.Accordion("More settings", open=False, elem_id="train-more", elem_classes="fold"):
        settings.number("learning_rate")
        settings.slider("kl_warmup", 0.0, 1.0, 0.05)
        settings.slider("perceptual_weight", 0.0, 1.0, 0.01)
        settings.slider("interval", 10, 2000, 10)
        settings.number("seed")


TRAINING = TrainingSpec(
    engine="vae_training",
    initial=VAETrainingConfig(epochs=5, interval=60),
    data=message("a zip of images, or mnist.npz"),
    suffixes=(".npz", ".zip"),
    choose=_choose_networks,
    adjust=_adjust_training,
    invitation=message("Validation images, their reconstructions and new samples appear here."),
    used="Use the trained model on the map.",
)


class LatentTab(PageTab):
    """The tab's controls and event handlers."""

    id = "latent"
    title = "Latent"
    card = message("Explore a latent map of handwritten digits.")

    def __init__(self, studio: Studio):
        super().__init__(studio)
        self._trained = TrainedNetworks(studio, "vae")

    def build(self) -> None:
        """Create and wire the controls, inside the page's Blocks."""
        self.view = ImageRunView(self.studio, "latent")
        self.faces = FaceEditor(self.studio)
        self.training = TrainingPanel(self.studio, TRAINING, "train")
        self.settings = MapSettings()
        self.saved_settings = SavedSettings(self.studio, self.settings, "latent")
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
                # Filled when the tab is opened: building the page loads no networks.
                self.map = latent_map("latent-map", {})
                with gr.Accordion("Walk", open=True, elem_id="latent-walk", elem_classes="fold"):
                    gr.Markdown(
                        "Press Add waypoint, click the map in a few places, then press Walk.", elem_classes="quiet"
                    )
                    with gr.Row(elem_classes="under inputs"):
                        self.steps, self.arcs, self.round = self.settings.walk()
                    self.view.build_buttons("Walk")
                    self.view.build_canvas(None, message("The walk video appears here."))
                    self.view.build_footer("The network decodes every frame; none is interpolated.")
                    with gr.Row(elem_classes="under"):
                        gr.Markdown(
                            "Upload a walk saved as MP4 to restore its waypoints and settings.", elem_classes="quiet"
                        )
                        self.saved = gr.UploadButton(
                            "Restore a walk",
                            file_types=[".mp4", ".gif", ".webp"],
                            size="sm",
                            type="filepath",
                            elem_id="latent-saved",
                        )
        self._wire()

    def _build_controls(self) -> None:
        with gr.Column(elem_classes="begin"):
            self.network = gr.Radio(
                list(NETWORKS.items()), value="digits", label="Model", elem_id="latent-network", elem_classes="chips"
            )
        self.z = [gr.Slider(-4, 4, value=0, step=0.01, label=f"z[{i}]", elem_id=f"latent-z{i}") for i in range(2)]
        self.overlay = self.settings.overlay()
        with gr.Accordion("Draw a digit", open=True, elem_id="latent-draw", elem_classes="fold"):
            self.sheet = sketch("latent-sheet")
            self.dropped = Photo(
                label="Or drop an image",
                sources=["upload", "clipboard"],
                height=120,
                elem_id="latent-digit",
                elem_classes="drop",
            )
            self.reconstructions = gr.HTML("", elem_id="latent-reconstructions", apply_default_css=False)
        with gr.Accordion("Map", open=False, elem_id="latent-grid", elem_classes="fold"):
            self.count, self.z_range, self.spacing = self.settings.grid()
            self.figure = gr.DownloadButton("Save figure with axes", size="sm", elem_id="latent-figure")
        self.saved_settings.build()

    def _wire(self) -> None:
        options: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
        latest = {**options, "trigger_mode": "always_last"}
        grid = self._grid = [self.network, self.count, self.z_range, self.spacing, self.overlay]
        redraw = [self.network.input, self.count.release, self.z_range.release, self.spacing.input, self.overlay.input]
        gr.on(redraw, self.redraw, [*grid, self.map, *self.z], [self.map], **latest)
        self.map.pick(self.picked, [self.network, self.map], [self.map, *self.z], **latest)
        gr.on([z.input for z in self.z], self.move_point, [self.network, self.map, *self.z], [self.map], **latest)
        found = [self.map, self.reconstructions, *self.z]
        self.sheet.change(self.encode_sketch, [self.sheet, self.network, self.map], found, **latest)
        self.dropped.upload(self.encode_image, [self.dropped, self.network, self.map], found, **options)
        self.figure.click(self.write_figure, [self.network, self.z_range, self.spacing], [self.figure], **options)
        walk = self._walk = [self.map, self.network, self.steps, self.arcs, self.round]
        self.view.start_on(self.view.start_button.click, self.start, walk)
        self.saved.upload(self.restore_walk_file, [self.saved, self.map], walk, **options).then(
            self.redraw, [*grid, self.map, *self.z], [self.map], **options
        )
        self.view.wire()
        self.saved_settings.wire(self.view.start_button, redraw[1:])
        self.saved_settings.applied.then(self.redraw, [*grid, self.map, *self.z], [self.map], **options)

    def on_visit(self, page: gr.Blocks, tab: gr.Tab) -> None:
        """Resume the walk and the training when a page opens; draw the map when the tab is first opened."""
        self.view.on_page_load(page)
        self.training.view.on_page_load(page)
        # Not on page load: visitors of other tabs need not wait for the map.
        self.saved_settings.on_visit(tab).then(
            self.draw_first,
            [*self._grid, self.map, *self.z],
            [self.map],
            api_visibility="private",
            concurrency_limit=None,
        )

    def _wire_training(self) -> None:
        """Use trained networks on the map or in the face editor."""
        self.training.use.click(
            self.use_trained,
            [self.training.view.run_id, self.faces.image],
            [self.network, self.faces.image],
            api_visibility="private",
            concurrency_limit=None,
        ).then(
            self.redraw,
            [self.network, self.count, self.z_range, self.spacing, self.overlay, self.map, *self.z],
            [self.map],
            api_visibility="private",
        )

    async def use_trained(self, run_id: str, face: dict[str, Any]) -> Any:
        """Use the network of a finished training."""
        vae = await run_or_warn(self.studio, lambda: self.training.load_result(run_id))
        if not isinstance(vae, VAE):
            return [gr.skip(), gr.skip()]
        name = self._trained.register(run_id, vae)
        if vae.latent_dim == 2:
            inform(message("The map now uses your model; open Digits to see it."))
            return [gr.update(choices=[*NETWORKS.items(), (message("Yours"), name)], value=name), gr.skip()]
        inform(message("Portraits now uses your model; press Random face."))
        return [gr.skip(), {**face, "network": name, "first": None, "second": None}]

    async def draw_first(
        self, network: str, count: float, z_range: float, spacing: str, overlay: str, value: Any, *z: float
    ) -> Any:
        """Draw the map, unless it is there already."""
        if (value or {}).get("tiles"):
            return gr.skip()
        return await self.redraw(network, count, z_range, spacing, overlay, value, *z)

    # Map

    def _vae(self, network: str) -> VAE:
        return self.studio.workshop.network("vae", network or "digits")

    async def redraw(
        self, network: str, count: float, z_range: float, spacing: str, overlay: str, value: Any, *z: float
    ) -> Any:
        """Redraw the map; the marked point and the waypoints are kept."""

        def draw() -> dict[str, Any]:
            vae = self._vae(network)
            grid = (int(count), float(z_range), SPACINGS.get(spacing, "gaussian"))
            shade = overlay_image(vae, OVERLAYS.get(overlay, "none"), *grid)
            kept = {"waypoints": (value or {}).get("waypoints", [])}
            return map_value(vae, *grid) | kept | point_value(vae, np.array(z, np.float32)) | {"overlay": shade}

        return await run_or_warn(self.studio, draw)

    async def picked(self, network: str, value: Any, event: gr.EventData) -> Any:
        """Decode the point that was clicked."""
        z = [round(float(number), 2) for number in (event.z or [])][:2]
        update = await run_or_warn(
            self.studio, lambda: (value or {}) | point_value(self._vae(network), np.array(z, np.float32))
        )
        return [update, *z] if isinstance(update, dict) else [gr.skip()] * 3

    async def move_point(self, network: str, value: Any, *z: float) -> Any:
        """Decode the point at the sliders' position."""
        return await run_or_warn(
            self.studio, lambda: (value or {}) | point_value(self._vae(network), np.array(z, np.float32))
        )

    async def write_figure(self, network: str, z_range: float, spacing: str) -> Any:
        """Write the book's figure, 30 x 30 digits with axes, and return its path."""

        def draw() -> Path:
            vae = self._vae(network)
            chosen = SPACINGS.get(spacing, "gaussian")
            path = self.studio.outputs / "figures" / f"{vae.name}-{chosen}-{float(z_range):.1f}.png"
            axis = latent.axis_values(30, float(z_range), chosen)
            path.parent.mkdir(parents=True, exist_ok=True)
            with written_atomically(path) as file:
                latent_figure(vae.latent_grid(30, float(z_range), chosen), axis, file)
            return path

        path = await run_or_warn(self.studio, draw)
        return str(path) if isinstance(path, Path) else path

    # Drawn and dropped digits

    async def encode_sketch(self, sheet: str, network: str, value: Any) -> Any:
        """Encode a drawn digit."""
        if not sheet:
            return [{**(value or {}), "ellipse": None}, "", gr.skip(), gr.skip()]
        return await self._locate(lambda: decode_sketch(sheet), network, value)

    async def encode_image(self, path: str | None, network: str, value: Any) -> Any:
        """Encode a dropped image of a digit."""
        if not path:
            return [gr.skip()] * 4
        return await self._locate(lambda: self.studio.read(path, least=1), network, value)

    async def _locate(self, read: Callable[[], np.ndarray], network: str, value: Any) -> Any:
        def find() -> list[Any]:
            vae = self._vae(network)
            digit = as_digit(read())
            mean, deviations, images = vae.posterior_of(digit, SAMPLES, seed=0)
            ellipse = {"mean": mean.tolist(), "deviations": deviations.tolist()}
            shown = (value or {}) | point_value(vae, mean) | {"ellipse": ellipse}
            return [shown, _row(digit, images), *(round(float(value), 2) for value in mean)]

        found = await run_or_warn(self.studio, find)
        return found if isinstance(found, list) else [gr.skip()] * 4

    # Walk

    def handoffs(self) -> list[Handoff]:
        """Handoffs: restore a walk or a training."""
        grid = [self.count, self.z_range, self.spacing, self.overlay, self.map, *self.z]
        return [
            Handoff(self.id, self.restore_walk, grid, [self.parts, *self._walk], engines=("vae",)),
            Handoff(
                self.id,
                self.restore_training,
                [],
                [self.parts, *self.training.restore_outputs],
                engines=("vae_training",),
            ),
        ]

    def restore_training(self, recipe: Recipe) -> dict[Any, Any]:
        """Restore a training."""
        return self.training.restore(recipe) | {self.parts: gr.update(selected="train")}

    async def restore_walk(
        self, recipe: Recipe, count: float, z_range: float, spacing: str, overlay: str, value: Any, *z: float
    ) -> dict[Any, Any]:
        """Restore a walk on the map of its network."""
        updates = dict(zip(self._walk, self._restore_walk(recipe, value), strict=True))
        network, walked = updates[self.network], updates[self.map]
        updates[self.map] = await self.redraw(network, count, z_range, spacing, overlay, walked, *z)
        return updates | {self.parts: gr.update(selected="digits")}

    def restore_walk_file(self, path: str, value: Any) -> list[Any]:
        """Restore a saved walk from its file."""
        try:
            recipe = read_recipe(Path(path))
            if recipe is None:
                raise RecipeError(message("This file has no walk; choose an MP4 that was saved here."))
            return self._restore_walk(recipe, value)
        except ValueError as error:
            warn(error)
            return [gr.skip()] * 5

    def _restore_walk(self, recipe: Recipe, value: Any) -> list[Any]:
        job = job_for_tab(
            recipe,
            "vae",
            NETWORKS.values(),
            message("This video was made on another tab; restore it there."),
            workshop=self.studio.workshop,
        )
        config = resolve(job.config, self._vae(job.backbone))
        inform(message("Walk restored on the map; press Walk to play it."))
        waypoints = [list(pair) for pair in zip(config.waypoints[::2], config.waypoints[1::2], strict=True)]
        return [{**(value or {}), "waypoints": waypoints}, job.backbone, config.steps, config.spherical, config.closed]

    async def start(
        self, value: Any, network: str, steps: float, arcs: bool, back: bool
    ) -> AsyncIterator[dict[Any, Any]]:
        """Start a walk through the waypoints and watch it."""

        def job() -> Job:
            points = [float(number) for point in (value or {}).get("waypoints", []) for number in point]
            if len(points) < 4:
                raise ImageError(message("A walk needs at least two waypoints; add them on the map first."))
            config = WalkConfig(waypoints=tuple(points), steps=int(steps), spherical=bool(arcs), closed=bool(back))
            self._vae(network)  # fail now rather than in the run
            return Job(engine="vae", config=config, inputs={}, backbone=network)

        async for update in self.view.start(job):
            yield update


def _row(digit: np.ndarray, images: np.ndarray) -> str:
    """Render a digit, its reconstruction and samples of its posterior as HTML."""
    first, second, *others = [data_uri(enlarged(one, 84), quality=92) for one in (digit, *images)]
    cells = [(translate("network input"), first), (translate("reconstruction"), second)]
    figures = "".join(
        f'<figure><img alt="" src="{uri}"><figcaption>{text}</figcaption></figure>' for text, uri in cells
    )
    rest = "".join(f'<img alt="" src="{uri}">' for uri in others)
    label = translate(message("{count} posterior samples", count=len(others)))
    return f'<div class="found">{figures}<div class="samples" role="img" aria-label="{label}">{rest}</div></div>'
