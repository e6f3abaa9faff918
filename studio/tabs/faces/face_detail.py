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
from engines.dcgan.saliency import lit
from engines.jobs import Job
from engines.recipes import write_png
from studio.components.hidden_download import fetched_when_made
from studio.components.portrait import follow, portrait
from studio.components.toasts import answered, inform
from studio.i18n.catalog import translate
from studio.services import Studio
from studio.tabs.latent_space.face_editor import rounded
from studio.wire_format import png_uri

DIRECTIONS, REACH = 12, 6.0
AT_REST: tuple[Any, ...] = (0.0, False, *[0.0] * DIRECTIONS)
NOBODY = {"network": "faces", "first": None, "second": None, "picture": "", "original": "", "caption": ""}


class LargeFace:
    """Its controls and what they do. A face's value is as `portrait` has it; the sliders' are as AT_REST.

    The parts are laid out where the tab wants them, each once: `controls`, `frame`, `sliders_below`; then `wire`.
    """

    def __init__(self, studio: Studio):
        self.studio = studio

    def controls(self) -> None:
        """Lay out what is said of a face as a whole."""
        self.blend = gr.Slider(
            0,
            1,
            value=0,
            step=0.01,
            label="Towards the held face",
            info="Press “Hold” under a face, then choose another: between the two lies a great arc.",
            elem_id="gan-blend",
        )
        self.looking = gr.Checkbox(False, label="Show where the critic looks", container=False, elem_id="gan-looking")

    def frame(self) -> None:
        """Lay out the picture, with its buttons."""
        self.picture = portrait("gan-portrait", NOBODY, self.edited)
        with gr.Row(elem_classes="under"):
            self.hold = gr.Button("Hold", size="sm", elem_id="gan-hold")
            self.add = gr.Button("Add to the walk", size="sm", elem_id="gan-add")
            self.keep = gr.Button("Save", size="sm", elem_id="gan-keep")
            self.file = gr.DownloadButton("File", elem_id="gan-file", elem_classes="offstage")

    def sliders_below(self) -> None:
        """Lay out the directions."""
        gr.Markdown(
            "Along these directions faces change most: the first six by what the generator’s first layer answers to "
            "(SeFa), the others by what differs most between its pictures.",
            elem_classes="quiet",
        )
        with gr.Row(elem_classes="directions inputs"):
            self.directions = [
                gr.Slider(
                    -REACH,
                    REACH,
                    value=0,
                    step=0.05,
                    label=message("Direction {number}", number=i + 1),
                    elem_id=f"gan-d{i + 1}",
                )
                for i in range(DIRECTIONS)
            ]

    @property
    def sliders(self) -> list[Any]:
        return [self.blend, self.looking, *self.directions]

    @property
    def everything(self) -> list[Any]:
        """The face and its sliders: what `fresh` fills."""
        return [self.picture, *self.sliders]

    def wire(self) -> None:
        """Connect the sliders, Hold and Save."""
        seen: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
        follow(self.picture, self.sliders)
        self.hold.click(self.held, self.everything, self.everything, **seen)
        fetched_when_made(self.keep.click(self.kept, self.everything, [self.file], **seen), self.file)

    def gan(self, network: str) -> GAN:
        """The networks by their name."""
        return self.studio.workshop.network("dcgan", network or "faces")

    def fresh(self, network: str, z: np.ndarray, face: dict[str, Any] | None = None, original: str = "") -> list[Any]:
        """A face with all sliders in the middle.

        Args:
            face: the one before, whose held face stays held where the networks are the same.
            original: data URI of the photo that it was found for.
        """
        face = face if face and face.get("network") == network else NOBODY
        value = {**face, "network": network, "first": rounded(z), "original": original}
        # A page that is sent what it was sent last draws nothing, and there may be an edited face on it.
        return [value | self.drawn(value, AT_REST) | {"turn": value.get("turn", 0) + 1}, *AT_REST]

    def place(self, face: dict[str, Any], sliders: Sequence[Any]) -> np.ndarray:
        """Where a face lies, moved as the sliders say, (Z,) float32.

        Raises:
            ValueError: there is none.
        """
        if not face.get("first"):
            raise ValueError(message("There is no face yet; press New faces first."))
        blend, _, *along = sliders
        return self.gan(face["network"]).edited(face["first"], face["second"], float(blend), along)

    def shown(self, face: dict[str, Any], sliders: Sequence[Any]) -> np.ndarray:
        """The picture of a face, (H, W, 3) uint8, as the sliders say."""
        return self.gan(face["network"]).decode(self.place(face, sliders))[0]

    def drawn(self, face: dict[str, Any], sliders: Sequence[Any]) -> dict[str, str]:
        """The picture of a face as the page draws it, and the line under it."""
        gan, image = self.gan(face["network"]), self.shown(face, sliders)
        verdict = float(gan.verdicts(image[None])[0])
        picture = lit(image, gan.attention(image)) if sliders[1] else image
        return {"picture": png_uri(picture), "caption": said_of(gan, verdict)}

    async def edited(self, asked: list[Any]) -> dict[str, str] | None:
        """The face that the sliders say, as the browser asks for it: [network, first, second, sliders]."""
        try:
            network, first, second, sliders = asked
            face = {"network": str(network), "first": first, "second": second}
            return await self.studio.answer(lambda: self.drawn(face, sliders))
        except (TypeError, ValueError, IndexError):  # nothing that this page asks for
            return None

    async def unedited(self, face: dict[str, Any]) -> Any:
        """The face as it was before the sliders, and none held."""

        def draw() -> list[Any]:
            self.place(face, AT_REST)
            return self.fresh(face["network"], np.array(face["first"]), {**face, "second": None})

        return await answered(self.studio, draw, len(self.everything))

    async def held(self, face: dict[str, Any], *sliders: Any) -> Any:
        """Keep the face as the other end of the slider that blends."""

        def hold() -> list[Any]:
            z = self.place(face, sliders)
            inform(message("Held: choose another face, and the slider blends the two."))
            return self.fresh(face["network"], z, {**face, "second": rounded(z)})

        return await answered(self.studio, hold, len(self.everything))

    async def kept(self, face: dict[str, Any], *sliders: Any) -> Any:
        """Write the face into the gallery, with its recipe."""

        def write() -> Path:
            self.place(face, sliders)
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

        path = await answered(self.studio, write)
        return str(path) if isinstance(path, Path) else None

    def restored(self, config: DrawConfig, network: str) -> list[Any]:
        """A saved face, with its sliders."""
        gan = self.gan(network)
        z = np.array(config.z, np.float32) if config.z else gan.latents([config.seed], config.truncation)[0]
        face = self.fresh(network, z, {**NOBODY, "network": network, "second": list(config.second) or None})[0]
        sliders = [config.blend, False, *[*config.along, *[0.0] * DIRECTIONS][:DIRECTIONS]]
        return [face | self.drawn(face, sliders), *sliders]


def said_of(gan: GAN, verdict: float, whom: str = "") -> str:
    """The critic's verdict on a picture in words."""
    standing, whom = gan.standing(verdict), whom or message("it")
    if standing is None:
        return translate(message("The critic finds {whom} {score:.2f} real", whom=whom, score=verdict))
    return translate(
        message(
            "The critic finds {whom} more real than {standing:.0f} % of photographs (score {score:.2f})",
            whom=whom,
            standing=standing,
            score=verdict,
        )
    )
