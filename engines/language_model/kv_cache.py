"""Incremental decoding with a key-value cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from engines.language_model.networks import KVCache

# When the context is full, this share of it, at its end, is kept and read again.
KEPT_SHARE = 0.75


class Decoder:
    """Compiled decoding functions of a network.

    Args:
        network: an instance of one of `engines.language_model.networks.NETWORKS`.
    """

    def __init__(self, network: Any):
        self.block_size: int = network.config.block_size
        token_spec = tf.TensorSpec((None, None), tf.int32)

        @tf.function(autograph=False, input_signature=[token_spec])
        def prefill(tokens: Any) -> tuple[Any, Any]:
            activations, presents = network.forward(tokens)
            return network.logits(activations[:, -1]), presents

        # Decoding one token runs many small operations, which XLA fuses. Compiled once for each batch size.
        @tf.function(autograph=False, jit_compile=True)
        def decode_next(tokens: Any, length: Any, pairs: Any) -> Any:
            past = KVCache([(keys.read_value(), values.read_value()) for keys, values in pairs], length)
            activations, presents = network.forward(tokens, past)
            # XLA does this in place.
            for cached, present in zip(pairs, presents, strict=True):
                for variable, new in zip(cached, present, strict=True):
                    variable.assign(new)
            return network.logits(activations[:, -1])

        @tf.function(autograph=False, input_signature=[token_spec])
        def all_logits(tokens: Any) -> Any:
            return network(tokens)

        self._run_prefill, self._run_next, self._run_all = prefill, decode_next, all_logits

    def begin(self, texts: Sequence[Sequence[int]]) -> DecodingState:
        """Start decoding token sequences, all equally long."""
        return DecodingState(self, texts)

    def all_logits(self, tokens: Sequence[int], first: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the index of each token from `first` (at least 1) on, and the logits for it, (V,) float32.

        A text longer than the context is read in windows that overlap by half.
        """
        stride = max(1, self.block_size // 2)
        start = max(0, first - stride) if len(tokens) - 1 > self.block_size else 0
        position = first
        while position < len(tokens):
            window = np.asarray(tokens[start : min(start + self.block_size, len(tokens) - 1)], np.int32)
            logits = self._run_all(window[None]).numpy()[0]
            while position - start <= len(window) and position < len(tokens):
                yield position, logits[position - start - 1]
                position += 1
            start += stride


class DecodingState:
    """The key-value cache and the next-token logits of texts being decoded.

    Attributes:
        logits: (B, V) float32: logits of the next token of each text.
    """

    def __init__(self, decoder: Decoder, texts: Sequence[Sequence[int]]):
        self._decoder = decoder
        self._prefill(texts)

    def _prefill(self, texts: Sequence[Sequence[int]]) -> None:
        block_size = self._decoder.block_size
        # A full context would have to be read again after every token.
        self._length = len(texts[0]) if len(texts[0]) < block_size else max(1, int(KEPT_SHARE * block_size))
        logits, presents = self._decoder._run_prefill(np.asarray([text[-self._length :] for text in texts], np.int32))
        padding, unpadded = (0, block_size - self._length), (0, 0)
        self._past = [
            (
                tf.Variable(tf.pad(keys, [unpadded, unpadded, unpadded, padding])),
                tf.Variable(tf.pad(values, [unpadded, unpadded, padding, unpadded])),
            )
            for keys, values in presents
        ]
        self.logits: np.ndarray = logits.numpy()
        # Looked up once, which saves matching the signature at every token.
        self._run_next = self._decoder._run_next.get_concrete_function(
            tf.TensorSpec((len(texts), 1), tf.int32), tf.TensorSpec((), tf.int32), self._past
        )

    def next(self, texts: Sequence[Sequence[int]]) -> None:
        """Read the last token of the texts, which have grown by one token."""
        if self._length >= self._decoder.block_size:
            self._prefill(texts)
            return
        tokens = np.asarray([text[-1:] for text in texts], np.int32)
        logits = self._run_next(tf.constant(tokens), tf.constant(self._length), self._past)
        self._length += 1
        self.logits = logits.numpy()
