"""Fixtures of several engines' tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.engines.helpers import blocks, untrained_gan

if TYPE_CHECKING:
    from engines.dcgan.model import GAN


@pytest.fixture(scope="module")
def principal_directions_from_few_images():
    """As many as there are directions would do to see that they are found."""
    from engines.dcgan import model as gans

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gans, "IMAGES", 32)
        yield


@pytest.fixture(scope="module")
def gan(principal_directions_from_few_images) -> GAN:
    """Our networks, untrained, with the extras of trained ones."""
    from engines.dcgan.training import finish

    return finish(untrained_gan(), blocks(40), seen=7)


@pytest.fixture
def narrow_margins(monkeypatch) -> None:
    """Tiles of a dream see less around them, and so little images have several."""
    from engines.deep_dream import gradient_ascent as ascent

    monkeypatch.setattr(ascent, "TILE_MARGIN", 32)


@pytest.fixture
def few_candidates(monkeypatch) -> None:
    """Projection starts from the best of a few candidates."""
    from engines.dcgan import projection as dcgan_projection

    monkeypatch.setattr(dcgan_projection, "CANDIDATES", 16)
    monkeypatch.setattr(dcgan_projection, "BATCH", 8)
