"""Nearest training images of a generated face."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import gradio as gr
import numpy as np

from engines.core.messages import message
from engines.data.images import split_images
from engines.dcgan.nearest_neighbors import NearestNeighborIndex
from studio.components.toasts import warn
from studio.i18n.catalog import translate
from studio.services import Studio
from studio.wire_format import png_uri

HINT = message("Finds the training images most similar to the selected face. The first search reads all of them.")
NEEDED = (
    "To use this, start the studio with <code>--data FOLDER</code>: the folder or zip of the images that the networks "
    "were trained on."
)


class NearestNeighbors:
    """Looks up the training images nearest to a face."""

    def __init__(self, studio: Studio):
        self._studio = studio
        self._lock = threading.Lock()
        self._found: NearestNeighborIndex | None = None

    def build(self) -> None:
        """Create the controls."""
        available = self._studio.data is not None
        with gr.Accordion("Nearest training images", open=False, elem_id="gan-nearest-fold", elem_classes="fold"):
            gr.Markdown(HINT if available else NEEDED, elem_classes="quiet")
            self.ask = gr.Button("Find nearest images", size="sm", interactive=available, elem_id="gan-nearest")
            self.answer = gr.HTML("", elem_id="gan-nearest-answer", apply_default_css=False)

    def wire(self, face: Any, sliders: list[Any], shown: Callable[[dict[str, Any], Sequence[Any]], np.ndarray]) -> None:
        """Connect the button.

        Args:
            face: component of the face.
            sliders: its sliders.
            shown: converts their values to an image, (H, W, 3) uint8.
        """

        async def asked(value: dict[str, Any], *values: Any) -> AsyncIterator[str]:
            # Gradio's own status text is in English only.
            yield f'<p class="quiet">{translate("Comparing with the training images …")}</p>'
            try:
                image = await self._studio.run_interactive(lambda: shown(value, values))
                yield await self._studio.run_in_thread(lambda: self.nearest(image))
            except ValueError as error:
                warn(error)
                yield ""

        options: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
        self.ask.click(asked, [face, *sliders], [self.answer], **options)

    def nearest(self, image: np.ndarray) -> str:
        """Render the training images nearest to (64, 64, 3) uint8 as HTML.

        Raises:
            ValueError: the training images are missing or unreadable.
        """
        with self._lock:
            if self._found is None:
                if self._studio.data is None:
                    raise ValueError(message("No training images found; start the studio with --data FOLDER."))
                self._found = NearestNeighborIndex(split_images(self._studio.data))
            found = self._found
        figures = "".join(
            f'<figure><img alt="" src="{png_uri(one.image)}"><figcaption>{one.distance:.2f}</figcaption></figure>'
            for one in found.nearest(image, 4)
        )
        note = translate(
            message(
                "Distances are measured with the bundled network: 0 is an exact copy, and a photo outside the training "
                "set is usually {usual:.2f} from its nearest match.",
                usual=found.typical_distance,
            )
        )
        return f'<div class="found">{figures}</div><p class="quiet">{note}</p>'
