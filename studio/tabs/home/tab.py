"""Home tab."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from engines.core.messages import message
from studio.i18n.catalog import translate
from studio.panels.handoff import Handoff
from studio.services import Studio

PICTURES = Path(__file__).with_name("pictures")
CARDS = (
    ("dream", "Dream", message("Amplify what a network sees in your photo.")),
    ("style", "Style", message("Paint your photo in the style of a painting.")),
    ("latent", "Latent", message("Explore a latent map of handwritten digits.")),
    ("faces", "Faces", message("Generate faces of people who do not exist.")),
    ("text", "Words", message("Generate text word by word, with the probability of each word.")),
)
WORDS = "This movie was wonderful. I saw it when it first came out and I have a copy of it. It’s one of those movies."
_PICK = """
element.addEventListener('click', event => {
  const button = event.target.closest('button[data-tab]');
  if (button) trigger('pick', { tab: button.dataset.tab });
});
"""


def cards() -> str:
    """Render the cards as HTML."""
    items = []
    for name, title, line in CARDS:
        path = PICTURES / f"{name}.jpg"
        picture = (
            f'<img alt="" width="480" height="360" src="gradio_api/file={path}">'
            if path.is_file()
            else f'<span class="words">{html.escape(WORDS)}</span>'
        )
        caption = f'<span class="title">{html.escape(translate(title))}</span>'
        caption += f'<span class="line">{html.escape(translate(line))}</span>'
        items.append(f'<li><button type="button" data-tab="{name}">{picture}{caption}</button></li>')
    return f'<ul class="home">{"".join(items)}</ul>'


class HomeTab:
    """The cards, which open the other tabs."""

    def __init__(self, studio: Studio):
        # Static paths are the same for all visitors and cached by browsers.
        gr.set_static_paths([PICTURES])

    def build(self) -> None:
        """Create the cards, inside the page's Blocks."""
        self.cards = gr.HTML(
            cards(), html_template="${value}", js_on_load=_PICK, apply_default_css=False, elem_id="home-cards"
        )

    def connect(self, tabs: gr.Tabs, handoffs: Sequence[Handoff]) -> None:
        """Make each card open its tab."""
        names = {name for name, _, _ in CARDS}

        def picked(event: gr.EventData) -> Any:
            return gr.Tabs(selected=event.tab) if event.tab in names else gr.skip()

        self.cards.pick(picked, None, [tabs], queue=False, api_visibility="private")

    def handoffs(self) -> list[Handoff]:
        """No handoffs."""
        return []

    def on_visit(self, page: gr.Blocks, tab: gr.Tab) -> None:
        """Nothing to refresh."""
