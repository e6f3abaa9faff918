"""A studio in a temporary folder whose bundled network is loaded already, with random weights."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.deep_dream import DreamConfig
from engines.jobs import Job
from studio.examples import drawings
from studio.runs import Lane
from studio.studio import Studio

SMALL = DreamConfig(size=0, octaves=1, steps=3, jitter=2, layer_weights={"block1_conv1": 1.0})


@pytest.fixture
def studio(tmp_path, studio_vgg) -> Iterator[Studio]:
    """A studio that needs no weights file."""
    studio = Studio(outputs=tmp_path / "outputs")
    studio.workshop._backbones["studio_vgg"] = studio_vgg
    yield studio
    studio.runs.close()


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Path:
    """A folder with the drawn examples: drawing them for every test would take longer than the tests."""
    folder = tmp_path_factory.mktemp("drawn")
    drawings(folder)
    return folder


@pytest.fixture
def studio_with_examples(studio, drawn) -> Studio:
    """A studio whose examples are drawn already."""
    shutil.copytree(drawn, studio.gallery.folder / "examples")
    return studio


@pytest.fixture
def lane() -> Iterator[Lane]:
    """A lane in which many may wait; stopped at the end."""
    lane = Lane("test-lane", most_waiting=20)
    yield lane
    lane.close()


@pytest.fixture
def small_job(picture) -> Job:
    """A dream of three steps."""
    return Job(engine="deep_dream", config=SMALL, inputs={"image": picture}, backbone="studio_vgg")
