"""Shards of a batch: how many, and that a step with shards equals one without."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from engines.nn import data_parallel as shards
from engines.vae import training as vae_training
from engines.vae.networks import ARCHITECTURES


@pytest.mark.parametrize(
    ("threads", "cores", "batch_size", "expected"), [(0, 4, 128, 1), (1, 4, 128, 4), (1, 4, 126, 3), (1, 2, 7, 1)]
)
def test_there_is_an_equal_shard_for_each_core_where_operations_have_one_thread(
    monkeypatch, threads, cores, batch_size, expected
):
    monkeypatch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: threads)
    monkeypatch.setattr(shards.os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert shards.shard_count(batch_size) == expected


def step_in(count: int, monkeypatch) -> tuple[dict[str, float], list[np.ndarray]]:
    """The loss terms and the weights of the book's networks after one step with this many shards."""
    monkeypatch.setattr(vae_training, "shard_count", lambda _: count)
    architecture = ARCHITECTURES["digits_notes"]
    keras.utils.set_random_seed(0)
    networks = architecture.build_encoder(), architecture.build_decoder()
    loss = vae_training.Loss(architecture, 0.0)
    step = vae_training.make_train_step(*networks, keras.optimizers.SGD(1e-5), loss, seed=3)
    images = np.random.default_rng(0).integers(0, 256, (8, 28, 28, 1)).astype(np.uint8)
    terms = step(tf.constant(images), tf.constant(5), tf.constant(0.5))
    return {name: float(value) for name, value in terms.items()}, [w.numpy() for n in networks for w in n.weights]


def test_a_step_in_shards_is_the_step_of_the_whole_batch(monkeypatch):
    whole, weights = step_in(1, monkeypatch)
    split, others = step_in(4, monkeypatch)
    assert split == pytest.approx(whole, rel=1e-5)
    for one, other in zip(weights, others, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_program_that_only_trains_asks_for_use_one_thread_per_op(monkeypatch):
    asked: list[int] = []
    monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", asked.append)
    shards.use_one_thread_per_op()
    assert asked == [1]


def test_a_program_that_has_begun_to_compute_keeps_its_threads():
    assert float(tf.constant(1.0) + 1) == 2
    before = tf.config.threading.get_intra_op_parallelism_threads()
    assert before != 1
    with pytest.raises(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(1)
    shards.use_one_thread_per_op()
    assert tf.config.threading.get_intra_op_parallelism_threads() == before
