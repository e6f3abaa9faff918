"""Batch panel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gradio as gr

from engines.core.messages import message
from engines.imaging.formats import SUFFIXES
from engines.jobs import Job
from engines.jobs.batch import MAX_IMAGES, Batch, batch_of, image_files
from studio.run_views.run_view import RunView
from studio.services import Studio


class BatchPanel:
    """Accordion for a batch of images.

    Args:
        studio: the services.
        varies: engine input that differs from image to image.
        prefix: prefix of the element ids.
    """

    def __init__(self, studio: Studio, varies: str, prefix: str):
        self._studio, self._varies, self._prefix = studio, varies, f"{prefix}-batch"

    def build(self, view: RunView, hint: str) -> None:
        """Create the controls; the button starts a run on `view`."""
        with gr.Accordion("Batch: many photos", open=False, elem_id=self._prefix, elem_classes="fold"):
            gr.Markdown(hint, elem_classes="quiet")
            self.files = gr.File(
                label=message("Photos, or a zip of photos (up to {most})", most=MAX_IMAGES),
                file_count="multiple",
                file_types=["image", *sorted(SUFFIXES), ".zip"],
                type="filepath",
                height=140,
                elem_id=f"{self._prefix}-files",
            )
            self.go = gr.Button("Start batch", elem_id=f"{self._prefix}-begin", interactive=False)
        view.start_buttons.append(self.go)

    def job(self, job: Job, files: Sequence[str] | None) -> Batch:
        """Turn a job without its varying input into a batch.

        Raises:
            ValueError: no usable images, or too many.
        """
        images = image_files(Path(file) for file in files or ())
        return batch_of(job, images, self._varies, self._studio.max_pixels)
