"""Face editor: sliders in a high-dimensional latent space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr
import numpy as np

from engines.core.messages import message
from engines.imaging.images import check_picture, middle_square
from engines.vae.model import VAE
from studio.components.image_input import Photo
from studio.components.portrait import follow, portrait
from studio.components.toasts import answered, inform
from studio.services import Studio
from studio.wire_format import png_uri

NETWORK = "faces"
DIRECTIONS = 12
REACH = 3.0
# Held-out faces are reconstructed with a mean absolute error of about a twentieth; twice that is something else.
STRANGE = 0.1
# A little nearer to the middle than faces are, where a random one is likelier to be whole.
RANDOM_SPREAD = 0.8
NOBODY = {"network": NETWORK, "first": None, "second": None, "picture": "", "original": ""}
CONCEPTS = ("smile", "age", "masculine", "long hair", "dark hair", "daylight")


class FaceEditor:
    """The faces' controls and what they do."""

    def __init__(self, studio: Studio):
        self.studio = studio

    def build(self) -> None:
        """Lay them out and wire them."""
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
                            for label, name in (("Drop a face", "first"), ("and another", "second"))
                        )
                    self.blend = gr.Slider(
                        0, 1, value=0, step=0.01, label="From the first to the other", elem_id="faces-blend"
                    )
                    with gr.Row(elem_classes="actions"):
                        self.random = gr.Button("Random face", variant="primary", elem_id="faces-random")
                        self.reset = gr.Button("Reset", elem_id="faces-reset", min_width=80)
                self.concepts = [
                    gr.Slider(-REACH, REACH, value=0, step=0.05, label=name.capitalize(), elem_id=f"faces-{i}")
                    for i, name in enumerate(CONCEPTS)
                ]
            with gr.Column(elem_classes="outputs", min_width=320, scale=3):
                self.picture = portrait("faces-picture", NOBODY, self.edited)
        gr.Markdown("The twelve directions in which faces differ most, in standard deviations.", elem_classes="quiet")
        with gr.Row(elem_classes="directions inputs"):
            self.directions = [
                gr.Slider(
                    -REACH,
                    REACH,
                    value=0,
                    step=0.05,
                    label=message("Direction {number}", number=i + 1),
                    elem_id=f"faces-d{i + 1}",
                )
                for i in range(DIRECTIONS)
            ]
        self.seed = gr.State(0)
        self._wire()

    def _wire(self) -> None:
        seen: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
        sliders = [self.blend, *self.concepts, *self.directions]
        follow(self.picture, sliders)
        everything = [self.picture, *sliders]
        self.first.upload(self.dropped_first, [self.first, self.picture], everything, **seen)
        self.second.upload(self.dropped_second, [self.second, *everything], [self.picture, self.blend], **seen)
        self.random.click(self.another, [self.seed, self.picture], [self.seed, *everything], **seen)
        self.reset.click(self.unedited, [self.picture], everything, **seen)

    def on_shown(self, tab: gr.Tab) -> None:
        """Show a face when the tab is first looked at."""
        tab.select(
            self.first_drawn,
            [self.seed, self.picture],
            [self.seed, self.picture, self.blend, *self.concepts, *self.directions],
            api_visibility="private",
        )

    def _vae(self, network: str) -> VAE:
        return self.studio.workshop.network("vae", network)

    async def first_drawn(self, seed: int, value: dict[str, Any]) -> Any:
        """A random face, unless there is one."""
        if value.get("first"):
            return [gr.skip()] * (1 + self._count)
        return await self.another(seed, value)

    async def edited(self, asked: list[Any]) -> dict[str, str] | None:
        """The face that the sliders say, as the browser asks for it: [network, first, second, sliders]."""
        try:
            network, first, second, (blend, *values) = asked
            return await self.studio.answer(
                lambda: {"picture": self._picture(str(network), first, second, float(blend), values)}
            )
        except (TypeError, ValueError):  # nothing that this page asks for
            return None

    def _picture(
        self, network: str, first: list[float], second: list[float] | None, blend: float, values: Sequence[float]
    ) -> str:
        vae = self._vae(network)
        amounts = dict(zip(CONCEPTS, values, strict=False))
        z = vae.edited(first, second, blend, amounts, values[len(CONCEPTS) :])
        return png_uri(vae.decode(z)[0])

    async def another(self, seed: int, value: dict[str, Any]) -> Any:
        """A random face, each press another."""

        def draw() -> list[Any]:
            z = self._vae(value["network"]).sample_latents(1, seed, spread=RANDOM_SPREAD)[0]
            return [seed + 1, *self._fresh({**value, "first": rounded(z), "second": None, "original": ""})]

        return await answered(self.studio, draw, 1 + self._count)

    @property
    def _count(self) -> int:
        """How many outputs a fresh face has: itself, the blend and the other sliders."""
        return 2 + len(self.concepts) + len(self.directions)

    def _fresh(self, value: dict[str, Any]) -> list[Any]:
        """A face with all sliders in the middle."""
        zeros = [0.0] * (self._count - 1)
        picture = self._picture(value["network"], value["first"], value["second"], 0.0, zeros[1:])
        # A page that is sent what it was sent last draws nothing, and there may be an edited face on it.
        return [{**value, "picture": picture, "turn": value.get("turn", 0) + 1}, *zeros]

    async def unedited(self, value: dict[str, Any]) -> Any:
        """The face as it was before the sliders."""
        return await answered(self.studio, lambda: self._fresh(value), self._count)

    async def dropped_first(self, path: str | None, value: dict[str, Any]) -> Any:
        """A face was dropped: encode it."""

        def encode() -> list[Any]:
            z, cut = self._encoded(path, value["network"])
            return self._fresh({**value, "first": z, "original": png_uri(cut)})

        return await answered(self.studio, encode, self._count) if path else [gr.skip()] * self._count

    async def dropped_second(self, path: str | None, value: dict[str, Any], blend: float, *values: float) -> Any:
        """Another face was dropped: encode it, and show the two half and half."""

        def encode() -> list[Any]:
            second, _ = self._encoded(path, value["network"])
            first = value["first"] or second
            picture = self._picture(value["network"], first, second, 0.5, values)
            return [{**value, "first": first, "second": second, "picture": picture}, 0.5]

        return await answered(self.studio, encode, 2) if path else [gr.skip()] * 2

    def _encoded(self, path: str | None, network: str) -> tuple[list[float], np.ndarray]:
        """Where a face lies, and the square that was cut from its picture; a word where it is hardly a face."""
        vae = self._vae(network)
        image = self.studio.read(path or "")
        check_picture(image)
        cut = middle_square(image, vae.shape[0])
        mean, error = vae.place_of(cut)
        if error > STRANGE:
            inform(
                message("This hardly looks like a face to the network; use a picture with one face filling its middle.")
            )
        return rounded(mean), cut


def rounded(z: np.ndarray) -> list[float]:
    """A place as the browser keeps it and sends it with every move of a slider: no longer than it must be."""
    return [round(float(value), 4) for value in z]
