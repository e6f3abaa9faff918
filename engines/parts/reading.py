"""A text as a network reads it while it is written: a token more costs one token's work, however long the text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

# When a text has filled all that a network sees, it is read again from here on: this share of what it sees.
KEPT = 0.75


class Reader:
    """Reads texts side by side, and says after each token what may come next.

    Args:
        network: one of `engines.parts.transformers.NETWORKS`.
    """

    def __init__(self, network: Any):
        self._network = network
        self.block_size: int = network.config.block_size
        pieces = tf.TensorSpec((None, None), tf.int32)
        # A past of no tokens is a past too: one graph serves the first piece and all that follow.
        _, presents = network.read(tf.zeros((1, 2), tf.int32))
        past = [tuple(tf.TensorSpec((None, None, *one.shape[2:]), one.dtype) for one in pair) for pair in presents]
        self._empty = [tuple(tf.zeros((1, 0, *one.shape[2:]), one.dtype) for one in pair) for pair in presents]

        @tf.function(autograph=False, input_signature=[pieces, past])
        def read(tokens: Any, past: Any) -> tuple[Any, Any]:
            activations, presents = network.read(tokens, past)
            return network.logits(activations[:, -1]), presents

        @tf.function(autograph=False, input_signature=[pieces])
        def read_all(tokens: Any) -> Any:
            return network(tokens)

        self._read, self._read_all = read, read_all

    def begin(self, texts: Sequence[Sequence[int]]) -> Reading:
        """Read the beginning of texts, all equally long."""
        return Reading(self, texts)

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


class Reading:
    """Texts that are being read.

    Attributes:
        logits: (B, V) float32: what may come next in each of them.
    """

    def __init__(self, reader: Reader, texts: Sequence[Sequence[int]]):
        self._reader = reader
        self._again(texts)

    def _again(self, texts: Sequence[Sequence[int]]) -> None:
        most = self._reader.block_size
        # What fills all that the network sees would be read again for every token.
        kept = len(texts[0]) if len(texts[0]) < most else max(1, int(KEPT * most))
        tails = np.asarray([text[-kept:] for text in texts], np.int32)
        empty = [tuple(tf.repeat(one, len(texts), axis=0) for one in pair) for pair in self._reader._empty]
        self._go_on(tails, empty)

    def _go_on(self, tokens: np.ndarray, past: Any) -> None:
        logits, self._past = self._reader._read(tf.constant(tokens), past)
        self.logits: np.ndarray = logits.numpy()

    def next(self, texts: Sequence[Sequence[int]]) -> None:
        """Read the last token of texts that have become one longer."""
        if self._past[0][0].shape[1] >= self._reader.block_size:
            self._again(texts)
        else:
            self._go_on(np.asarray([text[-1:] for text in texts], np.int32), self._past)
