"""Fixtures: the style transfer tab in a studio of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
from PIL import Image

from studio.runs import snapshots as snapshots_module
from studio.runs.run import Run
from studio.services import Studio
from studio.tabs.style_transfer.tab import StyleTab
from tests.studio.conftest import QUICK_PAINTING
from tests.studio.helpers import (
    finished,
    forget_runs,
    studio_of_its_own,
    unserved_page,
)


@pytest.fixture(scope="package")
def laid_out(tmp_path_factory, studio_vgg, drawn) -> Iterator[StyleTab]:
    """The tab on a page; building it for every test would take longer than the tests."""
    studio = studio_of_its_own(tmp_path_factory.mktemp("style tab"), studio_vgg, drawn)
    tab = StyleTab(studio)
    with unserved_page():
        tab.build()
    yield tab
    studio.runs.close()


@pytest.fixture
def studio(laid_out) -> Iterator[Studio]:
    """The tab's studio; each test's runs and files are removed before the next."""
    studio = laid_out.studio
    yield studio
    forget_runs(studio)
    for path in studio.gallery.inputs.glob("*"):
        path.unlink()


@pytest.fixture
def tab(laid_out, studio) -> StyleTab:
    """The tab."""
    return laid_out


@pytest.fixture
def every_moment(monkeypatch) -> None:
    """Make runs keep every snapshot, however quickly they follow each other."""
    monkeypatch.setattr(snapshots_module, "SECONDS_APART", 0.0)


@pytest.fixture
def styles(tmp_path, painting) -> list[tuple[str, None]]:
    """Two small paintings as a handler receives them from the gallery."""
    paths = [tmp_path / "stripes.png", tmp_path / "bars.png"]
    for path, image in zip(paths, (painting, painting.transpose(1, 0, 2)[:, ::-1]), strict=True):
        Image.fromarray(image).save(path)
    return [(str(path), None) for path in paths]


@pytest.fixture
def painted_run(studio, painting_job, every_moment) -> Run:
    """A finished run of five steps with every snapshot."""
    config = dataclasses.replace(QUICK_PAINTING, steps=5)
    run = finished(studio.runs.start(dataclasses.replace(painting_job, config=config)))
    assert run.snapshots.steps == [1, 2, 3, 4, 5]
    return run
