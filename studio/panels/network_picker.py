"""Network picker with download of missing weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr

from engines.core.messages import joined, message
from engines.weights.keras_applications import OFFICIAL_FILES
from engines.weights.store import WeightsError
from studio.services import Studio


def title_of_network(name: str) -> str:
    """Return the display name of a pretrained network; "" if it is unknown."""
    from engines.backbones.backbone import ARCHITECTURES

    return ARCHITECTURES[name].title if name in ARCHITECTURES else ""


def network_choices(studio: Studio, names: Sequence[str]) -> list[tuple[str, str]]:
    """List (title, name) for a dropdown; titles say where the weights are."""
    from engines.backbones.backbone import ARCHITECTURES

    choices: list[tuple[str, str]] = []
    for name in names:
        located = studio.workshop.store.find(name)
        if located is None:
            where = message("missing")
            if name in OFFICIAL_FILES:
                where = message("download {megabytes} MB", megabytes=OFFICIAL_FILES[name].megabytes)
        else:
            size = f"{located.path.stat().st_size / 1e6:.0f}"
            where = {
                "bundled": message("bundled, {size} MB", size=size),
                "folder": message("weights folder, {size} MB", size=size),
                "cache": message("downloaded, {size} MB", size=size),
            }[located.source]
        choices.append((joined([ARCHITECTURES[name].title, where]), name))
    return choices


def require_weights(studio: Studio, name: str) -> None:
    """Check that a network's weights are available.

    Raises:
        WeightsError: they are not.
    """
    if studio.workshop.store.find(name) is None:
        raise WeightsError(
            message(
                "This network's weights are missing; download them under More or on the Models tab, "
                "or choose another network."
            )
        )


class NetworkPicker:
    """Dropdown of networks, with a button that downloads missing weights.

    Args:
        studio: the services.
        names: names of the networks; the first is selected.
        prefix: prefix of the element ids.
    """

    def __init__(self, studio: Studio, names: Sequence[str], prefix: str):
        self._studio, self.names = studio, tuple(names)
        self.dropdown = gr.Dropdown(
            network_choices(studio, self.names),
            value=self.names[0],
            label="Network",
            info="The network that extracts the image features.",
            elem_id=f"{prefix}-backbone",
        )
        self.fetch = gr.Button("Download weights", size="sm", visible=False, elem_id=f"{prefix}-fetch")
        self.fetched = gr.Markdown("", elem_id=f"{prefix}-fetched", visible=False)

    def wire(self) -> None:
        """Connect the button, and refresh the choices when the user comes to the tab."""
        options: dict[str, Any] = {"api_visibility": "private"}
        self.dropdown.change(self.offer_download, [self.dropdown], [self.fetch, self.fetched], queue=False, **options)
        # Without Gradio's limit, a visitor can watch a download that another one has started.
        fetched = [self.fetch, self.fetched, self.dropdown]
        self.fetch.click(self.download, [self.dropdown], fetched, concurrency_limit=None, **options)
        gr.on(self._visit_events(), self.refresh, [self.dropdown], [self.dropdown, self.fetch], queue=False, **options)

    def _visit_events(self) -> list[Any]:
        """List the events that show the dropdown: page load and selection of its tabs."""
        events, block = [], self.dropdown.parent
        while block is not None:
            if isinstance(block, gr.Tab):
                events.append(block.select)
            if isinstance(block, gr.Blocks):
                events.append(block.load)
            block = block.parent
        return events

    def refresh(self, name: str):
        """Refresh the choices, as weights may change on other tabs and pages."""
        missing = self._studio.workshop.store.find(name) is None
        fetch = gr.update(visible=missing, value=self._offer(name))
        return [gr.update(choices=network_choices(self._studio, self.names)), fetch]

    def offer_download(self, name: str):
        """Show the download button if the network's weights are missing."""
        missing = self._studio.workshop.store.find(name) is None
        return [
            gr.update(visible=missing, value=self._offer(name), interactive=True),
            gr.update(value="", visible=False),
        ]

    def _offer(self, name: str) -> str:
        megabytes = OFFICIAL_FILES[name].megabytes if name in OFFICIAL_FILES else 0
        return message("Download weights ({megabytes} MB)", megabytes=megabytes)

    def download(self, name: str) -> Iterator[tuple[Any, Any, Any]]:
        """Download a network's weights, yielding updates that show the progress."""
        yield gr.update(interactive=False), gr.update(value=message("Connecting …"), visible=True), gr.skip()
        try:
            for done, total in self._studio.workshop.store.download(name):
                share = f"{100 * done / total:.0f}%" if total else ""
                yield gr.skip(), message("Downloading: {done:.0f} MB {share}", done=done / 1e6, share=share), gr.skip()
        except WeightsError as error:
            yield gr.update(interactive=True), str(error), gr.skip()
            return
        choices = gr.update(choices=network_choices(self._studio, self.names))
        yield gr.update(visible=False, interactive=True), message("Downloaded and verified."), choices
