"""Language models rebuilt from Keras's own layers, for export."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from engines.language_model.networks import NotesTransformer, Transformer, apply_rotary, rms_norm, rotary_angles

_MASKED = -1e9


def portable(network: Transformer | NotesTransformer) -> keras.Model:
    """Rebuild a network in float32 for full windows: tokens, (B, block_size) integers -> logits, (B, block_size,
    vocab_size). Attention is causal, so a shorter text may be padded with any tokens."""
    tokens = keras.Input((network.config.block_size,), dtype="int32", name="tokens")
    build = _ours if isinstance(network, Transformer) else _notes
    return keras.Model(tokens, build(network, tokens), name="language_model")


def _causal_attention(q: Any, k: Any, v: Any) -> Any:
    """Causal attention: queries, keys and values (B, T, H, D) -> (B, T, H x D)."""
    length, heads, width = q.shape[1:]
    scores = ops.einsum("bqhd,bkhd->bhqk", q / math.sqrt(width), k)
    mask = np.triu(np.full((length, length), _MASKED, np.float32), 1)
    weights = ops.softmax(scores + mask)
    return ops.reshape(ops.einsum("bhqk,bkhd->bqhd", weights, v), (-1, length, heads * width))


def _dense(x: Any, kernel: Any, bias: Any = None, activation: str | None = None) -> Any:
    layer = layers.Dense(kernel.shape[-1], activation, use_bias=bias is not None)
    layer.build(x.shape)
    layer.set_weights([ops.convert_to_numpy(value) for value in (kernel, bias) if value is not None])
    return layer(x)


def _embedding(tokens: Any, table: Any) -> Any:
    layer = layers.Embedding(*table.shape)
    layer.build(tokens.shape)
    layer.set_weights([ops.convert_to_numpy(table)])
    return layer(tokens)


def _ours(network: Transformer, tokens: Any) -> Any:
    shape = network.config
    heads, width = shape.num_heads, shape.embed_dim // shape.num_heads
    angles = rotary_angles(shape.block_size, width)
    x = rms_norm(_embedding(tokens, network.embedding))
    for block in network.blocks:
        qkv = _dense(rms_norm(x), block.attention.qkv.kernel)
        q, k, v = ops.unstack(ops.reshape(qkv, (-1, shape.block_size, 3, heads, width)), axis=2)
        q, k = apply_rotary(rms_norm(q), angles), apply_rotary(rms_norm(k), angles)
        x = x + _dense(_causal_attention(q, k, v), block.attention.projection.kernel)
        hidden = ops.square(ops.relu(_dense(rms_norm(x), block.up_projection.kernel)))
        x = x + _dense(hidden, block.down_projection.kernel)
    return _dense(rms_norm(x), ops.convert_to_numpy(network.embedding).T)


def _notes(network: NotesTransformer, tokens: Any) -> Any:
    shape = network.config

    def attention(layer: Any, query: Any, source: Any) -> Any:
        q, k, v = (
            ops.reshape(
                _dense(x, projection.kernel, projection.bias), (-1, shape.block_size, shape.num_heads, shape.embed_dim)
            )
            for projection, x in ((layer.query, query), (layer.key, source), (layer.value, source))
        )
        return _dense(_causal_attention(q, k, v), layer.projection.kernel, layer.projection.bias)

    def layer_norm(layer: Any, x: Any) -> Any:
        norm = layers.LayerNormalization(epsilon=layer.epsilon)
        norm.build(x.shape)
        norm.set_weights(layer.get_weights())
        return norm(x)

    x = _embedding(tokens, network.embedding) + ops.convert_to_numpy(network.positions)
    for decoder in network.decoders:
        first = layer_norm(decoder.norm_1, x + attention(decoder.attention_1, x, x))
        second = layer_norm(decoder.norm_2, first + attention(decoder.attention_2, first, x))
        hidden = _dense(second, decoder.dense_1.kernel, decoder.dense_1.bias, "relu")
        x = layer_norm(decoder.norm_3, second + _dense(hidden, decoder.dense_2.kernel, decoder.dense_2.bias))
    return _dense(x, network.last.kernel, network.last.bias)
