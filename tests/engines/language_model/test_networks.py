"""The language models' networks: the book's against Keras's layers, ours against NumPy, and the key-value cache."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from engines.language_model.model import build_network
from engines.language_model.networks import KVCache, TransformerConfig, apply_rotary, rotary_angles

SMALL = {
    "ours": TransformerConfig(vocab_size=50, block_size=24, embed_dim=32, num_layers=3, num_heads=2, dense_dim=64),
    "notes": TransformerConfig(
        architecture="notes", vocab_size=50, block_size=24, embed_dim=16, num_layers=1, num_heads=2, dense_dim=40
    ),
}
TOKENS = np.random.default_rng(0).integers(0, 50, (2, 24)).astype(np.int32)


@pytest.fixture(scope="module", params=["ours", "notes"])
def network(request) -> keras.Model:
    """A network with random weights throughout; zero initialisation would hide errors."""
    return randomised(build_network(SMALL[request.param]))


def randomised(network: keras.Model) -> keras.Model:
    rng = np.random.default_rng(1)
    network.set_weights([rng.normal(0, 0.25, weight.shape).astype(np.float32) for weight in network.get_weights()])
    return network


def test_the_books_network_computes_what_keras_own_layers_compute():
    config = SMALL["notes"]
    network = randomised(build_network(config))
    attentions = [keras.layers.MultiHeadAttention(config.num_heads, key_dim=config.embed_dim) for _ in range(2)]
    norms = [keras.layers.LayerNormalization() for _ in range(3)]
    dense = [keras.layers.Dense(config.dense_dim, activation="relu"), keras.layers.Dense(config.embed_dim)]
    decoder = network.decoders[0]
    x = np.asarray(network.embedding)[TOKENS] + np.asarray(network.positions)[None]
    for theirs, ours in zip(attentions, (decoder.attention_1, decoder.attention_2), strict=True):
        theirs(x, x)
        theirs.set_weights([w.reshape(t.shape) for w, t in zip(ours.get_weights(), theirs.weights, strict=True)])
    for theirs, ours in zip(
        [*norms, *dense],
        (decoder.norm_1, decoder.norm_2, decoder.norm_3, decoder.dense_1, decoder.dense_2),
        strict=True,
    ):
        theirs.build((None, None, config.embed_dim if theirs is not dense[1] else config.dense_dim))
        theirs.set_weights(ours.get_weights())
    first = norms[0](x + attentions[0](x, x, use_causal_mask=True))
    second = norms[1](first + attentions[1](first, x, use_causal_mask=True))
    out = norms[2](second + dense[1](dense[0](second)))
    expected = out @ np.asarray(network.last.kernel) + np.asarray(network.last.bias)
    np.testing.assert_allclose(np.asarray(network(TOKENS)), expected, atol=1e-4)


def test_the_books_network_has_the_books_number_of_weights():
    network = build_network(
        TransformerConfig(
            architecture="notes",
            vocab_size=15_000,
            block_size=100,
            embed_dim=256,
            num_layers=1,
            num_heads=2,
            dense_dim=2048,
        )
    )
    attention = 3 * (256 * 512 + 512) + 512 * 256 + 256
    dense = 256 * 2048 + 2048 + 2048 * 256 + 256
    outside = 15_000 * 256 + 100 * 256 + 256 * 15_000 + 15_000
    assert network.count_params() == 2 * attention + dense + 3 * 2 * 256 + outside


def by_hand(network: keras.Model, tokens: np.ndarray) -> np.ndarray:
    """Our network in NumPy, one head and one position after the other."""
    config, embedding = network.config, np.asarray(network.embedding, np.float64)

    def normal(x):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)

    def turned(x, place):
        half = len(x) // 2
        angle = place * 10_000.0 ** (-2 * np.arange(half) / len(x))
        pairs = (x[:half] + 1j * x[half:]) * np.exp(1j * angle)
        return np.concatenate([pairs.real, pairs.imag])

    x = normal(embedding[tokens])
    width = config.embed_dim // config.num_heads
    for block in network.blocks:
        joint = np.asarray(block.attention.qkv.kernel, np.float64)
        heads = (normal(x) @ joint).reshape(len(tokens), 3, config.num_heads, width)
        out = np.zeros((len(tokens), config.num_heads, width))
        for head in range(config.num_heads):
            q, k, v = (heads[:, i, head] for i in range(3))
            q = np.array([turned(row, place) for place, row in enumerate(normal(q))])
            k = np.array([turned(row, place) for place, row in enumerate(normal(k))])
            for place in range(len(tokens)):
                weights = np.exp(k[: place + 1] @ q[place] / np.sqrt(width))
                out[place, head] = weights / weights.sum() @ v[: place + 1]
        x = x + out.reshape(len(tokens), -1) @ np.asarray(block.attention.projection.kernel)
        wide = np.maximum(normal(x) @ np.asarray(block.up_projection.kernel), 0) ** 2
        x = x + wide @ np.asarray(block.down_projection.kernel)
    return normal(x) @ embedding.T


def test_our_network_computes_what_its_papers_say():
    network = randomised(build_network(SMALL["ours"]))
    expected = np.stack([by_hand(network, row) for row in TOKENS])
    np.testing.assert_allclose(np.asarray(network(TOKENS)), expected, atol=1e-4, rtol=1e-4)


def test_a_token_changes_nothing_that_was_said_before_it(network):
    changed = TOKENS.copy()
    changed[:, 13] = (changed[:, 13] + 1) % 50
    before, after = np.asarray(network(TOKENS)), np.asarray(network(changed))
    np.testing.assert_array_equal(before[:, :13], after[:, :13])
    assert np.abs(before[:, 13:] - after[:, 13:]).max(axis=-1).min() > 0


@pytest.mark.parametrize("cuts", [[2] * 12, [23, 1], [7, 9, 8], [3, 20, 1]])
def test_in_pieces_a_text_has_the_logits_of_the_whole(network, cuts):
    whole = np.asarray(network(TOKENS))
    activations, presents = network.forward(TOKENS[:, : cuts[0]])
    room = 24 - cuts[0]
    # The unused part of the cache has values that must not matter.
    pairs = [
        (
            np.pad(keys, [(0, 0), (0, 0), (0, 0), (0, room)], constant_values=9.0),
            np.pad(values, [(0, 0), (0, 0), (0, room), (0, 0)], constant_values=9.0),
        )
        for keys, values in presents
    ]
    found, start = [network.logits(activations)], cuts[0]
    for length in cuts[1:]:
        activations, pairs = network.forward(TOKENS[:, start : start + length], KVCache(pairs, start))
        found.append(network.logits(activations))
        start += length
    np.testing.assert_allclose(np.concatenate(found, axis=1), whole, atol=1e-4)


def test_turned_vectors_know_only_how_far_they_are_apart():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 1, 1, 1, 8)).astype(np.float32)
    angles = rotary_angles(40, 8)

    def product(first, second):
        return float(np.sum(apply_rotary(x, angles[first : first + 1]) * apply_rotary(y, angles[second : second + 1])))

    assert product(3, 10) == pytest.approx(product(30, 37), abs=1e-5)
    assert product(3, 10) != pytest.approx(product(3, 11), abs=1e-3)


def test_new_blocks_pass_on_what_they_are_given():
    network = build_network(SMALL["ours"])
    embedded = np.asarray(network.embedding)[TOKENS]
    activations = embedded / np.sqrt((embedded**2).mean(-1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(np.asarray(network.forward(TOKENS)[0]), activations, rtol=0.01)


def test_the_books_network_begins_as_keras_own_layers_begin():
    config = TransformerConfig(architecture="notes", num_layers=1, num_heads=2, vocab_size=9, block_size=8)
    attention = build_network(config).decoders[0].attention_1
    theirs = keras.layers.MultiHeadAttention(config.num_heads, key_dim=config.embed_dim)
    theirs.build((None, None, config.embed_dim), (None, None, config.embed_dim))
    for ours, other in zip(attention.get_weights(), theirs.get_weights(), strict=True):
        assert ours.std() == pytest.approx(other.std(), rel=0.02)
        assert np.abs(ours).max() == pytest.approx(np.abs(other).max(), rel=0.02)
