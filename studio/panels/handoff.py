"""Hand a result over to a tab, as input or with its settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Handoff:
    """One way into a tab.

    Attributes:
        tab: the tab's id.
        enter: called with the path of a result, or where it takes results back with a recipe, and with what `inputs`
            say; returns updates by component, or an awaitable of them; may raise ValueError with a sentence.
        inputs, outputs: of that call.
        title: what a button for it says; "" for the way of a result back to where it was made.
        kinds: of results that it takes, as `studio.gallery.gallery.Result.kind` says.
        engines: whose results it takes back.
    """

    tab: str
    enter: Callable[..., Any]
    inputs: Sequence[Any]
    outputs: Sequence[Any]
    title: str = ""
    kinds: Collection[str] = ("picture", "film", "text")
    engines: Collection[str] = ()

    async def open(self, what: Any, values: Sequence[Any]) -> dict[Any, Any]:
        """What the tab shows once a result, or what made it, is there."""
        updates = self.enter(what, *values)
        return await updates if inspect.isawaitable(updates) else updates
