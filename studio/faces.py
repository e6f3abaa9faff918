"""Faces: a latent space of many dimensions, walked through with sliders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr
import numpy as np

from engines.parts.autoencoders import VAE
from engines.parts.pictures import check_picture, middle_square
from engines.vae import enlarged
from studio.notices import inform, warn
from studio.previews import data_uri
from studio.studio import Studio

NETWORK = "faces"
DIRECTIONS = 12
REACH = 3.0
SIDE = 384
# Held-out faces are reconstructed with a mean absolute error of about a twentieth; twice that is something else.
STRANGE = 0.1
# A little nearer to the middle than faces are, where a random one is likelier to be whole.
RANDOM_SPREAD = 0.8
CONCEPTS = ("smile", "age", "masculine", "long hair", "dark hair", "daylight")


class Faces:
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
                            gr.Image(
                                label=label,
                                show_label=False,
                                placeholder=label,
                                type="filepath",
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
                self.picture = gr.HTML(
                    "",
                    html_template='<div class="faces">${value}</div>',
                    apply_default_css=False,
                    elem_id="faces-picture",
                )
                gr.Markdown(
                    "The twelve directions in which faces differ most, in standard deviations.", elem_classes="quiet"
                )
                with gr.Row(elem_classes="directions inputs"):
                    self.directions = [
                        gr.Slider(
                            -REACH, REACH, value=0, step=0.05, label=f"Direction {i + 1}", elem_id=f"faces-d{i + 1}"
                        )
                        for i in range(DIRECTIONS)
                    ]
        # Where the two faces lie, and what was dropped as the first.
        self.places = gr.State({"network": NETWORK, "first": None, "second": None, "original": ""})
        self.seed = gr.State(0)
        self._wire()

    def _wire(self) -> None:
        seen: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
        sliders = [self.blend, *self.concepts, *self.directions]
        edit = [self.places, *sliders]
        # Past Gradio's queue, for speed: a slider within its range is never refused, so no toast is needed.
        live = {"show_progress": "hidden", "api_visibility": "private", "queue": False, "trigger_mode": "always_last"}
        gr.on([slider.input for slider in sliders], self.edited, edit, [self.picture], **live)
        everything = [self.places, self.picture, *sliders]
        self.first.upload(self.dropped_first, [self.first, self.places], everything, **seen)
        self.second.upload(self.dropped_second, [self.second, *edit], [self.places, self.picture, self.blend], **seen)
        self.random.click(self.another, [self.seed, self.places], [self.seed, *everything], **seen)
        self.reset.click(self.unedited, [self.places], everything, **seen)

    def on_shown(self, tab: gr.Tab) -> None:
        """Show a face when the tab is first looked at."""
        tab.select(
            self.first_drawn,
            [self.seed, self.places],
            [self.seed, self.places, self.picture, self.blend, *self.concepts, *self.directions],
            show_progress="hidden",
            api_visibility="private",
        )

    def _vae(self, places: dict[str, Any]) -> VAE:
        return self.studio.workshop.network("vae", places.get("network", NETWORK))

    async def first_drawn(self, seed: int, places: dict[str, Any]) -> Any:
        """A random face, unless there is one."""
        if places.get("first"):
            return [gr.skip()] * (4 + len(self.concepts) + len(self.directions))
        return await self.another(seed, places)

    async def edited(self, places: dict[str, Any], blend: float, *values: float) -> Any:
        """The face that the sliders say."""
        if not places.get("first"):
            return gr.skip()
        return await self.studio.answer(lambda: self._shown(places, blend, values))

    def _shown(self, places: dict[str, Any], blend: float, values: tuple[float, ...]) -> str:
        vae = self._vae(places)
        amounts = dict(zip(CONCEPTS, values, strict=False))
        z = vae.edited(places["first"], places.get("second"), blend, amounts, values[len(CONCEPTS) :])
        picture = vae.decode(z)[0]
        face = f'<figure><img alt="The face that the sliders say" src="{data_uri(enlarged(picture, SIDE))}"></figure>'
        original = places.get("original")
        if not original:
            return face
        dropped = f'<figure><img alt="The face as it was dropped" src="{original}"></figure>'
        return dropped + face

    async def another(self, seed: int, places: dict[str, Any]) -> Any:
        """A random face, each press another."""

        def draw() -> list[Any]:
            z = self._vae(places).sample_latents(1, seed, spread=RANDOM_SPREAD)[0]
            return [seed + 1, *self._fresh({**places, "first": z.tolist(), "second": None, "original": ""})]

        return await self._answered(draw, 4 + len(self.concepts) + len(self.directions))

    def _fresh(self, places: dict[str, Any]) -> list[Any]:
        """A face with all sliders in the middle."""
        zeros = [0.0] * (len(self.concepts) + len(self.directions))
        return [places, self._shown(places, 0.0, tuple(zeros)), 0.0, *zeros]

    async def unedited(self, places: dict[str, Any]) -> Any:
        """The face as it was before the sliders."""
        return await self._answered(lambda: self._fresh(places), 3 + len(self.concepts) + len(self.directions))

    async def dropped_first(self, path: str | None, places: dict[str, Any]) -> Any:
        """A face was dropped: encode it."""
        count = 3 + len(self.concepts) + len(self.directions)

        def encode() -> list[Any]:
            z, cut = self._encoded(path, places)
            return self._fresh({**places, "first": z, "original": data_uri(enlarged(cut, SIDE))})

        return await self._answered(encode, count) if path else [gr.skip()] * count

    async def dropped_second(self, path: str | None, places: dict[str, Any], blend: float, *values: float) -> Any:
        """Another face was dropped: encode it, and show the two half and half."""

        def encode() -> list[Any]:
            both = {**places, "second": self._encoded(path, places)[0]}
            return [both, self._shown(both, 0.5, values), 0.5]

        return await self._answered(encode, 3) if path else [gr.skip()] * 3

    def _encoded(self, path: str | None, places: dict[str, Any]) -> tuple[list[float], np.ndarray]:
        """Where a face lies, and the square that was cut from its picture; a word where it is hardly a face."""
        vae = self._vae(places)
        image = self.studio.read(path or "")
        check_picture(image)
        cut = middle_square(image, vae.shape[0])
        mean, error = vae.place_of(cut)
        if error > STRANGE:
            inform("This hardly looks like a face to the network; use a picture with one face filling its middle.")
        return mean.tolist(), cut

    async def _answered(self, work: Callable[[], list[Any]], count: int) -> list[Any]:
        try:
            return await self.studio.answer(work)
        except ValueError as error:
            warn(error)
            return [gr.skip()] * count
