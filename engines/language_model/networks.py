"""Decoder-only transformers.

Either is read in pieces: what an attention has computed of a piece, its keys and values, is handed back and taken again
with the pieces that follow, so that a token more costs one token's work (the key-value cache).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import initializers, layers, ops


@dataclass(frozen=True)
class KVCache:
    """What attentions have computed of the tokens so far.

    Attributes:
        pairs: for each attention keys, (B, H, D, P), and values, (B, H, P, D).
        length: how many of the P places there are tokens for, the first ones: an integer, or a tensor of one. Behind
            them there is room for the next piece.
    """

    pairs: Sequence[tuple[Any, Any]]
    length: Any

    def of(self, attention: int) -> tuple[Any, Any, Any]:
        """Keys, values and length for one of them."""
        return *self.pairs[attention], ops.convert_to_tensor(self.length)


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """The shape of a network.

    Attributes:
        architecture: "ours" or "notes".
        vocab_size: how many tokens there are.
        block_size: how many tokens it sees at most.
        embed_dim: width of its stream of activations.
        num_layers: how many blocks it has.
        num_heads: heads of each attention.
        dense_dim: width of what lies between the two layers of a block that are no attention.
    """

    architecture: str = "ours"
    vocab_size: int = 8192
    block_size: int = 256
    embed_dim: int = 256
    num_layers: int = 6
    num_heads: int = 4
    dense_dim: int = 1024


def attend(queries: Any, keys: Any, values: Any, past: tuple[Any, Any, Any] | None = None) -> Any:
    """Scaled dot-product attention (Vaswani et al. 2017, section 3.2.1) in which no token sees what comes after it.

    Args:
        queries, keys, values: (B, T, H, D), of a piece of text.
        past: of what came before it keys, (B, H, D, P), values, (B, H, P, D), and how many of the P there are.

    Returns:
        (B, T, H, D), and keys and values: those of the piece alone, or the past's with those of the piece behind them.
    """
    # Matrix products over the last two axes are what processors do fast.
    queries = ops.transpose(queries / math.sqrt(queries.shape[-1]), (0, 2, 1, 3))
    keys, values = ops.transpose(keys, (0, 2, 3, 1)), ops.transpose(values, (0, 2, 1, 3))
    places = ops.arange(ops.shape(queries)[2])
    if past is not None:
        old_keys, old_values, length = past
        places = places + length
        keys = ops.slice_update(old_keys, (0, 0, 0, length), keys)
        values = ops.slice_update(old_values, (0, 0, length, 0), values)
    scores = ops.matmul(queries, keys)
    seen = ops.arange(ops.shape(values)[2])[None, :] <= places[:, None]
    weights = ops.softmax(ops.where(seen, scores, ops.cast(-1e9, scores.dtype)))
    return ops.transpose(ops.matmul(weights, values), (0, 2, 1, 3)), (keys, values)


def places_of(tokens: Any, past: KVCache | None) -> Any:
    """(T,) integers: where the tokens of a piece, (B, T), stand in the text."""
    places = ops.arange(ops.shape(tokens)[1])
    return places if past is None else places + past.length


def rms_normalised(x: Any) -> Any:
    """x over the root of its mean square along the last axis (Zhang & Sennrich 2019), without gains."""
    square = ops.mean(ops.square(ops.cast(x, "float32")), axis=-1, keepdims=True)
    return x * ops.cast(ops.rsqrt(square + 1e-6), x.dtype)


def rotary_angles(block_size: int, head_dim: int) -> np.ndarray:
    """(block_size, head_dim / 2) float32: by how much each pair of a head's numbers is turned at each place (Su et al.
    2021, equation 15)."""
    rates = 10_000.0 ** (-np.arange(0, head_dim, 2) / head_dim)
    return (np.arange(block_size)[:, None] * rates).astype(np.float32)


def apply_rotary(x: Any, angles: Any) -> Any:
    """Pairs of numbers turned: rotary positions, with which a product of two vectors depends on how far apart they are.

    Args:
        x: (B, T, H, D).
        angles: (T, D / 2).
    """
    first, second = ops.split(x, 2, axis=-1)
    cos, sin = (ops.cast(wave(angles)[:, None], x.dtype) for wave in (ops.cos, ops.sin))
    return ops.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1)


class CausalSelfAttention(layers.Layer):
    """Self-attention with rotary positions and normalised queries and keys (Henry et al. 2020).

    Queries, keys and values come out of one matrix product. The last matrix starts at zero, so that a new block passes
    on what it is given (Zhang et al. 2019).
    """

    def __init__(self, config: TransformerConfig, **kwargs):
        super().__init__(**kwargs)
        self.heads = (config.num_heads, config.embed_dim // config.num_heads)
        self.joint = layers.Dense(
            3 * config.embed_dim, use_bias=False, kernel_initializer=_scaled(config.embed_dim), name="joint"
        )
        self.projection = layers.Dense(config.embed_dim, use_bias=False, kernel_initializer="zeros", name="projection")

    # Without a `build`, Keras would trace each layer's call once to find what it has to build.
    def build(self, input_shape):
        self.joint.build(input_shape)
        self.projection.build(input_shape)

    def call(self, x, angles, past=None):
        batch, length = ops.shape(x)[0], ops.shape(x)[1]
        q, k, v = ops.unstack(ops.reshape(self.joint(x), (batch, length, 3, *self.heads)), axis=2)
        q, k = apply_rotary(rms_normalised(q), angles), apply_rotary(rms_normalised(k), angles)
        out, present = attend(q, k, v, past)
        return self.projection(ops.reshape(out, (batch, length, self.heads[0] * self.heads[1]))), present


def _scaled(fan_in: int) -> Any:
    return initializers.RandomUniform(-math.sqrt(3 / fan_in), math.sqrt(3 / fan_in))


class Block(layers.Layer):
    """Attention, and then two layers with a squared ReLU between them (So et al. 2021), each after a normalisation and
    added to what came in."""

    def __init__(self, config: TransformerConfig, **kwargs):
        super().__init__(**kwargs)
        self.attention = CausalSelfAttention(config, name="attention")
        self.widen = layers.Dense(
            config.dense_dim, use_bias=False, kernel_initializer=_scaled(config.embed_dim), name="widen"
        )
        self.narrow = layers.Dense(config.embed_dim, use_bias=False, kernel_initializer="zeros", name="narrow")

    def build(self, input_shape):
        self.attention.build(input_shape)
        self.widen.build(input_shape)
        self.narrow.build((*input_shape[:-1], self.widen.units))

    def call(self, x, angles, past=None):
        attended, present = self.attention(rms_normalised(x), angles, past=past)
        x = x + attended
        return x + self.narrow(ops.square(ops.relu(self.widen(rms_normalised(x))))), present


class Transformer(keras.Model):
    """Ours: pre-norm blocks, embedding and last layer one matrix (Press & Wolf 2017)."""

    def __init__(self, config: TransformerConfig, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        # Looked up in float32: the gradients of a frequent token are many, and their sum needs the digits.
        self.embedding = self.add_weight(
            name="embedding",
            shape=(config.vocab_size, config.embed_dim),
            initializer=initializers.RandomNormal(stddev=0.02),
            autocast=False,
        )
        self.blocks = [Block(config, name=f"block_{i}") for i in range(config.num_layers)]
        self.angles = rotary_angles(config.block_size, config.embed_dim // config.num_heads)

    def build(self, input_shape):
        for block in self.blocks:
            block.build((*input_shape, self.config.embed_dim))

    def read(self, tokens: Any, past: KVCache | None = None) -> tuple[Any, list[tuple[Any, Any]]]:
        """What the network makes of a piece of text.

        Args:
            tokens: (B, T) integers.
            past: of the pieces before, if there are any.

        Returns:
            activations, (B, T, embed_dim), and for each attention keys, (B, H, D, P), and values, (B, H, P, D): of the
            past with this piece behind its tokens; without a past those of the piece alone.
        """
        angles = ops.take(self.angles, places_of(tokens, past), axis=0)
        x = rms_normalised(ops.cast(ops.take(self.embedding, tokens, axis=0), self.compute_dtype))
        presents = []
        for i, block in enumerate(self.blocks):
            x, present = block(x, angles, past=None if past is None else past.of(i))
            presents.append(present)
        return rms_normalised(x), presents

    @property
    def output_layer(self) -> tuple[Any, Any | None]:
        """What makes logits of activations: a matrix, (vocab_size, embed_dim), and what is added, (vocab_size,)."""
        return self.embedding, None

    def logits(self, activations: Any) -> Any:
        """(..., embed_dim) -> (..., vocab_size): the larger, the likelier a token is to come next."""
        return ops.matmul(activations, ops.transpose(ops.cast(self.embedding, activations.dtype)))

    def call(self, tokens):
        """The logits after each token, (B, T) -> (B, T, vocab_size)."""
        return self.logits(self.read(tokens)[0])


class NotesAttention(layers.Layer):
    """`keras.layers.MultiHeadAttention` with each head as wide as the stream, and with a past. Its arrays of three axes
    are matrices here, which are faster."""

    def __init__(self, config: TransformerConfig, **kwargs):
        super().__init__(**kwargs)
        self.shape = (config.num_heads, config.embed_dim)
        joined = config.num_heads * config.embed_dim
        self.query, self.key, self.value = (layers.Dense(joined, name=name) for name in ("query", "key", "value"))
        self.projection = layers.Dense(config.embed_dim, name="projection")

    def build(self, input_shape):
        for layer in (self.query, self.key, self.value):
            layer.build(input_shape)
        self.projection.build((*input_shape[:-1], self.query.units))

    def call(self, query, source, past=None):
        batch = ops.shape(query)[0]
        q, k, v = (
            ops.reshape(layer(x), (batch, -1, *self.shape))
            for layer, x in ((self.query, query), (self.key, source), (self.value, source))
        )
        out, present = attend(q, k, v, past)
        return self.projection(ops.reshape(out, (batch, -1, self.shape[0] * self.shape[1]))), present


class NotesDecoder(layers.Layer):
    """The block of Chollet's listing, section 11.5, as section 12.1 uses it: the second attention looks at what came
    into the block. What pads a text stands after it, where no token looks with a causal mask, so there is one mask."""

    def __init__(self, config: TransformerConfig, **kwargs):
        super().__init__(**kwargs)
        self.attention_1 = NotesAttention(config, name="attention_1")
        self.attention_2 = NotesAttention(config, name="attention_2")
        self.dense_1 = layers.Dense(config.dense_dim, activation="relu", name="dense_1")
        self.dense_2 = layers.Dense(config.embed_dim, name="dense_2")
        self.norm_1, self.norm_2, self.norm_3 = (layers.LayerNormalization(name=f"norm_{i}") for i in (1, 2, 3))

    def build(self, input_shape):
        for layer in (self.attention_1, self.attention_2, self.dense_1, self.norm_1, self.norm_2, self.norm_3):
            layer.build(input_shape)
        self.dense_2.build((*input_shape[:-1], self.dense_1.units))

    def call(self, x, past_1=None, past_2=None):
        attended, present_1 = self.attention_1(x, x, past=past_1)
        first = self.norm_1(x + attended)
        attended, present_2 = self.attention_2(first, x, past=past_2)
        second = self.norm_2(first + attended)
        return self.norm_3(second + self.dense_2(self.dense_1(second))), (present_1, present_2)


class NotesTransformer(keras.Model):
    """Chollet's listing, section 12.1: learnt positions, one decoder block, a last layer of its own."""

    def __init__(self, config: TransformerConfig, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        # As `keras.layers.Embedding` begins, looked up in float32 as in `Transformer`.
        self.embedding, self.positions = (
            self.add_weight(
                name=name,
                shape=(rows, config.embed_dim),
                initializer=initializers.RandomUniform(-0.05, 0.05),
                autocast=False,
            )
            for name, rows in (("embedding", config.vocab_size), ("positions", config.block_size))
        )
        self.decoders = [NotesDecoder(config, name=f"decoder_{i}") for i in range(config.num_layers)]
        self.last = layers.Dense(config.vocab_size, name="last")

    def build(self, input_shape):
        for decoder in self.decoders:
            decoder.build((*input_shape, self.config.embed_dim))
        self.last.build((*input_shape, self.config.embed_dim))

    def read(self, tokens: Any, past: KVCache | None = None) -> tuple[Any, list[tuple[Any, Any]]]:
        """As `Transformer.read`; a block has two attentions."""
        positions = ops.take(self.positions, places_of(tokens, past), axis=0)
        x = ops.cast(ops.take(self.embedding, tokens, axis=0) + positions, self.compute_dtype)
        presents: list[tuple[Any, Any]] = []
        for i, decoder in enumerate(self.decoders):
            first, second = (None, None) if past is None else (past.of(2 * i), past.of(2 * i + 1))
            x, present = decoder(x, past_1=first, past_2=second)
            presents += present
        return x, presents

    @property
    def output_layer(self) -> tuple[Any, Any | None]:
        """As in `Transformer`."""
        return ops.transpose(self.last.kernel), self.last.bias

    def logits(self, activations: Any) -> Any:
        """As in `Transformer`."""
        return self.last(activations)

    def call(self, tokens):
        """As in `Transformer`."""
        return self.logits(self.read(tokens)[0])


NETWORKS: dict[str, type[keras.Model]] = {"ours": Transformer, "notes": NotesTransformer}
