"""The training loop: exact resume, never from the wrong checkpoint; the order of the batches and the learning rate."""

from __future__ import annotations

import json
import math
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from engines.nn.training_loop import (
    batch_indices,
    data_hash,
    epoch_order,
    load_checkpoint,
    one_cycle,
    save_checkpoint,
    train_frames,
)
from tests.engines.helpers import files_in, refusal


class Tiny:
    """A two-layer network on random numbers, trained with momentum by `train_frames`."""

    SETTINGS = {"rate": 0.05, "seed": 3, "nested": {"a": [1, 2]}}  # noqa: RUF012 - never changed

    def __init__(self, width: int = 8, start: int = 0):
        keras.utils.set_random_seed(start)
        self.network = keras.Sequential(
            [keras.Input((5,)), keras.layers.Dense(width, activation="tanh"), keras.layers.Dense(1)]
        )
        weights = self.network.trainable_variables
        momenta = [keras.Variable(np.zeros(w.shape, np.float32), trainable=False) for w in weights]
        self.variables = [*weights, *momenta]
        rng = np.random.default_rng(0)
        inputs, targets = rng.normal(size=(50, 5)).astype(np.float32), rng.normal(size=(50, 1)).astype(np.float32)

        @tf.function
        def update(x, y):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(self.network(x) - y))
            for w, m, g in zip(weights, momenta, tape.gradient(loss, weights), strict=True):
                m.assign(0.9 * m.value + g)
                w.assign(w.value - 0.05 * m.value)
            return {"loss": loss}

        def train_step(step):
            rows = batch_indices(50, 8, step, seed=3)
            return update(tf.constant(inputs[rows]), tf.constant(targets[rows]))

        self.train_step = train_step

    def frames(self, total: int, checkpoint: Path | None = None, **options):
        return train_frames(
            **{
                "variables": self.variables,
                "train_step": self.train_step,
                "total": total,
                "interval": 10,
                "settings": self.SETTINGS,
                "checkpoint": checkpoint,
                **options,
            }
        )

    def values(self) -> list[np.ndarray]:
        return [np.asarray(variable) for variable in self.variables]


def assert_equal_values(a: Tiny, b: Tiny) -> None:
    for one, other in zip(a.values(), b.values(), strict=True):
        np.testing.assert_array_equal(one, other)


# Steps and checkpoints


def test_a_training_that_is_interrupted_and_resumed_ends_with_the_very_same_weights(tmp_path):
    whole, first, second = Tiny(), Tiny(), Tiny(start=9)
    steps = [frame.step for frame in whole.frames(20)]
    assert steps == [10, 20]
    interrupted = first.frames(20, tmp_path / "checkpoint.npz")
    assert next(interrupted).step == 10
    interrupted.close()
    assert not np.array_equal(second.values()[0], first.values()[0])
    resumed = list(second.frames(20, tmp_path / "checkpoint.npz"))
    assert [frame.step for frame in resumed] == [20]
    assert_equal_values(whole, second)


def test_a_training_that_is_interrupted_between_checkpoints_repeats_the_lost_steps_exactly(tmp_path):
    whole, first, second = Tiny(), Tiny(), Tiny(start=9)
    for _ in whole.frames(20):
        pass
    next(first.frames(20, tmp_path / "checkpoint.npz"))
    for step in (10, 11, 12):
        first.train_step(step)
    list(second.frames(20, tmp_path / "checkpoint.npz"))
    assert_equal_values(whole, second)


def test_a_finished_training_does_nothing_more(tmp_path):
    first, second = Tiny(), Tiny(start=9)
    list(first.frames(20, tmp_path / "checkpoint.npz"))
    assert list(second.frames(20, tmp_path / "checkpoint.npz")) == []
    assert_equal_values(first, second)


def test_frames_hold_the_mean_over_their_interval_and_what_the_monitor_says():
    seen = []

    def train_step(step):
        return {"loss": tf.constant(float(step))}

    def monitor(step):
        seen.append(step)
        return np.full((2, 2, 3), step, np.uint8), {"held_out": step / 10}

    options = {"variables": [], "train_step": train_step, "settings": {}, "monitor": monitor}
    frames = list(train_frames(total=7, interval=3, **options))
    assert [(frame.step, frame.total) for frame in frames] == [(3, 7), (6, 7), (7, 7)]
    assert [frame.metrics["loss"] for frame in frames] == [1, 4, 6]
    assert [frame.metrics["held_out"] for frame in frames] == [0.3, 0.6, 0.7]
    assert [frame.image[0, 0, 0] for frame in frames] == seen == [3, 6, 7]


def test_the_loss_falls():
    losses = [frame.metrics["loss"] for frame in Tiny().frames(40)]
    assert losses[-1] < losses[0]


def test_a_checkpoint_of_other_settings_is_refused_with_one_sentence(tmp_path):
    list(Tiny().frames(10, tmp_path / "checkpoint.npz"))
    other = Tiny().frames(20, tmp_path / "checkpoint.npz", settings={**Tiny.SETTINGS, "rate": 0.1})
    assert "other settings" in refusal(ValueError, next, other)


def test_a_checkpoint_of_another_network_is_refused_and_nothing_is_changed(tmp_path):
    list(Tiny().frames(10, tmp_path / "checkpoint.npz"))
    other = Tiny(width=9)
    before = other.values()
    assert "another network" in refusal(ValueError, next, other.frames(20, tmp_path / "checkpoint.npz"))
    for one, same in zip(before, other.values(), strict=True):
        np.testing.assert_array_equal(one, same)
    refusal(ValueError, load_checkpoint, tmp_path / "checkpoint.npz", other.variables[:2], Tiny.SETTINGS)


@pytest.mark.parametrize(
    "damage",
    [
        "empty",
        "truncated",
        "random",
        "no header",
        "header is no json",
        "bit flipped",
        "way of packing",
        "encrypted",
        "header is not ours",
    ],
)
def test_a_damaged_checkpoint_is_refused_with_one_sentence(tmp_path, damage):
    path = tmp_path / "checkpoint.npz"
    tiny = Tiny()
    save_checkpoint(path, tiny.variables, 10, Tiny.SETTINGS)
    data = bytearray(path.read_bytes())
    directory = data.rindex(b"PK\x01\x02")
    if damage == "bit flipped":
        data[data.index(b"variable_0000.npy") + 300] ^= 0xFF
    elif damage == "way of packing":
        data[directory + 10] = 77
    elif damage == "encrypted":
        data[directory + 8] |= 1
    made = {"empty": b"", "truncated": data[: len(data) // 2], "random": np.random.default_rng(0).bytes(9000)}
    path.write_bytes(made.get(damage, data))
    arrays = {f"variable_{i:04d}": value for i, value in enumerate(tiny.values())}
    if damage == "no header":
        np.savez(path, **arrays)
    elif damage == "header is no json":
        np.savez(path, header=np.array("{"), **arrays)
    elif damage == "header is not ours":
        np.savez(path, header=np.array(json.dumps({"step": 10})), **arrays)
    assert "delete it" in refusal(ValueError, next, tiny.frames(20, path))


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before_and_the_training_goes_on(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.npz"
    tiny = Tiny()
    frames = tiny.frames(30, path)
    next(frames)
    before = path.read_bytes()

    def full_disk(file, **arrays):
        file.write(b"PK half of a checkpoint")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full_disk)
        alarm_if_unwritten = next(frames)
    assert alarm_if_unwritten.note.startswith("warning: the checkpoint could not be saved (the disk is full")
    assert path.read_bytes() == before
    assert files_in(tmp_path) == ["checkpoint.npz"]
    assert load_checkpoint(path, Tiny().variables, Tiny.SETTINGS) == 10
    assert next(frames).note == ""
    assert load_checkpoint(path, Tiny().variables, Tiny.SETTINGS) == 30


@pytest.mark.parametrize("where", ["loss", "weights", "held out"])
def test_a_training_that_diverges_ends_before_it_is_saved_over_a_good_checkpoint(tmp_path, where):
    path, tiny = tmp_path / "checkpoint.npz", Tiny()

    def train_step(step):
        found = tiny.train_step(step)
        if where == "weights" and step == 15:
            tiny.variables[0].assign(np.full(tiny.variables[0].shape, np.inf, np.float32))
            found = {"loss": tf.constant(0.0)}
        return {"loss": tf.constant(math.nan)} if where == "loss" and step == 15 else found

    def monitor(step):
        return None, {"held_out": math.nan if where == "held out" and step > 10 else 1.0}

    frames = tiny.frames(20, path, train_step=train_step, monitor=monitor)
    next(frames)
    good = path.read_bytes()
    assert "diverged by step 20" in refusal(ValueError, next, frames)
    assert path.read_bytes() == good


def test_a_checkpoint_of_a_training_that_diverged_is_refused_with_one_sentence(tmp_path):
    tiny = Tiny()
    broken = [np.full(variable.shape, np.nan, np.float32) for variable in tiny.variables]
    save_checkpoint(tmp_path / "checkpoint.npz", broken, 10, Tiny.SETTINGS)
    assert "diverged" in refusal(ValueError, next, tiny.frames(20, tmp_path / "checkpoint.npz"))


def test_a_checkpoint_knows_its_data_and_one_that_does_not_say_goes_on(tmp_path):
    path, tiny = tmp_path / "checkpoint.npz", Tiny()
    settings = {**Tiny.SETTINGS, "data": data_hash(np.arange(6).reshape(2, 3).T, np.zeros(2))}
    save_checkpoint(path, tiny.variables, 10, Tiny.SETTINGS)
    assert load_checkpoint(path, tiny.variables, settings) == 10
    save_checkpoint(path, tiny.variables, 10, settings)
    other = {**settings, "data": data_hash(np.arange(6).reshape(2, 3), np.zeros(2))}
    assert "other settings or data" in refusal(ValueError, load_checkpoint, path, tiny.variables, other)
    assert "other settings or data" in refusal(ValueError, load_checkpoint, path, tiny.variables, Tiny.SETTINGS)


# Batches and learning rate


@pytest.mark.parametrize(("size", "batch"), [(12, 4), (13, 4), (4, 4), (50, 7)])
def test_the_batches_of_an_epoch_are_different_examples_and_all_but_the_remainder(size, batch):
    a_pass = size // batch
    for epoch in range(3):
        steps = range(epoch * a_pass, (epoch + 1) * a_pass)
        rows = np.concatenate([batch_indices(size, batch, step, seed=1) for step in steps])
        assert len(rows) == a_pass * batch
        assert len(set(rows.tolist())) == len(rows)
        assert set(rows.tolist()) <= set(range(size))
        np.testing.assert_array_equal(rows, epoch_order(size, epoch, 1)[: len(rows)])


def test_the_order_depends_on_epoch_and_seed_and_on_nothing_else():
    np.testing.assert_array_equal(epoch_order(100, 3, 5), epoch_order(100, 3, 5))
    assert sorted(epoch_order(100, 3, 5)) == list(range(100))
    assert not np.array_equal(epoch_order(100, 3, 5), epoch_order(100, 4, 5))
    assert not np.array_equal(epoch_order(100, 3, 5), epoch_order(100, 3, 6))


def test_the_learning_rate_rises_to_its_peak_and_falls_to_zero():
    rates = [one_cycle(position, 0.4, 0.25) for position in np.linspace(0, 1, 201)]
    assert rates[0] == 0
    assert max(rates) == pytest.approx(0.4)
    assert rates.index(max(rates)) == 50
    assert rates[:51] == sorted(rates[:51])
    assert rates[50:] == sorted(rates[50:], reverse=True)
    assert rates[-1] == pytest.approx(0)
    assert one_cycle(0.125, 0.4, 0.25) == pytest.approx(0.2)
    assert one_cycle(0.625, 0.4, 0.25) == pytest.approx(0.2)
    assert one_cycle(0, 0.4, 0) == pytest.approx(0.4)
