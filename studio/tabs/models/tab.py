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
from studio.components.toasts import inform, warn
from studio.panels.handoff import Handoff
from studio.services import Studio
from studio.tabs.models.cluster_status import cluster_line
from studio.tabs.models.model_list import cancelling, listed, model_list, progress, title_of

# Seconds between two messages of how far a download is: a message has the whole list.
PAUSE = 0.4
BRING = (
    "Files that Keras publishes end with **_notop.h5**. One is recognised by its content, verified, and copied into "
    "Keras's cache on this server."
)
OFFLINE = """**Without a connection**

All that is bundled works as it is. For another network:

1. Unfold its row here and note its source.
2. Where there is a connection, open that address and save the file.
3. Carry it here and drop it above.

Whoever runs the server may also put it into a folder and name that with `--weights FOLDER`."""


class ModelsTab:
    """The controls of the tab and what they do."""

    def __init__(self, studio: Studio):
        self.studio = studio
        self._going: dict[str, threading.Event] = {}

    @property
    def store(self) -> WeightsStore:
        """Where weights lie."""
        return self.studio.workshop.store

    def build(self) -> None:
        """Lay the tab out and wire it, inside the page's Blocks."""
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
                    cluster_line(self.studio, "models-cluster")
                self.list = model_list("models-list")
        seen: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
        self.list.obtain(self.download, None, [self.list], **seen)
        # Not Gradio's `cancels`: that acts after the answer, and a late message would show the download going on.
        self.list.halt(self.halted, None, [self.list], **seen)
        self.list.remove(self.removed, None, [self.list], **seen)
        self.file.upload(self.brought, [self.file], [self.file, self.list], **seen)

    def doors(self) -> list[Handoff]:
        """Nothing comes here."""
        return []

    def on_visit(self, page: gr.Blocks, tab: gr.Tab) -> None:
        """Look anew at what is here whenever somebody comes to the tab."""
        seen: dict[str, Any] = {"api_visibility": "private", "queue": False}
        tab.select(self.visited, [self.list], [self.list], **seen)

    def visited(self, shown: Any) -> Any:
        """What is here now; a page that watches a download goes on with that."""
        return gr.skip() if isinstance(shown, dict) and shown.get("going") else listed(self.store)

    def download(self, event: gr.EventData, request: gr.Request) -> Iterator[dict[str, Any]]:
        """Fetch an official file and say how far it is; closing this gives the download up."""
        name, page = str(event.name), str(request.session_hash)
        yield listed(self.store, going=progress(name, 0, 0))
        halted = self._going[page] = threading.Event()
        frames, told = self.store.download(name), 0.0
        try:
            for done, total in frames:
                if halted.is_set():
                    frames.close()
                    yield listed(self.store, about=name, said=message("Cancelled; what has arrived is kept."))
                    return
                if time.monotonic() - told >= PAUSE:
                    told = time.monotonic()
                    yield listed(self.store, going=progress(name, done, total))
        except WeightsError as error:
            yield listed(self.store, about=name, said=str(error))
            return
        finally:
            frames.close()
            self._going.pop(page, None)
        yield listed(self.store, about=name, said=message("{title} is downloaded and verified.", title=title_of(name)))

    def halted(self, event: gr.EventData, request: gr.Request) -> Any:
        """Have this page's download end; where the network has gone silent that takes some seconds."""
        halted = self._going.get(str(request.session_hash))
        if halted is None:
            return gr.skip()
        halted.set()
        return listed(self.store, going=cancelling(str(event.name)))

    def removed(self, event: gr.EventData) -> dict[str, Any]:
        """Remove an official file, or a part of one, from the cache."""
        name = str(event.name)
        try:
            self.store.remove(name)
        except WeightsError as error:
            return listed(self.store, about=name, said=str(error))
        self.studio.workshop.forget("deep_dream", name)
        return listed(self.store, about=name, said=message("{title} is removed.", title=title_of(name)))

    async def brought(self, path: str | None) -> Any:
        """A file was dropped: take it if it is one of Keras's."""
        if not path:
            return [gr.skip(), gr.skip()]
        try:
            name = await self.studio.answer_slowly(lambda: self.store.take(Path(path)))
        except WeightsError as error:
            warn(error)
            return [None, gr.skip()]
        inform(message("{title} was recognised and verified; it can be used now.", title=title_of(name)))
        return [
            None,
            listed(
                self.store,
                about=name,
                said=message("{title} was brought as a file and verified.", title=title_of(name)),
            ),
        ]
