"""Distillation: the style branch learns the features of its teacher, and an interrupted training is resumed exactly."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from engines.backbones import studio_vgg
from engines.backbones.backbone import Backbone, untrained_backbone
from engines.backbones.config import DistillationConfig
from engines.backbones.distillation import TEACHER_LAYERS, train
from engines.backbones.hints import crops, gram, isometry_error, relative
from engines.data.images import whole_images
from tests.engines.helpers import blocks, refusal, zip_of

SHORT = DistillationConfig(steps=6, batch_size=2, paintings=2, size=32, largest_scale=1.5, paintings_age=4, interval=3)


@pytest.fixture(autouse=True)
def same_precision() -> Iterator[None]:
    """Training chooses Keras's number format for the whole process; give the other tests theirs back."""
    policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(policy)


@pytest.fixture(scope="module")
def teacher() -> Backbone:
    keras.utils.set_random_seed(1)
    return untrained_backbone("vgg19")


@pytest.fixture
def data(tmp_path) -> Path:
    """Photos and paintings."""
    (tmp_path / "paintings").mkdir()
    zip_of(tmp_path / "photos.zip", blocks(4))
    for number, image in enumerate(blocks(2, seed=1)):
        Image.fromarray(image).save(tmp_path / "paintings" / f"{number}.png")
    return tmp_path


def distilled(config: DistillationConfig, data: Path, teacher: Backbone, name: str = "a", until: int = 10**6):
    """The frames of a training up to a step, and what it has written."""
    output, frames = data / f"{name}.npz", []
    for frame in train(config, data, data / "paintings", teacher, data / f"{name}-so-far.npz", output):
        frames.append(frame)
        if frame.step >= until:
            break
    return frames, dict(np.load(output)) if output.exists() else {}


@pytest.mark.usefixtures("eagerly")
def test_a_training_that_is_resumed_ends_with_the_very_same_weights(data, teacher):
    _, straight = distilled(SHORT, data, teacher)
    distilled(SHORT, data, teacher, "b", until=3)
    _, resumed = distilled(SHORT, data, teacher, "b")
    assert sorted(straight) == sorted(f"{name}/{part}" for name in TEACHER_LAYERS for part in ("kernel", "bias"))
    for name, values in straight.items():
        np.testing.assert_array_equal(values, resumed[name])


def test_what_is_learnt_brings_the_features_nearer_and_fits_the_network(data, teacher):
    frames, weights = distilled(dataclasses.replace(SHORT, steps=40, interval=10), data, teacher)
    assert frames[-1].metrics["loss"] < 0.8 * frames[0].metrics["loss"]
    assert all(0 < frame.metrics["painted"] < 1 for frame in frames)
    assert frames[-1].image.shape == (32, 64, 3), "the paintings in the making"
    network = studio_vgg.build_features(normalised=False)
    for name in TEACHER_LAYERS:
        network.get_layer(name).set_weights([weights[f"{name}/kernel"], weights[f"{name}/bias"]])


def test_crops_are_squares_of_the_images_at_many_scales():
    ramp = np.broadcast_to(np.arange(96, dtype=np.uint8)[None, :, None], (64, 96, 3))
    found = crops([ramp], 20, 16, 3.0, np.random.default_rng(0))
    assert found.shape == (20, 16, 16, 3)
    spans = np.abs(found[:, 8, -1, 0] - found[:, 8, 0, 0]) * 127.5
    assert spans.min() < 20
    assert spans.max() > 35
    mirrored = found[:, 8, -1, 0] < found[:, 8, 0, 0]
    assert 0 < mirrored.sum() < 20


def test_gram_matrices_and_distances_are_those_of_numpy():
    features = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    flat = features.reshape(2, 12, 5)
    np.testing.assert_allclose(gram(tf.constant(features)), np.einsum("bnc,bnd->bcd", flat, flat) / 12, atol=1e-5)
    with tf.GradientTape() as tape:
        wanted = tf.constant(features)
        tape.watch(wanted)
        answer = tf.reduce_sum(gram(wanted) * tf.reshape(tf.range(50.0), (2, 5, 5)))
    weights = np.arange(50.0).reshape(2, 5, 5)
    expected = np.einsum("bnc,bcd->bnd", flat, (weights + weights.transpose(0, 2, 1)) / 12)
    np.testing.assert_allclose(tape.gradient(answer, wanted), expected.reshape(features.shape), rtol=1e-5, atol=1e-5)
    assert relative(tf.zeros((1, 3)), tf.ones((1, 3))).numpy() == pytest.approx([1], abs=1e-5)
    assert relative(tf.ones((1, 3)), tf.ones((1, 3))).numpy() == [0]
    found = tf.constant([[1.0, 1], [2, 0], [0, 0]])
    assert relative(found, tf.ones((3, 2)), [slice(1), slice(1, None)]).numpy() == pytest.approx([0, 1], abs=1e-5)


def test_an_isometry_has_no_error_at_any_size():
    isometry, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(8, 5)))
    assert float(isometry_error(tf.constant(3 * isometry.T, tf.float32))) == pytest.approx(0, abs=1e-5)
    assert float(isometry_error(tf.constant(isometry, tf.float32))) == pytest.approx(0, abs=1e-5)
    assert float(isometry_error(tf.constant([[1.0, 0, 0], [1, 0, 0]]))) > 0.5


def test_images_that_are_too_small_are_left_out_and_named(tmp_path):
    path = zip_of(tmp_path / "photos.zip", [np.zeros((20, 90, 3), np.uint8), np.zeros((40, 90, 3), np.uint8)])
    found, told = whole_images(path, 32)
    assert [image.shape for image in found] == [(40, 90, 3)]
    assert "shorter than 32 pixels" in told[0]
    assert whole_images(path, 16, held_out=["01.png"])[0][0].shape == (20, 90, 3)
    assert "no images" in refusal(ValueError, whole_images, path, 64)
