"""Face editor: sliders in a high-dimensional latent space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr
import numpy as np

from engines.core.messages import message
from engines.imaging.images import middle_square
from engines.vae.config import CONCEPTS
from engines.vae.model import VAE
from studio.components.image_input import Photo
from studio.components.portrait import follow, portrait
from studio.components.toasts import inform, run_or_warn
from studio.panels.direction_sliders import direction_sliders
from studio.services import Studio
from studio.wire_format import png_uri

FACES = "faces"
DIRECTIONS = 12
Z_RANGE = 3.0
# Held-out faces have a mean absolute error of about 0.05; above twice that the image is hardly a face.
MAX_FACE_ERROR = 0.1
# Standard deviation of random latent vectors; below 1, faces have fewer flaws.
RANDOM_SPREAD = 0.8
EMPTY_FACE = {"network": FACES, "first": None, "second": None, "picture": "", "original": ""}


class FaceEditor:
    """Controls and handlers of the face editor."""

    def __init__(self, studio: Studio):
        self.studio = studio

    def build(self) -> None:
        """Create and wire the controls."""
        with gr.Row(elem_classes="workbench"):
            with gr.Column(elem_classes="inputs", min_width=300):
                with gr.Column(elem_classes="begin"):
                    with gr.Row(elem_classes="pair pictures"):
                        self.first, self.second = (
                            Photo(
                                label=label,
                                show_label=False,
                                placeholder=label,
                                sources=["upload", "clipboard", "webcam"],
                                height=150,
                                min_width=130,
                                elem_id=f"faces-{name}",
                                elem_classes="drop",
                            )
                            for label, name in (("Drop a face photo", "first"), ("Drop another face", "second"))
                        )
                    self.blend = gr.Slider(
                        0, 1, value=0, step=0.01, label="First face ↔ second face", elem_id="faces-blend"
                    )
                    with gr.Row(elem_classes="actions"):
                        self.random = gr.Button("Random face", variant="primary", elem_id="faces-random")
                        self.reset = gr.Button("Reset", elem_id="faces-reset", min_width=80)
                self.concepts = [
                    gr.Slider(-Z_RANGE, Z_RANGE, value=0, step=0.05, label=name.capitalize(), elem_id=f"faces-{i}")
                    for i, name in enumerate(CONCEPTS.values())
                ]
            with gr.Column(elem_classes="outputs", min_width=320, scale=3):
                self.image = portrait("faces-picture", EMPTY_FACE, self.edited)
        gr.Markdown("The twelve directions in which faces vary most, in standard deviations.", elem_classes="quiet")
        self.directions = direction_sliders(DIRECTIONS, Z_RANGE, "faces-d")
        self.seed = gr.State(0)
        self._wire()

    def _wire(self) -> None:
        options: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
        sliders = [self.blend, *self.concepts, *self.directions]
        follow(self.image, sliders)
        everything = [self.image, *sliders]
        self.first.upload(self.encode_first, [self.first, self.image], everything, **options)
        self.second.upload(self.encode_second, [self.second, *everything], [self.image, self.blend], **options)
        self.random.click(self.draw_random, [self.seed, self.image], [self.seed, *everything], **options)
        self.reset.click(self.reset_sliders, [self.image], everything, **options)

    def on_shown(self, tab: gr.Tab) -> None:
        """Draw a face when the tab is first opened."""
        tab.select(
            self.draw_first,
            [self.seed, self.image],
            [self.seed, self.image, self.blend, *self.concepts, *self.directions],
            api_visibility="private",
        )

    def _vae(self, network: str) -> VAE:
        return self.studio.workshop.network("vae", network)

    async def draw_first(self, seed: int, value: dict[str, Any]) -> Any:
        """Draw a random face, unless there is one already."""
        if value.get("first"):
            return [gr.skip()] * (1 + self._count)
        return await self.draw_random(seed, value)

    async def edited(self, asked: list[Any]) -> dict[str, str] | None:
        """Return the edited face for the browser's request, [network, first, second, sliders]; None if malformed."""
        try:
            network, first, second, (blend, *values) = asked
            return await self.studio.run_interactive(
                lambda: {"picture": self._image(str(network), first, second, float(blend), values)}
            )
        except (TypeError, ValueError):  # a malformed request
            return None

    def _image(
        self, network: str, first: list[float], second: list[float] | None, blend: float, values: Sequence[float]
    ) -> str:
        vae = self._vae(network)
        amounts = dict(zip(CONCEPTS.values(), values, strict=False))
        z = vae.edited(first, second, blend, amounts, values[len(CONCEPTS) :])
        return png_uri(vae.decode(z)[0])

    async def draw_random(self, seed: int, value: dict[str, Any]) -> Any:
        """Draw a random face from the next seed."""

        def draw() -> list[Any]:
            z = self._vae(value["network"]).sample_latents(1, seed, spread=RANDOM_SPREAD)[0]
            return [seed + 1, *self._new_face({**value, "first": rounded(z), "second": None, "original": ""})]

        return await run_or_warn(self.studio, draw, 1 + self._count)

    @property
    def _count(self) -> int:
        """Number of outputs that show a face: image, blend and the other sliders."""
        return 2 + len(self.concepts) + len(self.directions)

    def _new_face(self, value: dict[str, Any]) -> list[Any]:
        """Return updates that show a face with neutral sliders."""
        zeros = [0.0] * (self._count - 1)
        image = self._image(value["network"], value["first"], value["second"], 0.0, zeros[1:])
        # The counter forces a redraw: the page skips a value it has already received, though an edit may have replaced
        # the image.
        return [{**value, "picture": image, "turn": value.get("turn", 0) + 1}, *zeros]

    async def reset_sliders(self, value: dict[str, Any]) -> Any:
        """Reset the sliders."""
        return await run_or_warn(self.studio, lambda: self._new_face(value), self._count)

    async def encode_first(self, path: str | None, value: dict[str, Any]) -> Any:
        """Encode a dropped face as the first."""

        def encode() -> list[Any]:
            z, cut = self._encoded(path, value["network"])
            return self._new_face({**value, "first": z, "original": png_uri(cut)})

        return await run_or_warn(self.studio, encode, self._count) if path else [gr.skip()] * self._count

    async def encode_second(self, path: str | None, value: dict[str, Any], blend: float, *values: float) -> Any:
        """Encode a dropped face as the second, and show an equal blend of both."""

        def encode() -> list[Any]:
            second, _ = self._encoded(path, value["network"])
            first = value["first"] or second
            image = self._image(value["network"], first, second, 0.5, values)
            return [{**value, "first": first, "second": second, "picture": image}, 0.5]

        return await run_or_warn(self.studio, encode, 2) if path else [gr.skip()] * 2

    def _encoded(self, path: str | None, network: str) -> tuple[list[float], np.ndarray]:
        """Return the latent vector of a photo's middle square, and the square; a toast says if it is hardly a face."""
        vae = self._vae(network)
        image = self.studio.read(path or "")
        cut = middle_square(image, vae.shape[0])
        mean, error = vae.locate(cut)
        if error > MAX_FACE_ERROR:
            inform(
                message("The network does not recognise a face here; use a photo in which one face fills the centre.")
            )
        return rounded(mean), cut


def rounded(z: np.ndarray) -> list[float]:
    """Round a latent vector, as the browser sends it with every move of a slider."""
    return [round(float(value), 4) for value in z]
