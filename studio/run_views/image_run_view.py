"""Run view for images: canvas, snapshots, videos."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from engines.core.files import why_unwritten
from engines.core.messages import message
from engines.imaging.images import load_image
from engines.imaging.metadata import NO_DETAILS
from engines.imaging.video import VideoConfig, VideoError
from engines.recipes import write_png
from studio.components.config_form import Settings
from studio.components.toasts import warn
from studio.gallery.gallery import Gallery, url_of
from studio.i18n.catalog import translate
from studio.run_views.live_canvas import live_canvas
from studio.run_views.run_view import RunView
from studio.runs.run import Run
from studio.services import Studio

VIDEO_FORMATS = [("MP4", "mp4"), ("GIF", "gif"), ("WebP", "webp")]


class ImageRunView(RunView):
    """Run view with a live canvas."""

    def __init__(self, studio: Studio, prefix: str):
        super().__init__(studio, prefix)
        # Step of the snapshot being viewed; 0 for the newest image.
        self.snapshot_step = gr.State(0)

    def build_canvas(self, original: np.ndarray | None, invitation: str) -> None:
        """Create the canvas.

        Args:
            original: (H, W, 3) uint8 RGB, shown behind the invitation; None for an empty canvas.
            invitation: text shown before the first run.
        """
        self.canvas = live_canvas(f"{self._prefix}-canvas", original, invitation)

    def build_footer(self, hint: str, again: str = "") -> None:
        """Create the row under the canvas, and the video of the run.

        Args:
            hint: text at the start of the row.
            again: title of the button that reuses the result as an input; "" for none.
        """
        with gr.Row(elem_classes="under"):
            gr.Markdown(hint, elem_classes="quiet")
            again_id = f"{self._prefix}-again"
            self.reuse_button = gr.Button(again, size="sm", interactive=False, visible=bool(again), elem_id=again_id)
            self.save = gr.DownloadButton("Save", size="sm", interactive=False, elem_id=f"{self._prefix}-save")
        self.finished = gr.HTML(
            "",
            html_template='<div class="links">${value}</div>',
            apply_default_css=False,
            elem_classes="finished",
            elem_id=f"{self._prefix}-finished",
        )
        folded = gr.Accordion("Video of the run", open=False, elem_id=f"{self._prefix}-evolution", elem_classes="fold")
        with folded:
            self._video_controls()

    def _video_controls(self) -> None:
        self.video_settings = settings = Settings(VideoConfig(), f"{self._prefix}-evolution")
        with gr.Row(elem_classes="directions inputs"):
            settings.slider("speed", 4, 30, 1, hint=False)
            settings.slider("hold", 0, 5, 0.5)
        with gr.Row(elem_classes="under"):
            first, label = settings.initial.kind, settings.label("kind")
            kinds = gr.Radio(VIDEO_FORMATS, value=first, show_label=False, label=label, elem_classes="chips")
            settings.add("kind", kinds)
            self.make_video = gr.Button("Make video", size="sm", elem_id=f"{self._prefix}-make-video")
            file_id = f"{self._prefix}-video-file"
            self.video = gr.DownloadButton("Download", size="sm", interactive=False, elem_id=file_id)

    @property
    def outputs(self) -> list[Any]:
        """List the components that a watched run updates."""
        return [*super().outputs, self.snapshot_step, self.reuse_button, self.video, self.finished]

    def updates_on_start(self) -> dict[Any, Any]:
        """Reset snapshot, video and finished results."""
        return {
            self.snapshot_step: 0,
            self.reuse_button: gr.update(interactive=False),
            self.video: gr.update(value=None, interactive=False),
            self.finished: "",
        }

    def updates_on_result(self, run: Run) -> dict[Any, Any]:
        """Show thumbnails of the results finished so far."""
        return {self.finished: result_links(self._studio.gallery, run.results)}

    def updates_on_end(self, run: Run) -> dict[Any, Any]:
        """Return to the newest image, and allow reusing it."""
        return {self.snapshot_step: 0, self.reuse_button: gr.update(interactive=self._can_reuse(run))}

    def _can_reuse(self, run: Run) -> bool:
        """True if an image of this run can be used as an input; contact sheets cannot."""
        there = run.snapshots.steps != [] or (run.result is not None and run.result.suffix == ".png")
        return run.over and there and not run.job.makes_sheet

    def wire(self) -> None:
        """Connect the buttons, the snapshots and the video."""
        super().wire()
        options: dict[str, Any] = {"api_visibility": "private"}
        self.canvas.pick(
            self.view_snapshot,
            [self.run_id],
            [self.snapshot_step, self.save, self.reuse_button],
            trigger_mode="always_last",
            **options,
        )
        self.make_video.click(self.write_video, [self.run_id, *self.video_settings.components], [self.video], **options)

    def view_snapshot(self, run_id: str, event: gr.EventData):
        """View a snapshot, or return to the newest image, and update Save and the reuse button."""
        run = self.run(run_id)
        if run is None:
            return gr.skip(), gr.skip(), gr.skip()
        snapshot = run.snapshots.at(int(event.step)) if event.step else None
        if snapshot is None:
            return 0, self.save_update(run), gr.update(interactive=self._can_reuse(run))
        step, image = snapshot
        recipe = run.recipe_at(step)
        if recipe is None:
            return gr.skip(), gr.skip(), gr.skip()
        path = run.snapshots.folder / f"{run.job.engine}-step-{step}.png"
        try:
            write_png(path, image, recipe, NO_DETAILS if run.job.makes_sheet else run.job.details)
        except OSError as error:
            warn(message("Could not save this snapshot: {why}.", why=why_unwritten(error)))
            return step, gr.update(interactive=False), gr.update(interactive=not run.job.makes_sheet)
        return (
            step,
            gr.update(value=str(path), interactive=True, label=message("Save step {step}", step=step)),
            gr.update(interactive=not run.job.makes_sheet),
        )

    def write_video(self, run_id: str, *values: Any):
        """Write a video of the run so far."""
        run = self.run(run_id)
        recipe = run.recipe_at(run.frame.step) if run is not None and run.frame is not None else None
        try:
            config = self.video_settings.config(values)
            path = run.snapshots.video(config, recipe.to_json()) if run is not None and recipe is not None else None
            if path is None and run is not None and run.results:
                raise VideoError(message("A batch has no video; its images are in the gallery."))
            if path is None:
                raise VideoError(message("There is nothing to make a video of yet; start a run first."))
        except ValueError as error:
            warn(error)
            return gr.skip()
        except OSError as error:
            warn(message("Could not save the video: {why}.", why=why_unwritten(error)))
            return gr.skip()
        title = next(title for title, kind in VIDEO_FORMATS if kind == config.kind)
        return gr.update(value=str(path), interactive=True, label=message("Download {title}", title=title))

    def image_as_input(self, run_id: str, step: int):
        """Return the path of the viewed snapshot or of the result, for use as an input. The copy has no recipe."""
        run = self.run(run_id)
        if run is None:
            return gr.skip()
        if step or run.result is None or run.result.suffix != ".png":
            snapshot = run.snapshots.at(step or 10**9)
            chosen, details = (None if snapshot is None else snapshot[1]), run.job.details
        else:
            result = load_image(run.result)
            chosen, details = result.pixels, result.details
        try:
            return gr.skip() if chosen is None else str(self._studio.gallery.keep_input(chosen, details))
        except OSError as error:
            warn(message("Could not save the image: {why}.", why=why_unwritten(error)))
            return gr.skip()


def result_links(gallery: Gallery, paths: Sequence[Path]) -> str:
    """Render thumbnails that link to result files, as HTML."""
    links: list[str] = []
    for path in paths:
        result = gallery.find(path.name)
        if result is None:
            continue  # deleted meanwhile
        small = gallery.thumbnail(result)
        image = f'<img alt="" loading="lazy" src="{url_of(small)}">' if small.is_file() else html.escape(path.suffix)
        name = html.escape(translate(message("Open result {number}", number=len(links) + 1)))
        links.append(f'<a href="{url_of(path)}" target="_blank" aria-label="{name}" title="{name}">{image}</a>')
    return "".join(links)
