"""What the page expects of a tab."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import gradio as gr

from studio.panels.handoff import Handoff
from studio.services import Studio


class PageTab:
    """A tab of the page.

    Attributes:
        id: identifier; engines name the tab of their results by it.
        title: display title.
        card: text of its card on the Home tab; "" for a tab that makes no results.
    """

    id: ClassVar[str]
    title: ClassVar[str]
    card: ClassVar[str] = ""

    def __init__(self, studio: Studio):
        self.studio = studio

    def build(self) -> None:
        """Create and wire the controls, inside the page's Blocks."""
        raise NotImplementedError

    def connect(self, tabs: gr.Tabs, handoffs: Sequence[Handoff]) -> None:
        """Wire what leads to other tabs, once all are built."""

    def handoffs(self) -> list[Handoff]:
        """Ways to open a result on this tab."""
        return []

    def on_visit(self, page: gr.Blocks, tab: gr.Tab) -> None:
        """Wire what is refreshed when the page loads or the tab is opened."""
