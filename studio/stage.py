"""The stage of a tab: its live canvas with the buttons that begin, stop and keep, and the run that is on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import gradio as gr
import numpy as np

from engines.jobs import Job
from engines.parts.pictures import read_picture
from engines.recipes import write_png
from studio.canvas import live_canvas
from studio.notices import warn
from studio.runs import Run
from studio.streaming import Watcher
from studio.studio import Studio


class Stage:
    """What a tab needs to run one thing at a time and watch it.

    The parts are laid out where the tab wants them, each once: `buttons`, `canvas_with`, `under`; then `remember` and
    `wire`.

    Args:
        prefix: what the ids on the page begin with.
    """

    def __init__(self, studio: Studio, prefix: str):
        self._studio, self._prefix = studio, prefix
        self.run_id = gr.State("")
        # The step of the moment that a person looks back at; 0 for the newest picture.
        self.moment = gr.State(0)
        # The browser keeps the run's secret, so that a reloaded page finds its run again and nobody else does.
        self.remembered = gr.BrowserState("", storage_key=f"reverie-{prefix}-run", secret=f"reverie-{prefix}-run")

    def buttons(self, title: str) -> None:
        """Lay out the button that begins and Stop beside it."""
        with gr.Row(elem_classes="actions"):
            # Alive once the page knows whether it has a run already.
            self.go = gr.Button(title, variant="primary", elem_id=f"{self._prefix}-go", interactive=False)
            self.halt = gr.Button("Stop", elem_id=f"{self._prefix}-stop", interactive=False, min_width=80)

    def canvas_with(self, original: np.ndarray | None, invitation: str) -> None:
        """Lay out the canvas, showing an invitation at first, behind it `original`, (H, W, 3) uint8 RGB, or nothing."""
        self.canvas = live_canvas(f"{self._prefix}-canvas", original, invitation)

    def under(self, hint: str, again: str = "") -> None:
        """Lay out the row under the canvas: a hint, a button that goes on from the result where it is named, Save."""
        with gr.Row(elem_classes="under"):
            gr.Markdown(hint, elem_classes="quiet")
            again_id = f"{self._prefix}-again"
            self.again = gr.Button(again, size="sm", interactive=False, visible=bool(again), elem_id=again_id)
            self.save = gr.DownloadButton("Save", size="sm", interactive=False, elem_id=f"{self._prefix}-save")
        folded = gr.Accordion("Film of the run", open=False, elem_id=f"{self._prefix}-evolution", elem_classes="fold")
        with folded, gr.Row(elem_classes="under"):
            kinds = [("MP4", "mp4"), ("GIF", "gif")]
            self.film_kind = gr.Radio(kinds, value="mp4", show_label=False, label="Kind", elem_classes="chips")
            self.make_film = gr.Button("Make the film", size="sm", elem_id=f"{self._prefix}-make-film")
            file_id = f"{self._prefix}-film-file"
            self.film = gr.DownloadButton("Download", size="sm", interactive=False, elem_id=file_id)

    @property
    def outputs(self) -> list[Any]:
        """What watching a run changes."""
        controls = [self.go, self.halt, self.save, self.again, self.film]
        return [self.canvas, self.run_id, self.remembered, self.moment, *controls]

    def wire(self) -> None:
        """Connect Stop, the moments and the film."""
        seen: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        # Stop never needs a toast, so it may bypass Gradio's queue.
        self.halt.click(self.stop, [self.run_id], None, queue=False, **seen)
        self.canvas.pick(
            self.picked, [self.run_id], [self.moment, self.save, self.again], trigger_mode="always_last", **seen
        )
        self.make_film.click(self.filmed, [self.run_id, self.film_kind], [self.film], **seen)

    def on_page_load(self, page: gr.Blocks) -> None:
        """Have a fresh page find its run again."""
        page.load(
            self.resume,
            [self.remembered],
            self.outputs,
            concurrency_limit=None,
            show_progress="hidden",
            api_visibility="private",
        )

    @property
    def _runs(self):
        return self._studio.runs

    def run(self, run_id: str) -> Run | None:
        """The page's run, if it has one that is remembered."""
        return self._runs.get(run_id)

    async def start(self, make_job: Callable[[], Job]) -> AsyncIterator[dict[Any, Any]]:
        """Start what `make_job` returns and watch it to its end; a ValueError on the way becomes a toast."""
        try:
            run = self._runs.start(make_job())
        except ValueError as error:
            warn(error)
            yield {self.go: gr.skip()}
            return
        async for update in self.watch(run):
            yield update

    async def resume(self, run_id: str) -> AsyncIterator[dict[Any, Any]]:
        """Find a reloaded page's run again."""
        run = self.run(run_id)
        if run is None:
            yield {self.run_id: "", self.go: gr.update(interactive=True)}
            return
        async for update in self.watch(run):
            yield update

    async def watch(self, run: Run) -> AsyncIterator[dict[Any, Any]]:
        """Show a run until it is over."""
        yield {
            self.run_id: run.id,
            self.remembered: run.id,
            self.go: gr.update(interactive=False),
            self.halt: gr.update(interactive=True),
            self.moment: 0,
            self.save: gr.update(value=None, interactive=False, label="Save"),
            self.again: gr.update(interactive=False),
            self.film: gr.update(value=None, interactive=False),
        }
        async for message in Watcher(run, self._runs.render).messages():
            yield {self.canvas: gr.skip() if message is None else message}
        if run.error:
            warn(run.error)
        yield {
            self.go: gr.update(interactive=True),
            self.halt: gr.update(interactive=False),
            self.moment: 0,
            self.save: self._saving(run),
            self.again: gr.update(interactive=run.moments.steps != []),
        }

    def _saving(self, run: Run):
        """What Save does when no moment is chosen."""
        there = run.result is not None
        return gr.update(value=str(run.result) if there else None, interactive=there, label="Save")

    def picked(self, run_id: str, event: gr.EventData):
        """A moment of the run is looked back at, or no longer: what Save and going on refer to."""
        run = self.run(run_id)
        if run is None:
            return gr.skip(), gr.skip(), gr.skip()
        moment = run.moments.at(int(event.step)) if event.step else None
        if moment is None:
            return 0, self._saving(run), gr.update(interactive=run.over and run.moments.steps != [])
        step, image = moment
        recipe = run.recipe_at(step)
        if recipe is None:
            return gr.skip(), gr.skip(), gr.skip()
        path = run.moments.folder / f"{run.job.engine}-step-{step}.png"
        write_png(path, image, recipe)
        return (
            step,
            gr.update(value=str(path), interactive=True, label=f"Save step {step}"),
            gr.update(interactive=True),
        )

    def filmed(self, run_id: str, kind: str):
        """Make a film of the run so far."""
        run = self.run(run_id)
        recipe = run.recipe_at(run.frame.step) if run is not None and run.frame is not None else None
        if run is None or recipe is None:
            warn("There is nothing to make a film of yet; start a run first.")
            return gr.skip()
        path = run.moments.film(kind, recipe.to_json())
        return gr.update(value=str(path), interactive=True, label=f"Download {kind.upper()}")

    def stop(self, run_id: str) -> None:
        """Stop this page's run."""
        run = self.run(run_id)
        if run:
            run.stop()

    def steer(self, run_id: str, backbone: str, make_config: Callable[[], Any]) -> None:
        """Send changed settings to this page's run, if one is going on this backbone."""
        run = self.run(run_id)
        if run is None or run.over or run.job.backbone != backbone:
            return
        try:
            run.steer(make_config())
        except ValueError as error:
            warn(error)

    def chosen_as_input(self, run_id: str, step: int):
        """The path of the chosen moment, or of the result, as an input; without its recipe: it is a photo now."""
        run = self.run(run_id)
        if run is None:
            return gr.skip()
        if step or run.result is None or run.result.suffix != ".png":
            moment = run.moments.at(step or 10**9)
            return str(self._studio.gallery.keep_input(moment[1])) if moment else gr.skip()
        return str(self._studio.gallery.keep_input(read_picture(run.result)))


def steers(controls: Sequence[Any], steer: Callable[..., None], inputs: Sequence[Any]) -> None:
    """Call `steer` with what `inputs` say whenever a person moves one of the controls; the newest position wins."""
    gr.on(
        [control.input for control in controls],
        steer,
        list(inputs),
        None,
        trigger_mode="always_last",
        concurrency_limit=None,
        show_progress="hidden",
        api_visibility="private",
    )
