"""Models tab."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from engines.core.messages import message
from engines.weights.store import WeightsError, WeightsStore
from studio.components.hidden_download import download_when_ready
from studio.components.toasts import inform, warn
from studio.panels.handoff import Handoff
from studio.services import Studio
from studio.tabs.models.cluster_status import cluster_status
from studio.tabs.models.model_list import cancelling, list_value, model_list, progress, title_of
from studio.trained_models import for_keras

# Seconds between progress messages; each contains the whole list.
PAUSE = 0.4
BRING = (
    "Drop a file published by Keras; its name ends in **_notop.h5**. It is recognised by its "
    "content, verified, and copied to Keras's cache on this server."
)
OFFLINE = """**Without a connection**

Everything bundled works offline. To use another network:

1. Expand its row here and note its source.
2. On a computer with a connection, open that address and save the file.
3. Copy the file to this computer and drop it above.

The server's administrator can also put the file in a folder and start the studio with `--weights FOLDER`."""


class ModelsTab:
    """The tab's controls and event handlers."""

    def __init__(self, studio: Studio):
        self.studio = studio
        self._cancel_events: dict[str, threading.Event] = {}

    @property
    def store(self) -> WeightsStore:
        """The weights store."""
        return self.studio.workshop.store

    def build(self) -> None:
        """Create and wire the controls, inside the page's Blocks."""
        with gr.Row(elem_classes="workbench"):
            with gr.Column(elem_classes="inputs", min_width=300):
                self.file = gr.File(
                    label="Drop a weights file",
                    file_types=[".h5"],
                    type="filepath",
                    height=170,
                    elem_id="models-file",
                    elem_classes="drop",
                )
                gr.Markdown(BRING, elem_classes="quiet")
                gr.Markdown(OFFLINE, elem_id="models-offline", elem_classes="quiet")
            with gr.Column(elem_classes="outputs", min_width=320, scale=3):
                if self.studio.cluster is not None:
                    cluster_status(self.studio, "models-cluster")
                self.list = model_list("models-list")
                self.keras_file = gr.DownloadButton(
                    "File", elem_id="models-keras-file", elem_classes="invisible-button"
                )
        options: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
        self.list.obtain(self.download, None, [self.list], **options)
        # Not Gradio's `cancels`, which acts after the answer: a late message would show the download still running.
        self.list.halt(self.cancel_download, None, [self.list], **options)
        self.list.remove(self.remove_file, None, [self.list], **options)
        exported = self.list.export(self.export_for_keras, None, [self.keras_file], **options)
        download_when_ready(exported, self.keras_file)
        self.file.upload(self.import_weights, [self.file], [self.file, self.list], **options)

    def handoffs(self) -> list[Handoff]:
        """No handoffs."""
        return []

    def on_visit(self, page: gr.Blocks, tab: gr.Tab) -> None:
        """Refresh the list whenever the tab is opened."""
        options: dict[str, Any] = {"api_visibility": "private", "queue": False}
        tab.select(self.refresh, [self.list], [self.list], **options)

    def refresh(self, shown: Any) -> Any:
        """Refresh the list, unless the page watches a download."""
        return gr.skip() if isinstance(shown, dict) and shown.get("going") else list_value(self.store)

    def download(self, event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
        """Download an official file, yielding updates; closing the generator cancels it."""
        name, page = str(event.name), str(request.session_hash)
        yield list_value(self.store, going=progress(name, 0, 0))
        halted = self._cancel_events[page] = threading.Event()
        frames, sent_at = self.store.download(name), 0.0
        try:
            for done, total in frames:
                if halted.is_set():
                    frames.close()
                    yield list_value(self.store, about=name, said=message("Cancelled; the partial download is kept."))
                    return
                if time.monotonic() - sent_at >= PAUSE:
                    sent_at = time.monotonic()
                    yield list_value(self.store, going=progress(name, done, total))
        except WeightsError as error:
            yield list_value(self.store, about=name, said=str(error))
            return
        finally:
            frames.close()
            self._cancel_events.pop(page, None)
        yield list_value(self.store, about=name, said=message("{title} downloaded and verified.", title=title_of(name)))

    def cancel_download(self, event: gr.EventData, request: gr.Request) -> Any:
        """Cancel the page's download; on a stalled connection this takes some seconds."""
        halted = self._cancel_events.get(str(request.session_hash))
        if halted is None:
            return gr.skip()
        halted.set()
        return list_value(self.store, going=cancelling(str(event.name)))

    def remove_file(self, event: gr.EventData) -> dict[str, Any]:
        """Remove an official file, or a partial download, from the cache."""
        name = str(event.name)
        try:
            self.store.remove(name)
        except WeightsError as error:
            return list_value(self.store, about=name, said=str(error))
        self.studio.workshop.forget("deep_dream", name)
        return list_value(self.store, about=name, said=message("{title} removed.", title=title_of(name)))

    async def export_for_keras(self, event: gr.EventData) -> Any:
        """Export a bundled network to a file that Keras opens without Reverie."""
        name = str(event.name)
        try:
            path = await self.studio.run_in_thread(lambda: for_keras(self.studio, name))
        except WeightsError as error:
            warn(error)
            return gr.skip()
        return gr.DownloadButton(value=str(path))

    async def import_weights(self, path: str | None) -> Any:
        """Install a dropped weights file if it is one that Keras publishes."""
        if not path:
            return [gr.skip(), gr.skip()]
        try:
            name = await self.studio.run_in_thread(lambda: self.store.add_file(Path(path)))
        except WeightsError as error:
            warn(error)
            return [None, gr.skip()]
        inform(message("{title} recognised and verified; it is ready to use.", title=title_of(name)))
        return [
            None,
            list_value(
                self.store,
                about=name,
                said=message("{title} added from a file and verified.", title=title_of(name)),
            ),
        ]
