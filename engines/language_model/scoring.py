"""Per-token log-likelihood of a text of any length."""

from __future__ import annotations

from typing import Any

import numpy as np

# Windows that are read at once.
_BATCH = 16


def token_losses(network: Any, tokens: np.ndarray) -> np.ndarray:
    """The negative log-likelihood of each token but the first, given what comes before it, in nats.

    A text that is longer than what the network sees at once is read in windows that overlap by half, so that each token
    but the first few has at least half a window before it.

    Args:
        network: one of `engines.language_model.networks.NETWORKS`.
        tokens: (T,) integers, T at least 2.

    Returns:
        (T - 1,) float64.
    """
    import tensorflow as tf

    block_size = network.config.block_size
    stride = block_size // 2
    losses = np.zeros(len(tokens) - 1)
    starts = range(0, max(1, len(tokens) - 1 - block_size + stride), stride)
    width = min(block_size, len(tokens) - 1)

    @tf.function(autograph=False, input_signature=[tf.TensorSpec((None, width + 1), tf.int32)])
    def read(windows: Any) -> Any:
        logits = tf.cast(network(windows[:, :-1]), tf.float32)
        return tf.nn.sparse_softmax_cross_entropy_with_logits(windows[:, 1:], logits)

    for i in range(0, len(starts), _BATCH):
        some = starts[i : i + _BATCH]
        places = np.asarray(some)[:, None] + np.arange(width + 1)
        # What reaches beyond the end is read and not used: no token looks ahead.
        found = read(tokens[np.minimum(places, len(tokens) - 1)].astype(np.int32)).numpy()
        for start, row in zip(some, found, strict=True):
            first = stride if start else 0
            part = row[first : len(losses) - start]
            losses[start + first : start + first + len(part)] = part
    return losses
