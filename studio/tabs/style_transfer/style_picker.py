"""Style picker: the style images and their weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from engines.core.messages import message
from engines.imaging.images import ImageError
from engines.style_transfer import MAX_STYLES
from studio.components.image_input import example_row, thumbnails
from studio.components.toasts import warn
from studio.examples.examples import painting_paths, paintings
from studio.panels.image_drop import open_upload
from studio.services import Studio


def paths_in(gallery: Any) -> list[str]:
    """List the files in a gallery's value."""
    return [item[0] if isinstance(item, list | tuple) else str(item) for item in gallery or []]


class StylePicker:
    """Gallery of style images, a row of examples, and a weight for each style image.

    Call `drop_zone`, `choices` and `weights` once each, where the tab wants the parts; then `wire`.

    Args:
        studio: the services.
        folder: folder of the example paintings.
        prefix: prefix of the element ids.
    """

    def __init__(self, studio: Studio, folder: Path, prefix: str):
        self._studio, self._folder, self._prefix = studio, folder, prefix
        self.examples = painting_paths(folder)
        # Drawing the examples takes too long for the first page, so only existing ones are shown.
        self._drawn = [path for path in self.examples if path.is_file()]

    def drop_zone(self) -> None:
        """Create the gallery."""
        self.gallery = gr.Gallery(
            [str(path) for path in self._drawn[:1]],
            label="Style images",
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
        """Create the examples, and the upload button."""
        with gr.Row(elem_classes="palette"):
            self.row = example_row(self._drawn, None, elem_id=f"{self._prefix}-examples")
        with gr.Row(elem_classes="pair under"):
            several_id = f"{self._prefix}-several"
            self.several = gr.Checkbox(False, label="Blend several", elem_id=several_id, container=False)
            self.upload = gr.UploadButton(
                "Upload style images",
                file_count="multiple",
                size="sm",
                type="filepath",
                elem_id=f"{self._prefix}-upload",
            )

    def weights(self) -> None:
        """Create the weights, hidden until there are several style images."""
        fold_id = f"{self._prefix}-blend"
        self.fold = gr.Accordion("Blend", open=False, elem_id=fold_id, elem_classes="fold", visible=False)
        with self.fold:
            self.blend = [
                gr.Slider(
                    0,
                    1,
                    value=1,
                    step=0.05,
                    label=message("Style image {number}", number=i),
                    visible=False,
                    elem_id=f"{fold_id}-{i}",
                )
                for i in range(1, MAX_STYLES + 1)
            ]

    def wire(self, changed: Callable[..., list[Any]], inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        """Connect the parts.

        Args:
            changed: called with the gallery's value and those of `inputs` when the gallery changes; returns the values
                of `outputs`.
            inputs: further inputs of `changed`.
            outputs: outputs of `changed`.
        """
        # Events that bypass Gradio's queue cannot show toasts.
        options: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}

        def check_and_notify(gallery: Any, *values: Any) -> list[Any]:
            return [*self.check_gallery(gallery), *changed(gallery, *values)]

        shown = [self.gallery, self.fold, *self.blend]
        self.gallery.change(check_and_notify, [self.gallery, *inputs], [*shown, *outputs], **options)
        self.upload.upload(self.add_uploads, [self.upload, self.gallery, self.several], [self.gallery], **options)
        self.row.pick(self.pick_example, [self.gallery, self.several], [self.gallery], **options)

    def on_page_load(self, page: gr.Blocks) -> None:
        """Show the example paintings on a fresh page once they are drawn."""
        if len(self._drawn) < len(self.examples):
            drawn = page.load(self.draw_examples, None, [self.row], api_visibility="private")
            # A step of its own, as the visitor may have added a style image while the examples were drawn.
            drawn.success(self.fill_gallery, [self.gallery], [self.gallery], api_visibility="private")

    def draw_examples(self):
        """Draw the missing example paintings and show them all."""
        return thumbnails(paintings(self._folder))

    def fill_gallery(self, gallery: Any):
        """Show the first example painting if there is no style image yet."""
        return gr.skip() if paths_in(gallery) else [str(self.examples[0])]

    def pick_example(self, gallery: Any, several: bool, event: gr.EventData):
        """Replace the style image by an example, or add the example if several are blended."""
        return self._combined([str(self.examples[event.index % len(self.examples)])], gallery, several)

    def add_uploads(self, files: list[str], gallery: Any, several: bool):
        """Replace the style image by uploaded ones, or add them if several are blended."""
        readable = self._readable(files)
        return self._combined(readable, gallery, several) if readable else gr.skip()

    def _combined(self, picked: list[str], gallery: Any, several: bool):
        wanted = [*paths_in(gallery), *picked] if several else picked
        if len(wanted) > MAX_STYLES:
            warn(
                message("That would make {count} style images; use at most {most}.", count=len(wanted), most=MAX_STYLES)
            )
            return gr.skip()
        return wanted

    def check_gallery(self, gallery: Any) -> list[Any]:
        """Check dropped style images, and show a weight for each if there are several."""
        readable = self._readable(paths_in(gallery))
        if len(readable) > MAX_STYLES:
            warn(
                message(
                    "You added {count} style images; only the first {most} are kept.",
                    count=len(readable),
                    most=MAX_STYLES,
                )
            )
            readable = readable[:MAX_STYLES]
        shown = gr.skip() if readable == paths_in(gallery) else readable
        several = len(readable) > 1
        sliders = [gr.update(visible=i < len(readable)) for i in range(MAX_STYLES)]
        return [shown, gr.update(visible=several, open=several), *sliders]

    def _readable(self, paths: Sequence[str]) -> list[str]:
        """Return the files that are images; a toast reports each of the others."""
        readable = []
        for path in paths:
            try:
                readable.append(open_upload(self._studio, path)[1])
            except ImageError as error:
                warn(error)
        return readable


def blend_of(weights: Sequence[Any], count: int) -> tuple[float, ...]:
    """Return the config's blend; () for a single style image and for equal weights.

    Args:
        weights: values of the sliders; None counts as 1.
        count: number of style images.
    """
    if count < 2:
        return ()
    blend = tuple(1.0 if weight is None else float(weight) for weight in weights[:count])
    return () if len(set(blend)) == 1 and blend[0] > 0 else blend
