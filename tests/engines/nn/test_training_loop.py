"""Training: exact resume, never from the wrong checkpoint; layers and schedules against references."""

from __future__ import annotations

import dataclasses
import json
import math
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from engines.backbones import studio_vgg
from engines.backbones import training as backbone_training
from engines.backbones.backbone import Backbone, load_backbone, untrained_backbone
from engines.backbones.config import BackboneTrainingConfig
from engines.backbones.training import crop_size, evaluate, random_boxes
from engines.data.images import labelled_pictures
from engines.nn.layers import FusedBatchNormalization
from engines.nn.precision import processor_flags
from engines.nn.training_loop import (
    batch_indices,
    data_hash,
    epoch_order,
    load_checkpoint,
    one_cycle,
    save_checkpoint,
    train_frames,
)
from engines.weights.store import WeightsStore
from tests.engines.helpers import as_png, files_in, is_one_sentence, refusal


@pytest.fixture(autouse=True)
def same_precision():
    """Restore Keras's global dtype policy, which training changes."""
    policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(policy)


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


# The loop


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
    assert alarm_if_unwritten.note.startswith("alarm: the checkpoint could not be saved (the disk is full")
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


# Data


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


def zip_of(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def flat_png(color: tuple[int, int, int], side: int = 64) -> bytes:
    return as_png(np.full((side, side, 3), color, np.uint8))


def test_pictures_are_read_with_their_folders_names_as_classes(tmp_path):
    files = {
        "train/zebra/2.png": flat_png((1, 2, 3)),
        "train/ant/b.PNG": flat_png((40, 50, 60), side=30),
        "train/ant/a.png": flat_png((7, 8, 9)),
        "train/ant/notes.txt": b"not an image",
        "loose.png": flat_png((0, 0, 0)),
    }
    pictures = labelled_pictures(zip_of(tmp_path / "some.zip", files))
    assert pictures.classes == ("ant", "zebra")
    assert pictures.labels.tolist() == [0, 0, 1]
    assert pictures.labels.dtype == np.int32
    assert pictures.images.shape == (3, 64, 64, 3)
    assert pictures.images.dtype == np.uint8
    assert [image[0, 0].tolist() for image in pictures.images] == [[7, 8, 9], [40, 50, 60], [1, 2, 3]]
    assert all((image == image[0, 0]).all() for image in pictures.images)


def test_data_that_is_missing_or_no_zip_or_holds_no_pictures_is_refused_with_one_sentence(tmp_path):
    (tmp_path / "text.zip").write_text("no zip")
    zip_of(tmp_path / "loose.zip", {"loose.png": flat_png((1, 1, 1)), "folder/notes.txt": b"text"})
    for name in ("nowhere.zip", "text.zip", "loose.zip"):
        assert name in refusal(ValueError, labelled_pictures, tmp_path / name)


@pytest.mark.parametrize("damage", ["no picture", "bit flipped"])
def test_a_damaged_picture_in_a_zip_is_left_out_with_one_sentence(tmp_path, damage):
    name, good = tmp_path / "some.zip", flat_png((200, 2, 3))
    zip_of(name, {"a/1.png": good, "a/2.png": b"no picture" if damage == "no picture" else good})
    if damage == "bit flipped":
        data = bytearray(name.read_bytes())
        data[data.rindex(b"IDAT") + 8] ^= 0xFF
        name.write_bytes(data)
    pictures = labelled_pictures(name)
    assert len(pictures.images) == len(pictures.labels) == 1
    (sentence,) = pictures.left_out
    assert sentence.startswith("a/2.png was skipped: ")
    assert is_one_sentence(sentence)


# Layers and schedules


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


@pytest.mark.parametrize(("first", "last"), [(40, 56), (16, 24), (48, 48), (40, 45), (16, 64)])
def test_crops_grow_from_the_first_size_to_the_last_and_stay_there(first, last):
    sizes = [crop_size(position, first, last) for position in np.linspace(0, 1, 201)]
    assert (sizes[0], sizes[-1]) == (first, last)
    assert sizes == sorted(sizes)
    assert {(size - first) % 8 for size in sizes if size != last} <= {0}
    assert set(sizes[120:]) == {last}
    # Each size gets its share of the steps.
    shares = [sizes[:120].count(size) for size in sorted(set(sizes[:120]))]
    assert first == last or max(shares) <= 2.5 * min(shares)


def test_a_first_size_above_the_last_is_refused_or_never_gives_crops_without_pixels():
    try:
        config = BackboneTrainingConfig(first_size=64, last_size=16)
    except ValueError as error:
        sentence = str(error)
        sizes = [1]
    else:
        sentence = "It is allowed."
        sizes = [crop_size(position, config.first_size, config.last_size) for position in np.linspace(0, 1, 50)]
    assert is_one_sentence(sentence)
    assert min(sizes) > 0


@pytest.mark.parametrize("least", [0.05, 0.4, 1.0])
def test_random_crops_lie_in_the_picture_and_cover_enough_of_it(least):
    boxes = random_boxes(5000, least, np.random.default_rng(0))
    assert boxes.shape == (5000, 4)
    assert boxes.dtype == np.float32
    assert boxes.min() >= 0
    assert boxes.max() <= 1
    top, left, bottom, right = boxes.T
    mirrored = left > right
    assert 0.45 < mirrored.mean() < 0.55
    height, width = bottom - top, np.abs(right - left)
    # A side that would stick out is cut, which costs at most what the aspect of 4:3 adds to it.
    assert (height * width).min() >= least * math.sqrt(3 / 4) - 1e-5
    ratio = width / height
    assert ratio.min() >= 3 / 4 - 1e-4
    assert ratio.max() <= 4 / 3 + 1e-4


def test_shifted_crops_are_the_pixels_themselves_moved_or_mirrored():
    side, reach = 20, backbone_training.MAX_SHIFT
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3)).astype(np.uint8)
    boxes = backbone_training.shifted_boxes(40, side, np.random.default_rng(1))
    crops = tf.image.crop_and_resize(image[None], boxes, [0] * 40, [side, side], extrapolation_value=127.5).numpy()
    wide = np.pad(image.astype(np.float32), ((reach, reach), (reach, reach), (0, 0)), constant_values=127.5)
    moves = set()
    for (top, left, _, right), crop in zip(boxes, crops, strict=True):
        down, across = round(top * (side - 1)), round(min(left, right) * (side - 1))
        expected = wide[reach + down :, reach + across :][:side, :side]
        # Where rounding puts a line a hair beyond the edge it is grey: look within.
        inside = np.s_[reach:-reach, reach:-reach]
        np.testing.assert_allclose(crop[inside], (expected[:, ::-1] if left > right else expected)[inside], atol=0.05)
        moves.add((down, across, bool(left > right)))
    assert len(moves) > 30
    assert {mirrored for _, _, mirrored in moves} == {True, False}
    assert max(abs(move) for down, across, _ in moves for move in (down, across)) == reach


def test_the_processors_flags_are_read_and_none_where_there_is_no_list(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nflags\t\t: fpu sse amx_bf16\n\nprocessor\t: 1\nflags\t\t: fpu\n")
    assert processor_flags(tmp_path / "cpuinfo") == {"fpu", "sse", "amx_bf16"}
    assert processor_flags(tmp_path / "nowhere") == frozenset()


# The bundled backbone, end to end on next to nothing


QUICK = BackboneTrainingConfig(
    epochs=1, batch_size=4, photos=2, hinted=1, first_size=80, last_size=80, interval=2, learning_rate=0.01
)


@pytest.fixture(scope="module")
def teacher() -> Backbone:
    keras.utils.set_random_seed(1)
    return untrained_backbone("inception_v3")


@pytest.fixture
def data(tmp_path) -> Path:
    """Training and validation pictures of two classes, eight of each."""
    folder = tmp_path / "data"
    folder.mkdir()
    rng = np.random.default_rng(0)

    def pictures(path):
        files = {}
        for name, color in (("dark", 40), ("light", 215)):
            for i in range(8):
                image = np.clip(rng.normal(color, 20, (64, 64, 3)), 0, 255).astype(np.uint8)
                files[f"{path}/{name}/{i}.png"] = as_png(image)
        return files

    zip_of(folder / "tiny_imagenet_train.zip", pictures("train"))
    zip_of(folder / "tiny_imagenet_val.zip", pictures("val"))
    photos = [rng.integers(0, 256, (90, 120, 3)).astype(np.uint8) for _ in range(3)]
    zip_of(folder / "photos.zip", {f"{number}.png": as_png(photo) for number, photo in enumerate(photos)})
    np.savez(folder / "first_blocks.npz", **first_blocks())
    return folder


def first_blocks() -> dict[str, np.ndarray]:
    """Random weights of blocks 1 to 3."""
    network, weights = studio_vgg.build_features(normalised=True), {}
    for name in studio_vgg.layer_names(studio_vgg.FIRST_BLOCKS):
        weights[f"{name}/kernel"], weights[f"{name}/bias"] = network.get_layer(name).get_weights()
    return weights


def trained(config: BackboneTrainingConfig, data: Path, teacher: Backbone, checkpoint=None, output=None):
    frames = backbone_training.train(config, data, data / "first_blocks.npz", teacher, checkpoint, output)
    return (frame for frame in frames if not frame.preparing)


def test_the_bundled_backbone_is_trained_and_written_and_read_again(data, teacher, tmp_path):
    output, checkpoint = tmp_path / "out" / "studio_vgg.npz", tmp_path / "checkpoint.npz"
    frames = list(trained(QUICK, data, teacher, checkpoint, output))
    assert [(frame.step, frame.total) for frame in frames] == [(2, 4), (4, 4)]
    for frame in frames:
        assert {"loss", "accuracy", "top1", "learning_rate"} <= set(frame.metrics)
        assert all(math.isfinite(value) for value in frame.metrics.values())
        assert 0 <= frame.metrics["top1"] <= 1
    assert files_in(output.parent) == ["studio_vgg.npz"]
    assert evaluate(output, data) == {"top1": pytest.approx(frames[-1].metrics["top1"], abs=0.13), "pictures": 16}
    with np.load(output, allow_pickle=False) as arrays:
        assert arrays["classes"].tolist() == ["dark", "light"]
        assert all(np.isfinite(arrays[name]).all() for name in arrays.files if name != "classes")
    backbone = load_backbone("studio_vgg", WeightsStore(folders=(output.parent,)), dtype="float32")
    assert np.isfinite(backbone.extractor(["block5_conv2"])(tf.zeros((1, 32, 32, 3)))[0]).all()
    # All that the same command does a second time is to write the same weights.
    first = output.rename(tmp_path / "first.npz")
    assert list(trained(QUICK, data, teacher, checkpoint, output)) == []
    with np.load(first) as one, np.load(output) as other:
        assert one.files == other.files
        for name in one.files:
            np.testing.assert_array_equal(one[name], other[name])
    changed = dataclasses.replace(QUICK, weight_decay=0.1)
    assert "other settings" in refusal(ValueError, next, trained(changed, data, teacher, checkpoint, output))
    # Nor does it write them as if they were learnt from other data.
    written = output.read_bytes()
    grey = {f"train/{name}/{i}.png": flat_png((i, i, i)) for name in ("dark", "light") for i in range(8)}
    zip_of(data / "tiny_imagenet_train.zip", grey)
    again = trained(QUICK, data, teacher, checkpoint, output)
    assert "other settings or data" in refusal(ValueError, next, again)
    assert output.read_bytes() == written


def test_training_without_data_or_with_other_classes_is_refused_with_one_sentence(data, teacher, tmp_path):
    nowhere = trained(QUICK, tmp_path / "nowhere", teacher)
    assert "tiny_imagenet_train.zip" in refusal(ValueError, next, nowhere)
    zip_of(data / "tiny_imagenet_val.zip", {"val/other/1.png": flat_png((1, 1, 1))})
    assert "same classes" in refusal(ValueError, next, trained(QUICK, data, teacher))


@pytest.mark.parametrize(("content", "said"), [(None, "engines.train distillation"), (b"no", "cannot be read")])
def test_training_on_first_blocks_that_are_missing_or_damaged_is_refused_with_one_sentence(
    data, teacher, content, said
):
    (data / "first_blocks.npz").unlink()
    if content:
        (data / "first_blocks.npz").write_bytes(content)
    assert said in refusal(ValueError, next, trained(QUICK, data, teacher))


@pytest.mark.parametrize("side", [80, 96, 112, 128, 144])
@pytest.mark.parametrize("layer", backbone_training.TEACHER_LAYERS)
def test_a_layer_is_taught_what_the_teacher_sees_at_the_same_place(teacher, layer, side):
    ((ours,), (theirs,)) = (
        (found[0].shape[0] for found in one.extractor([name])(tf.zeros((1, side, side, 3))))
        for one, name in ((untrained_backbone("studio_vgg"), layer), (teacher, backbone_training.TEACHER_LAYERS[layer]))
    )
    stride = 8 if layer.startswith("block4") else 16
    middles = np.arange(ours, dtype=np.float32) * stride + (stride - 1) / 2
    places = np.broadcast_to(middles[:, None, None], (ours, ours, 1))
    found = backbone_training.hint(tf.constant(places[None]), layer, (theirs, theirs))[0, :, :, 0]
    assert found.shape == (theirs, theirs)
    step, start = (32, 37) if backbone_training.TEACHER_LAYERS[layer] == "mixed8" else (16, 21)
    np.testing.assert_allclose(found, np.arange(theirs)[:, None] * step + start + np.zeros(theirs), atol=6)


def test_a_cell_of_the_teachers_looks_where_it_is_said_to(teacher):
    """The middle of all pixels that a cell of `mixed4` depends on; what follows it is padded alike on both sides."""
    features, (cell, side) = teacher.extractor(["mixed4"]), (14, 500)
    picture = tf.random.stateless_uniform((1, side, side, 3), (0, 0), -1, 1)
    with tf.GradientTape() as tape:
        tape.watch(picture)
        (found,) = features(picture)
        answer = tf.reduce_sum(found[0, cell, cell])
    touched = np.nonzero(np.abs(tape.gradient(answer, picture).numpy()[0]).sum((1, 2)))[0]
    assert 0 < touched[0] < touched[-1] < side - 1
    assert (touched[0] + touched[-1]) / 2 == pytest.approx(16 * cell + 21, abs=1)
