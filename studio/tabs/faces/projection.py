"""Project a photo into the generator's latent space."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from engines.core.messages import message
from engines.dcgan.config import ProjectionConfig
from engines.imaging.images import check_picture, middle_square
from engines.jobs import Job
from engines.recipes import Recipe, read_recipe
from studio.components.config_form import Settings
from studio.components.image_input import Photo
from studio.components.toasts import answered, inform
from studio.panels.image_drop import looked_at
from studio.run_views.image_run_view import PictureStage
from studio.run_views.live_canvas import at_rest
from studio.services import Studio
from studio.tabs.faces.face_detail import LargeFace, said_of
from studio.wire_format import png_uri

# A photo is looked for as it is seen here: larger would be no better, and 64 pixels are what is drawn.
SIDE = 448
STEERED = ("prior_weight", "perceptual_weight", "pixel_weight")


class FaceSearch:
    """The controls of the search and what they do.

    Args:
        face: becomes what was found.
        job_of: a recipe and an engine -> the recipe's job, if it is one of that engine on this tab; or a ValueError.
    """

    def __init__(self, studio: Studio, face: LargeFace, job_of: Callable[[Recipe, str], Job]):
        self.studio, self._face, self._job_of = studio, face, job_of
        self.stage = PictureStage(studio, "sought")

    def build(self) -> None:
        """Lay them out."""
        self.settings = settings = Settings(ProjectionConfig(), "sought")
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
                        "One face that fills the middle square of its picture: that is what the generator can draw.",
                        elem_id="sought-opinion",
                        elem_classes="quiet",
                    )
                    self.stage.buttons("Find it")
                settings.slider("steps", "Steps", 20, 400, 10)
                settings.slider("prior_weight", "Stay likely", 0.0, 0.2, 0.005)
                with gr.Accordion("More", open=False, elem_id="sought-more", elem_classes="fold"):
                    settings.slider("starts", "Starts", 1, 16, 1)
                    settings.slider("perceptual_weight", "Perceptual weight", 0.0, 4.0, 0.1)
                    settings.slider("pixel_weight", "Pixel weight", 0.0, 4.0, 0.1)
                    settings.number("learning_rate", "Learning rate")
                    settings.number("seed", "Seed")
            with gr.Column(elem_classes="outputs", min_width=320, scale=3):
                self.stage.canvas_with(None, message("The nearest face that can be drawn appears here."))
                self.stage.under("“Stay likely” and the weights act while it looks.", "Use this face")

    def wire(self, network: Any) -> None:
        """Connect them; `network` is the control that names the networks."""
        seen: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
        settings = self.settings.components
        looked = [self.photo, network]
        # What `face_dropped` fills.
        self.found = [self.photo, self.opinion, self.stage.canvas, *settings]
        self.photo.upload(self.face_dropped, looked, self.found, **seen)
        self.stage.begin_on(self.stage.go.click, self.start, [*looked, *settings])
        self.stage.again.click(self.used, [self.stage.run_id], self._face.everything, **seen)
        steered = [self.settings.controls[name] for name in STEERED]
        self.stage.steered_by(steered, self.steered, [network, *settings])
        self.stage.wire()

    async def face_dropped(self, path: str | None, network: str) -> Any:
        """A photo was dropped: what the critic says of it; a saved search brings its settings back."""
        count = 3 + len(self.settings.components)
        same = [gr.skip()] * len(self.settings.components)

        def look() -> list[Any]:
            recipe = read_recipe(Path(path or ""))
            if recipe is not None:
                return self.restored(recipe)
            gan = self._face.gan(network)
            picture, shown = looked_at(self.studio, path or "")
            square = middle_square(picture.pixels, SIDE)
            verdict = float(gan.verdicts(middle_square(square, gan.shape[0])[None])[0])
            return [
                gr.skip() if shown == path else shown,
                said_of(gan, verdict, message("your photograph")),
                at_rest(square),
                *same,
            ]

        return await answered(self.studio, look, count) if path else [gr.skip()] * count

    def restored(self, recipe: Recipe) -> list[Any]:
        """Put the recipe of a search into the controls, and the photo that it was for where it is still here.

        Raises:
            ValueError: a recipe of another tab, or one that this version cannot follow.
        """
        job = self._job_of(recipe, "dcgan_projection")
        kept = self.studio.gallery.find_input(recipe.inputs.get("image", ""))
        inform(
            message("Settings restored.")
            if kept
            else message("Settings restored: now drop the photo that was looked for.")
        )
        restored = self.settings.shown(self.settings.values(job.config))
        return [str(kept) if kept else None, gr.skip(), gr.skip(), *restored]

    def _square(self, path: str | None) -> np.ndarray:
        if not path:
            raise ValueError(message("Drop a face first: a picture with one face that fills its middle."))
        image = self.studio.read(path)
        check_picture(image)
        return middle_square(image, SIDE)

    async def start(self, path: str | None, network: str, *values: Any) -> AsyncIterator[dict[Any, Any]]:
        """Look for the dropped face and watch."""

        def job() -> Job:
            self._face.gan(network)  # a sentence now rather than a run that fails
            config = self.settings.config(values)
            inputs = {"image": self._square(path)}
            return Job(engine="dcgan_projection", config=config, inputs=inputs, backbone=network)

        async for update in self.stage.start(job):
            yield update

    def steered(self, run_id: str, network: str, *values: Any) -> None:
        """The weights were moved while it looks."""
        self.stage.steer(run_id, network, lambda: self.settings.config(values))

    async def used(self, run_id: str) -> Any:
        """Make the face that was found the large one."""

        def use() -> list[Any]:
            run = self.stage.run(run_id)
            if run is None or run.frame is None or run.frame.z is None:
                raise ValueError(message("There is no found face yet; press Find it first."))
            original = "" if run.original is None else png_uri(middle_square(run.original, 128))
            return self._face.fresh(run.job.backbone, run.frame.z, None, original)

        return await answered(self.studio, use, len(self._face.everything))
