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
from studio.components.toasts import answered, inform
from studio.i18n.catalog import translate
from studio.panels.handoff import Handoff
from studio.panels.recipe_restore import job_for_tab
from studio.panels.saved_settings import OwnSettings
from studio.run_views.image_run_view import PictureStage
from studio.services import Studio
from studio.tabs.faces.face_detail import LargeFace
from studio.tabs.faces.face_wall import drawn, wall
from studio.tabs.faces.nearest_neighbors import Neighbours
from studio.tabs.faces.projection import FaceSearch
from studio.tabs.faces.training import NETWORKS, GANTraining
from studio.tabs.latent_space.face_editor import rounded
from studio.trained_models import Trained
from studio.wire_format import png_uri

COUNT, TRUNCATION, PLACES = 40, 1.0, 12


class FacesTab:
    """The controls of the tab and what they do."""

    def __init__(self, studio: Studio):
        self.studio = studio
        self.stage = PictureStage(studio, "gan")
        self.face = LargeFace(studio)
        self.search = FaceSearch(studio, self.face, self._job_of)
        self.neighbours = Neighbours(studio)
        self.training = GANTraining(studio)
        self._trained = Trained(studio, "dcgan")

    def build(self) -> None:
        """Lay the tab out and wire it, inside the page's Blocks."""
        self.settings = Settings(FaceWalkConfig(truncation=TRUNCATION), "gan")
        self.own = OwnSettings(self.studio, self.settings, "faces")
        with gr.Tabs() as self.parts:
            with gr.Tab("Draw", id="draw"):
                self._build_drawing()
                with gr.Accordion("Walk", open=True, elem_id="gan-walk", elem_classes="fold"):
                    self._build_walk()
                title = "Find your face"
                self.look = gr.Accordion(title, open=False, elem_id="gan-search", elem_classes="fold")
                with self.look:
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
                        label="Networks",
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
                    label="Variety (ψ)",
                    info="Lower: nearer to the mean face, less varied and likelier to be whole.",
                    elem_id="gan-truncation",
                )
                self.truncation = self.settings.add("truncation", variety)
                self.face.controls()
                gr.Markdown("A saved face or walk brings its settings back.", elem_classes="quiet")
                self.saved = gr.UploadButton(
                    "Bring back a face or a walk",
                    file_types=[".png", ".mp4", ".gif", ".webp"],
                    size="sm",
                    type="filepath",
                    elem_id="gan-saved",
                )
                self.own.build()
            with gr.Row(elem_classes="outputs gallery-and-face"):
                self.wall = wall("gan-wall")
                with gr.Column(min_width=300):
                    self.face.frame()
        self.face.sliders_below()

    def _build_walk(self) -> None:
        self.places = gr.State([])
        with gr.Row(elem_classes="workbench"):
            with gr.Column(elem_classes="inputs", min_width=300):
                with gr.Column(elem_classes="begin"):
                    self.strip = gr.HTML(strip([]), elem_id="gan-places", apply_default_css=False)
                    self.clear = gr.Button("Clear the walk", size="sm", elem_id="gan-clear")
                    self.stage.buttons("Walk")
                add = self.settings.add
                steps = gr.Slider(4, 60, value=24, step=1, label="Pictures a leg", elem_id="gan-steps")
                arcs = gr.Checkbox(True, label="On arcs", container=False, elem_id="gan-spherical")
                loop = gr.Checkbox(True, label="In a loop", container=False, elem_id="gan-closed")
                self.steps, self.arcs, self.loop = add("steps", steps), add("spherical", arcs), add("closed", loop)
            with gr.Column(elem_classes="outputs", min_width=320, scale=3):
                self.stage.canvas_with(None, message("A walk from face to face plays here."))
                self.stage.under("Every picture is drawn from its own latent vector.")

    def _wire(self) -> None:
        seen: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
        newest = {**seen, "trigger_mode": "always_last"}
        everything, whole = self.face.everything, [self.wall, *self.face.everything]
        said = [self.network, self.wall, self.truncation]
        self.again.click(self.next_wall, said, whole, **seen)
        self.network.input(self.same_wall, said, whole, **seen)
        self.truncation.input(self.same_wall, said, whole, **newest)
        self.wall.pick(self.picked, [self.network, self.wall, self.face.picture], everything, **newest)
        self.reset.click(self.face.unedited, [self.face.picture], everything, **seen)
        self.face.add.click(self.added, [self.places, *everything], [self.places, self.strip], **seen)
        self.clear.click(self.cleared, None, [self.places, self.strip], **seen)
        way = [self.places, self.strip, self.steps, self.arcs, self.loop]
        self._restorable = [self.network, self.truncation, *whole, *way]
        self.saved.upload(self.restored, [self.saved], self._restorable, **seen)
        walk = [self.network, self.wall, self.places, self.steps, self.arcs, self.loop]
        self.stage.begin_on(self.stage.go.click, self.start_walk, walk)
        self.stage.wire()
        self.own.wire(self.stage.go, [self.again.click, self.truncation.release])
        self.own.taken.then(self.same_wall, said, whole, **seen)
        self.face.wire()
        self.search.wire(self.network)
        self.neighbours.wire(self.face.picture, self.face.sliders, self.face.shown)
        self.training.use.click(self.trained_used, [self.training.stage.run_id], [self.network], **seen).then(
            self.same_wall, said, whole, **seen
        )

    def on_visit(self, page: gr.Blocks, tab: gr.Tab) -> None:
        """Have a fresh page find its runs again, and draw the wall when the tab is first looked at."""
        for stage in (self.stage, self.search.stage, self.training.stage):
            stage.on_page_load(page)
        self.own.on_visit(tab).then(
            self.first_wall,
            [self.network, self.wall, self.truncation],
            [self.wall, *self.face.everything],
            api_visibility="private",
            concurrency_limit=None,
        )

    # The wall

    async def first_wall(self, network: str, value: dict[str, Any], truncation: float) -> Any:
        """A wall, unless there is one."""
        if value and value.get("sheet"):
            return [gr.skip()] * (1 + len(self.face.everything))
        return await self.same_wall(network, value, truncation)

    async def same_wall(self, network: str, value: dict[str, Any], truncation: float) -> Any:
        """The wall of the same noise, as these networks draw it."""
        return await self._walled(network, int((value or {}).get("seed", 0)), truncation)

    async def next_wall(self, network: str, value: dict[str, Any], truncation: float) -> Any:
        """A wall of other noise."""
        return await self._walled(network, (int((value or {}).get("seed", 0)) + COUNT) % 2**30, truncation)

    async def _walled(self, network: str, seed: int, truncation: float) -> Any:
        def draw() -> list[Any]:
            gan = self.face.gan(network)
            shown = drawn(gan, seed, COUNT, float(truncation))
            return [shown, *self.face.fresh(network, gan.latents([seed], float(truncation))[0])]

        return await answered(self.studio, draw, 1 + len(self.face.everything))

    async def picked(self, network: str, value: dict[str, Any], face: dict[str, Any], event: gr.EventData) -> Any:
        """A face on the wall was clicked; the one that is held stays held."""
        index = int(event.index) % COUNT

        def draw() -> list[Any]:
            z = self.face.gan(network).latents([int(value["seed"]) + index], float(value["truncation"]))[0]
            return self.face.fresh(network, z, face)

        return await answered(self.studio, draw, len(self.face.everything))

    # The walk

    async def added(self, places: list[list[float]], face: dict[str, Any], *sliders: Any) -> Any:
        """The face becomes a place of the walk."""

        def add() -> list[Any]:
            if len(places) >= PLACES:
                raise ValueError(
                    message("A walk here has at most {most} faces; clear it to begin another.", most=PLACES)
                )
            more = [*places, rounded(self.face.place(face, sliders))]
            return [more, self._strip(face["network"], more)]

        return await answered(self.studio, add, 2)

    def _strip(self, network: str, places: list[list[float]]) -> str:
        return strip(list(self.face.gan(network).decode(np.array(places, np.float32))))

    def cleared(self) -> list[Any]:
        """A walk without places."""
        return [[], strip([])]

    async def start_walk(
        self, network: str, value: dict[str, Any], places: list[list[float]], steps: float, arcs: bool, loop: bool
    ) -> AsyncIterator[dict[Any, Any]]:
        """Walk through the chosen faces, or the first five on the wall, and watch."""

        def job() -> Job:
            shared: dict[str, Any] = {"steps": int(steps), "spherical": bool(arcs), "closed": bool(loop)}
            if places:
                config = FaceWalkConfig(waypoints=tuple(number for z in places for number in z), **shared)
            else:
                seed = int((value or {}).get("seed", 0))
                truncation = float((value or {}).get("truncation", TRUNCATION))
                config = FaceWalkConfig(seeds=tuple(range(seed, seed + 5)), truncation=truncation, **shared)
            resolve(config, self.face.gan(network))  # a sentence now rather than a run that fails
            return Job(engine="dcgan_walk", config=config, inputs={}, backbone=network)

        async for update in self.stage.start(job):
            yield update

    # What comes back

    def doors(self) -> list[Handoff]:
        """Faces, walks, searches and trainings come back; any picture may be looked for."""
        drawing, looking = [self.parts, *self._restorable], [self.parts, self.look, *self.search.found]
        training = [self.parts, *self.training.restorable]
        return [
            Handoff("faces", self.entered, [], drawing, engines=("dcgan", "dcgan_walk")),
            Handoff("faces", self.search_back, [], looking, engines=("dcgan_projection",)),
            Handoff("faces", self.training_entered, [], training, engines=("dcgan_training",)),
            Handoff(
                "faces",
                self.search_entered,
                [self.network],
                looking,
                title="Look for this face",
                kinds=("picture",),
            ),
        ]

    async def entered(self, recipe: Recipe) -> dict[Any, Any]:
        """A face or a walk comes back from another tab."""
        updates = await self.studio.answer(lambda: self._back(recipe))
        return dict(zip(self._restorable, updates, strict=True)) | {self.parts: gr.update(selected="draw")}

    def training_entered(self, recipe: Recipe) -> dict[Any, Any]:
        """A training comes back from another tab."""
        return self.training.restored(recipe) | {self.parts: gr.update(selected="gan-training")}

    def search_back(self, recipe: Recipe) -> dict[Any, Any]:
        """A search comes back from another tab."""
        updates = dict(zip(self.search.found, self.search.restored(recipe), strict=True))
        return updates | {self.parts: gr.update(selected="draw"), self.look: gr.update(open=True)}

    async def search_entered(self, path: str, network: str) -> dict[Any, Any]:
        """A picture comes from another tab: as if it were dropped where a face is looked for."""
        updates = dict(zip(self.search.found, await self.search.face_dropped(path, network), strict=True))
        if isinstance(updates[self.search.opinion], str):  # it can be looked for
            updates[self.search.photo] = path
        return updates | {self.parts: gr.update(selected="draw"), self.look: gr.update(open=True)}

    async def restored(self, path: str) -> Any:
        """A saved face or walk was dropped: put it back on the page."""

        def bring() -> list[Any]:
            recipe = read_recipe(Path(path))
            if recipe is None:
                raise RecipeError(
                    message("There is no recipe in this file: bring a PNG or an MP4 that was saved here.")
                )
            return self._back(recipe)

        return await answered(self.studio, bring, 8 + len(self.face.everything))

    def _back(self, recipe: Recipe) -> list[Any]:
        return self._walk_back(recipe) if recipe.engine == "dcgan_walk" else self._face_back(recipe)

    def _job_of(self, recipe: Recipe, engine: str) -> Job:
        networks = [*NETWORKS.values(), *self._trained.names]
        return job_for_tab(
            recipe,
            engine,
            networks,
            message("This was made on another tab; drop it there."),
            workshop=self.studio.workshop,
        )

    def _face_back(self, recipe: Recipe) -> list[Any]:
        job = self._job_of(recipe, "dcgan")
        config, gan = job.config, self.face.gan(job.backbone)
        resolve(config, gan)
        inform(message("The face is back, with its sliders."))
        shown = drawn(gan, config.seed, COUNT, config.truncation)
        return [job.backbone, config.truncation, shown, *self.face.restored(config, job.backbone), *[gr.skip()] * 5]

    def _walk_back(self, recipe: Recipe) -> list[Any]:
        job = self._job_of(recipe, "dcgan_walk")
        config, gan = job.config, self.face.gan(job.backbone)
        resolve(config, gan)
        points = gan.latents(config.seeds, config.truncation)
        if config.waypoints:
            points = np.array(config.waypoints, np.float32).reshape(-1, gan.latent_dim)
        places = [rounded(z) for z in points[:PLACES]]
        inform(message("The walk is back; press Walk to see it."))
        same = [gr.skip()] * (1 + len(self.face.everything))
        way = [places, self._strip(job.backbone, places), config.steps, config.spherical, config.closed]
        return [job.backbone, config.truncation, *same, *way]

    # What was trained

    async def trained_used(self, run_id: str) -> Any:
        """Take up the networks of a finished training."""
        gan = await answered(self.studio, lambda: self.training.finished(run_id))
        if not isinstance(gan, GAN):
            return gr.skip()
        name = self._trained.take_up(run_id, gan)
        inform(message("Your networks draw on the wall now: see Draw."))
        return gr.update(choices=[*NETWORKS.items(), (message("Yours"), name)], value=name)


def strip(pictures: Sequence[np.ndarray]) -> str:
    """The faces of a walk, as HTML."""
    if not pictures:
        hint = translate("“Add to the walk” collects faces; without any: the first five of the wall.")
        return f'<p class="places">{hint}</p>'
    images = "".join(f'<img alt="" src="{png_uri(one)}">' for one in pictures)
    count = translate(message("{count} face{s} in the walk", count=len(pictures), s="s" * (len(pictures) > 1)))
    return f'<div class="places" role="img" aria-label="{count}">{images}</div>'
