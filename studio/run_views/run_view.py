"""Run view: the buttons of a tab and the run they control."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from engines.core.messages import message
from engines.jobs import ENGINES, Job
from engines.jobs.sweep import SweepConfig
from studio.components.html_component import asset, component
from studio.components.toasts import inform, warn
from studio.gallery.visitors import current_session
from studio.run_views.engine_titles import TITLES
from studio.run_views.stream import Watcher
from studio.runs.run import Run
from studio.services import Studio

HERE = Path(__file__).parent


class Stage(ABC):
    """What a tab needs to run one thing at a time and watch it.

    The parts are laid out where the tab wants them, each once: `buttons`, `canvas_with`, `under`; then `wire`.

    Args:
        prefix: what the ids on the page begin with.
    """

    canvas: Any
    save: gr.DownloadButton

    def __init__(self, studio: Studio, prefix: str):
        self._studio, self._prefix = studio, prefix
        self.run_id = gr.State("")
        # The newest run of each page that is watched, by the page's session; None while it is being begun.
        self._newest: dict[str, Run | None] = {}
        # The browser's tab keeps the run's secret, so that a reloaded page finds its run again and nobody else does.
        self._recall = asset(HERE / "run_recall.js").strip().replace("KEY", f"reverie-{prefix}-run")
        script = asset(HERE / "run_memory.js").replace("RECALL", self._recall).replace("KEY", f"reverie-{prefix}-run")
        memory: dict[str, Any] = {"js_on_load": script, "elem_classes": "memory", "render": False}
        self.remembered = component(HERE / "run_memory", f"{prefix}-memory", "", **memory)

    def buttons(self, title: str) -> None:
        """Lay out the button that begins and beside it Stop, and Go on, which continues a run that ended early.

        Others that begin something on this stage are added to `begins`.
        """
        with gr.Row(elem_classes="actions"):
            # Alive once the page knows whether it has a run already.
            self.go = gr.Button(title, variant="primary", elem_id=f"{self._prefix}-go", interactive=False)
            self.begins: list[gr.Button] = [self.go]
            self.halt = gr.Button("Stop", elem_id=f"{self._prefix}-stop", interactive=False, min_width=80)
            # Disabled it is not shown; were it taken away, the focus on it would be lost.
            rest: dict[str, Any] = {"elem_id": f"{self._prefix}-go-on", "elem_classes": "only-alive"}
            self.rest = gr.Button("Go on", interactive=False, min_width=80, **rest)

    @abstractmethod
    def canvas_with(self, original: Any, invitation: str) -> None:
        """Lay out what shows the run, with an invitation at first, behind it `original`, or nothing."""

    @abstractmethod
    def under(self, hint: str) -> None:
        """Lay out what is under it: a hint, Save, and what else can be done with a run."""

    @property
    def outputs(self) -> list[Any]:
        """What watching a run changes."""
        return [self.canvas, self.run_id, self.remembered, *self.begins, self.halt, self.rest, self.save]

    def free(self, free: bool) -> dict[Any, Any]:
        """The buttons that begin something are alive, or not."""
        return {button: gr.update(interactive=free) for button in self.begins}

    def begun(self) -> dict[Any, Any]:
        """What else changes when a run begins."""
        return {}

    def came(self, run: Run) -> dict[Any, Any]:
        """What else changes while a run goes on: results that are finished before it is."""
        return {}

    def ended(self, run: Run) -> dict[Any, Any]:
        """What else changes when a run is over."""
        return {}

    def wire(self) -> None:
        """Connect Stop, going on with what is left of a run, and another try to write its result."""
        # Stop never needs a toast, so it may bypass Gradio's queue.
        self.halt.click(self.stop, [self.run_id], None, queue=False, api_visibility="private")
        self.begin_on(self.rest.click, self.start_rest, [self.run_id])
        self.save.click(self.saved, [self.run_id], self.outputs, concurrency_limit=None, api_visibility="private")

    def begin_on(
        self, press: Callable[..., Any], start: Callable[..., Any], inputs: Sequence[Any], outputs: Sequence[Any] = ()
    ) -> None:
        """Have a press begin a run.

        Args:
            press: a button's `click`, a component's `pick`.
            outputs: what `start` changes besides `self.outputs`.
        """
        # Buttons come alive a moment before the event that they began has ended for Gradio, which then takes no other
        # press "once". So each counts; `_begun` sees to it that of two in a row one begins.
        press(
            start,
            list(inputs),
            [*self.outputs, *outputs],
            trigger_mode="multiple",
            concurrency_limit=None,
            api_visibility="private",
        )

    def on_page_load(self, page: gr.Blocks) -> None:
        """Have a fresh page find its run again. Called outside of all tabs: what is in one is not there on a fresh page
        before the tab is opened."""
        self.remembered.render()
        page.load(
            self.resume,
            [self.remembered],
            self.outputs,
            js=self._recall,
            concurrency_limit=None,
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
        async for update in self._begun(lambda: self._runs.start(make_job())):
            yield update

    async def start_rest(self, run_id: str) -> AsyncIterator[dict[Any, Any]]:
        """Start what is left of this page's run, which ended before its time, and watch it to its end."""

        def begin() -> Run:
            run = self.run(run_id)
            if run is None:
                raise ValueError(message("There is nothing to go on with; start it anew."))
            return self._runs.go_on(run)

        async for update in self._begun(begin):
            yield update

    async def _begun(self, begin: Callable[[], Run]) -> AsyncIterator[dict[Any, Any]]:
        """Watch the run that `begin` begins, unless this page's is going on; a ValueError of it becomes a toast."""
        page = current_session()
        if page and page in self._newest and not _ends(self._newest[page]):
            yield {self.go: gr.skip()}
            return
        self._newest[page] = run = None
        try:
            # Pictures are read for it, and data is packed and hashed; other pages do not wait for that.
            try:
                self._newest[page] = run = await asyncio.to_thread(begin)
            except ValueError as error:
                warn(error)
                yield {self.go: gr.skip()}
                return
            run.stage = self._prefix
            async for update in self.watch(run):
                if self._newest.get(page) not in (run, None):  # another has the buttons now
                    return
                yield update
        finally:
            if self._newest.get(page) is run:
                self._newest.pop(page, None)

    async def resume(self, run_id: str) -> AsyncIterator[dict[Any, Any]]:
        """Find a reloaded page's run again, or one whose page was closed on one's own machine; or say that the studio
        was ended with it."""
        run = self.run(run_id)
        if run is None and not self._studio.shared:
            run = self._runs.left_alone(self._prefix)
        if run is None:
            engine = self._runs.records.interrupted(run_id)
            if engine in TITLES:
                warn(interrupted(engine))
            yield {self.run_id: "", self.remembered: ""} | self.free(True)
            return
        async for update in self.watch(run, found=True):
            yield update

    async def watch(self, run: Run, *, found: bool = False) -> AsyncIterator[dict[Any, Any]]:
        """Show a run until it is over.

        Args:
            found: by a page that may not have opened the run's tab yet. Of what such a tab is sent only the very last
                is there when it is opened: it is all that there is to show.
        """
        yield {
            self.run_id: run.id,
            self.remembered: run.id,
            **self.free(False),
            self.halt: gr.update(interactive=True),
            self.rest: gr.update(interactive=False),
            self.save: gr.update(value=None, interactive=False, label="Save"),
            **self.begun(),
        }
        watcher = Watcher(run, self._runs.render)
        finished: tuple[Any, ...] = ()
        async for sent in watcher.messages():
            update: dict[Any, Any] = {self.canvas: gr.skip() if sent is None else sent}
            if run.results != finished:
                finished = run.results
                update |= self.came(run)
            yield update
        for sentence in filter(None, (run.error, run.why, *run.notices)):
            warn(sentence)
        shown = {self.canvas: await watcher.whole()} if found else {}
        still = {self.halt: gr.update(interactive=False), self.save: self.saving(run)}
        still |= {self.rest: gr.update(interactive=run.unfinished is not None)}
        yield shown | self.free(True) | still | self.came(run) | self.ended(run)

    def saving(self, run: Run):
        """What Save does with the result; where that is not written yet, it is alive to write it."""
        there = run.result is not None and run.result.is_file()
        label = message("Save all") if run.results else "Save"
        return gr.update(value=str(run.result) if there else None, interactive=there or run.unsaved, label=label)

    async def saved(self, run_id: str) -> dict[Any, Any]:
        """Save was pressed: write the result of this page's run, if it is not written yet."""
        run = self.run(run_id)
        if run is None or (run.result is None and not run.unsaved):
            warn(message("This result is not kept any longer; make it again."))
            return {self.save: gr.update(interactive=False)}
        if not run.unsaved:
            return {self.save: gr.skip()}
        try:
            await asyncio.to_thread(run.save)
        except ValueError as error:
            warn(error)
            return {self.save: gr.skip()}
        inform(message("The result is written; press Save once more to fetch it."))
        shown = await Watcher(run, self._runs.render).whole()
        return {self.canvas: shown, self.save: self.saving(run)} | self.ended(run)

    def stop(self, run_id: str) -> None:
        """Stop this page's run."""
        run = self.run(run_id)
        if run:
            run.stop()

    def steered_by(self, controls: Sequence[Any], steer: Callable[..., None], inputs: Sequence[Any]) -> None:
        """Call `steer` with a run's id and what `inputs` say whenever a person moves one of the controls; the newest
        position wins.

        The run is the one that the page showed at that moment: `run_id` is looked up when the server comes to it, and
        would have positions from before a run was begun steer that run.
        """
        gr.on(
            [control.input for control in controls],
            steer,
            [self.remembered, *inputs],
            None,
            trigger_mode="always_last",
            concurrency_limit=None,
            api_visibility="private",
        )

    def steer(self, run_id: str, backbone: str, make_config: Callable[[], Any]) -> None:
        """Send changed settings to this page's run, if one is going on this backbone."""
        run = self.run(run_id)
        if run is None or run.over or run.job.backbone != backbone:
            return
        try:
            config, swept = make_config(), run.job.config
            run.steer(swept.following(config) if isinstance(swept, SweepConfig) else config)
        except ValueError as error:
            warn(error)


def _ends(run: Run | None) -> bool:
    """Whether a run is over, or will be after the step that it is in; one that is being begun is not."""
    return run is not None and run.ends


def interrupted(engine: str) -> str:
    """What there is to say of a run that the studio was ended with, in a sentence."""
    title = message(TITLES[engine][0])
    if "checkpoint" in ENGINES[engine].files:
        return message(
            "{title}: the studio was started anew while this was running; press Train to go on with it.", title=title
        )
    return message(
        "{title}: the studio was started anew while this was running, so it ended; results that were finished are in "
        "the gallery.",
        title=title,
    )
