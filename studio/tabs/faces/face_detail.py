"""Selected face: sliders, and the discriminator's score."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from engines.core.messages import message
from engines.dcgan import DrawConfig
from engines.dcgan.model import GAN
from engines.dcgan.saliency import overlay_saliency
from engines.jobs import Job
from engines.recipes import write_png
from studio.components.hidden_download import download_when_ready
from studio.components.portrait import follow, portrait
from studio.components.toasts import inform, run_or_warn
from studio.i18n.catalog import translate
from studio.panels.direction_sliders import direction_sliders
from studio.services import Studio
from studio.tabs.latent_space.face_editor import rounded
from studio.wire_format import png_uri

DIRECTIONS, Z_RANGE = 12, 6.0
NEUTRAL_SLIDERS: tuple[Any, ...] = (0.0, False, *[0.0] * DIRECTIONS)
EMPTY_FACE = {"network": "faces", "first": None, "second": None, "picture": "", "original": "", "caption": ""}


class FaceDetail:
    """Controls and handlers of the selected face.

    A face is passed as the value of `portrait`, its sliders in the order of NEUTRAL_SLIDERS. Call `controls`, `frame`
    and `sliders_below` once each, where the tab wants the parts; then `wire`.
    """

    def __init__(self, studio: Studio):
        self.studio = studio

    def controls(self) -> None:
        """Create the blend slider and the saliency checkbox."""
        self.blend = gr.Slider(
            0,
            1,
            value=0,
            step=0.01,
            label="Blend with held face",
            info="Press Hold under a face, then choose another to blend the two along a great-circle arc.",
            elem_id="gan-blend",
        )
        self.saliency = gr.Checkbox(False, label="Show discriminator saliency", container=False, elem_id="gan-looking")

    def frame(self) -> None:
        """Create the image and its buttons."""
        self.image = portrait("gan-portrait", EMPTY_FACE, self.edited)
        with gr.Row(elem_classes="under"):
            self.hold = gr.Button("Hold", size="sm", elem_id="gan-hold")
            self.add = gr.Button("Add to walk", size="sm", elem_id="gan-add")
            self.keep = gr.Button("Save", size="sm", elem_id="gan-keep")
            self.file = gr.DownloadButton("File", elem_id="gan-file", elem_classes="invisible-button")

    def sliders_below(self) -> None:
        """Create the direction sliders."""
        gr.Markdown(
            "The first six directions come from the generator's first layer (SeFa), the other six are principal "
            "components of its images.",
            elem_classes="quiet",
        )
        self.directions = direction_sliders(DIRECTIONS, Z_RANGE, "gan-d")

    @property
    def sliders(self) -> list[Any]:
        return [self.blend, self.saliency, *self.directions]

    @property
    def everything(self) -> list[Any]:
        """List the face and its sliders, which `new_face` updates."""
        return [self.image, *self.sliders]

    def wire(self) -> None:
        """Connect the sliders, Hold and Save."""
        options: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
        follow(self.image, self.sliders)
        self.hold.click(self.hold_face, self.everything, self.everything, **options)
        download_when_ready(self.keep.click(self.save_face, self.everything, [self.file], **options), self.file)

    def gan(self, network: str) -> GAN:
        """Load networks by name."""
        return self.studio.workshop.network("dcgan", network or "faces")

    def new_face(
        self, network: str, z: np.ndarray, face: dict[str, Any] | None = None, original: str = ""
    ) -> list[Any]:
        """Return updates that show a face with neutral sliders.

        Args:
            network: name of the networks.
            z: latent vector, (Z,) float32.
            face: the face before; its held face is kept if the networks are the same.
            original: data URI of the photo that the face was projected from.
        """
        face = face if face and face.get("network") == network else EMPTY_FACE
        value = {**face, "network": network, "first": rounded(z), "original": original}
        # The counter forces a redraw: the page skips a value it has already received, though an edit may have replaced
        # the image.
        return [value | self.draw(value, NEUTRAL_SLIDERS) | {"turn": value.get("turn", 0) + 1}, *NEUTRAL_SLIDERS]

    def latent_of(self, face: dict[str, Any], sliders: Sequence[Any]) -> np.ndarray:
        """Return the latent vector of an edited face, (Z,) float32.

        Raises:
            ValueError: no face is selected.
        """
        if not face.get("first"):
            raise ValueError(message("No face selected; press New faces first."))
        blend, _, *along = sliders
        return self.gan(face["network"]).edited(face["first"], face["second"], float(blend), along)

    def decode(self, face: dict[str, Any], sliders: Sequence[Any]) -> np.ndarray:
        """Decode an edited face to (H, W, 3) uint8."""
        return self.gan(face["network"]).decode(self.latent_of(face, sliders))[0]

    def draw(self, face: dict[str, Any], sliders: Sequence[Any]) -> dict[str, str]:
        """Return the data URI and the caption of an edited face."""
        gan, image = self.gan(face["network"]), self.decode(face, sliders)
        score = float(gan.scores(image[None])[0])
        shown = overlay_saliency(image, gan.saliency_map(image)) if sliders[1] else image
        return {"picture": png_uri(shown), "caption": verdict_text(gan, score)}

    async def edited(self, asked: list[Any]) -> dict[str, str] | None:
        """Return the edited face for the browser's request, [network, first, second, sliders]; None if malformed."""
        try:
            network, first, second, sliders = asked
            face = {"network": str(network), "first": first, "second": second}
            return await self.studio.run_interactive(lambda: self.draw(face, sliders))
        except (TypeError, ValueError, IndexError):  # a malformed request
            return None

    async def reset(self, face: dict[str, Any]) -> Any:
        """Reset the sliders and release the held face."""

        def draw() -> list[Any]:
            self.latent_of(face, NEUTRAL_SLIDERS)
            return self.new_face(face["network"], np.array(face["first"]), {**face, "second": None})

        return await run_or_warn(self.studio, draw, len(self.everything))

    async def hold_face(self, face: dict[str, Any], *sliders: Any) -> Any:
        """Hold the face as the second face of the blend slider."""

        def hold() -> list[Any]:
            z = self.latent_of(face, sliders)
            inform(message("Face held; choose another face, then move the slider to blend the two."))
            return self.new_face(face["network"], z, {**face, "second": rounded(z)})

        return await run_or_warn(self.studio, hold, len(self.everything))

    async def save_face(self, face: dict[str, Any], *sliders: Any) -> Any:
        """Save the face to the gallery, with its recipe."""

        def write() -> Path:
            self.latent_of(face, sliders)
            blend, _, *along = sliders
            config = DrawConfig(
                count=1,
                z=tuple(face["first"]),
                second=tuple(face["second"] or ()),
                blend=float(blend),
                along=tuple(float(value) for value in along),
            )
            job = Job(engine="dcgan", config=config, inputs={}, backbone=face["network"])
            started = self.studio.workshop.start(job)
            image = next(started).image
            assert image is not None
            path = self.studio.gallery.new_path("dcgan", ".png")
            write_png(path, image, started.recipe)
            return path

        path = await run_or_warn(self.studio, write)
        return str(path) if isinstance(path, Path) else None

    def restore(self, config: DrawConfig, network: str) -> list[Any]:
        """Return updates that show a saved face with its sliders."""
        gan = self.gan(network)
        z = np.array(config.z, np.float32) if config.z else gan.latents([config.seed], config.truncation)[0]
        face = self.new_face(network, z, {**EMPTY_FACE, "network": network, "second": list(config.second) or None})[0]
        sliders = [config.blend, False, *[*config.along, *[0.0] * DIRECTIONS][:DIRECTIONS]]
        return [face | self.draw(face, sliders), *sliders]


def verdict_text(gan: GAN, score: float, whom: str = "") -> str:
    """Describe the discriminator's score of an image in a sentence."""
    percentile, whom = gan.score_percentile(score), whom or message("it")
    if percentile is None:
        return translate(message("The discriminator gives {whom} a score of {score:.2f}", whom=whom, score=score))
    return translate(
        message(
            "The discriminator rates {whom} as more realistic than {score_percentile:.0f}% of photos "
            "(score {score:.2f})",
            whom=whom,
            score_percentile=percentile,
            score=score,
        )
    )
