"""Project a photo into the generator's latent space."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from engines.core.messages import message
from engines.dcgan.config import ProjectionConfig
from engines.imaging.images import middle_square
from engines.jobs import Job
from engines.recipes import Recipe, read_recipe
from studio.components.config_form import Settings
from studio.components.image_input import Photo
from studio.components.toasts import inform, run_or_warn
from studio.panels.image_drop import open_upload
from studio.run_views.image_run_view import ImageRunView
from studio.run_views.live_canvas import idle_message
from studio.services import Studio
from studio.tabs.faces.face_detail import FaceDetail, verdict_text
from studio.wire_format import png_uri

# Large enough for display; the networks draw 64 pixels, so a larger photo would not help.
SIDE = 448
STEERED = ("prior_weight", "perceptual_weight", "pixel_weight")


class FaceProjection:
    """Controls and handlers of the projection.

    Args:
        studio: the services.
        face: shows the projected face.
        job_of: converts a recipe to a job of the given engine; raises ValueError for a recipe of another tab.
    """

    def __init__(self, studio: Studio, face: FaceDetail, job_of: Callable[[Recipe, str], Job]):
        self.studio, self._face, self._job_of = studio, face, job_of
        self.view = ImageRunView(studio, "sought")

    def build(self) -> None:
        """Create the controls."""
        self.settings = settings = Settings(ProjectionConfig(), "sought")
        with gr.Row(elem_classes="workbench"):
            with gr.Column(elem_classes="inputs", min_width=300):
                with gr.Column(elem_classes="begin"):
                    self.photo = Photo(
                        label="Drop a face photo",
                        show_label=False,
                        placeholder="Drop a face photo",
                        sources=["upload", "clipboard", "webcam"],
                        height=200,
                        elem_id="sought-photo",
                        elem_classes="drop",
                    )
                    self.opinion = gr.Markdown(
                        "Use a photo in which one face fills the centre square, as in the generator's images.",
                        elem_id="sought-opinion",
                        elem_classes="quiet",
                    )
                    self.view.build_buttons("Find face")
                settings.slider("steps", 20, 400, 10)
                settings.slider("prior_weight", 0.0, 0.2, 0.005)
                with gr.Accordion("More settings", open=False, elem_id="sought-more", elem_classes="fold"):
                    settings.slider("starts", 1, 16, 1)
                    settings.slider("perceptual_weight", 0.0, 4.0, 0.1)
                    settings.slider("pixel_weight", 0.0, 4.0, 0.1)
                    settings.number("learning_rate")
                    settings.number("seed")
            with gr.Column(elem_classes="outputs", min_width=320, scale=3):
                self.view.build_canvas(None, message("The closest face that the generator can make appears here."))
                self.view.build_footer("You can change the weights during the search.", "Use this face")

    def wire(self, network: Any) -> None:
        """Connect the controls.

        Args:
            network: control that selects the networks.
        """
        options: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
        settings = self.settings.components
        inputs = [self.photo, network]
        # Outputs of `face_dropped`.
        self.found = [self.photo, self.opinion, self.view.canvas, *settings]
        self.photo.upload(self.face_dropped, inputs, self.found, **options)
        self.view.start_on(self.view.start_button.click, self.start, [*inputs, *settings])
        self.view.reuse_button.click(self.use_face, [self.view.run_id], self._face.everything, **options)
        steered = [self.settings.controls[name] for name in STEERED]
        self.view.steered_by(steered, self.settings, network)
        self.view.wire()

    async def face_dropped(self, path: str | None, network: str) -> Any:
        """Score a dropped photo, or restore the settings of a saved projection."""
        count = 3 + len(self.settings.components)
        same = [gr.skip()] * len(self.settings.components)

        def score_or_restore() -> list[Any]:
            recipe = read_recipe(Path(path or ""))
            if recipe is not None:
                return self.restore(recipe)
            gan = self._face.gan(network)
            image, shown = open_upload(self.studio, path or "")
            square = middle_square(image.pixels, SIDE)
            score = float(gan.scores(middle_square(square, gan.shape[0])[None])[0])
            return [
                gr.skip() if shown == path else shown,
                verdict_text(gan, score, message("your photo")),
                idle_message(square),
                *same,
            ]

        return await run_or_warn(self.studio, score_or_restore, count) if path else [gr.skip()] * count

    def restore(self, recipe: Recipe) -> list[Any]:
        """Return updates that show a recipe, with its photo if that is still in the gallery.

        Raises:
            ValueError: a recipe of another tab, or with settings that this version rejects.
        """
        job = self._job_of(recipe, "dcgan_projection")
        kept = self.studio.gallery.find_input(recipe.inputs.get("image", ""))
        inform(message("Settings restored.") if kept else message("Settings restored; now drop the original photo."))
        restored = self.settings.updates(self.settings.values(job.config))
        return [str(kept) if kept else None, gr.skip(), gr.skip(), *restored]

    def _square(self, path: str | None) -> np.ndarray:
        if not path:
            raise ValueError(message("Drop a photo first: one face should fill its centre."))
        return middle_square(self.studio.read(path), SIDE)

    async def start(self, path: str | None, network: str, *values: Any) -> AsyncIterator[dict[Any, Any]]:
        """Start a projection and watch it."""

        def job() -> Job:
            self._face.gan(network)  # fail now rather than in the run
            config = self.settings.config(values)
            inputs = {"image": self._square(path)}
            return Job(engine="dcgan_projection", config=config, inputs=inputs, backbone=network)

        async for update in self.view.start(job):
            yield update

    async def use_face(self, run_id: str) -> Any:
        """Select the projected face."""

        def use() -> list[Any]:
            run = self.view.run(run_id)
            if run is None or run.frame is None or run.frame.z is None:
                raise ValueError(message("No face found yet; press Find face first."))
            original = "" if run.original is None else png_uri(middle_square(run.original, 128))
            return self._face.new_face(run.job.backbone, run.frame.z, None, original)

        return await run_or_warn(self.studio, use, len(self._face.everything))
