"""Fixtures: a photo, a folder for results, and networks that are loaded once."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines import __main__ as command_line
from engines.jobs import Workshop
from engines.weights.store import WeightsStore
from tests.engines.helpers import as_png


@pytest.fixture
def photo(tmp_path, sample_image) -> Path:
    """A photo in its own folder, so that files beside the results are noticed."""
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "photo.png").write_bytes(as_png(sample_image))
    return folder / "photo.png"


@pytest.fixture(scope="package")
def loaded() -> dict[tuple[Path, ...], dict]:
    """Networks by the folders that they come from."""
    return {}


@pytest.fixture(autouse=True)
def _loaded_once(monkeypatch, loaded) -> None:
    """Networks are loaded and traced only by the first command that needs them."""
    monkeypatch.setattr(
        command_line.Workshop,
        "of",
        lambda folders: Workshop(WeightsStore(folders=tuple(folders)), loaded.setdefault(tuple(folders), {})),
    )


@pytest.fixture
def results(tmp_path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    return folder
