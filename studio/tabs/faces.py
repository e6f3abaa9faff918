"""The faces tab: a wall of faces drawn from noise, one of them made large and changed, walks, a search, training."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from engines.dcgan import DrawConfig, FaceWalkConfig, resolve
from engines.dcgan_projection import ProjectionConfig
from engines.jobs import Job
from engines.parts.dcgan_config import STEERABLE, DCGANTrainingConfig
from engines.parts.gans import GAN, read_gan
from engines.parts.maps import lit
from engines.parts.pictures import check_picture, middle_square
from engines.recipes import Recipe, RecipeError, read_recipe, write_png
from studio.face_editor import rounded
from studio.neighbours import Neighbours
from studio.notices import inform, warn
from studio.photo import Photo
from studio.portrait import follow, portrait
from studio.previews import data_uri, png_uri
from studio.restoring import job_for_tab
from studio.settings import Settings
from studio.stage import Stage, steers
from studio.studio import Studio
from studio.training import Kind, Training
from studio.wall import drawn, wall

NETWORKS = {"Ours": "faces", "As in the book": "notes"}
COUNT, DIRECTIONS, REACH = 40, 12, 6.0
# A photo is looked for as it is seen here: larger would be no better, and 64 pixels are what is drawn.
SOUGHT_SIDE = 448
PLACES = 12
NOBODY = {"network": "faces", "first": None, "second": None, "picture": "", "original": "", "caption": ""}
MOST_TRAINED = 8


class FacesTab:
    """The controls of the tab and what they do."""

    def __init__(self, studio: Studio):
        self.studio = studio
        self._trained: list[str] = []

    def build(self) -> None:
        """Lay the tab out and wire it, inside the page's Blocks."""
        self.stage = Stage(self.studio, "gan")
        self.search = Stage(self.studio, "sought")
        self.training = Training(self.studio, self._kind(), "gan-train")
        with gr.Tabs():
            with gr.Tab("Draw", id="draw"):
                self._build_drawing()
            with gr.Tab("Train", id="gan-training"):
                self.training.build()
        self._wire()
        self._wire_training()

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
                self.truncation = gr.Slider(
                    0.2,
                    1.2,
                    value=0.8,
                    step=0.05,
                    label="Variety (ψ)",
                    info="Lower: nearer to the mean face, less varied and likelier to be whole.",
                    elem_id="gan-truncation",
                )
                self.blend = gr.Slider(
                    0,
                    1,
                    value=0,
                    step=0.01,
                    label="Towards the held face",
                    elem_id="gan-blend",
                    info="Press “Hold” under a face, then choose another: between the two lies a great arc.",
                )
                self.looking = gr.Checkbox(
                    False, label="Show where the critic looks", container=False, elem_id="gan-looking"
                )
                gr.Markdown("A saved face or walk brings its settings back.", elem_classes="quiet")
                self.saved = gr.UploadButton(
                    "Bring back a face or a walk",
                    file_types=[".png", ".mp4"],
                    size="sm",
                    type="filepath",
                    elem_id="gan-saved",
                )
            with gr.Row(elem_classes="outputs gallery-and-face"):
                self.wall = wall("gan-wall")
                with gr.Column(min_width=300):
                    self.picture = portrait("gan-portrait", NOBODY, self.edited)
                    with gr.Row(elem_classes="under"):
                        self.hold = gr.Button("Hold", size="sm", elem_id="gan-hold")
                        self.add = gr.Button("Add to the walk", size="sm", elem_id="gan-add")
                        self.keep = gr.Button("Save", size="sm", elem_id="gan-keep")
                        self.file = gr.DownloadButton("File", elem_id="gan-file", elem_classes="offstage")
        gr.Markdown(
            "Along these directions faces change most: the first six by what the generator’s first layer answers to "
            "(SeFa), the others by what differs most between its pictures.",
            elem_classes="quiet",
        )
        with gr.Row(elem_classes="directions inputs"):
            self.directions = [
                gr.Slider(-REACH, REACH, value=0, step=0.05, label=f"Direction {i + 1}", elem_id=f"gan-d{i + 1}")
                for i in range(DIRECTIONS)
            ]
        self.places = gr.State([])
        with gr.Accordion("Walk", open=True, elem_id="gan-walk", elem_classes="fold"):
            self._build_walk()
        with gr.Accordion("Look for a face of your own", open=False, elem_id="gan-search", elem_classes="fold"):
            self._build_search()
        self.neighbours = Neighbours(self.studio)
        self.neighbours.build()

    def _build_walk(self) -> None:
        with gr.Row(elem_classes="workbench"):
            with gr.Column(elem_classes="inputs", min_width=300):
                with gr.Column(elem_classes="begin"):
                    self.strip = gr.HTML(strip([]), elem_id="gan-places", apply_default_css=False)
                    self.clear = gr.Button("Clear the walk", size="sm", elem_id="gan-clear")
                    self.stage.buttons("Walk")
                self.steps = gr.Slider(4, 60, value=24, step=1, label="Pictures a leg", elem_id="gan-steps")
                self.arcs = gr.Checkbox(True, label="On arcs", container=False, elem_id="gan-spherical")
                self.loop = gr.Checkbox(True, label="In a loop", container=False, elem_id="gan-closed")
            with gr.Column(elem_classes="outputs", min_width=320, scale=3):
                blank = np.zeros((448, 448, 3), np.uint8)
                self.stage.canvas_with(blank, "A walk from face to face plays here.")
                self.stage.under("Every picture is drawn from its own latent vector.")

    def _build_search(self) -> None:
        self.sought = Settings(ProjectionConfig(), "sought")
        with gr.Row(elem_classes="workbench"):
            with gr.Column(elem_classes="inputs", min_width=300):
                with gr.Column(elem_classes="begin"):
                    self.photo = Photo(
                        label="Drop a face",
                        show_label=False,
                        placeholder="Drop a face",
                        sources=["upload", "clipboard", "webcam"],
                        height=200,
                        elem_id="sought-photo",
                        elem_classes="drop",
                    )
                    self.opinion = gr.Markdown(
                        "Its middle square is looked for among what the generator can draw.",
                        elem_id="sought-opinion",
                        elem_classes="quiet",
                    )
                    self.search.buttons("Look for it")
                self.sought.slider("steps", "Steps", 20, 400, 10)
                self.sought.slider("prior_weight", "Stay likely", 0.0, 0.2, 0.005)
                with gr.Accordion("More", open=False, elem_id="sought-more", elem_classes="fold"):
                    self.sought.slider("starts", "Starts", 1, 16, 1)
                    self.sought.slider("perceptual_weight", "Perceptual weight", 0.0, 4.0, 0.1)
                    self.sought.slider("pixel_weight", "Pixel weight", 0.0, 4.0, 0.1)
                    self.sought.number("learning_rate", "Learning rate")
                    self.sought.number("seed", "Seed")
            with gr.Column(elem_classes="outputs", min_width=320, scale=3):
                blank = np.zeros((448, 448, 3), np.uint8)
                self.search.canvas_with(blank, "The nearest face that can be drawn appears here.")
                self.search.under("Steps, starts and seed are as they were at the start.", "Use this face")

    @property
    def _sliders(self) -> list[Any]:
        return [self.blend, self.looking, *self.directions]

    @property
    def _everything(self) -> list[Any]:
        return [self.picture, *self._sliders]

    def _wire(self) -> None:
        seen: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
        newest = {**seen, "trigger_mode": "always_last"}
        whole = [self.wall, *self._everything]
        follow(self.picture, self._sliders)
        self.again.click(self.next_wall, [self.network, self.wall, self.truncation], whole, **seen)
        self.network.input(self.same_wall, [self.network, self.wall, self.truncation], whole, **seen)
        self.truncation.input(self.same_wall, [self.network, self.wall, self.truncation], whole, **newest)
        self.wall.pick(self.picked, [self.network, self.wall, self.picture], self._everything, **newest)
        self.reset.click(self.unedited, [self.picture], self._everything, **seen)
        self.hold.click(self.held, self._everything, self._everything, **seen)
        self.keep.click(self.kept, self._everything, [self.file], **seen).then(
            None, None, None, js="() => setTimeout(() => document.querySelector('#gan-file').click(), 300)"
        )
        self.add.click(self.added, [self.places, *self._everything], [self.places, self.strip], **seen)
        self.clear.click(self.cleared, [self.network], [self.places, self.strip], **seen)
        restored = [self.network, self.truncation, self.wall, *self._everything, self.places, self.strip]
        self.saved.upload(self.restored, [self.saved, self.wall], [*restored, self.steps, self.arcs, self.loop], **seen)
        walk = [self.network, self.wall, self.places, self.steps, self.arcs, self.loop]
        self.stage.go.click(self.start_walk, walk, self.stage.outputs, **seen)
        self.stage.wire()
        looked = [self.photo, self.network]
        self.photo.upload(
            self.face_dropped, looked, [self.photo, self.opinion, self.search.canvas, *self.sought.components], **seen
        )
        self.search.go.click(self.start_search, [*looked, *self.sought.components], self.search.outputs, **seen)
        self.search.again.click(self.found_used, [self.search.run_id, self.network], self._everything, **seen)
        steers(
            [self.sought.controls[name] for name in ("prior_weight", "perceptual_weight", "pixel_weight")],
            self.search_steered,
            [self.search.run_id, self.network, *self.sought.components],
        )
        self.search.wire()
        self.neighbours.wire(self.picture, self._sliders, self.shown)

    def on_visit(self, page: gr.Blocks, tab: gr.Tab) -> None:
        """Have a fresh page find its runs again, and draw the wall when the tab is first looked at."""
        for stage in (self.stage, self.search, self.training.stage):
            stage.on_page_load(page)
        tab.select(
            self.first_wall,
            [self.network, self.wall, self.truncation],
            [self.wall, *self._everything],
            show_progress="hidden",
            api_visibility="private",
            concurrency_limit=None,
        )

    # The wall

    def _gan(self, network: str) -> GAN:
        return self.studio.workshop.network("dcgan", network or "faces")

    async def _answered(self, work: Callable[[], Any], count: int) -> Any:
        """What `work` returns, done beside the renders; a sentence as a toast where it cannot be done."""
        try:
            return await self.studio.answer(work)
        except ValueError as error:
            warn(error)
            return [gr.skip()] * count if count > 1 else gr.skip()

    async def first_wall(self, network: str, value: dict[str, Any], truncation: float) -> Any:
        """A wall, unless there is one."""
        if value and value.get("sheet"):
            return [gr.skip()] * (1 + len(self._everything))
        return await self.same_wall(network, value, truncation)

    async def same_wall(self, network: str, value: dict[str, Any], truncation: float) -> Any:
        """The wall of the same noise, as these networks draw it."""
        return await self._walled(network, int((value or {}).get("seed", 0)), truncation)

    async def next_wall(self, network: str, value: dict[str, Any], truncation: float) -> Any:
        """A wall of other noise."""
        return await self._walled(network, (int((value or {}).get("seed", 0)) + COUNT) % 2**30, truncation)

    async def _walled(self, network: str, seed: int, truncation: float) -> Any:
        def draw() -> list[Any]:
            gan = self._gan(network)
            shown = drawn(gan, seed, COUNT, float(truncation))
            return [shown, *self._fresh(network, gan.latents([seed], float(truncation))[0])]

        return await self._answered(draw, 1 + len(self._everything))

    async def picked(self, network: str, value: dict[str, Any], face: dict[str, Any], event: gr.EventData) -> Any:
        """A face on the wall was clicked; the one that is held stays held."""
        index = int(event.index) % COUNT

        def draw() -> list[Any]:
            z = self._gan(network).latents([int(value["seed"]) + index], float(value["truncation"]))[0]
            return self._fresh(network, z, face)

        return await self._answered(draw, len(self._everything))

    # The large face

    def _fresh(self, network: str, z: np.ndarray, face: dict[str, Any] | None = None, original: str = "") -> list[Any]:
        """A face with all sliders in the middle."""
        face = face if face and face.get("network") == network else NOBODY
        value = {**face, "network": network, "first": rounded(z), "original": original}
        zeros = [0.0, False, *[0.0] * DIRECTIONS]
        # A page that is sent what it was sent last draws nothing, and there may be an edited face on it.
        return [value | self._shown(value, zeros) | {"turn": value.get("turn", 0) + 1}, *zeros]

    def shown(self, face: dict[str, Any], sliders: Sequence[Any]) -> np.ndarray:
        """The picture of a face, (64, 64, 3) uint8, as the sliders say."""
        gan = self._gan(face["network"])
        return gan.decode(self._place(face, sliders))[0]

    def _place(self, face: dict[str, Any], sliders: Sequence[Any]) -> np.ndarray:
        if not face.get("first"):
            raise ValueError("There is no face yet; press New faces first.")
        blend, _, *along = sliders
        return self._gan(face["network"]).edited(face["first"], face["second"], float(blend), along)

    def _shown(self, face: dict[str, Any], sliders: Sequence[Any]) -> dict[str, str]:
        gan = self._gan(face["network"])
        image = self.shown(face, sliders)
        verdict = float(gan.verdicts(image[None])[0])
        picture = lit(image, gan.attention(image)) if sliders[1] else image
        return {"picture": png_uri(picture), "caption": said_of(gan, verdict, "The critic finds it")}

    async def edited(self, asked: list[Any]) -> dict[str, str] | None:
        """The face that the sliders say, as the browser asks for it: [network, first, second, sliders]."""
        try:
            network, first, second, sliders = asked
            face = {"network": str(network), "first": first, "second": second}
            return await self.studio.answer(lambda: self._shown(face, sliders))
        except (TypeError, ValueError, IndexError):  # nothing that this page asks for
            return None

    async def unedited(self, face: dict[str, Any]) -> Any:
        """The face as it was before the sliders, and none held."""

        def draw() -> list[Any]:
            self._place(face, [0.0, False])
            return self._fresh(face["network"], np.array(face["first"]), {**face, "second": None})

        return await self._answered(draw, len(self._everything))

    async def held(self, face: dict[str, Any], *sliders: Any) -> Any:
        """Keep the face as the other end of the slider that blends."""

        def hold() -> list[Any]:
            z = self._place(face, sliders)
            inform("Held: choose another face, and the slider blends the two.")
            return self._fresh(face["network"], z, {**face, "second": rounded(z)})

        return await self._answered(hold, len(self._everything))

    def _config(self, face: dict[str, Any], sliders: Sequence[Any]) -> DrawConfig:
        self._place(face, sliders)
        blend, _, *along = sliders
        second = tuple(face["second"] or ())
        return DrawConfig(
            count=1,
            z=tuple(face["first"]),
            second=second,
            blend=float(blend),
            along=tuple(float(value) for value in along),
        )

    async def kept(self, face: dict[str, Any], *sliders: Any) -> Any:
        """Write the face into the gallery, with its recipe."""

        def write() -> Path:
            config = self._config(face, sliders)
            started = self.studio.workshop.start(
                Job(engine="dcgan", config=config, inputs={}, backbone=face["network"])
            )
            image = next(started).image
            assert image is not None
            path = self.studio.gallery.new_path("dcgan", ".png")
            write_png(path, image, started.recipe)
            return path

        path = await self._answered(write, 1)
        return str(path) if isinstance(path, Path) else None

    # The walk

    async def added(self, places: list[list[float]], face: dict[str, Any], *sliders: Any) -> Any:
        """The face becomes a place of the walk."""

        def add() -> list[Any]:
            if len(places) >= PLACES:
                raise ValueError(f"A walk here has at most {PLACES} faces; clear it to begin another.")
            more = [*places, rounded(self._place(face, sliders))]
            return [more, self._strip(face["network"], more)]

        return await self._answered(add, 2)

    def _strip(self, network: str, places: list[list[float]]) -> str:
        return strip(list(self._gan(network).decode(np.array(places, np.float32))) if places else [])

    def cleared(self, network: str) -> list[Any]:
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
                truncation = float((value or {}).get("truncation", 0.8))
                config = FaceWalkConfig(seeds=tuple(range(seed, seed + 5)), truncation=truncation, **shared)
            resolve(config, self._gan(network))  # a sentence now rather than a run that fails
            return Job(engine="dcgan_walk", config=config, inputs={}, backbone=network)

        async for update in self.stage.start(job):
            yield update

    # What comes back

    async def restored(self, path: str, value: dict[str, Any]) -> Any:
        """A saved face or walk was dropped: put it back on the page."""
        count = 6 + len(self._everything) + 2

        def bring() -> list[Any]:
            recipe = read_recipe(Path(path))
            if recipe is None:
                raise RecipeError("There is no recipe in this file: bring a PNG or an MP4 that was saved here.")
            return self._walk_back(recipe) if recipe.engine == "dcgan_walk" else self._face_back(recipe)

        return await self._answered(bring, count)

    def _job_of(self, recipe: Recipe, engine: str) -> Job:
        networks = [*NETWORKS.values(), *self._trained]
        return job_for_tab(recipe, engine, networks, "This was made on another tab; drop it there.")

    def _face_back(self, recipe: Recipe) -> list[Any]:
        job = self._job_of(recipe, "dcgan")
        config, gan = job.config, self._gan(job.backbone)
        resolve(config, gan)
        shown = drawn(gan, config.seed, COUNT, config.truncation)
        z = np.array(config.z, np.float32) if config.z else gan.latents([config.seed], config.truncation)[0]
        second = list(config.second) or None
        face = self._fresh(job.backbone, z, {**NOBODY, "network": job.backbone, "second": second})[0]
        sliders = [config.blend, False, *[*config.along, *[0.0] * DIRECTIONS][:DIRECTIONS]]
        face |= self._shown(face, sliders)
        inform("The face is back, with its sliders.")
        kept = [gr.skip()] * 5
        return [job.backbone, config.truncation, shown, face, *sliders, *kept]

    def _walk_back(self, recipe: Recipe) -> list[Any]:
        job = self._job_of(recipe, "dcgan_walk")
        config, gan = job.config, self._gan(job.backbone)
        resolve(config, gan)
        points = np.array(config.waypoints, np.float32).reshape(-1, gan.latent_dim)
        if not config.waypoints:
            points = gan.latents(config.seeds, config.truncation)
        places = [rounded(z) for z in points[:PLACES]]
        inform("The walk is back; press Walk to see it.")
        same = [gr.skip()] * (1 + len(self._everything))
        shown = [places, self._strip(job.backbone, places), config.steps, config.spherical, config.closed]
        return [job.backbone, config.truncation, *same, *shown]

    # Looking for a face

    async def face_dropped(self, path: str | None, network: str) -> Any:
        """A photo was dropped: what the critic says of it; a saved search brings its settings back."""
        count = 3 + len(self.sought.components)

        def look() -> list[Any]:
            recipe = read_recipe(Path(path or ""))
            if recipe is not None:
                job = self._job_of(recipe, "dcgan_projection")
                kept = self.studio.gallery.find_input(recipe.inputs.get("image", ""))
                inform("Settings restored." if kept else "Settings restored: now drop the photo that was looked for.")
                restored = self.sought.shown(self.sought.values(job.config))
                return [str(kept) if kept else None, gr.skip(), gr.skip(), *restored]
            gan, cut = self._gan(network), self._cut(path)
            verdict = float(gan.verdicts(middle_square(cut, gan.shape[0])[None])[0])
            opinion = said_of(gan, verdict, "The critic finds your photograph")
            message = {"state": "ready", "original": data_uri(cut)}
            return [gr.skip(), opinion, message, *[gr.skip()] * len(self.sought.components)]

        return await self._answered(look, count) if path else [gr.skip()] * count

    def _cut(self, path: str | None) -> np.ndarray:
        if not path:
            raise ValueError("Drop a face first: a picture with one face that fills its middle.")
        image = self.studio.read(path)
        check_picture(image)
        return middle_square(image, SOUGHT_SIDE)

    async def start_search(self, path: str | None, network: str, *values: Any) -> AsyncIterator[dict[Any, Any]]:
        """Look for the dropped face and watch."""

        def job() -> Job:
            self._gan(network)
            config = self.sought.config(values)
            return Job(engine="dcgan_projection", config=config, inputs={"image": self._cut(path)}, backbone=network)

        async for update in self.search.start(job):
            yield update

    def search_steered(self, run_id: str, network: str, *values: Any) -> None:
        """The weights were moved while it looks."""
        self.search.steer(run_id, network, lambda: self.sought.config(values))

    async def found_used(self, run_id: str, network: str) -> Any:
        """Make the face that was found the large one."""

        def use() -> list[Any]:
            run = self.search.run(run_id)
            if run is None or run.frame is None or run.frame.z is None:
                raise ValueError("There is no found face yet; press Look for it first.")
            original = "" if run.original is None else png_uri(middle_square(run.original, 128))
            return self._fresh(run.job.backbone, run.frame.z, None, original)

        return await self._answered(use, len(self._everything))

    # Training

    def _kind(self) -> Kind:
        return Kind(
            engine="dcgan_training",
            first=DCGANTrainingConfig(images=100_000, interval=50).filled(),
            data="a zip of pictures, or all pictures of a folder",
            suffixes=(".zip", ".jpg", ".jpeg", ".png", ".webp"),
            choose=self._choose_networks,
            adjust=self._adjust_training,
            invitation="What the generator draws from the same noise, again and again, appears here.",
            used="Finished networks can draw on the wall.",
            read=read_gan,
            steerable=STEERABLE,
        )

    def _choose_networks(self, settings: Settings) -> None:
        self.model = settings.choice("model", "Networks", NETWORKS)

    def _adjust_training(self, settings: Settings) -> None:
        settings.slider("images", "Pictures in all", 5_000, 2_000_000, 5_000)
        settings.slider("d_learning_rate", "Critic’s learning rate", 1e-5, 2e-3, 1e-5)
        settings.slider("dropout", "Hidden from the critic (dropout)", 0.0, 0.8, 0.05)
        self.back = gr.Button("Back to the last good moment", size="sm", elem_id="gan-train-back")
        settings.add("rollbacks", gr.State(0))
        with gr.Accordion("More", open=False, elem_id="gan-train-more", elem_classes="fold"):
            settings.number("g_learning_rate", "Generator’s learning rate")
            settings.slider("batch_size", "Batch size", 16, 256, 16)
            settings.choice("objective", "Loss", {"Hinge": "hinge", "Cross-entropy, noisy labels": "noisy labels"})
            kinds = {"None": "none", "Colour": "colour", "Colour and shift": "colour and shift"}
            settings.choice("augmentation", "Augmentation", kinds)
            settings.number("averaging", "Averaging of weights")
            mirrored = gr.Checkbox(
                settings.first.mirrored,
                label="Mirrored too",
                info=settings.hint("mirrored"),
                elem_id="gan-train-mirrored",
            )
            settings.add("mirrored", mirrored)
            settings.slider("interval", "Steps between pictures", 10, 1000, 10)
            settings.number("seed", "Seed")

    def _wire_training(self) -> None:
        settings, seen = self.training.settings, {"show_progress": "hidden", "api_visibility": "private"}
        self.model.input(self.models_own, [self.model, *settings.components], settings.components, **seen)
        steered = [self.training.stage.run_id, *settings.components]
        rollbacks = settings.controls["rollbacks"]
        steers([settings.controls[name] for name in ("d_learning_rate", "dropout")], self.training_steered, steered)
        self.back.click(self.once_more, [self.training.stage.run_id, rollbacks], [rollbacks], **seen).then(
            self.training_steered, steered, None, **seen
        )
        self.training.use.click(
            self.trained_used, [self.training.stage.run_id], [self.network], concurrency_limit=None, **seen
        ).then(self.same_wall, [self.network, self.wall, self.truncation], [self.wall, *self._everything], **seen)

    def models_own(self, model: str, *values: Any) -> list[Any]:
        """Other networks were chosen: their own settings."""
        settings = self.training.settings
        own = DCGANTrainingConfig(model=model).filled()
        fresh = dict(zip(settings.controls, settings.values(own), strict=True))
        kept = settings.named(values)
        for name in ("images", "batch_size", "interval", "seed", "rollbacks"):
            fresh[name] = kept[name]
        return settings.shown(list(fresh.values()))

    def once_more(self, run_id: str, rollbacks: int) -> int:
        """One more step back."""
        run = self.training.stage.run(run_id)
        if run is None or run.over:
            warn("No training is running that could go back.")
            return rollbacks
        inform("Going back to the last moment without an alarm.")
        return rollbacks + 1

    def training_steered(self, run_id: str, *values: Any) -> None:
        """What may be moved while it trains was moved."""
        self.training.stage.steer(run_id, "", lambda: self.training.settings.config(values))

    async def trained_used(self, run_id: str) -> Any:
        """Take up the networks of a finished training."""
        gan = await self._answered(lambda: self.training.finished(run_id), 1)
        if not isinstance(gan, GAN):
            return gr.skip()
        name = f"trained-{run_id}"
        self.studio.workshop.keep("dcgan", name, gan)
        self._trained = [*(one for one in self._trained if one != name), name]
        while len(self._trained) > MOST_TRAINED:
            self.studio.workshop.forget("dcgan", self._trained.pop(0))
        inform("Your networks draw on the wall now: see Draw.")
        return gr.update(choices=[*NETWORKS.items(), ("Yours", name)], value=name)


def said_of(gan: GAN, verdict: float, beginning: str) -> str:
    """The critic's verdict in words."""
    standing = gan.standing(verdict)
    if standing is None:
        return f"{beginning} {verdict:.2f} real"
    return f"{beginning} more real than {standing:.0f} % of photographs (score {verdict:.2f})"


def strip(pictures: Sequence[np.ndarray]) -> str:
    """The faces of a walk, as HTML."""
    if not pictures:
        return (
            '<p class="places">“Add to the walk” collects faces; without any, it passes the first five of the wall.</p>'
        )
    images = "".join(f'<img alt="" src="{png_uri(one)}">' for one in pictures)
    count = f"{len(pictures)} face{'s' * (len(pictures) > 1)} in the walk"
    return f'<div class="places" role="img" aria-label="{count}">{images}</div>'
