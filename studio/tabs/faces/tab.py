"""Faces tab."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from engines.core.messages import message
from engines.dcgan import FaceWalkConfig, resolve
from engines.dcgan.model import GAN
from engines.jobs import Job
from engines.recipes import Recipe, RecipeError, read_recipe
from studio.components.config_form import Settings
from studio.components.toasts import inform, run_or_warn
from studio.i18n.catalog import translate
from studio.panels.handoff import Handoff
from studio.panels.recipe_restore import job_for_tab
from studio.panels.saved_settings import SavedSettings
from studio.run_views.image_run_view import ImageRunView
from studio.services import Studio
from studio.tabs.faces.face_detail import FaceDetail
from studio.tabs.faces.face_grid import face_grid, grid_value
from studio.tabs.faces.nearest_neighbors import NearestNeighbors
from studio.tabs.faces.projection import FaceProjection
from studio.tabs.faces.training import NETWORKS, GANTraining
from studio.tabs.latent_space.face_editor import rounded
from studio.tabs.page_tab import PageTab
from studio.trained_models import TrainedNetworks
from studio.wire_format import png_uri

COUNT, TRUNCATION, MAX_WAYPOINTS = 40, 1.0, 12


class FacesTab(PageTab):
    """The tab's controls and event handlers."""

    id = "faces"
    title = "Faces"
    card = message("Generate faces of people who do not exist.")

    def __init__(self, studio: Studio):
        super().__init__(studio)
        self.view = ImageRunView(studio, "gan")
        self.face = FaceDetail(studio)
        self.search = FaceProjection(studio, self.face, self._job_of)
        self.neighbours = NearestNeighbors(studio)
        self.training = GANTraining(studio)
        self._trained = TrainedNetworks(studio, "dcgan")

    def build(self) -> None:
        """Create and wire the controls, inside the page's Blocks."""
        self.settings = Settings(FaceWalkConfig(truncation=TRUNCATION), "gan")
        self.saved_settings = SavedSettings(self.studio, self.settings, "faces")
        with gr.Tabs() as self.parts:
            with gr.Tab("Generate", id="draw"):
                self._build_drawing()
                with gr.Accordion("Walk", open=True, elem_id="gan-walk", elem_classes="fold"):
                    self._build_walk()
                title = "Find a face"
                self.projection_fold = gr.Accordion(title, open=False, elem_id="gan-search", elem_classes="fold")
                with self.projection_fold:
                    self.search.build()
                self.neighbours.build()
            with gr.Tab("Train", id="gan-training"):
                self.training.build()
        self._wire()

    def _build_drawing(self) -> None:
        with gr.Row(elem_classes="workbench"):
            with gr.Column(elem_classes="inputs", min_width=300):
                with gr.Column(elem_classes="begin"):
                    self.network = gr.Radio(
                        list(NETWORKS.items()),
                        value="faces",
                        label="Model",
                        elem_id="gan-network",
                        elem_classes="chips",
                    )
                    with gr.Row(elem_classes="actions"):
                        self.again = gr.Button("New faces", variant="primary", elem_id="gan-new")
                        self.reset = gr.Button("Reset", elem_id="gan-reset", min_width=80)
                variety = gr.Slider(
                    0.2,
                    1.2,
                    value=TRUNCATION,
                    step=0.05,
                    label=self.settings.label("truncation"),
                    info="Lower values stay closer to the mean face: less variety, fewer flaws.",
                    elem_id="gan-truncation",
                )
                self.truncation = self.settings.add("truncation", variety)
                self.face.controls()
                gr.Markdown("Upload a saved face or walk to restore its settings.", elem_classes="quiet")
                self.saved = gr.UploadButton(
                    "Restore a face or walk",
                    file_types=[".png", ".mp4", ".gif", ".webp"],
                    size="sm",
                    type="filepath",
                    elem_id="gan-saved",
                )
                self.saved_settings.build()
            with gr.Row(elem_classes="outputs gallery-and-face"):
                self.face_grid = face_grid("gan-face-grid")
                with gr.Column(min_width=300):
                    self.face.frame()
        self.face.sliders_below()

    def _build_walk(self) -> None:
        self.waypoints = gr.State([])
        with gr.Row(elem_classes="workbench"):
            with gr.Column(elem_classes="inputs", min_width=300):
                with gr.Column(elem_classes="begin"):
                    self.strip = gr.HTML(strip([]), elem_id="gan-places", apply_default_css=False)
                    self.clear = gr.Button("Clear walk", size="sm", elem_id="gan-clear")
                    self.view.build_buttons("Walk")
                add, label = self.settings.add, self.settings.label
                self.steps = self.settings.slider("steps", 4, 60, 1, hint=False)
                arcs = gr.Checkbox(True, label=label("spherical"), container=False, elem_id="gan-spherical")
                loop = gr.Checkbox(True, label=label("closed"), container=False, elem_id="gan-closed")
                self.arcs, self.loop = add("spherical", arcs), add("closed", loop)
            with gr.Column(elem_classes="outputs", min_width=320, scale=3):
                self.view.build_canvas(None, message("The walk video appears here."))
                self.view.build_footer("The network generates every frame; none is cross-faded.")

    def _wire(self) -> None:
        options: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
        latest = {**options, "trigger_mode": "always_last"}
        everything, whole = self.face.everything, [self.face_grid, *self.face.everything]
        page_inputs = [self.network, self.face_grid, self.truncation]
        self.again.click(self.next_page, page_inputs, whole, **options)
        self.network.input(self.same_page, page_inputs, whole, **options)
        self.truncation.input(self.same_page, page_inputs, whole, **latest)
        self.face_grid.pick(self.picked, [self.network, self.face_grid, self.face.image], everything, **latest)
        self.reset.click(self.face.reset, [self.face.image], everything, **options)
        self.face.add.click(self.add_to_walk, [self.waypoints, *everything], [self.waypoints, self.strip], **options)
        self.clear.click(self.clear_walk, None, [self.waypoints, self.strip], **options)
        walk_controls = [self.waypoints, self.strip, self.steps, self.arcs, self.loop]
        self._restore_outputs = [self.network, self.truncation, *whole, *walk_controls]
        self.saved.upload(self.restore_file, [self.saved], self._restore_outputs, **options)
        walk = [self.network, self.face_grid, self.waypoints, self.steps, self.arcs, self.loop]
        self.view.start_on(self.view.start_button.click, self.start_walk, walk)
        self.view.wire()
        self.saved_settings.wire(self.view.start_button, [self.again.click, self.truncation.release])
        self.saved_settings.applied.then(self.same_page, page_inputs, whole, **options)
        self.face.wire()
        self.search.wire(self.network)
        self.neighbours.wire(self.face.image, self.face.sliders, self.face.decode)
        self.training.use.click(self.use_trained, [self.training.view.run_id], [self.network], **options).then(
            self.same_page, page_inputs, whole, **options
        )

    def on_visit(self, page: gr.Blocks, tab: gr.Tab) -> None:
        """Resume the runs when a page opens; draw the grid when the tab is first opened."""
        for view in (self.view, self.search.view, self.training.view):
            view.on_page_load(page)
        self.saved_settings.on_visit(tab).then(
            self.first_page,
            [self.network, self.face_grid, self.truncation],
            [self.face_grid, *self.face.everything],
            api_visibility="private",
            concurrency_limit=None,
        )

    # Grid

    async def first_page(self, network: str, value: dict[str, Any], truncation: float) -> Any:
        """Draw the grid, unless it is there already."""
        if value and value.get("sheet"):
            return [gr.skip()] * (1 + len(self.face.everything))
        return await self.same_page(network, value, truncation)

    async def same_page(self, network: str, value: dict[str, Any], truncation: float) -> Any:
        """Redraw the grid from the same seeds."""
        return await self._draw_page(network, int((value or {}).get("seed", 0)), truncation)

    async def next_page(self, network: str, value: dict[str, Any], truncation: float) -> Any:
        """Draw the grid from the next seeds."""
        return await self._draw_page(network, (int((value or {}).get("seed", 0)) + COUNT) % 2**30, truncation)

    async def _draw_page(self, network: str, seed: int, truncation: float) -> Any:
        def draw() -> list[Any]:
            gan = self.face.gan(network)
            shown = grid_value(gan, seed, COUNT, float(truncation))
            return [shown, *self.face.new_face(network, gan.latents([seed], float(truncation))[0])]

        return await run_or_warn(self.studio, draw, 1 + len(self.face.everything))

    async def picked(self, network: str, value: dict[str, Any], face: dict[str, Any], event: gr.EventData) -> Any:
        """Select a face of the grid; the held face is kept."""
        index = int(event.index) % COUNT

        def draw() -> list[Any]:
            z = self.face.gan(network).latents([int(value["seed"]) + index], float(value["truncation"]))[0]
            return self.face.new_face(network, z, face)

        return await run_or_warn(self.studio, draw, len(self.face.everything))

    # Walk

    async def add_to_walk(self, waypoints: list[list[float]], face: dict[str, Any], *sliders: Any) -> Any:
        """Add the face to the walk."""

        def add() -> list[Any]:
            if len(waypoints) >= MAX_WAYPOINTS:
                raise ValueError(
                    message("A walk can have at most {most} faces; clear it to start another.", most=MAX_WAYPOINTS)
                )
            more = [*waypoints, rounded(self.face.latent_of(face, sliders))]
            return [more, self._strip(face["network"], more)]

        return await run_or_warn(self.studio, add, 2)

    def _strip(self, network: str, waypoints: list[list[float]]) -> str:
        return strip(list(self.face.gan(network).decode(np.array(waypoints, np.float32))))

    def clear_walk(self) -> list[Any]:
        """Clear the walk."""
        return [[], strip([])]

    async def start_walk(
        self, network: str, value: dict[str, Any], waypoints: list[list[float]], steps: float, arcs: bool, loop: bool
    ) -> AsyncIterator[dict[Any, Any]]:
        """Start a walk through the collected faces, or through the first five of the grid, and watch it."""

        def job() -> Job:
            shared: dict[str, Any] = {"steps": int(steps), "spherical": bool(arcs), "closed": bool(loop)}
            if waypoints:
                config = FaceWalkConfig(waypoints=tuple(number for z in waypoints for number in z), **shared)
            else:
                seed = int((value or {}).get("seed", 0))
                truncation = float((value or {}).get("truncation", TRUNCATION))
                config = FaceWalkConfig(seeds=tuple(range(seed, seed + 5)), truncation=truncation, **shared)
            resolve(config, self.face.gan(network))  # fail now rather than in the run
            return Job(engine="dcgan_walk", config=config, inputs={}, backbone=network)

        async for update in self.view.start(job):
            yield update

    # Restoring

    def handoffs(self) -> list[Handoff]:
        """Handoffs: restore faces, walks, projections and trainings; project an image."""
        drawing, projecting = (
            [self.parts, *self._restore_outputs],
            [self.parts, self.projection_fold, *self.search.found],
        )
        training = [self.parts, *self.training.restore_outputs]
        return [
            Handoff(self.id, self.restore_from_gallery, [], drawing, engines=("dcgan", "dcgan_walk")),
            Handoff(self.id, self.restore_projection, [], projecting, engines=("dcgan_projection",)),
            Handoff(self.id, self.restore_training, [], training, engines=("dcgan_training",)),
            Handoff(
                self.id,
                self.project_image,
                [self.network],
                projecting,
                title="Find this face",
                kinds=("picture",),
            ),
        ]

    async def restore_from_gallery(self, recipe: Recipe) -> dict[Any, Any]:
        """Restore a face or a walk."""
        updates = await self.studio.run_interactive(lambda: self._restore(recipe))
        return dict(zip(self._restore_outputs, updates, strict=True)) | {self.parts: gr.update(selected="draw")}

    def restore_training(self, recipe: Recipe) -> dict[Any, Any]:
        """Restore a training."""
        return self.training.restore(recipe) | {self.parts: gr.update(selected="gan-training")}

    def restore_projection(self, recipe: Recipe) -> dict[Any, Any]:
        """Restore a projection."""
        updates = dict(zip(self.search.found, self.search.restore(recipe), strict=True))
        return updates | {self.parts: gr.update(selected="draw"), self.projection_fold: gr.update(open=True)}

    async def project_image(self, path: str, network: str) -> dict[Any, Any]:
        """Use an image from another tab as the photo of the projection."""
        updates = dict(zip(self.search.found, await self.search.face_dropped(path, network), strict=True))
        if isinstance(updates[self.search.opinion], str):  # the image could be read
            updates[self.search.photo] = path
        return updates | {self.parts: gr.update(selected="draw"), self.projection_fold: gr.update(open=True)}

    async def restore_file(self, path: str) -> Any:
        """Restore a saved face or walk from its file."""

        def restore() -> list[Any]:
            recipe = read_recipe(Path(path))
            if recipe is None:
                raise RecipeError(message("This file has no recipe; choose a PNG or an MP4 that was saved here."))
            return self._restore(recipe)

        return await run_or_warn(self.studio, restore, 8 + len(self.face.everything))

    def _restore(self, recipe: Recipe) -> list[Any]:
        return self._restore_walk(recipe) if recipe.engine == "dcgan_walk" else self._restore_face(recipe)

    def _job_of(self, recipe: Recipe, engine: str) -> Job:
        networks = [*NETWORKS.values(), *self._trained.names]
        return job_for_tab(
            recipe,
            engine,
            networks,
            message("This was made on another tab; restore it there."),
            workshop=self.studio.workshop,
        )

    def _restore_face(self, recipe: Recipe) -> list[Any]:
        job = self._job_of(recipe, "dcgan")
        config, gan = job.config, self.face.gan(job.backbone)
        resolve(config, gan)
        inform(message("Face and sliders restored."))
        shown = grid_value(gan, config.seed, COUNT, config.truncation)
        return [job.backbone, config.truncation, shown, *self.face.restore(config, job.backbone), *[gr.skip()] * 5]

    def _restore_walk(self, recipe: Recipe) -> list[Any]:
        job = self._job_of(recipe, "dcgan_walk")
        config, gan = job.config, self.face.gan(job.backbone)
        resolve(config, gan)
        points = gan.latents(config.seeds, config.truncation)
        if config.waypoints:
            points = np.array(config.waypoints, np.float32).reshape(-1, gan.latent_dim)
        waypoints = [rounded(z) for z in points[:MAX_WAYPOINTS]]
        inform(message("Walk restored; press Walk to play it."))
        same = [gr.skip()] * (1 + len(self.face.everything))
        walk_controls = [waypoints, self._strip(job.backbone, waypoints), config.steps, config.spherical, config.closed]
        return [job.backbone, config.truncation, *same, *walk_controls]

    # Trained networks

    async def use_trained(self, run_id: str) -> Any:
        """Use the networks of a finished training."""
        gan = await run_or_warn(self.studio, lambda: self.training.load_result(run_id))
        if not isinstance(gan, GAN):
            return gr.skip()
        name = self._trained.register(run_id, gan)
        inform(message("Your model is in use; open Generate to see its faces."))
        return gr.update(choices=[*NETWORKS.items(), (message("Yours"), name)], value=name)


def strip(faces: Sequence[np.ndarray]) -> str:
    """Render the faces of a walk as HTML."""
    if not faces:
        hint = translate("Collect faces with Add to walk; otherwise the first five of the grid are used.")
        return f'<p class="places">{hint}</p>'
    images = "".join(f'<img alt="" src="{png_uri(one)}">' for one in faces)
    count = translate(message("{count} face{s} in the walk", count=len(faces), s="s" * (len(faces) > 1)))
    return f'<div class="places" role="img" aria-label="{count}">{images}</div>'
