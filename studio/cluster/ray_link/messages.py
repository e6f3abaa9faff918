"""Messages for the user, as template and values: this process does not import `engines.core.messages`."""

from __future__ import annotations

from typing import Any


def message(template: str, **values: str) -> dict[str, Any]:
    """Return a message's template and values, for `studio.cluster.ray_process.sentence_of`."""
    return {"template": template, "values": values}


def text_of(parts: dict[str, Any]) -> str:
    """Return the text of a message, for a log."""
    return parts["template"].format(**parts["values"])
