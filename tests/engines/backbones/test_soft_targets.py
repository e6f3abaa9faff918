"""Soft targets: cross-fitted, cached, and those of an independent regression."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from engines.backbones import soft_targets as module
from engines.backbones.backbone import Backbone, untrained_backbone
from engines.backbones.soft_targets import fit_classifier, pooled_features, soft_targets
from engines.data.images import LabelledPictures


@pytest.fixture(scope="module")
def teacher() -> Backbone:
    return untrained_backbone("inception_v3")


def labelled(count: int = 40) -> LabelledPictures:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 64, 64, 3)).astype(np.uint8)
    return LabelledPictures(images, (np.arange(count) % 2).astype(np.int32), ("a", "b"), ())


def test_features_are_the_mean_of_the_teachers_last_layer(teacher):
    images = labelled(3).images
    found = pooled_features(teacher, images, batch_size=2)
    enlarged = tf.image.resize(images, (module.SIDE, module.SIDE), method="bicubic") / 127.5 - 1
    expected = teacher.network(enlarged).numpy().mean((1, 2))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_a_classifier_tells_classes_apart_that_a_plane_separates():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(20_000, 8)).astype(np.float32)
    labels = (features @ np.arange(-4.0, 4.0) > 0).astype(np.int32)
    kernel, bias = fit_classifier(features[:10_000], labels[:10_000], 2, 0)
    assert ((features[10_000:] @ kernel + bias).argmax(1) == labels[10_000:]).mean() > 0.9


def test_an_image_is_scored_by_a_classifier_that_has_not_seen_its_label(teacher, monkeypatch):
    pictures = labelled()
    # Each image can be told by its own feature alone: a classifier that was fitted to it would know its label.
    monkeypatch.setattr(module, "pooled_features", lambda *_: np.eye(40, dtype=np.float32))
    probabilities = tf.nn.softmax(soft_targets(teacher, pictures)).numpy()
    assert probabilities.shape == (40, 2)
    assert probabilities[np.arange(40), pictures.labels].mean() < 0.6


def test_targets_are_read_from_the_cache_if_they_are_of_the_same_images(teacher, tmp_path, monkeypatch):
    cache, pictures = tmp_path / "targets.npz", labelled()
    rng = np.random.default_rng(0)
    monkeypatch.setattr(module, "pooled_features", lambda *_: rng.normal(size=(40, 5)).astype(np.float32))
    first = soft_targets(teacher, pictures, cache)
    np.testing.assert_array_equal(soft_targets(teacher, pictures, cache), first)
    others = labelled()
    others.images[0] = 0
    assert np.abs(soft_targets(teacher, others, cache) - first).max() > 0.01
    cache.write_bytes(b"damaged")
    assert np.isfinite(soft_targets(teacher, pictures, cache)).all()
