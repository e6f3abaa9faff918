"""Send files to workers, and write files received from them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import ray

# Number of files kept in Ray's memory for later workers.
OBJECTS_KEPT = 8


class SentFiles:
    """Files as Ray objects, by SHA-256: Ray copies an object to a machine once, however many workers need it."""

    def __init__(self) -> None:
        self._objects: dict[str, Any] = {}

    async def reference(self, sha256: str, path: str) -> Any:
        """Return a reference to a file's content, (N,) uint8; reads the file unless it is in memory."""
        if sha256 not in self._objects:
            content = await asyncio.to_thread(np.fromfile, path, np.uint8)
            self._objects[sha256] = await asyncio.to_thread(ray.put, content)
        return self._objects[sha256]

    def forget(self, sha256: str) -> None:
        """Drop a file whose content does not match its hash."""
        self._objects.pop(sha256, None)

    def trim(self) -> None:
        """Drop all but the newest files."""
        while len(self._objects) > OBJECTS_KEPT:
            del self._objects[next(iter(self._objects))]


def write_file(path: Path, content: Any) -> None:
    """Write a file's content, (N,) uint8, atomically."""
    from engines.core.files import written_atomically

    with written_atomically(path) as file:
        file.write(content.data)
