"""Style picker: the paintings and their weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from engines.core.messages import message
from engines.imaging.images import PictureError
from engines.style_transfer import MOST_STYLES
from studio.components.image_input import example_row, thumbnails
from studio.components.toasts import warn
from studio.examples.examples import painting_paths, paintings
from studio.panels.image_drop import looked_at
from studio.services import Studio


def paths_in(gallery: Any) -> list[str]:
    """The files in a gallery's value."""
    return [item[0] if isinstance(item, list | tuple) else str(item) for item in gallery or []]


class Palette:
    """A gallery of paintings, a row of examples to pick from, and a weight for each where there are several.

    The parts are laid out where the tab wants them, each once: `drop_zone`, `choices`, `weights`; then `wire`.

    Args:
        folder: where the example paintings are drawn.
        prefix: what the ids on the page begin with.
    """

    def __init__(self, studio: Studio, folder: Path, prefix: str):
        self._studio, self._folder, self._prefix = studio, folder, prefix
        self.examples = painting_paths(folder)
        # Drawing them takes longer than a visitor should wait for the first page of all.
        self._hung = [path for path in self.examples if path.is_file()]

    def drop_zone(self) -> None:
        """Lay out the gallery."""
        self.gallery = gr.Gallery(
            [str(path) for path in self._hung[:1]],
            label="Paintings",
            show_label=False,
            columns=1,
            object_fit="cover",
            allow_preview=False,
            interactive=True,
            type="filepath",
            sources=["upload", "clipboard"],
            buttons=[],
            elem_id=f"{self._prefix}-paintings",
            elem_classes="drop",
            height=180,
            min_width=140,
        )

    def choices(self) -> None:
        """Lay out the examples, and under them the way to use one's own."""
        with gr.Row(elem_classes="palette"):
            self.row = example_row(self._hung, None, elem_id=f"{self._prefix}-examples")
        with gr.Row(elem_classes="pair under"):
            several_id = f"{self._prefix}-several"
            self.several = gr.Checkbox(False, label="Blend several", elem_id=several_id, container=False)
            self.upload = gr.UploadButton(
                "Use your own painting",
                file_count="multiple",
                size="sm",
                type="filepath",
                elem_id=f"{self._prefix}-upload",
            )

    def weights(self) -> None:
        """Lay out a weight for each painting, hidden until there are several."""
        fold_id = f"{self._prefix}-blend"
        self.fold = gr.Accordion("Blend", open=False, elem_id=fold_id, elem_classes="fold", visible=False)
        with self.fold:
            self.blend = [
                gr.Slider(
                    0,
                    1,
                    value=1,
                    step=0.05,
                    label=message("Painting {number}", number=i),
                    visible=False,
                    elem_id=f"{fold_id}-{i}",
                )
                for i in range(1, MOST_STYLES + 1)
            ]

    def wire(self, changed: Callable[..., list[Any]], inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        """Connect the parts.

        Args:
            changed: told of the gallery's value and `inputs` whenever it is another; returns what `outputs` show.
        """
        # Events that bypass Gradio's queue cannot show a toast.
        seen: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}

        def checked(gallery: Any, *values: Any) -> list[Any]:
            return [*self.checked(gallery), *changed(gallery, *values)]

        shown = [self.gallery, self.fold, *self.blend]
        self.gallery.change(checked, [self.gallery, *inputs], [*shown, *outputs], **seen)
        self.upload.upload(self.uploaded, [self.upload, self.gallery, self.several], [self.gallery], **seen)
        self.row.pick(self.picked, [self.gallery, self.several], [self.gallery], **seen)

    def on_page_load(self, page: gr.Blocks) -> None:
        """Have a fresh page hang the example paintings once they are drawn."""
        if len(self._hung) < len(self.examples):
            page.load(self.hang, [self.gallery], [self.row, self.gallery], api_visibility="private")

    def hang(self, gallery: Any):
        """Draw the example paintings, if nobody has yet, and show them."""
        drawn = paintings(self._folder)
        return thumbnails(drawn), gr.skip() if paths_in(gallery) else [str(drawn[0])]

    def picked(self, gallery: Any, several: bool, event: gr.EventData):
        """An example painting takes the place of the one that is there, or joins those that are."""
        return self._joined([str(self.examples[event.index % len(self.examples)])], gallery, several)

    def uploaded(self, files: list[str], gallery: Any, several: bool):
        """A person's own paintings take the place of those that are there, or join them."""
        good = self._readable(files)
        return self._joined(good, gallery, several) if good else gr.skip()

    def _joined(self, picked: list[str], gallery: Any, several: bool):
        wanted = [*paths_in(gallery), *picked] if several else picked
        if len(wanted) > MOST_STYLES:
            warn(message("These would be {count} paintings; use at most {most}.", count=len(wanted), most=MOST_STYLES))
            return gr.skip()
        return wanted

    def checked(self, gallery: Any) -> list[Any]:
        """Check dropped paintings at once, and show a weight for each where there are several."""
        good = self._readable(paths_in(gallery))
        if len(good) > MOST_STYLES:
            warn(message("These are {count} paintings; the first {most} are kept.", count=len(good), most=MOST_STYLES))
            good = good[:MOST_STYLES]
        shown = gr.skip() if good == paths_in(gallery) else good
        several = len(good) > 1
        sliders = [gr.update(visible=i < len(good)) for i in range(MOST_STYLES)]
        return [shown, gr.update(visible=several, open=several), *sliders]

    def _readable(self, paths: Sequence[str]) -> list[str]:
        """Those of the files that are pictures; a sentence about each that is not."""
        good = []
        for path in paths:
            try:
                good.append(looked_at(self._studio, path)[1])
            except PictureError as error:
                warn(error)
        return good


def blend_of(weights: Sequence[Any], count: int) -> tuple[float, ...]:
    """The config's blend from what the sliders say; one painting, or several that count the same, need none."""
    if count < 2:
        return ()
    blend = tuple(1.0 if weight is None else float(weight) for weight in weights[:count])
    return () if len(set(blend)) == 1 and blend[0] > 0 else blend
