"""Per-token negative log-likelihood of a text of any length."""

from __future__ import annotations

from typing import Any

import numpy as np

# Windows per batch.
_BATCH = 16


def token_losses(network: Any, tokens: np.ndarray) -> np.ndarray:
    """Negative log-likelihood of each token but the first, given the tokens before it, in nats.

    A text longer than the context is read in windows that overlap by half, so that every token beyond the first window
    has at least half a window of context.

    Args:
        network: an instance of one of `engines.language_model.networks.NETWORKS`.
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
        batch_starts = starts[i : i + _BATCH]
        positions = np.asarray(batch_starts)[:, None] + np.arange(width + 1)
        # Positions beyond the end are padded and ignored: attention is causal.
        batch_losses = read(tokens[np.minimum(positions, len(tokens) - 1)].astype(np.int32)).numpy()
        for start, row in zip(batch_starts, batch_losses, strict=True):
            first = stride if start else 0
            chunk = row[first : len(losses) - start]
            losses[start + first : start + first + len(chunk)] = chunk
    return losses
