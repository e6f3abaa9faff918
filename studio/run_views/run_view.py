"""Run view: the buttons of a tab and the run they control."""

from __future__ import annotations

import asyncio
import dataclasses
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from engines.core.messages import message
from engines.jobs import ENGINES, Job
from engines.jobs.sweep import SweepConfig
from studio.components.config_form import Settings
from studio.components.html_component import asset, component
from studio.components.toasts import inform, warn
from studio.gallery.visitors import current_session
from studio.run_views.engine_titles import TITLES
from studio.run_views.stream import Watcher
from studio.runs.run import Run
from studio.services import Studio

HERE = Path(__file__).parent


class RunView(ABC):
    """Run view of a tab: starts one run at a time and shows it.

    Call `build_buttons`, `build_canvas` and `build_footer` once each, where the tab wants the parts; then `wire`.

    Args:
        studio: the services.
        prefix: prefix of the element ids.
    """

    canvas: Any
    save: gr.DownloadButton

    def __init__(self, studio: Studio, prefix: str):
        self._studio, self._prefix = studio, prefix
        self.run_id = gr.State("")
        # Newest watched run of each page, by session; None while it is starting.
        self._newest: dict[str, Run | None] = {}
        # The browser's tab stores the run's secret id, so that only the same tab finds the run after a reload.
        self._recall = asset(HERE / "run_recall.js").strip().replace("KEY", f"reverie-{prefix}-run")
        script = asset(HERE / "run_memory.js").replace("RECALL", self._recall).replace("KEY", f"reverie-{prefix}-run")
        memory: dict[str, Any] = {"js_on_load": script, "elem_classes": "memory", "render": False}
        self.remembered = component(HERE / "run_memory", f"{prefix}-memory", "", **memory)

    def build_buttons(self, title: str) -> None:
        """Create the start button, Stop, and Resume, which continues a run that ended early.

        Add any other button that starts a run here to `start_buttons`.
        """
        with gr.Row(elem_classes="actions"):
            # Enabled once the page knows whether it has a run already.
            self.start_button = gr.Button(title, variant="primary", elem_id=f"{self._prefix}-go", interactive=False)
            self.start_buttons: list[gr.Button] = [self.start_button]
            self.stop_button = gr.Button("Stop", elem_id=f"{self._prefix}-stop", interactive=False, min_width=80)
            # Hidden by CSS while disabled; removing it would lose the keyboard focus.
            options: dict[str, Any] = {"elem_id": f"{self._prefix}-go-on", "elem_classes": "only-alive"}
            self.resume_button = gr.Button("Resume", interactive=False, min_width=80, **options)

    @abstractmethod
    def build_canvas(self, original: Any, invitation: str) -> None:
        """Create the component that shows the run.

        Args:
            original: what is shown behind the invitation; None for nothing.
            invitation: text shown before the first run.
        """

    @abstractmethod
    def build_footer(self, hint: str) -> None:
        """Create the row under the canvas: a hint, Save, and other actions on a run."""

    @property
    def outputs(self) -> list[Any]:
        """List the components that a watched run updates."""
        return [
            self.canvas,
            self.run_id,
            self.remembered,
            *self.start_buttons,
            self.stop_button,
            self.resume_button,
            self.save,
        ]

    def enable_start(self, enabled: bool) -> dict[Any, Any]:
        """Return updates that enable or disable the start buttons."""
        return {button: gr.update(interactive=enabled) for button in self.start_buttons}

    def updates_on_start(self) -> dict[Any, Any]:
        """Return further updates for a run's start."""
        return {}

    def updates_on_result(self, run: Run) -> dict[Any, Any]:
        """Return further updates for results that are finished while the run continues."""
        return {}

    def updates_on_end(self, run: Run) -> dict[Any, Any]:
        """Return further updates for a run's end."""
        return {}

    def wire(self) -> None:
        """Connect Stop, Resume and Save."""
        # Stop never shows a toast, so it may bypass Gradio's queue.
        self.stop_button.click(self.stop, [self.run_id], None, queue=False, api_visibility="private")
        self.start_on(self.resume_button.click, self.start_remainder, [self.run_id])
        self.save.click(self.retry_save, [self.run_id], self.outputs, concurrency_limit=None, api_visibility="private")

    def start_on(
        self, press: Callable[..., Any], start: Callable[..., Any], inputs: Sequence[Any], outputs: Sequence[Any] = ()
    ) -> None:
        """Start a run on an event.

        Args:
            press: event listener, such as a button's `click`.
            start: handler that yields the updates of `watch`.
            inputs: its inputs.
            outputs: components that `start` updates besides `self.outputs`.
        """
        # Start buttons are enabled a moment before Gradio considers their last event finished, and "once" would drop a
        # press in between. `_start_and_watch` ignores a second press.
        press(
            start,
            list(inputs),
            [*self.outputs, *outputs],
            trigger_mode="multiple",
            concurrency_limit=None,
            api_visibility="private",
        )

    def on_page_load(self, page: gr.Blocks) -> None:
        """Find the page's run again after a reload. Call it outside of all tabs: a component in a tab exists only once
        that tab is opened."""
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
        """Return a run by its id; None if it is unknown or forgotten."""
        return self._runs.get(run_id)

    async def start(self, make_job: Callable[[], Job]) -> AsyncIterator[dict[Any, Any]]:
        """Start a job and watch it until it ends.

        Args:
            make_job: makes the job on a worker thread; a ValueError becomes a toast.
        """
        async for update in self._start_and_watch(lambda: self._runs.start(make_job())):
            yield update

    async def start_remainder(self, run_id: str) -> AsyncIterator[dict[Any, Any]]:
        """Resume the page's run, which ended early, and watch it until it ends."""

        def begin() -> Run:
            run = self.run(run_id)
            if run is None:
                raise ValueError(message("There is no run to resume; start a new one."))
            return self._runs.resume(run)

        async for update in self._start_and_watch(begin):
            yield update

    async def _start_and_watch(self, begin: Callable[[], Run]) -> AsyncIterator[dict[Any, Any]]:
        """Start and watch a run, unless the page's last one is still active.

        Args:
            begin: starts the run on a worker thread; a ValueError becomes a toast.
        """
        page = current_session()
        if page and page in self._newest and not _is_ending(self._newest[page]):
            yield {self.start_button: gr.skip()}
            return
        self._newest[page] = run = None
        try:
            # Starting reads images and packs and hashes data, which must not block other pages.
            try:
                self._newest[page] = run = await asyncio.to_thread(begin)
            except ValueError as error:
                warn(error)
                yield {self.start_button: gr.skip()}
                return
            run.tab = self._prefix
            async for update in self.watch(run):
                if self._newest.get(page) not in (run, None):  # a newer run owns the buttons
                    return
                yield update
        finally:
            if self._newest.get(page) is run:
                self._newest.pop(page, None)

    async def resume(self, run_id: str) -> AsyncIterator[dict[Any, Any]]:
        """Resume watching after a page load: the page's own run, or on a personal studio one whose page was closed. A
        run that the server's restart interrupted is reported."""
        run = self.run(run_id)
        if run is None and not self._studio.shared:
            run = self._runs.unwatched_run(self._prefix)
        if run is None:
            engine = self._runs.journal.interrupted(run_id)
            if engine in TITLES:
                warn(interrupted_message(engine))
            yield {self.run_id: "", self.remembered: ""} | self.enable_start(True)
            return
        async for update in self.watch(run, found=True):
            yield update

    async def watch(self, run: Run, *, found: bool = False) -> AsyncIterator[dict[Any, Any]]:
        """Yield updates that show a run until it is over.

        Args:
            run: the run.
            found: True after a page load. If the run's tab was not opened yet, only the last update reaches it, so the
                last update includes the complete message.
        """
        yield {
            self.run_id: run.id,
            self.remembered: run.id,
            **self.enable_start(False),
            self.stop_button: gr.update(interactive=True),
            self.resume_button: gr.update(interactive=False),
            self.save: gr.update(value=None, interactive=False, label="Save"),
            **self.updates_on_start(),
        }
        watcher = Watcher(run, self._runs.queue)
        finished: tuple[Any, ...] = ()
        async for sent in watcher.messages():
            update: dict[Any, Any] = {self.canvas: gr.skip() if sent is None else sent}
            if run.results != finished:
                finished = run.results
                update |= self.updates_on_result(run)
            yield update
        for sentence in filter(None, (run.error, run.stop_reason, *run.notices)):
            warn(sentence)
        shown = {self.canvas: await watcher.full_message()} if found else {}
        still = {self.stop_button: gr.update(interactive=False), self.save: self.save_update(run)}
        still |= {self.resume_button: gr.update(interactive=run.unfinished is not None)}
        yield shown | self.enable_start(True) | still | self.updates_on_result(run) | self.updates_on_end(run)

    def save_update(self, run: Run):
        """Return the update of Save: it downloads the result, or retries writing it."""
        there = run.result is not None and run.result.is_file()
        label = message("Save all") if run.results else "Save"
        return gr.update(value=str(run.result) if there else None, interactive=there or run.unsaved, label=label)

    async def retry_save(self, run_id: str) -> dict[Any, Any]:
        """Retry writing the result of the page's run, if that failed before."""
        run = self.run(run_id)
        if run is None or (run.result is None and not run.unsaved):
            warn(message("This result is no longer available; create it again."))
            return {self.save: gr.update(interactive=False)}
        if not run.unsaved:
            return {self.save: gr.skip()}
        try:
            await asyncio.to_thread(run.save)
        except ValueError as error:
            warn(error)
            return {self.save: gr.skip()}
        inform(message("The result is saved; press Save again to download it."))
        shown = await Watcher(run, self._runs.queue).full_message()
        return {self.canvas: shown, self.save: self.save_update(run)} | self.updates_on_end(run)

    def stop(self, run_id: str) -> None:
        """Stop the page's run."""
        run = self.run(run_id)
        if run:
            run.stop()

    def steered_by(
        self, controls: Sequence[Any], settings: Settings, network: Any = None, fixed: Collection[str] = ()
    ) -> None:
        """Steer the page's run whenever the user moves one of the controls; the newest position wins.

        Args:
            controls: controls whose `input` events steer.
            settings: form that the new config is read from.
            network: control that selects the network; None if there is no choice.
            fixed: fields that keep the values the run started with.
        """

        def steer(run_id: str, *values: Any) -> None:
            name, values = ("", values) if network is None else (values[0], values[1:])
            self.steer(run_id, name, settings, values, fixed)

        gr.on(
            [control.input for control in controls],
            steer,
            # Not `run_id`: Gradio reads a state when it handles the event, so an old position could steer a newer run.
            [self.remembered, *([] if network is None else [network]), *settings.inputs],
            None,
            trigger_mode="always_last",
            concurrency_limit=None,
            api_visibility="private",
        )

    def steer(
        self, run_id: str, network: str, settings: Settings, values: Sequence[Any], fixed: Collection[str] = ()
    ) -> None:
        """Send changed settings to the page's run, if it uses this network. A ValueError becomes a toast.

        Args:
            run_id: id of the run.
            network: name of the selected network.
            settings: form that the values belong to.
            values: values of `settings.inputs`.
            fixed: fields that keep the values the run started with.
        """
        run = self.run(run_id)
        if run is None or run.over or run.job.backbone != network:
            return
        initial = run.job.config
        try:
            config = settings.config(values)
            if fixed:
                config = dataclasses.replace(config, **{name: getattr(initial, name) for name in fixed})
            run.steer(initial.with_settings_of(config) if isinstance(initial, SweepConfig) else config)
        except ValueError as error:
            warn(error)


def _is_ending(run: Run | None) -> bool:
    """True if a run is over or will be after its current step; False while it is starting."""
    return run is not None and run.ends


def interrupted_message(engine: str) -> str:
    """Return the message for a run that a restart of the server interrupted."""
    title = message(TITLES[engine][0])
    if "checkpoint" in ENGINES[engine].files:
        return message("{title}: the studio restarted during this run; press Train to resume.", title=title)
    return message(
        "{title}: the studio restarted and ended this run; finished results are in the gallery.",
        title=title,
    )
