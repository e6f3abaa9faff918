"""Home tab."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from studio.components.html_component import asset
from studio.i18n.catalog import translate
from studio.panels.handoff import Handoff
from studio.services import Studio
from studio.tabs.page_tab import PageTab

IMAGES = Path(__file__).with_name("pictures")
WORDS = "This movie was wonderful. I saw it when it first came out and I have a copy of it. It’s one of those movies."


def cards(tabs: Sequence[type[PageTab]]) -> str:
    """Render the cards of tabs as HTML."""
    items = []
    for tab in tabs:
        path = IMAGES / f"{tab.id}.jpg"
        image = (
            f'<img alt="" width="480" height="360" src="gradio_api/file={path}">'
            if path.is_file()
            else f'<span class="words">{html.escape(WORDS)}</span>'
        )
        caption = f'<span class="title">{html.escape(translate(tab.title))}</span>'
        caption += f'<span class="line">{html.escape(translate(tab.card))}</span>'
        items.append(f'<li><button type="button" data-tab="{tab.id}">{image}{caption}</button></li>')
    return f'<ul class="home">{"".join(items)}</ul>'


class HomeTab(PageTab):
    """The cards, which open the other tabs."""

    id = "home"
    title = "Home"

    def __init__(self, studio: Studio, tabs: Sequence[type[PageTab]]):
        super().__init__(studio)
        self._tabs = tabs
        # Static paths are the same for all visitors and cached by browsers.
        gr.set_static_paths([IMAGES])

    def build(self) -> None:
        """Create the cards, inside the page's Blocks."""
        self.cards = gr.HTML(
            cards(self._tabs),
            html_template="${value}",
            js_on_load=asset(Path(__file__).with_suffix(".js")),
            apply_default_css=False,
            elem_id="home-cards",
        )

    def connect(self, tabs: gr.Tabs, handoffs: Sequence[Handoff]) -> None:
        """Make each card open its tab."""
        names = {tab.id for tab in self._tabs}

        def picked(event: gr.EventData) -> Any:
            return gr.Tabs(selected=event.tab) if event.tab in names else gr.skip()

        self.cards.pick(picked, None, [tabs], queue=False, api_visibility="private")
