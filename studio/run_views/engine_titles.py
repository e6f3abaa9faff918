"""Display titles of the engines."""

from __future__ import annotations

from engines.jobs import ENGINES

# What a person calls what an engine makes, and the tab that it is made on.
TITLES = {name: (engine.title, engine.tab) for name, engine in ENGINES.items()}
