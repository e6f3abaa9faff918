"""The examples of docs/api.md."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

MANUAL = Path(__file__).resolve().parents[3] / "docs" / "api.md"
ADDRESS = "http://127.0.0.1:7860"


@dataclass(frozen=True)
class Example:
    """A fenced code block: the heading above it, its language and its text."""

    heading: str
    language: str
    text: str


def examples() -> list[Example]:
    """Return all examples in order."""
    found, heading = [], ""
    for match in re.finditer(r"^#+ (.+)$|^```(.+)\n([^`]*)^```$", MANUAL.read_text(encoding="utf-8"), re.MULTILINE):
        heading = match[1] or heading
        if match[2]:
            found.append(Example(heading, match[2], match[3]))
    return found
