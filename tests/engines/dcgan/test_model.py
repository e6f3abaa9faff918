"""Building blocks of the DCGAN against references: layers, augmentation, directions, distances."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from engines.data.images import SplitImages
from engines.dcgan.augmentation import AUGMENTATIONS, SHIFT, augment
from engines.dcgan.kid import kernel_distance, polynomial_kernel
from engines.dcgan.nearest_neighbors import NearestNeighborIndex
from engines.dcgan.saliency import overlay_saliency
from engines.latent.directions import directions_of_features, first_layer_directions
from engines.nn.layers import MinibatchStandardDeviation, SpectralConv2D, SpectralDense, SteerableDropout
from tests.engines.helpers import blocks, refusal


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


# Layers


@pytest.mark.parametrize("layer", [SpectralConv2D(6, 4, strides=2), SpectralDense(5)])
def test_after_some_iterations_the_largest_singular_value_is_one(layer):
    keras.utils.set_random_seed(1)
    layer.build((None, 8, 8, 3) if isinstance(layer, SpectralConv2D) else (None, 7))
    layer.kernel.assign(3 * random(*layer.kernel.shape))
    for _ in range(60):
        layer.power_iteration()
    matrix = np.asarray(layer.normalized_kernel()).reshape(-1, layer.units)
    assert np.linalg.svd(matrix, compute_uv=False)[0] == pytest.approx(1, abs=1e-4)


def test_a_spectral_convolution_is_kerass_with_the_divided_kernel():
    layer, x = SpectralConv2D(6, 4, strides=2), random(2, 8, 8, 3)
    layer.build(x.shape)
    layer.bias.assign(random(6, seed=1))
    plain = keras.layers.Conv2D(6, 4, strides=2, padding="same")
    plain.build(x.shape)
    plain.set_weights([np.asarray(layer.normalized_kernel()), np.asarray(layer.bias)])
    np.testing.assert_allclose(layer(x), plain(x), atol=1e-5)
    assert layer.compute_output_shape((None, 8, 8, 3)) == (None, 4, 4, 6)


def test_the_singular_vectors_count_as_constant_in_the_gradient():
    # d sigma / d W = v uᵀ, as in the paper's equation 12; the gradient of W / sigma follows.
    layer = SpectralDense(4)
    layer.build((None, 3))
    for _ in range(50):
        layer.power_iteration()
    weights = np.asarray(layer.kernel)
    left, sigmas, right = np.linalg.svd(weights)
    toward = random(3, 4, seed=2)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(layer.normalized_kernel() * toward)
    found = tape.gradient(value, layer.kernel.value)
    outer = np.outer(left[:, 0], right[0])
    expected = (toward - np.sum(toward * weights / sigmas[0]) * outer) / sigmas[0]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_dropout_hides_the_share_that_it_is_told_between_calls_and_keeps_the_mean():
    keras.utils.set_random_seed(0)
    layer, ones = SteerableDropout(0.0), np.ones((100, 200), np.float32)
    np.testing.assert_array_equal(layer(ones, training=True), ones)
    layer.rate.assign(0.25)
    some = np.asarray(layer(ones, training=True))
    assert np.mean(some == 0) == pytest.approx(0.25, abs=0.02)
    assert some.mean() == pytest.approx(1, abs=0.03)
    np.testing.assert_array_equal(layer(ones, training=False), ones)


def test_the_deviation_is_that_of_each_group_and_outside_training_the_usual_one():
    layer, x = MinibatchStandardDeviation(4, momentum=0.0), random(8, 2, 2, 3)
    out = np.asarray(layer(x, training=True))
    np.testing.assert_array_equal(out[..., :3], x)
    for group in (slice(0, 4), slice(4, 8)):
        np.testing.assert_allclose(out[group, ..., 3], x[group].std(0).mean(), rtol=1e-4)
    alone = np.asarray(layer(x[:1], training=False))
    np.testing.assert_allclose(alone[..., 3], out[[0, 4], 0, 0, 3].mean(), rtol=1e-4)


# Augmentation


def test_augmentation_changes_each_image_in_its_own_way_and_the_same_way_again():
    images = tf.constant(blocks(4)[[0, 0, 1, 2]], tf.float32) / 255
    seed = tf.constant([3, 4])
    assert augment(images, seed, "none") is images
    for kind in AUGMENTATIONS[1:]:
        changed = augment(images, seed, kind)
        assert changed.shape == images.shape
        assert not np.allclose(changed[0], changed[1])
        np.testing.assert_array_equal(changed, augment(images, seed, kind))
        assert not np.allclose(changed, augment(images, seed + 1, kind))


def test_a_shift_moves_pixels_and_lets_black_in():
    whole = np.zeros((64, 64, 64, 3), np.float32)
    whole[:, 32, 32] = 1
    moved = np.asarray(augment(tf.constant(whole), tf.constant([0, 0]), "colour and shift"))
    brightest = moved.sum(-1).reshape(64, -1).argmax(1)
    rows, columns = brightest // 64 - 32, brightest % 64 - 32
    assert max(abs(rows).max(), abs(columns).max()) <= SHIFT
    assert len(set(rows)) > 10
    assert len(set(columns)) > 10


def test_what_comes_back_through_the_augmentation_is_its_gradient():
    images = tf.constant(blocks(2), tf.float32) / 255
    toward = random(2, 64, 64, 3, seed=5)
    with tf.GradientTape() as tape:
        tape.watch(images)
        value = tf.reduce_sum(augment(images, tf.constant([1, 2]), "colour and shift") * toward)
    slope = np.asarray(tape.gradient(value, images))
    step = 0.01 * random(2, 64, 64, 3, seed=6)
    ahead = tf.reduce_sum(augment(images + step, tf.constant([1, 2]), "colour and shift") * toward)
    # The augmentation is linear in the image.
    assert float(ahead - value) == pytest.approx(float(np.sum(slope * step)), rel=2e-2)


# Directions


def test_the_first_layers_directions_are_its_left_singular_vectors():
    matrix = random(6, 40)
    found = first_layer_directions(matrix, 3)
    left, _, _ = np.linalg.svd(matrix)
    for direction, vector in zip(found, left.T, strict=False):
        assert abs(direction @ vector) == pytest.approx(1, abs=1e-5)
        assert direction[np.abs(direction).argmax()] > 0


def test_directions_of_features_find_what_the_features_are_made_of():
    latents = random(4000, 8)
    mixing, _ = np.linalg.qr(random(8, 8, seed=1))
    strengths = np.array([5.0, 3.0, 1.0, 0, 0, 0, 0, 0])
    features = (latents @ mixing * strengths) @ random(8, 30, seed=2) * 0.2
    found = directions_of_features(latents, features, 3)
    np.testing.assert_allclose(found.directions @ found.directions.T, np.eye(3), atol=1e-5)
    # The features depend on these three directions only.
    inside = found.directions @ mixing[:, :3]
    np.testing.assert_allclose(np.linalg.svd(inside, compute_uv=False), 1, atol=0.02)


# Distances between sets


def test_the_kernel_distance_is_the_unbiased_estimate_written_out():
    first, second = random(5, 7), random(4, 7, seed=1) + 0.5

    def kernel(a, b):
        return (sum(float(x) * float(y) for x, y in zip(a, b, strict=True)) / 7 + 1) ** 3

    def among(rows):
        return sum(kernel(a, b) for a, b in itertools.permutations(rows, 2)) / (len(rows) * (len(rows) - 1))

    across = sum(kernel(a, b) for a in first for b in second) / 20
    assert kernel_distance(first, second) == pytest.approx(among(first) + among(second) - 2 * across, rel=1e-6)
    assert polynomial_kernel(first, second).shape == (5, 4)


def test_the_kernel_distance_of_one_source_with_itself_is_about_nothing():
    same = np.mean([kernel_distance(random(200, 16, seed=i), random(200, 16, seed=100 + i)) for i in range(6)])
    other = kernel_distance(random(200, 16), random(200, 16, seed=1) + 0.5)
    assert abs(same) < 0.05 * other
    assert "two pictures" in refusal(ValueError, kernel_distance, random(1, 4), random(3, 4))


# Nearest images


def test_a_training_image_is_nearest_to_itself_from_either_side():
    train = blocks(30)
    names = tuple(f"{i}.png" for i in range(30))
    neighbourhood = NearestNeighborIndex(SplitImages(train, blocks(4, seed=9), names))
    for image in (train[17], train[17][:, ::-1]):
        first, second = neighbourhood.nearest(image, 2)
        assert (first.name, first.distance) == ("17.png", pytest.approx(0, abs=1e-3))
        np.testing.assert_array_equal(first.image, image)
        assert second.distance > 0.1
    assert neighbourhood.typical_distance > 0.1
    assert "do not have the size" in refusal(ValueError, neighbourhood.nearest, train[0, :32])


def test_a_lit_image_is_dim_where_nothing_is_looked_at():
    white = np.full((4, 4, 3), 255, np.uint8)
    where = np.zeros((4, 4))
    where[1, 2] = 1
    shown = overlay_saliency(white, where)
    assert shown[1, 2].tolist() == [255, 255, 255]
    assert shown[0, 0, 0] < 60
