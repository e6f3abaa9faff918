"""What all tests share: a quiet TensorFlow, the shared test data where it is, small pictures."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# What XLA compiles here runs a few times: it would take longer to make it fast.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(10**9))

import numpy as np
import pytest

SHARED = Path(os.environ.get("REVERIE_SHARED", "../shared")).resolve()
TESTS = Path(__file__).resolve().parent
# What shares one cluster, or one server and one browser, is run by one process, and begins first as it takes longest.
TOGETHER = ("browser", "cluster")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say which tests one process of pytest-xdist runs one after another: a file's, or a whole folder's."""

    def group(item: pytest.Item) -> str:
        path = item.path.relative_to(TESTS)
        return path.parts[0] if path.parts[0] in TOGETHER else path.as_posix()

    for item in items:
        item.add_marker(pytest.mark.xdist_group(group(item)))
    items.sort(key=lambda item: group(item) not in TOGETHER)


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
def picture() -> np.ndarray:
    """A small photo-like picture, (48, 72, 3) uint8: gradients, an edge and a little noise."""
    y, x = np.mgrid[0:48, 0:72]
    image = np.stack([x * 3, y * 5, 255 - x * 2], axis=-1).astype(np.int64)
    image[12:30, 20:44] = (200, 60, 40)
    noise = np.random.default_rng(0).integers(-12, 13, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def studio_vgg():
    """The bundled architecture with random weights in float32: small, and needs no file."""
    import keras

    from engines import deep_dream
    from engines.parts import painting
    from engines.parts.backbones import untrained_backbone

    keras.utils.set_random_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        # What one test has traced, another need not trace again.
        patch.setattr(deep_dream, "_ASCENTS_KEPT", 100)
        patch.setattr(painting, "_LOSSES_KEPT", 100)
        yield untrained_backbone("studio_vgg")


@pytest.fixture
def workshop(studio_vgg):
    """A workshop in which the bundled network is already loaded, with random weights."""
    from engines.jobs import Workshop

    workshop = Workshop()
    workshop.keep("deep_dream", "studio_vgg", studio_vgg)
    return workshop
