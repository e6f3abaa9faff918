"""Fixtures: the DeepDream and style transfer tabs, each in a studio of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from studio.tabs.deep_dream.tab import DreamTab
from studio.tabs.style_transfer.tab import StyleTab
from tests.studio.helpers import forget_runs, studio_of_its_own, unserved_page
from tests.studio.tabs.image_tabs.helpers import SUBJECTS, Subject, subject_of


@pytest.fixture(scope="package")
def laid_out(tmp_path_factory, studio_vgg, drawn) -> Iterator[dict[str, Any]]:
    """Both tabs, each with its own studio and page; building them for every test would take too long."""
    tabs = {}
    for engine, kind in (("deep_dream", DreamTab), ("style_transfer", StyleTab)):
        tabs[engine] = kind(studio_of_its_own(tmp_path_factory.mktemp(engine), studio_vgg, drawn))
        with unserved_page():
            tabs[engine].build()
    yield tabs
    for tab in tabs.values():
        tab.studio.runs.close()


@pytest.fixture(params=list(SUBJECTS))
def subject(request, laid_out, sample_image, painting, tmp_path) -> Iterator[Subject]:
    """Each tab in turn; its studio is cleared after each test."""
    subject = subject_of(request.param, laid_out, sample_image, painting, tmp_path)
    yield subject
    forget_runs(subject.studio)
    for path in subject.studio.gallery.inputs.glob("*"):
        path.unlink()
