"""One step of gradient ascent: its objective against other ways to work it out, whole or in tiles."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf

from engines.deep_dream.gradient_ascent import GUIDE_CELLS, GradientAscent, normalized, spans
from engines.imaging.images import to_float
from tests.engines.dreams import features_of, large_image, without_border

LAYERS = {"block2_conv2": 1.0, "block3_conv2": 2.0}


def ascent(backbone, weights, *, guided=False, single_channel=False) -> GradientAscent:
    return GradientAscent(backbone, tuple(weights), guided=guided, single_channel=single_channel)


# The objective


def test_the_loss_is_the_weighted_mean_of_squares_without_the_border(sample_image, studio_vgg):
    image = to_float(sample_image)
    features = features_of(studio_vgg, image, LAYERS)
    expected = sum(w * np.mean(without_border(f) ** 2) for w, f in zip(LAYERS.values(), features, strict=True))
    with_border = sum(w * np.mean(f**2) for w, f in zip(LAYERS.values(), features, strict=True))
    loss = (
        ascent(studio_vgg, LAYERS)
        .step(tf.constant(image), layer_weights=LAYERS, step_size=0, by_mean_absolute=True)
        .loss
    )
    assert loss == pytest.approx(expected, rel=1e-4)
    assert abs(expected / with_border - 1) > 1e-3, "the border must matter for this to say something"


def test_features_too_small_to_lose_their_border_count_whole(sample_image, studio_vgg):
    weights = {"block5_conv2": 1.0}
    image = to_float(sample_image)
    (features,) = features_of(studio_vgg, image, weights)
    assert features.shape[1:3] == (3, 4)
    loss = (
        ascent(studio_vgg, weights)
        .step(tf.constant(image), layer_weights=weights, step_size=0, by_mean_absolute=True)
        .loss
    )
    assert loss == pytest.approx(np.mean(features**2), rel=1e-4)


def test_with_a_channel_the_loss_is_of_that_channel_alone(sample_image, studio_vgg):
    image = to_float(sample_image)
    step = ascent(studio_vgg, LAYERS, single_channel=True).step
    features = [without_border(f) for f in features_of(studio_vgg, image, LAYERS)]
    for channel in (0, 5, 63):
        expected = sum(w * np.mean(f[..., channel] ** 2) for w, f in zip(LAYERS.values(), features, strict=True))
        result = step(tf.constant(image), layer_weights=LAYERS, step_size=0, by_mean_absolute=True, channel=channel)
        assert result.loss == pytest.approx(expected, rel=1e-4)


def test_with_a_guide_the_loss_is_the_mean_of_the_best_matches(sample_image, studio_vgg):
    image, guide = to_float(sample_image), to_float(sample_image[::-1, :40])
    guided = ascent(studio_vgg, LAYERS, guided=True)
    cells = guided.guide_features(guide)
    expected = 0.0
    own, others = features_of(studio_vgg, image, LAYERS), features_of(studio_vgg, guide, LAYERS)
    for weight, mine, theirs, kept in zip(LAYERS.values(), own, others, cells, strict=True):
        flat = theirs.reshape(-1, theirs.shape[-1])
        np.testing.assert_allclose(kept, flat, rtol=1e-4, atol=1e-6)
        products = without_border(mine).reshape(-1, mine.shape[-1]) @ flat.T
        expected += weight * products.max(axis=1).mean()
    result = guided.step(tf.constant(image), layer_weights=LAYERS, step_size=0, by_mean_absolute=True, guide=cells)
    assert result.loss == pytest.approx(expected, rel=1e-4)


def test_a_large_guide_is_thinned_evenly_to_the_cells_that_are_compared(studio_vgg):
    guide = np.random.default_rng(0).uniform(-1, 1, (1, 96, 120, 3)).astype(np.float32)
    (features,) = features_of(studio_vgg, guide, ["block2_conv2"])
    (cells,) = ascent(studio_vgg, {"block2_conv2": 1.0}, guided=True).guide_features(guide)
    stride = math.ceil(48 * 60 / GUIDE_CELLS)
    assert GUIDE_CELLS / 2 < len(cells) <= GUIDE_CELLS
    np.testing.assert_allclose(cells, features.reshape(-1, 64)[::stride], rtol=1e-4, atol=1e-6)


def test_a_step_moves_along_the_normalised_gradient_of_the_loss(sample_image, studio_vgg):
    image = tf.constant(to_float(sample_image))
    extract = studio_vgg.extractor(tuple(LAYERS))
    with tf.GradientTape() as tape:
        tape.watch(image)
        pairs = zip(LAYERS.values(), extract(image), strict=True)
        loss = tf.add_n([w * tf.reduce_mean(tf.square(f[:, 2:-2, 2:-2])) for w, f in pairs])
    gradient = tape.gradient(loss, image).numpy()
    lengths = {True: np.abs(gradient).mean(), False: np.sqrt((gradient**2).sum())}
    for by_mean_absolute, length in lengths.items():
        result = ascent(studio_vgg, LAYERS).step(
            image, layer_weights=LAYERS, step_size=2.0, by_mean_absolute=by_mean_absolute
        )
        expected = 2.0 * gradient / length
        np.testing.assert_allclose(result.image - image, expected, atol=2e-3 * np.abs(expected).max())


def test_normalisation_divides_by_the_l2_norm_or_by_the_mean_absolute_value():
    gradient = np.random.default_rng(0).normal(size=(1, 6, 8, 3)).astype(np.float32) * 1e-3
    by_l2 = normalized(tf.constant(gradient), False).numpy()
    by_mean = normalized(tf.constant(gradient), True).numpy()
    np.testing.assert_allclose(by_l2, gradient / np.sqrt((gradient**2).sum()), rtol=1e-5)
    np.testing.assert_allclose(by_mean, gradient / np.abs(gradient).mean(), rtol=1e-5)
    for by_mean_absolute in (True, False):
        assert (normalized(tf.zeros((1, 2, 2, 3)), by_mean_absolute).numpy() == 0).all()


def test_a_shift_moves_the_image_there_and_back(sample_image, studio_vgg):
    image = tf.constant(to_float(sample_image))
    options = {"layer_weights": LAYERS, "step_size": 0.05, "by_mean_absolute": True}
    step = ascent(studio_vgg, LAYERS).step
    moved = step(tf.roll(image, (5, -7), axis=(1, 2)), **options).image
    shifted = step(image, shift=(5, -7), **options).image
    np.testing.assert_allclose(tf.roll(moved, (-5, 7), axis=(1, 2)), shifted, atol=1e-5)
    assert np.abs(shifted - step(image, **options).image).max() > 1e-3


# Tiles


@pytest.mark.parametrize("length", [1, 16, 128, 129, 300])
def test_spans_cut_a_length_into_pieces_of_at_most_a_tile_wherever_the_grid_is(length):
    for tile, shift in itertools.product((128, 131), (-300, -129, -128, -1, 0, 1, 5, 127, 128, 260)):
        pieces = spans(length, tile, shift)
        assert [i for start, end in pieces for i in range(start, end)] == list(range(length))
        assert all(0 < end - start <= tile for start, end in pieces)


def test_the_grid_of_tiles_moves_with_the_shift():
    assert spans(300, 128, 0) == [(0, 128), (128, 256), (256, 300)]
    assert spans(300, 128, 10) == [(0, 10), (10, 138), (138, 266), (266, 300)]
    assert spans(300, 128, -10) == [(0, 118), (118, 246), (246, 300)]


def moves_inside(image: tf.Tensor, result: tf.Tensor) -> np.ndarray:
    """How a step moved each value, but for the border, which does not count and so moves at random."""
    return (result - image).numpy()[:, 8:-8, 8:-8].ravel()


@pytest.mark.parametrize("shift", [(0, 0), (32, -48)])
@pytest.mark.usefixtures("narrow_margins")
def test_a_step_in_tiles_is_close_to_the_step_of_the_whole_image(studio_vgg, shift):
    image = tf.constant(to_float(large_image()))
    weights = {"block3_conv2": 1.0}
    step = ascent(studio_vgg, weights).step
    options = {"layer_weights": weights, "step_size": 1.0, "by_mean_absolute": True}
    whole, tiled = step(image, **options), step(image, tile_size=96, shift=shift, **options)
    moves = [moves_inside(image, result.image) for result in (whole, tiled)]
    assert np.corrcoef(moves)[0, 1] > 0.99
    assert np.abs(moves[1]).mean() == pytest.approx(np.abs(moves[0]).mean(), rel=0.1)
    assert tiled.loss == pytest.approx(whole.loss, rel=0.2)


@pytest.mark.usefixtures("narrow_margins")
def test_tiles_off_the_grid_of_the_pooling_differ_no_more_than_a_jittered_step_does(studio_vgg):
    # An image rolled by half a pooling window is pooled differently; so is a tile that begins there.
    image = tf.constant(to_float(large_image()))
    weights = {"block3_conv2": 1.0}
    step = ascent(studio_vgg, weights).step
    options = {"layer_weights": weights, "step_size": 1.0, "by_mean_absolute": True}
    whole = moves_inside(image, step(image, **options).image)
    jittered = moves_inside(image, step(image, shift=(2, 2), **options).image)
    tiled = moves_inside(image, step(image, tile_size=96, shift=(30, -50), **options).image)
    likeness = np.corrcoef([whole, jittered, tiled])[0]
    assert likeness[2] > likeness[1] - 0.05 > 0.5
