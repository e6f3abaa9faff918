"""Sentences for a person, as templates and values: this process does not have `engines.core.messages`."""

from __future__ import annotations

from typing import Any


def message(template: str, **values: str) -> dict[str, Any]:
    """Return a sentence in its parts, which `studio.cluster.ray_process.sentence_of` puts together."""
    return {"template": template, "values": values}


def text_of(parts: dict[str, Any]) -> str:
    """Fill a sentence, for a log."""
    return parts["template"].format(**parts["values"])
