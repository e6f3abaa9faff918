"""Gallery tab."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from engines.core.messages import message
from engines.imaging.images import load_picture
from engines.recipes import Recipe, from_json
from studio.components.hidden_download import fetched_when_made
from studio.components.html_component import component
from studio.components.toasts import inform, warn
from studio.gallery.gallery import Result, url_of
from studio.gallery.thumbnails import first_words, picture_size, thumbnail_uri
from studio.i18n.catalog import translate
from studio.panels.handoff import Handoff
from studio.panels.network_picker import title_of_network
from studio.run_views.engine_titles import TITLES
from studio.services import Studio
from studio.tabs.gallery.recipe_panel import RecipePanel

A_PAGE = 24
# For so many seconds a list is kept waiting while thumbnails are made that are not there; it asks again for the rest.
PATIENCE = 0.1
MOST_TEXT = 20_000
FILTERS = {"All": "", "Dream": "dream", "Style": "style", "Latent": "latent", "Faces": "faces", "Words": "text"}
UNREADABLE = message("This file cannot be read.")
NOTHING = message("Nothing here yet. Whatever you make on the other tabs appears here.")


class GalleryTab:
    """The controls of the tab and what they do."""

    def __init__(self, studio: Studio):
        self.studio = studio
        self.panel = RecipePanel()

    def build(self) -> None:
        """Lay the tab out, inside the page's Blocks."""
        self.open = gr.State("")
        self.asked = gr.State([])
        with gr.Column(visible=False, elem_classes="opened") as self.opened:
            self.viewer = component(Path(__file__).with_name("viewer"), "gallery-viewer", {})
            with gr.Row(elem_classes="under ways") as self.ways:
                self.restore = gr.Button("Bring back its settings", size="sm", elem_id="gallery-restore")
            with gr.Row(elem_classes="under ways"):
                self.save = gr.DownloadButton("Save", size="sm", elem_id="gallery-save")
                self.delete = gr.Button("Delete", size="sm", elem_id="gallery-delete")
                self.close = gr.Button("Close", size="sm", elem_id="gallery-close")
            self.panel.build()
        with gr.Row(elem_classes="under gallery-tools"):
            self.filter = gr.Radio(
                list(FILTERS),
                value="All",
                label="Show",
                show_label=False,
                elem_id="gallery-filter",
                elem_classes="chips",
            )
            self.compare = gr.Button("Compare two", size="sm", elem_id="gallery-compare")
            self.export = gr.Button("Export", size="sm", elem_id="gallery-export")
            self.remove = gr.Button("Delete", size="sm", elem_id="gallery-remove")
            self.archive = gr.DownloadButton("Archive", elem_id="gallery-archive", elem_classes="offstage")
        self.grid = component(Path(__file__).with_name("gallery_grid"), "gallery-grid", {})
        self.panel.build_pasting()

    def connect(self, tabs: gr.Tabs, doors: Sequence[Handoff]) -> None:
        """Wire the tab, once all others are built: their doors are the ways out of here."""
        seen: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
        self._sends = [door for door in doors if door.title]
        self._backs = [door for door in doors if door.engines]
        with self.ways:
            self._buttons = [
                gr.Button(door.title, size="sm", visible=False, elem_id=f"gallery-way-{i}")
                for i, door in enumerate(self._sends)
            ]
        shown = [self.opened, self.viewer, self.open, self.restore, self.save, self.delete, *self._buttons]
        shown += self.panel.outputs
        listed = [self.filter, self.grid]
        self.filter.input(self.listed, listed, [self.grid], queue=False, **seen)
        # A list whose thumbnails are still being made asks for the rest: a click meanwhile is not to be dropped.
        self.grid.pick(self.picked, listed, [self.grid, *shown], trigger_mode="multiple", **seen)
        self.compare.click(self.compared, [self.grid], shown, **seen)
        self.close.click(self.closed, None, shown, **seen)
        fetched_when_made(self.export.click(self.exported, [self.grid], [self.archive], **seen), self.archive)
        asked = [self.asked, self.delete, self.remove]
        gone = [self.grid, *asked, *shown]
        self.delete.click(self.deleted, [self.open, self.asked, *listed], gone, **seen)
        self.remove.click(self.removed, [self.asked, *listed], gone, **seen)
        for button, door in zip(self._buttons, self._sends, strict=True):
            sent = self._sent(door)
            button.click(sent, [self.open, *door.inputs], _once([tabs, *door.outputs]), **seen)
        inputs = [one for door in self._backs for one in door.inputs]
        outputs = [one for door in self._backs for one in door.outputs]
        self._tabs = tabs
        back = _once([tabs, *outputs])
        self.restore.click(self.restored, [self.open, *inputs], back, **seen)
        self.panel.follow.click(self.followed, [self.panel.pasted, *inputs], back, **seen)

    def doors(self) -> list[Handoff]:
        """Results come here by themselves."""
        return []

    def on_visit(self, page: gr.Blocks, tab: gr.Tab) -> None:
        """List the results whenever the tab is looked at."""
        tab.select(
            self.listed,
            [self.filter, self.grid],
            [self.grid],
            queue=False,  # nothing is said of it
            api_visibility="private",
        )

    # The list

    def listed(self, shown: str, value: dict[str, Any] | None, page: int = 0) -> dict[str, Any]:
        """The results of a filter, a page of them."""
        gallery, wanted = self.studio.gallery, FILTERS.get(shown, "")
        engines = [engine for engine, (_, tab) in TITLES.items() if wanted in ("", tab)]
        names = gallery.names(engines)
        pages = max(1, -(-len(names) // A_PAGE))
        page = min(max(0, page), pages - 1)
        # One may be deleted meanwhile.
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
                    "facts": when(result),
                    "film": result.kind == "film",
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
            "choose": translate("Choose"),
            "nothing": translate(NOTHING),
            "stamp": secrets.token_hex(4),
        }

    def picked(self, shown: str, value: dict[str, Any] | None, event: gr.EventData) -> dict[Any, Any]:
        """A result is opened, or another page of them is turned to."""
        page = getattr(event, "page", None)
        if page is not None:
            return {self.grid: self.listed(shown, value, int(page))}
        return self._opened(str(getattr(event, "name", "")))

    # One of them, or two

    def _opened(self, name: str) -> dict[Any, Any]:
        result = self.studio.gallery.find(name)
        if result is None:
            warn(message("This result is no longer there."))
            return {self.open: gr.skip()}
        recipe = result.recipe()
        known = {engine for door in self._backs for engine in door.engines}
        ways = [gr.update(visible=result.kind in door.kinds) for door in self._sends]
        return {
            self.opened: gr.update(visible=True),
            self.viewer: viewed(result, recipe),
            self.open: name,
            self.restore: gr.update(visible=recipe is not None and recipe.engine in known),
            self.save: gr.update(value=str(result.path), visible=True),
            self.delete: gr.update(visible=True, value="Delete"),
            **dict(zip(self._buttons, ways, strict=True)),
            **self.panel.said_of(recipe),
        }

    def compared(self, value: dict[str, Any] | None) -> dict[Any, Any]:
        """Two pictures, one over the other."""
        found = [self.studio.gallery.find(name) for name in (value or {}).get("chosen", [])]
        pictures = [result for result in found if result is not None and result.kind == "picture"]
        if len(pictures) != 2:
            warn(message("Tick two pictures to compare them."))
            return {self.open: gr.skip()}
        left, right = pictures
        nothing = gr.update(visible=False)
        return {
            self.opened: gr.update(visible=True),
            self.viewer: {
                "kind": "compare",
                "url": url_of(left.path),
                "other": url_of(right.path),
                "left": f"{title_of(left)}, {when(left)}",
                "right": f"{title_of(right)}, {when(right)}",
                "between": translate("Where the one ends and the other begins"),
                "fresh": secrets.token_hex(4),
            },
            self.open: "",
            **dict.fromkeys([self.restore, self.save, self.delete, *self._buttons], nothing),
            **self.panel.compared(left, right),
        }

    def closed(self) -> dict[Any, Any]:
        """Nothing is open."""
        return {self.opened: gr.update(visible=False), self.viewer: {}, self.open: ""}

    # Taking along, and away

    def exported(self, value: dict[str, Any] | None) -> Any:
        """A zip of what is ticked, with recipes."""
        try:
            return str(self.studio.gallery.archive((value or {}).get("chosen", [])))
        except ValueError as error:
            warn(error)
            return None

    def deleted(self, name: str, asked: list[str], shown: str, value: dict[str, Any] | None) -> dict[Any, Any]:
        """Delete what is open, when asked twice."""
        return self._gone([name], asked, shown, value, self.delete)

    def removed(self, asked: list[str], shown: str, value: dict[str, Any] | None) -> dict[Any, Any]:
        """Delete what is ticked, when asked twice."""
        return self._gone(list((value or {}).get("chosen", [])), asked, shown, value, self.remove)

    def _gone(
        self, names: list[str], asked: list[str], shown: str, value: dict[str, Any] | None, button: Any
    ) -> dict[Any, Any]:
        if not any(names):
            warn(message("Choose what to delete first: tick the results."))
            return {self.asked: []}
        if names != asked:
            many = message("Really delete {count}?", count=len(names)) if len(names) > 1 else message("Really delete?")
            return {self.asked: names, button: gr.update(value=many, variant="stop")}
        count = self.studio.gallery.remove(names)
        inform(
            message("One result is deleted.") if count == 1 else message("{count} results are deleted.", count=count)
        )
        page = int((value or {}).get("page", 0))
        calm = gr.update(value="Delete", variant="secondary")
        left = {self.grid: self.listed(shown, value, page), self.asked: [], self.delete: calm, self.remove: calm}
        return left | self.closed()

    # Going on with it

    def _sent(self, door: Handoff):
        async def sent(name: str, *values: Any) -> dict[Any, Any]:
            result = self.studio.gallery.find(name)
            try:
                if result is None:
                    raise ValueError(message("This result is no longer there."))
                path = result.path
                if result.kind == "picture":
                    # Without its recipe: it is a photo now.
                    picture = load_picture(path)
                    path = self.studio.gallery.keep_input(picture.pixels, picture.details)
                updates = await door.open(str(path), values)
            except ValueError as error:
                warn(error)
                return {self._tabs: gr.skip()}
            return updates | {self._tabs: gr.update(selected=door.tab)}

        return sent

    async def restored(self, name: str, *values: Any) -> dict[Any, Any]:
        """A result goes back to where it was made, with its settings."""
        result = self.studio.gallery.find(name)
        recipe = result.recipe() if result is not None else None
        if recipe is None:
            warn(message("This result does not say what made it."))
            return {self._tabs: gr.skip()}
        return await self._back(recipe, values)

    async def followed(self, text: str | None, *values: Any) -> dict[Any, Any]:
        """A recipe was pasted: its settings come back."""
        try:
            recipe = from_json(text or "")
        except ValueError as error:
            warn(error)
            return {self._tabs: gr.skip()}
        return await self._back(recipe, values)

    async def _back(self, recipe: Recipe, values: Sequence[Any]) -> dict[Any, Any]:
        try:
            before = 0
            for door in self._backs:
                if recipe.engine in door.engines:
                    updates = await door.open(recipe, values[before : before + len(door.inputs)])
                    return updates | {self._tabs: gr.update(selected=door.tab)}
                before += len(door.inputs)
            raise ValueError(message("This result was made by something that this version does not have."))
        except ValueError as error:
            warn(error)
            return {self._tabs: gr.skip()}


def _once(components: Sequence[Any]) -> list[Any]:
    """The same components, each only once."""
    return list({component._id: component for component in components}.values())


def title_of(result: Result) -> str:
    """What a person calls it."""
    return translate(TITLES.get(result.engine, (result.engine, ""))[0])


def when(result: Result) -> str:
    """When it was made, in figures."""
    return "" if result.made is None else f"{result.made:%Y-%m-%d %H:%M}"


def viewed(result: Result, recipe: Recipe | None) -> dict[str, Any]:
    """A result, and what made it, as the viewer shows them."""
    size = picture_size(result)
    facts = [title_of(result), when(result)]
    if recipe is not None and recipe.seconds:
        facts.append(
            translate(
                message("took {seconds:.0f} s", seconds=recipe.seconds)
                if recipe.seconds >= 1
                else message("took under 1 s")
            )
        )
    if recipe is not None:
        facts.append(title_of_network(recipe.backbone))
    if size:
        facts.append(f"{size[0]} × {size[1]}")
    value = {"title": title_of(result), "facts": " · ".join(filter(None, facts)), "fresh": secrets.token_hex(4)}
    if result.kind == "text":
        try:
            return value | {"kind": "text", "text": result.path.read_bytes()[:MOST_TEXT].decode("utf-8", "replace")}
        except OSError:
            return value | {"kind": "damaged", "text": translate(UNREADABLE)}
    if size is None:
        return value | {"kind": "damaged", "text": translate(UNREADABLE)}
    return value | {"kind": result.kind, "url": url_of(result.path)}
