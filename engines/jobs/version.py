"""Project version: its number, and a digest of sources and bundled weights."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from engines.weights.store import BUNDLED_FOLDER

NUMBER = "0.1.0"


@functools.cache
def version() -> str:
    """The version, such as "0.1.0 (1f4a0c2e)". Machines with equal versions produce equal results."""
    hasher, folder = hashlib.sha256(), Path(__file__).parents[1]
    sources = sorted(folder.rglob("*.py"))
    for path in sources:
        hasher.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    manifest = BUNDLED_FOLDER / "manifest.json"
    hasher.update(manifest.read_bytes() if manifest.is_file() else b"")
    return f"{NUMBER} ({hasher.hexdigest()[:8]})"
