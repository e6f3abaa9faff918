"""Fused batch normalisation: outputs, gradients and statistics of Keras's."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from engines.nn.layers import FusedBatchNormalization


def both_normalizations() -> tuple[FusedBatchNormalization, keras.layers.BatchNormalization]:
    """Our layer and Keras's, with the same scales and statistics."""
    layers = (
        FusedBatchNormalization(momentum=0.9, epsilon=1e-3, dtype="float32"),
        keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-3, dtype="float32"),
    )
    values = np.random.default_rng(0).uniform(0.5, 1.5, (4, 6)).astype(np.float32)
    for layer in layers:
        layer.build((None, 16, 16, 6))
        for name, value in zip(("gamma", "beta", "moving_mean", "moving_variance"), values, strict=True):
            getattr(layer, name).assign(value)
    return layers


def test_fused_normalisation_is_that_of_keras_in_training_and_after_it():
    ours, theirs = both_normalizations()
    x = tf.constant(np.random.default_rng(1).normal(0.7, 2.0, (16, 16, 16, 6)).astype(np.float32))
    for _ in range(3):
        np.testing.assert_allclose(ours(x, training=True), theirs(x, training=True), atol=1e-4)
    before = ours.moving_mean.numpy().copy()
    for name in ("moving_mean", "moving_variance"):
        # Ours divides by n - 1 and Keras by n, which makes no difference for this many values.
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=3e-4, atol=1e-5)
    np.testing.assert_allclose(ours(x, training=False), theirs(x, training=False), rtol=1e-3, atol=1e-3)
    theirs.moving_variance.assign(ours.moving_variance)
    theirs.moving_mean.assign(ours.moving_mean)
    np.testing.assert_allclose(ours(x, training=False), theirs(x, training=False), atol=1e-4)
    np.testing.assert_array_equal(ours.moving_mean, before)


def test_the_gradients_of_fused_normalisation_are_those_of_keras():
    ours, theirs = both_normalizations()
    x = tf.constant(np.random.default_rng(1).normal(0.7, 2.0, (4, 8, 8, 6)).astype(np.float32))
    for training in (False, True):  # training changes the statistics, and not quite alike
        gradients = []
        for layer in (ours, theirs):
            with tf.GradientTape() as tape:
                tape.watch(x)
                loss = tf.reduce_sum(tf.sin(layer(x, training=training)) * x)
            gradients.append(tape.gradient(loss, [x, layer.gamma.value, layer.beta.value]))
        for one, other in zip(*gradients, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


def test_fused_normalisation_in_bfloat16_keeps_its_statistics_in_float32():
    layer = FusedBatchNormalization(dtype="mixed_bfloat16")
    x = np.random.default_rng(1).normal(5.0, 1.0, (4, 8, 8, 3)).astype(np.float32)
    outputs = layer(x, training=True)
    assert outputs.dtype == tf.bfloat16
    assert {variable.dtype for variable in layer.variables} == {"float32"}
    assert abs(np.asarray(tf.cast(outputs, tf.float32)).mean()) < 0.02
    np.testing.assert_allclose(layer.moving_mean, 0.05 * x.mean(axis=(0, 1, 2)), rtol=1e-2)
