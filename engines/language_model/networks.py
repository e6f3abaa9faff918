"""Decoder-only transformers with a key-value cache.

A text can be read in pieces: `forward` returns each attention's keys and values and takes those of the preceding
pieces, so that each further token costs the work of one token.
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
    """Keys and values of the tokens so far.

    Attributes:
        pairs: for each attention its keys, (B, H, D, P), and values, (B, H, P, D).
        length: number of positions in use, from the start, an integer or an integer scalar tensor. The remaining ones
            of the P positions are free for the next pieces.
    """

    pairs: Sequence[tuple[Any, Any]]
    length: Any

    def of(self, attention: int) -> tuple[Any, Any, Any]:
        """Keys, values and length for one attention, by its index."""
        return *self.pairs[attention], ops.convert_to_tensor(self.length)


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Hyperparameters of a network.

    Attributes:
        architecture: "ours" or "notes".
        vocab_size: number of tokens.
        block_size: context length in tokens.
        embed_dim: width of the residual stream.
        num_layers: number of blocks.
        num_heads: attention heads per block.
        dense_dim: hidden width of each block's feed-forward layers.
    """

    architecture: str = "ours"
    vocab_size: int = 8192
    block_size: int = 256
    embed_dim: int = 256
    num_layers: int = 6
    num_heads: int = 4
    dense_dim: int = 1024


def causal_attention(queries: Any, keys: Any, values: Any, past: tuple[Any, Any, Any] | None = None) -> Any:
    """Causal scaled dot-product attention (Vaswani et al. 2017, section 3.2.1).

    Args:
        queries, keys, values: (B, T, H, D), of a piece of text.
        past: keys, (B, H, D, P), and values, (B, H, P, D), of the preceding pieces, and how many of the P positions are
            in use.

    Returns:
        The outputs, (B, T, H, D), and the keys and values: of this piece alone, or `past` with this piece added.
    """
    # Matrix products over the last two axes are fastest.
    queries = ops.transpose(queries / math.sqrt(queries.shape[-1]), (0, 2, 1, 3))
    keys, values = ops.transpose(keys, (0, 2, 3, 1)), ops.transpose(values, (0, 2, 1, 3))
    positions = ops.arange(ops.shape(queries)[2])
    if past is not None:
        past_keys, past_values, length = past
        positions = positions + length
        keys = ops.slice_update(past_keys, (0, 0, 0, length), keys)
        values = ops.slice_update(past_values, (0, 0, length, 0), values)
    scores = ops.matmul(queries, keys)
    visible = ops.arange(ops.shape(values)[2])[None, :] <= positions[:, None]
    weights = ops.softmax(ops.where(visible, scores, ops.cast(-1e9, scores.dtype)))
    return ops.transpose(ops.matmul(weights, values), (0, 2, 1, 3)), (keys, values)


def positions_of(tokens: Any, past: KVCache | None) -> Any:
    """Positions of a piece's tokens, (B, T), in the text: (T,) integers."""
    positions = ops.arange(ops.shape(tokens)[1])
    return positions if past is None else positions + past.length


def rms_norm(x: Any) -> Any:
    """RMSNorm over the last axis (Zhang & Sennrich 2019), without gain."""
    return ops.rms_normalization(x, epsilon=1e-6)


def rotary_angles(block_size: int, head_dim: int) -> np.ndarray:
    """Rotation angles of rotary position embeddings, (block_size, head_dim / 2) float32 (Su et al. 2021, eq. 15)."""
    rates = 10_000.0 ** (-np.arange(0, head_dim, 2) / head_dim)
    return (np.arange(block_size)[:, None] * rates).astype(np.float32)


def apply_rotary(x: Any, angles: Any) -> Any:
    """Apply rotary position embeddings, which make the dot product of two vectors depend on their distance in the text.

    Args:
        x: (B, T, H, D).
        angles: (T, D / 2).
    """
    first, second = ops.split(x, 2, axis=-1)
    cos, sin = (ops.cast(wave(angles)[:, None], x.dtype) for wave in (ops.cos, ops.sin))
    return ops.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1)


class CausalSelfAttention(layers.Layer):
    """Self-attention with rotary positions and normalised queries and keys (Henry et al. 2020).

    One matrix product computes queries, keys and values. The projection starts at zero, so that a new block is the
    identity (Zhang et al. 2019).
    """

    def __init__(self, config: TransformerConfig, **kwargs):
        super().__init__(**kwargs)
        self.heads = (config.num_heads, config.embed_dim // config.num_heads)
        self.qkv = layers.Dense(
            3 * config.embed_dim, use_bias=False, kernel_initializer=_uniform(config.embed_dim), name="qkv"
        )
        self.projection = layers.Dense(config.embed_dim, use_bias=False, kernel_initializer="zeros", name="projection")

    # Without `build`, Keras would trace `call` once to build the sublayers.
    def build(self, input_shape):
        self.qkv.build(input_shape)
        self.projection.build(input_shape)

    def call(self, x, angles, past=None):
        batch, length = ops.shape(x)[0], ops.shape(x)[1]
        q, k, v = ops.unstack(ops.reshape(self.qkv(x), (batch, length, 3, *self.heads)), axis=2)
        q, k = apply_rotary(rms_norm(q), angles), apply_rotary(rms_norm(k), angles)
        out, present = causal_attention(q, k, v, past)
        return self.projection(ops.reshape(out, (batch, length, self.heads[0] * self.heads[1]))), present


def _uniform(fan_in: int) -> Any:
    return initializers.RandomUniform(-math.sqrt(3 / fan_in), math.sqrt(3 / fan_in))


class Block(layers.Layer):
    """Pre-norm transformer block: attention, then two dense layers with a squared ReLU between them (So et al.
    2021)."""

    def __init__(self, config: TransformerConfig, **kwargs):
        super().__init__(**kwargs)
        self.attention = CausalSelfAttention(config, name="attention")
        self.up_projection = layers.Dense(
            config.dense_dim, use_bias=False, kernel_initializer=_uniform(config.embed_dim), name="up_projection"
        )
        self.down_projection = layers.Dense(
            config.embed_dim, use_bias=False, kernel_initializer="zeros", name="down_projection"
        )

    def build(self, input_shape):
        self.attention.build(input_shape)
        self.up_projection.build(input_shape)
        self.down_projection.build((*input_shape[:-1], self.up_projection.units))

    def call(self, x, angles, past=None):
        attended, present = self.attention(rms_norm(x), angles, past=past)
        x = x + attended
        return x + self.down_projection(ops.square(ops.relu(self.up_projection(rms_norm(x))))), present


class Transformer(keras.Model):
    """Our network: pre-norm blocks, and an output layer tied to the embedding (Press & Wolf 2017)."""

    def __init__(self, config: TransformerConfig, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        # In float32: a frequent token accumulates many gradients, too many for bfloat16.
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

    def forward(self, tokens: Any, past: KVCache | None = None) -> tuple[Any, list[tuple[Any, Any]]]:
        """Compute the last activations of a piece of text.

        Args:
            tokens: (B, T) integers.
            past: cache of the preceding pieces, if any.

        Returns:
            Activations, (B, T, embed_dim), and each attention's keys, (B, H, D, P), and values, (B, H, P, D): those in
            `past` with this piece added, or of this piece alone.
        """
        angles = ops.take(self.angles, positions_of(tokens, past), axis=0)
        x = rms_norm(ops.cast(ops.take(self.embedding, tokens, axis=0), self.compute_dtype))
        presents = []
        for i, block in enumerate(self.blocks):
            x, present = block(x, angles, past=None if past is None else past.of(i))
            presents.append(present)
        return rms_norm(x), presents

    @property
    def output_layer(self) -> tuple[Any, Any | None]:
        """Weights of the output layer: matrix, (vocab_size, embed_dim), and bias, (vocab_size,) or None."""
        return self.embedding, None

    def logits(self, activations: Any) -> Any:
        """Next-token logits, (..., embed_dim) -> (..., vocab_size)."""
        return ops.matmul(activations, ops.transpose(ops.cast(self.embedding, activations.dtype)))

    def call(self, tokens):
        """Logits after each token, (B, T) -> (B, T, vocab_size)."""
        return self.logits(self.forward(tokens)[0])


class NotesAttention(layers.Layer):
    """`keras.layers.MultiHeadAttention` with a key-value cache; each head is as wide as the residual stream.

    Kernels are matrices instead of three-dimensional arrays, which is faster.
    """

    def __init__(self, config: TransformerConfig, **kwargs):
        super().__init__(**kwargs)
        self.shape = (config.num_heads, config.embed_dim)
        width = config.num_heads * config.embed_dim
        self.query, self.key, self.value = (layers.Dense(width, name=name) for name in ("query", "key", "value"))
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
        out, present = causal_attention(q, k, v, past)
        return self.projection(ops.reshape(out, (batch, -1, self.shape[0] * self.shape[1]))), present


class NotesDecoder(layers.Layer):
    """The block of Chollet's listing, section 11.5, as used in section 12.1: the second attention attends to the
    block's input. Padding follows the text, so the causal mask hides it and no padding mask is needed."""

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
    """Chollet's listing, section 12.1: learnt positions, one decoder block, an untied output layer."""

    def __init__(self, config: TransformerConfig, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        # Initialised like `keras.layers.Embedding`; in float32 for the same reason as in `Transformer`.
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

    def forward(self, tokens: Any, past: KVCache | None = None) -> tuple[Any, list[tuple[Any, Any]]]:
        """Like `Transformer.forward`, with two attentions per block."""
        positions = ops.take(self.positions, positions_of(tokens, past), axis=0)
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
        return self.logits(self.forward(tokens)[0])


NETWORKS: dict[str, type[keras.Model]] = {"ours": Transformer, "notes": NotesTransformer}
