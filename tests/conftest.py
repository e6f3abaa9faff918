"""What all tests share: a quiet TensorFlow, the shared test data where it is, small images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# What XLA compiles here runs a few times: it would take longer to make it fast.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(10**9))

import numpy as np
import pytest

SHARED = Path(os.environ.get("REVERIE_SHARED", "../shared")).resolve()
# What shares one cluster, or one server and one browser, is run by one process, and begins first as it takes longest.
TOGETHER = ("tests/browser", "tests/cluster")
# Begun before the rest, so that nobody waits for them in the end.
LONG = ("tests/test_benchmarks.py", "tests/studio/server/test_space.py", "tests/studio/api/test_api.py")


def group_of(name: str) -> str:
    """What one process of pytest-xdist runs one after another: the tests of a folder that shares something, or a file.

    Args:
        name: of a test, `tests/engines/imaging/test_video.py::test_…`.
    """
    file = name.partition("::")[0]
    folder = file.rpartition("/")[0]
    return folder if folder in TOGETHER else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out tests by their groups. (Marked groups, xdist's own way, have no effect with pytest 9.2.)"""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return ByGroup(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the groups that take longest."""
    first = [*TOGETHER, *LONG]
    items.sort(key=lambda item: first.index(group) if (group := group_of(item.nodeid)) in first else len(first))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a file's content by its argument: a zip holds the time, and all processes must give a test the same name."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def shared() -> Path:
    """The optional folder of test data; tests that need it skip and say so."""
    if not SHARED.is_dir():
        pytest.skip(f"needs test data in {SHARED} (set REVERIE_SHARED)")
    return SHARED


@pytest.fixture
def sample_image() -> np.ndarray:
    """A small photo-like image, (48, 72, 3) uint8: gradients, an edge and a little noise."""
    y, x = np.mgrid[0:48, 0:72]
    image = np.stack([x * 3, y * 5, 255 - x * 2], axis=-1).astype(np.int64)
    image[12:30, 20:44] = (200, 60, 40)
    noise = np.random.default_rng(0).integers(-12, 13, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def eagerly() -> Iterator[None]:
    """See `uncompiled`."""
    from tests.engines.helpers import uncompiled

    with uncompiled():
        yield


@pytest.fixture(scope="session")
def studio_vgg():
    """The bundled architecture with random weights in float32: small, and needs no file."""
    import keras

    from engines.backbones.backbone import untrained_backbone
    from engines.deep_dream import engine as deep_dream
    from engines.style_transfer import optimization as painting

    keras.utils.set_random_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        # What one test has traced, another need not trace again.
        patch.setattr(deep_dream, "_CACHED_ASCENTS", 100)
        patch.setattr(painting, "_CACHED_LOSSES", 100)
        yield untrained_backbone("studio_vgg")


@pytest.fixture
def workshop(studio_vgg):
    """A workshop in which the bundled network is already loaded, with random weights."""
    from engines.jobs import Workshop

    workshop = Workshop()
    workshop.keep("deep_dream", "studio_vgg", studio_vgg)
    return workshop
