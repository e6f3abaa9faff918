"""Fixtures: a studio in a temporary folder whose bundled network is loaded with random weights."""

from __future__ import annotations

import functools
import os
import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import gradio as gr
import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from engines.deep_dream import DreamConfig
from engines.jobs import Job
from engines.style_transfer import StyleConfig
from studio.examples.examples import drawings, paintings
from studio.page import build_page
from studio.runs.queue import RunQueue
from studio.services import Studio

SMALL = DreamConfig(size=0, octaves=1, steps=3, jitter=2, layer_weights={"block1_conv1": 1.0})
# Ends by its number of steps; L-BFGS would end once it stops improving, and with a time the speed would decide.
QUICK_PAINTING = StyleConfig(
    seconds=0.0,
    size=64,
    scales=1,
    steps=3,
    optimizer="adam",
    style_layers={"block1_conv1": 1.0},
    content_layer="block1_conv2",
    tile_size=16_384,
)


@pytest.fixture(scope="session", autouse=True)
def _certificates_are_read_once() -> Iterator[None]:
    """Cache the CA certificates, which every HTTP client loads even for plain HTTP."""
    with mock.patch.object(ssl, "create_default_context", functools.cache(ssl.create_default_context)):
        yield


@pytest.fixture(scope="session")
def built_page(tmp_path_factory) -> gr.Blocks:
    """The whole page, for read-only tests; building it takes seconds."""
    return build_page(Studio(outputs=tmp_path_factory.mktemp("built page") / "outputs"))


@pytest.fixture
def studio(tmp_path, studio_vgg) -> Iterator[Studio]:
    """A studio that needs no weights file."""
    studio = Studio(outputs=tmp_path / "outputs")
    studio.workshop.keep("deep_dream", "studio_vgg", studio_vgg)
    yield studio
    studio.runs.close()


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Path:
    """A folder with the drawn examples, drawn once by one of the test processes."""
    ours = tmp_path_factory.getbasetemp()
    folder = (ours.parent if "PYTEST_XDIST_WORKER" in os.environ else ours) / "drawn"
    with FileLock(f"{folder}.lock"):
        drawings(folder)
        paintings(folder / "paintings")
    return folder


@pytest.fixture
def studio_with_examples(studio, drawn) -> Studio:
    """A studio whose examples are already drawn."""
    shutil.copytree(drawn, studio.gallery.folder / "examples", copy_function=os.link)
    return studio


@pytest.fixture
def queue() -> Iterator[RunQueue]:
    """A run queue with room for many, stopped at the end."""
    queue = RunQueue("test-queue", max_waiting=20)
    yield queue
    queue.close()


@pytest.fixture
def small_job(sample_image) -> Job:
    """A dream of three steps."""
    return Job(engine="deep_dream", config=SMALL, inputs={"image": sample_image}, backbone="studio_vgg")


@pytest.fixture
def painting() -> np.ndarray:
    """A small painting of its own shape, (40, 60, 3) uint8: stripes."""
    stripes = np.arange(60) // 5 % 2
    return np.broadcast_to(stripes[None, :, None] * (180, 90, 30) + (20, 60, 110), (40, 60, 3)).astype(np.uint8)


@pytest.fixture
def painting_job(sample_image, painting) -> Job:
    """A painting of three steps."""
    inputs = {"content_image": sample_image, "style_images_1": painting}
    return Job(engine="style_transfer", config=QUICK_PAINTING, inputs=inputs, backbone="studio_vgg")


@pytest.fixture
def photo(tmp_path, sample_image) -> str:
    """The path of an uploaded photo."""
    path = tmp_path / "photo.png"
    Image.fromarray(sample_image).save(path)
    return str(path)
