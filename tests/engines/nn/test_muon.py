"""Muon: updates with singular values near 1, as Keras's, for matrices, joint matrices and kernels of convolutions."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from engines.nn.muon import Muon, newton_schulz


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_singular_values_are_made_one_and_vectors_kept(dtype):
    matrices = np.random.default_rng(0).normal(size=(3, 16, 40)).astype(np.float32)
    found = np.asarray(newton_schulz(tf.constant(matrices), dtype))
    for before, after in zip(matrices, found, strict=True):
        u, _, v = np.linalg.svd(before, full_matrices=False)
        inner = u.T @ after @ v.T
        values = np.diag(inner)
        assert values.min() > 0.6
        assert values.max() < 1.35
        assert np.abs(inner - np.diag(values)).max() < (0.01 if dtype == "float32" else 0.1)


def test_a_step_of_muon_is_that_of_keras():
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(12, 30)).astype(np.float32), rng.normal(size=(4, 12, 30)).astype(np.float32)
    ours, theirs = tf.Variable(start), keras.Variable(start)
    optimizer = Muon([ours], [1], [], rate=0.1, adam_rate=0.0)
    reference = keras.optimizers.Muon(0.1, adam_weight_decay=0.0, weight_decay=0.0, rms_rate=None, ns_steps=5)
    reference.build([theirs])
    for gradient in gradients:
        optimizer.apply([tf.constant(gradient)])
        reference.apply([tf.constant(gradient)], [theirs])
    moved, expected = np.asarray(ours) - start, np.asarray(theirs) - start
    cosine = (moved * expected).sum() / np.linalg.norm(moved) / np.linalg.norm(expected)
    assert cosine > 0.99


def test_matrices_side_by_side_are_taken_one_by_one():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 8, 12)).astype(np.float32)
    joint = tf.Variable(np.concatenate([first, second], axis=1))
    alone = [tf.Variable(first), tf.Variable(second)]
    gradient = rng.normal(size=(8, 24)).astype(np.float32)
    Muon([joint], [2], [], 0.1, 0.0).apply([tf.constant(gradient)])
    Muon(alone, [1, 1], [], 0.1, 0.0).apply([tf.constant(gradient[:, :12]), tf.constant(gradient[:, 12:])])
    np.testing.assert_allclose(joint, np.concatenate([np.asarray(one) for one in alone], axis=1), atol=1e-5)


def test_what_is_no_matrix_learns_by_adam():
    start, gradients = np.ones((5, 3), np.float32), np.random.default_rng(0).normal(size=(3, 5, 3)).astype(np.float32)
    ours, theirs = tf.Variable(start), keras.Variable(start)
    optimizer = Muon([], [], [ours], 0.0, 0.01)
    reference = keras.optimizers.Adam(0.01, beta_1=0.9, beta_2=0.95, epsilon=1e-8)
    reference.build([theirs])
    for gradient in gradients:
        optimizer.apply([tf.constant(gradient)])
        reference.apply([tf.constant(gradient)], [theirs])
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), atol=1e-5)


def test_a_kernel_is_one_matrix_with_a_row_for_each_weight_of_a_window():
    rng = np.random.default_rng(0)
    start, gradient = rng.normal(size=(2, 3, 3, 4, 8)).astype(np.float32)
    kernel, matrix = tf.Variable(start), tf.Variable(start.reshape(36, 8))
    Muon([kernel], [1], [], 0.1, 0.0).apply([tf.constant(gradient)])
    Muon([matrix], [1], [], 0.1, 0.0).apply([tf.constant(gradient.reshape(36, 8))])
    np.testing.assert_array_equal(np.asarray(kernel).reshape(36, 8), matrix)
    moved = np.linalg.svd((np.asarray(kernel) - start).reshape(36, 8), compute_uv=False)
    assert 0.06 < moved.min() < moved.max() < 0.135
