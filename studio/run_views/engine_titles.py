"""Display titles of the engines."""

from __future__ import annotations

from engines.jobs import ENGINES

# Engine -> display title of its results, and the tab they are made on.
TITLES = {name: (engine.title, engine.tab) for name, engine in ENGINES.items()}
