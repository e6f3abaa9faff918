"""Hand a result over to a tab, as input or with its settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Handoff:
    """One way to open a result on a tab.

    Attributes:
        tab: id of the tab.
        receive: called with a result's path, or with its recipe if `engines` is set, and the values of `inputs`.
            Returns updates by component, or an awaitable of them; may raise ValueError with a message for the user.
        inputs: components whose values `receive` takes.
        outputs: components that `receive` updates.
        title: title of its button; "" for returning a result to the tab it was made on.
        kinds: kinds of results that it accepts, see `studio.gallery.gallery.Result.kind`.
        engines: engines whose results it takes back.
    """

    tab: str
    receive: Callable[..., Any]
    inputs: Sequence[Any]
    outputs: Sequence[Any]
    title: str = ""
    kinds: Collection[str] = ("picture", "video", "text")
    engines: Collection[str] = ()

    async def open(self, what: Any, values: Sequence[Any]) -> dict[Any, Any]:
        """Return the tab's updates for a path or a recipe."""
        updates = self.receive(what, *values)
        return await updates if inspect.isawaitable(updates) else updates
