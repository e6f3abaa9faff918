"""Gallery tab."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from engines.core.messages import message
from engines.imaging.images import load_image
from engines.recipes import Recipe, from_json
from studio.components.hidden_download import download_when_ready
from studio.components.html_component import component
from studio.components.toasts import inform, warn
from studio.gallery.thumbnails import first_words, thumbnail_uri
from studio.i18n.catalog import translate
from studio.panels.handoff import Handoff
from studio.run_views.engine_titles import TITLES
from studio.services import Studio
from studio.tabs.gallery.recipe_panel import RecipePanel
from studio.tabs.gallery.viewer import UNREADABLE, comparison_value, date_text, title_of, viewer, viewer_value
from studio.tabs.page_tab import PageTab

A_PAGE = 24
# Seconds to create missing thumbnails; the list is sent without the others, which the page requests later.
PATIENCE = 0.1
NOTHING = message("No results yet. What you make on the other tabs appears here.")


class GalleryTab(PageTab):
    """The tab's controls and event handlers."""

    id = "gallery"
    title = "Gallery"

    def __init__(self, studio: Studio, tabs: Sequence[type[PageTab]]):
        super().__init__(studio)
        # Choice of the filter -> id of the tab whose results are listed.
        self._filters = {"All": ""} | {tab.title: tab.id for tab in tabs}
        self.panel = RecipePanel()

    def build(self) -> None:
        """Create the controls, inside the page's Blocks."""
        self.open = gr.State("")
        self.asked = gr.State([])
        with gr.Column(visible=False, elem_classes="opened") as self.opened:
            self.viewer = viewer("gallery-viewer")
            with gr.Row(elem_classes="under ways") as self.handoff_row:
                self.restore = gr.Button("Restore settings", size="sm", elem_id="gallery-restore")
            with gr.Row(elem_classes="under ways"):
                self.save = gr.DownloadButton("Save", size="sm", elem_id="gallery-save")
                self.delete = gr.Button("Delete", size="sm", elem_id="gallery-delete")
                self.close = gr.Button("Close", size="sm", elem_id="gallery-close")
            self.panel.build()
        with gr.Row(elem_classes="under gallery-tools"):
            self.filter = gr.Radio(
                list(self._filters),
                value="All",
                label="Show",
                show_label=False,
                elem_id="gallery-filter",
                elem_classes="chips",
            )
            self.compare = gr.Button("Compare two", size="sm", elem_id="gallery-compare")
            self.export = gr.Button("Export", size="sm", elem_id="gallery-export")
            self.remove = gr.Button("Delete", size="sm", elem_id="gallery-remove")
            self.archive = gr.DownloadButton("Archive", elem_id="gallery-archive", elem_classes="invisible-button")
        self.grid = component(Path(__file__).with_name("gallery_grid"), "gallery-grid", {})
        self.panel.build_pasting()

    def connect(self, tabs: gr.Tabs, handoffs: Sequence[Handoff]) -> None:
        """Wire the tab, with a button for each handoff of the other tabs."""
        options: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
        self._outgoing = [handoff for handoff in handoffs if handoff.title]
        self._returning = [handoff for handoff in handoffs if handoff.engines]
        with self.handoff_row:
            self._buttons = [
                gr.Button(handoff.title, size="sm", visible=False, elem_id=f"gallery-way-{i}")
                for i, handoff in enumerate(self._outgoing)
            ]
        shown = [self.opened, self.viewer, self.open, self.restore, self.save, self.delete, *self._buttons]
        shown += self.panel.outputs
        listed = [self.filter, self.grid]
        self.filter.input(self.list_results, listed, [self.grid], queue=False, **options)
        # A list without all thumbnails asks for the rest; "multiple" keeps a click in the meantime from being dropped.
        self.grid.pick(self.picked, listed, [self.grid, *shown], trigger_mode="multiple", **options)
        self.compare.click(self.compare_results, [self.grid], shown, **options)
        self.close.click(self.close_viewer, None, shown, **options)
        download_when_ready(
            self.export.click(self.export_selected, [self.grid], [self.archive], **options), self.archive
        )
        asked = [self.asked, self.delete, self.remove]
        gone = [self.grid, *asked, *shown]
        self.delete.click(self.delete_opened, [self.open, self.asked, *listed], gone, **options)
        self.remove.click(self.delete_selected, [self.asked, *listed], gone, **options)
        for button, handoff in zip(self._buttons, self._outgoing, strict=True):
            send = self._send_to(handoff)
            button.click(send, [self.open, *handoff.inputs], _once([tabs, *handoff.outputs]), **options)
        inputs = [one for handoff in self._returning for one in handoff.inputs]
        outputs = [one for handoff in self._returning for one in handoff.outputs]
        self._tabs = tabs
        back = _once([tabs, *outputs])
        self.restore.click(self.restore_result, [self.open, *inputs], back, **options)
        self.panel.follow.click(self.restore_pasted, [self.panel.pasted, *inputs], back, **options)

    def on_visit(self, page: gr.Blocks, tab: gr.Tab) -> None:
        """List the results whenever the tab is opened."""
        tab.select(
            self.list_results,
            [self.filter, self.grid],
            [self.grid],
            queue=False,  # shows no toast
            api_visibility="private",
        )

    # List

    def list_results(self, shown: str, value: dict[str, Any] | None, page: int = 0) -> dict[str, Any]:
        """Return the grid's value: one page of the results that pass a filter."""
        gallery, wanted = self.studio.gallery, self._filters.get(shown, "")
        engines = [engine for engine, (_, tab) in TITLES.items() if wanted in ("", tab)]
        names = gallery.names(engines)
        pages = max(1, -(-len(names) // A_PAGE))
        page = min(max(0, page), pages - 1)
        # A result may be deleted meanwhile.
        some = [result for name in names[page * A_PAGE : (page + 1) * A_PAGE] if (result := gallery.find(name))]
        chosen = list((value or {}).get("chosen", []))
        there = set(names) if chosen else set()
        cards, until = [], time.monotonic() + PATIENCE
        for result in some:
            uri = thumbnail_uri(gallery, result, make=time.monotonic() < until)
            cards.append(
                {
                    "name": result.name,
                    "title": title_of(result),
                    "facts": date_text(result),
                    "video": result.kind == "video",
                    "thumbnail": uri or "",
                    "words": "" if uri or uri is None else first_words(result) or translate(UNREADABLE),
                    "pending": uri is None,
                }
            )
        return {
            "results": cards,
            "page": page,
            "pages": pages,
            "where": translate(
                message(
                    "{first}–{last} of {count:,}",
                    first=page * A_PAGE + 1,
                    last=page * A_PAGE + len(some),
                    count=len(names),
                )
            ),
            "chosen": [name for name in chosen if name in there],
            "choose": translate("Select"),
            "nothing": translate(NOTHING),
            "stamp": secrets.token_hex(4),
        }

    def picked(self, shown: str, value: dict[str, Any] | None, event: gr.EventData) -> dict[Any, Any]:
        """Open a result, or turn to another page."""
        page = getattr(event, "page", None)
        if page is not None:
            return {self.grid: self.list_results(shown, value, int(page))}
        return self._open(str(getattr(event, "name", "")))

    # Opened results

    def _open(self, name: str) -> dict[Any, Any]:
        result = self.studio.gallery.find(name)
        if result is None:
            warn(message("This result no longer exists."))
            return {self.open: gr.skip()}
        recipe = result.recipe()
        known = {engine for handoff in self._returning for engine in handoff.engines}
        ways = [gr.update(visible=result.kind in handoff.kinds) for handoff in self._outgoing]
        return {
            self.opened: gr.update(visible=True),
            self.viewer: viewer_value(result, recipe),
            self.open: name,
            self.restore: gr.update(visible=recipe is not None and recipe.engine in known),
            self.save: gr.update(value=str(result.path), visible=True),
            self.delete: gr.update(visible=True, value="Delete"),
            **dict(zip(self._buttons, ways, strict=True)),
            **self.panel.show(recipe),
        }

    def compare_results(self, value: dict[str, Any] | None) -> dict[Any, Any]:
        """Compare two images."""
        found = [self.studio.gallery.find(name) for name in (value or {}).get("chosen", [])]
        images = [result for result in found if result is not None and result.kind == "picture"]
        if len(images) != 2:
            warn(message("Select two images to compare."))
            return {self.open: gr.skip()}
        left, right = images
        nothing = gr.update(visible=False)
        return {
            self.opened: gr.update(visible=True),
            self.viewer: comparison_value(left, right),
            self.open: "",
            **dict.fromkeys([self.restore, self.save, self.delete, *self._buttons], nothing),
            **self.panel.compare(left, right),
        }

    def close_viewer(self) -> dict[Any, Any]:
        """Close the viewer."""
        return {self.opened: gr.update(visible=False), self.viewer: {}, self.open: ""}

    # Export and deletion

    def export_selected(self, value: dict[str, Any] | None) -> Any:
        """Return the path of a zip of the selected results and their recipes."""
        try:
            return str(self.studio.gallery.archive((value or {}).get("chosen", [])))
        except ValueError as error:
            warn(error)
            return None

    def delete_opened(self, name: str, asked: list[str], shown: str, value: dict[str, Any] | None) -> dict[Any, Any]:
        """Delete the opened result; the first click asks for confirmation."""
        return self._delete([name], asked, shown, value, self.delete)

    def delete_selected(self, asked: list[str], shown: str, value: dict[str, Any] | None) -> dict[Any, Any]:
        """Delete the selected results; the first click asks for confirmation."""
        return self._delete(list((value or {}).get("chosen", [])), asked, shown, value, self.remove)

    def _delete(
        self, names: list[str], asked: list[str], shown: str, value: dict[str, Any] | None, button: Any
    ) -> dict[Any, Any]:
        if not any(names):
            warn(message("Select the results to delete first."))
            return {self.asked: []}
        if names != asked:
            many = (
                message("Delete {count} results?", count=len(names))
                if len(names) > 1
                else message("Delete this result?")
            )
            return {self.asked: names, button: gr.update(value=many, variant="stop")}
        count = self.studio.gallery.remove(names)
        inform(message("1 result deleted.") if count == 1 else message("{count} results deleted.", count=count))
        page = int((value or {}).get("page", 0))
        reset = gr.update(value="Delete", variant="secondary")
        grid = self.list_results(shown, value, page)
        return {self.grid: grid, self.asked: [], self.delete: reset, self.remove: reset} | self.close_viewer()

    # Handoffs

    def _send_to(self, handoff: Handoff):
        async def send(name: str, *values: Any) -> dict[Any, Any]:
            result = self.studio.gallery.find(name)
            try:
                if result is None:
                    raise ValueError(message("This result no longer exists."))
                path = result.path
                if result.kind == "picture":
                    # Copied without its recipe, so that the tab treats it as a photo.
                    image = load_image(path)
                    path = self.studio.gallery.keep_input(image.pixels, image.details)
                updates = await handoff.open(str(path), values)
            except ValueError as error:
                warn(error)
                return {self._tabs: gr.skip()}
            return updates | {self._tabs: gr.update(selected=handoff.tab)}

        return send

    async def restore_result(self, name: str, *values: Any) -> dict[Any, Any]:
        """Open a result with its settings on the tab it was made on."""
        result = self.studio.gallery.find(name)
        recipe = result.recipe() if result is not None else None
        if recipe is None:
            warn(message("This result has no recipe."))
            return {self._tabs: gr.skip()}
        return await self._restore(recipe, values)

    async def restore_pasted(self, text: str | None, *values: Any) -> dict[Any, Any]:
        """Open a pasted recipe on its tab."""
        try:
            recipe = from_json(text or "")
        except ValueError as error:
            warn(error)
            return {self._tabs: gr.skip()}
        return await self._restore(recipe, values)

    async def _restore(self, recipe: Recipe, values: Sequence[Any]) -> dict[Any, Any]:
        try:
            before = 0
            for handoff in self._returning:
                if recipe.engine in handoff.engines:
                    updates = await handoff.open(recipe, values[before : before + len(handoff.inputs)])
                    return updates | {self._tabs: gr.update(selected=handoff.tab)}
                before += len(handoff.inputs)
            raise ValueError(message("This version does not have the engine that made this result."))
        except ValueError as error:
            warn(error)
            return {self._tabs: gr.skip()}


def _once(components: Sequence[Any]) -> list[Any]:
    """Remove duplicate components."""
    return list({component._id: component for component in components}.values())
