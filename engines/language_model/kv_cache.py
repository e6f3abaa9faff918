"""Incremental decoding with a key-value cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from engines.language_model.networks import KVCache

# When a text has filled all that a network sees, it is read again from here on: this share of what it sees.
KEPT = 0.75


class Decoder:
    """Reads texts side by side, and says after each token what may come next.

    Args:
        network: one of `engines.language_model.networks.NETWORKS`.
    """

    def __init__(self, network: Any):
        self.block_size: int = network.config.block_size
        pieces = tf.TensorSpec((None, None), tf.int32)

        @tf.function(autograph=False, input_signature=[pieces])
        def read_first(tokens: Any) -> tuple[Any, Any]:
            activations, presents = network.read(tokens)
            return network.logits(activations[:, -1]), presents

        # One token of a text is little work in many operations: compiled into one, once for each number of texts.
        @tf.function(autograph=False, jit_compile=True)
        def read_next(tokens: Any, length: Any, pairs: Any) -> Any:
            past = KVCache([(keys.read_value(), values.read_value()) for keys, values in pairs], length)
            activations, presents = network.read(tokens, past)
            # Compiled, this is done in place.
            for kept, present in zip(pairs, presents, strict=True):
                for variable, new in zip(kept, present, strict=True):
                    variable.assign(new)
            return network.logits(activations[:, -1])

        @tf.function(autograph=False, input_signature=[pieces])
        def read_all(tokens: Any) -> Any:
            return network(tokens)

        self._read_first, self._read_next, self._read_all = read_first, read_next, read_all

    def begin(self, texts: Sequence[Sequence[int]]) -> DecodingState:
        """Read the beginning of texts, all equally long."""
        return DecodingState(self, texts)

    def all_logits(self, tokens: Sequence[int], first: int) -> Iterator[tuple[int, np.ndarray]]:
        """What might have stood in the place of each token from `first` (at least 1) on: places, and logits, (V,).

        A text that is longer than what the network sees is read in windows that overlap by half.
        """
        stride = max(1, self.block_size // 2)
        start = max(0, first - stride) if len(tokens) - 1 > self.block_size else 0
        place = first
        while place < len(tokens):
            window = np.asarray(tokens[start : min(start + self.block_size, len(tokens) - 1)], np.int32)
            logits = self._read_all(window[None]).numpy()[0]
            while place - start <= len(window) and place < len(tokens):
                yield place, logits[place - start - 1]
                place += 1
            start += stride


class DecodingState:
    """Texts that are being read.

    Attributes:
        logits: (B, V) float32: what may come next in each of them.
    """

    def __init__(self, reader: Decoder, texts: Sequence[Sequence[int]]):
        self._reader = reader
        self._again(texts)

    def _again(self, texts: Sequence[Sequence[int]]) -> None:
        most = self._reader.block_size
        # What fills all that the network sees would be read again for every token.
        self._length = len(texts[0]) if len(texts[0]) < most else max(1, int(KEPT * most))
        logits, presents = self._reader._read_first(np.asarray([text[-self._length :] for text in texts], np.int32))
        room, none = (0, most - self._length), (0, 0)
        self._past = [
            (tf.Variable(tf.pad(keys, [none, none, none, room])), tf.Variable(tf.pad(values, [none, none, room, none])))
            for keys, values in presents
        ]
        self.logits: np.ndarray = logits.numpy()
        # Found once, and not by what it is given each time.
        self._read_next = self._reader._read_next.get_concrete_function(
            tf.TensorSpec((len(texts), 1), tf.int32), tf.TensorSpec((), tf.int32), self._past
        )

    def next(self, texts: Sequence[Sequence[int]]) -> None:
        """Read the last token of texts that have become one longer."""
        if self._length >= self._reader.block_size:
            self._again(texts)
            return
        tokens = np.asarray([text[-1:] for text in texts], np.int32)
        logits = self._read_next(tf.constant(tokens), tf.constant(self._length), self._past)
        self._length += 1
        self.logits = logits.numpy()
