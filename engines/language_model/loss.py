"""Next-token cross-entropy with a hand-written gradient.

The last layer, with thousands of logits a token, dominates the cost of a small language model. Automatic
differentiation would convert the logits to float32, normalise and keep them. Here they stay in the network's own
format, and the gradient, softmax minus one-hot, is computed without building the one-hot matrix. With JAX, which is
used on GPUs here, the plain implementation is fast enough.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def next_token_loss(activations: Any, output_layer: tuple[Any, Any | None], targets: Any, weights: Any) -> Any:
    """Weighted sum of the tokens' negative log-likelihoods, in nats.

    Args:
        activations: (N, D), in the dtype of the matrix products.
        output_layer: matrix, (V, D), and bias, (V,) or None; float32.
        targets: (N,) integers below V: the next tokens.
        weights: (N,) float32, 0 for padding.

    Returns:
        a float32 scalar, differentiable with respect to activations and output layer.
    """
    matrix, bias = output_layer
    if keras.config.backend() != "tensorflow":
        logits = ops.matmul(activations, ops.transpose(ops.cast(matrix, activations.dtype)))
        logits = ops.cast(logits if bias is None else logits + ops.cast(bias, logits.dtype), "float32")
        return ops.sum(weights * ops.sparse_categorical_crossentropy(targets, logits, from_logits=True))
    import tensorflow as tf

    parameters = [matrix] if bias is None else [matrix, bias]

    @tf.custom_gradient
    def loss_function(activations: Any, matrix: Any, *bias: Any) -> Any:
        dtype, rows = activations.dtype, matrix.shape[0]
        cast_matrix = tf.cast(matrix, dtype)
        logits = tf.matmul(activations, cast_matrix, transpose_b=True)
        for one in bias:
            logits += tf.cast(one, dtype)
        probabilities = tf.nn.softmax(logits)
        target_probabilities = tf.cast(tf.gather(probabilities, targets, batch_dims=1), tf.float32)
        loss = -tf.reduce_sum(weights * tf.math.log(tf.maximum(target_probabilities, 1e-30)))

        def gradient(upstream: Any) -> tuple[Any, ...]:
            target_rows = tf.gather(matrix, targets)
            expected = tf.cast(tf.matmul(probabilities, cast_matrix), tf.float32)
            activation_gradient = upstream * weights[:, None] * (expected - target_rows)
            weighted = tf.cast(weights[:, None], dtype) * activations
            expected = tf.cast(tf.matmul(probabilities, weighted, transpose_a=True), tf.float32)
            target_rows = tf.math.unsorted_segment_sum(tf.cast(weighted, tf.float32), targets, rows)
            gradients = [tf.cast(activation_gradient, dtype), upstream * (expected - target_rows)]
            if bias:
                # In float32: bfloat16 is too coarse for a sum over thousands of tokens.
                expected = tf.linalg.matvec(tf.cast(probabilities, tf.float32), weights, transpose_a=True)
                gradients.append(upstream * (expected - tf.math.unsorted_segment_sum(weights, targets, rows)))
            return tuple(gradients)

        return loss, gradient

    return loss_function(activations, *(tf.convert_to_tensor(one) for one in parameters))
