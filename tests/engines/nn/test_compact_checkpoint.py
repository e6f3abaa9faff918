"""Compact checkpoints: half the size, rounded to bfloat16, read like any other."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import tensorflow as tf

from engines.nn.training_loop import load_checkpoint, save_checkpoint
from engines.train import main


def test_a_compact_copy_is_half_as_large_and_its_numbers_are_those_of_bfloat16(tmp_path):
    weights = tf.Variable(np.random.default_rng(0).normal(size=(200, 300)).astype(np.float32))
    count = tf.Variable(12345, dtype=tf.int64)
    original, copy = tmp_path / "original.npz", tmp_path / "copy.npz"
    rate = tf.Variable(0.1)
    save_checkpoint(original, [weights, count, rate], 7, {"seed": 1})
    assert main(["backbone", "--checkpoint", str(original), "--compact", str(copy)]) == 0
    assert copy.stat().st_size < 0.6 * original.stat().st_size
    others = [tf.Variable(tf.zeros_like(weights)), tf.Variable(0, dtype=tf.int64), tf.Variable(0.0)]
    assert load_checkpoint(copy, others, {"seed": 1}) == 7
    expected = weights.numpy().astype(ml_dtypes.bfloat16).astype(np.float32)
    np.testing.assert_array_equal(others[0].numpy(), expected)
    assert int(others[1]) == 12345
    assert abs(float(others[2]) - 0.1) < 1e-3


def test_what_is_no_checkpoint_is_refused_in_a_sentence(tmp_path, capsys):
    for content in (None, b"no archive"):
        if content is not None:
            (tmp_path / "x.npz").write_bytes(content)
        assert main(["backbone", "--checkpoint", str(tmp_path / "x.npz"), "--compact", str(tmp_path / "y.npz")]) == 1
        assert "cannot be read as a checkpoint" in capsys.readouterr().err
    assert not (tmp_path / "y.npz").exists()
