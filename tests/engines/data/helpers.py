"""Zips of files and images of one colour, for tests of training data."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from tests.engines.helpers import as_png


def zip_of(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def flat_png(color: tuple[int, int, int], side: int = 64) -> bytes:
    return as_png(np.full((side, side, 3), color, np.uint8))
