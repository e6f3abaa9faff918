"""Next-token cross-entropy with a hand-written gradient.

Most of what a small language model computes is its last layer: thousands of logits a token. Left to automatic
differentiation they are turned to float32, normalised there, and kept; here they stay in the network's own format, and
of the gradient, which is probabilities less a one, the one is taken away where it stands. On a GPU, which JAX computes
on here, the plain way is fast enough.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def next_token_loss(activations: Any, output_layer: tuple[Any, Any | None], targets: Any, weights: Any) -> Any:
    """The sum over tokens of weight times negative log-likelihood, in nats.

    Args:
        activations: (N, D) in the format that the products are computed in.
        output_layer: a matrix, (V, D), and what is added, (V,) or None; float32.
        targets: (N,) integers below V: the tokens that did come.
        weights: (N,) float32, 0 for what is no token.

    Returns:
        a float32 scalar, differentiable by activations and layer.
    """
    matrix, bias = output_layer
    if keras.config.backend() != "tensorflow":
        logits = ops.matmul(activations, ops.transpose(ops.cast(matrix, activations.dtype)))
        logits = ops.cast(logits if bias is None else logits + ops.cast(bias, logits.dtype), "float32")
        return ops.sum(weights * ops.sparse_categorical_crossentropy(targets, logits, from_logits=True))
    import tensorflow as tf

    given = [matrix] if bias is None else [matrix, bias]

    @tf.custom_gradient
    def loss_of(activations: Any, matrix: Any, *bias: Any) -> Any:
        dtype, rows = activations.dtype, matrix.shape[0]
        low = tf.cast(matrix, dtype)
        logits = tf.matmul(activations, low, transpose_b=True)
        for one in bias:
            logits += tf.cast(one, dtype)
        probabilities = tf.nn.softmax(logits)
        of_target = tf.cast(tf.gather(probabilities, targets, batch_dims=1), tf.float32)
        loss = -tf.reduce_sum(weights * tf.math.log(tf.maximum(of_target, 1e-30)))

        def gradient(upstream: Any) -> tuple[Any, ...]:
            wanted = tf.gather(matrix, targets)
            expected = tf.cast(tf.matmul(probabilities, low), tf.float32)
            by_activations = upstream * weights[:, None] * (expected - wanted)
            weighted = tf.cast(weights[:, None], dtype) * activations
            expected = tf.cast(tf.matmul(probabilities, weighted, transpose_a=True), tf.float32)
            wanted = tf.math.unsorted_segment_sum(tf.cast(weighted, tf.float32), targets, rows)
            slopes = [tf.cast(by_activations, dtype), upstream * (expected - wanted)]
            if bias:
                # In float32: the sum over thousands of tokens is too long for bfloat16.
                expected = tf.linalg.matvec(tf.cast(probabilities, tf.float32), weights, transpose_a=True)
                slopes.append(upstream * (expected - tf.math.unsorted_segment_sum(weights, targets, rows)))
            return tuple(slopes)

        return loss, gradient

    return loss_of(activations, *(tf.convert_to_tensor(one) for one in given))
