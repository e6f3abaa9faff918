"""What tests of several engines begin with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.engines.helpers import blocks, untrained_gan

if TYPE_CHECKING:
    from engines.parts.gans import GAN


@pytest.fixture(scope="module")
def principal_directions_from_few_pictures():
    """As many as there are directions would do to see that they are found."""
    from engines.parts import gans

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gans, "PICTURES", 32)
        yield


@pytest.fixture(scope="module")
def gan(principal_directions_from_few_pictures) -> GAN:
    """Untrained networks of ours, with what goes with trained ones."""
    from engines.dcgan_training import finish

    return finish(untrained_gan(), blocks(40), seen=7)


@pytest.fixture
def eagerly() -> Iterator[None]:
    """Training steps are taken operation by operation: to trace and compile one takes as long as ten of these. What is
    compiled is for other tests of the same step."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
