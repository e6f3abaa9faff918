"""Networks as arrays, in 16 bits, or in 8 with a scale for each row."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from engines.weights.npz import pack_network, unpack_network


def network(units: int = 5) -> keras.Model:
    """A small network whose rows differ a lot in magnitude, one of them all zeros."""
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(units)])
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(6, units)) * np.array([1e-3, 1e-2, 0.1, 1, 10, 0])[:, None]
    model.set_weights([kernel.astype(np.float32), rng.normal(size=units).astype(np.float32)])
    return model


def test_16_bits_are_the_weights_rounded():
    before, after = network(), network()
    after.set_weights([0 * weights for weights in after.get_weights()])
    unpack_network("a", after, pack_network("a", before))
    for one, other in zip(after.get_weights(), before.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other.astype(np.float16))


def test_8_bits_miss_a_weight_by_half_a_step_of_its_row_at_most():
    before, after = network(), network()
    arrays = pack_network("a", before, bits=8)
    assert arrays["a/000"].dtype == np.int8
    unpack_network("a", after, {"b/000": np.zeros(3)} | arrays)
    kernel, bias = before.get_weights()
    steps = np.abs(kernel).max(axis=1, keepdims=True) / 127
    assert (np.abs(after.get_weights()[0] - kernel) <= steps / 2 * 1.001).all()
    np.testing.assert_array_equal(after.get_weights()[1], bias.astype(np.float16))


@pytest.mark.parametrize("bits", [8, 16])
def test_another_networks_weights_are_refused(bits):
    with pytest.raises(ValueError, match="shape"):
        unpack_network("a", network(4), pack_network("a", network(5), bits))
