"""The losses of style transfer, against plain rewritings of the formulas, finite differences and tiles."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from engines.style_transfer import BOOK, StyleConfig
from engines.style_transfer.losses import gram_matrix, total_variation
from engines.style_transfer.perceptual_loss import PerceptualLoss
from engines.style_transfer.targets import StyleInputs, StyleTargets

LAYERS = ("block1_conv1", "block2_conv1", "block3_conv1")
CONTENT = "block3_conv2"
OURS = StyleConfig(style_layers={"block1_conv1": 1.0, "block2_conv1": 0.5, "block3_conv1": 2.0}, content_layer=CONTENT)
OF_THE_BOOK = dataclasses.replace(BOOK, style_layers=dict.fromkeys(LAYERS, 1.0), content_layer=CONTENT)
UNTILED = 16_384

# Each loss is evaluated only a few times.
pytestmark = pytest.mark.usefixtures("eagerly")


def noise(height: int, width: int, seed: int) -> np.ndarray:
    """(height, width, 3) uint8: smooth blobs of colour."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (height // 6 + 2, width // 6 + 2, 3))
    return tf.image.resize(coarse, (height, width), method="bicubic").numpy().clip(0, 255).astype(np.uint8)


def as_floats(image: np.ndarray) -> tf.Tensor:
    return tf.constant(image[None] / np.float32(127.5) - 1)


def opened(backbone, config: StyleConfig, shape: tuple[int, int], masks=(None,)):
    """The loss, the targets of blobs painted like other blobs, and an image to evaluate at."""
    loss, scene = loss_and_scene(backbone, config, shape, masks, UNTILED)
    return loss, scene.targets(config), as_floats(noise(*shape, 2))


def loss_and_scene(
    backbone, config: StyleConfig, shape: tuple[int, int], masks, tile: int
) -> tuple[PerceptualLoss, StyleTargets]:
    styles = tuple(noise(50, 70, 10 + i) for i in range(len(masks)))
    images = StyleInputs(noise(*shape, 1), styles, tuple(masks), None)
    book = config.losses == "book"
    loss = PerceptualLoss(
        backbone,
        tuple(config.style_layers),
        config.content_layer,
        pooling=config.pooling,
        regions=images.regions,
        centred=not book,
        mirror_padding=not book,
    )
    return loss, StyleTargets(images, config, loss, shape, tile)


def features(backbone, layer: str, image: tf.Tensor) -> np.ndarray:
    """A layer's maps, (h, w, C)."""
    (maps,) = backbone.extractor([layer])(image)
    return maps.numpy()[0].astype(np.float64)


# The sums


@pytest.mark.parametrize(("dtype", "error"), [("float32", 1e-5), ("bfloat16", 2e-2)])
@pytest.mark.parametrize("shape", [(7, 9, 5), (16, 24, 8), (1, 1, 3)])
def test_a_gram_matrix_is_the_sum_of_the_products_of_channels(shape, dtype, error):
    maps = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    products, sums = gram_matrix(tf.constant(maps, dtype))
    flat = tf.cast(tf.constant(maps, dtype), tf.float64).numpy().reshape(-1, shape[-1])
    scale = np.square(flat).sum()
    np.testing.assert_allclose(products, flat.T @ flat, atol=error * scale)
    np.testing.assert_allclose(sums, flat.sum(0), atol=1e-4 * scale)
    assert products.dtype == sums.dtype == tf.float32


def test_its_gradient_is_that_of_a_plain_product():
    rng = np.random.default_rng(0)
    maps = tf.constant(rng.normal(size=(7, 11, 6)), tf.float32)
    slopes, sum_slopes = tf.constant(rng.normal(size=(6, 6)), tf.float32), tf.constant(rng.normal(size=6), tf.float32)

    def gradient(of):
        with tf.GradientTape() as tape:
            tape.watch(maps)
            products, sums = of(maps)
            value = tf.reduce_sum(slopes * products) + tf.reduce_sum(sum_slopes * sums)
        return tape.gradient(value, maps).numpy()

    def plain(maps):
        flat = tf.reshape(maps, (-1, 6))
        return tf.matmul(flat, flat, transpose_a=True), tf.reduce_sum(flat, 0)

    np.testing.assert_allclose(gradient(gram_matrix), gradient(plain), rtol=1e-4, atol=1e-4)


def test_the_total_variation_of_a_flat_image_has_no_gradient():
    """Where nothing changes, the gradient of a root would be infinite."""
    image = tf.fill((1, 6, 7, 3), 0.25)
    with tf.GradientTape() as tape:
        tape.watch(image)
        variation = total_variation(image)
    np.testing.assert_array_equal(tape.gradient(variation, image), np.zeros(image.shape))


def test_total_variation_is_that_of_the_book():
    image = noise(20, 30, 0).astype(np.float64)
    down = np.square(image[:-1, :-1] - image[1:, :-1])
    right = np.square(image[:-1, :-1] - image[:-1, 1:])
    assert float(total_variation(as_floats(noise(20, 30, 0)))) == pytest.approx(
        ((down + right) ** 1.25).sum(), rel=1e-4
    )


# The losses


def test_the_books_losses_are_those_of_its_listing(studio_vgg):
    shape = (48, 64)
    loss, targets, image = opened(studio_vgg, OF_THE_BOOK, shape)
    found = loss.evaluate(image, targets, (1e-6, 2.5e-8, 1e-6), tile=UNTILED)
    content = as_floats(noise(*shape, 1))
    from PIL import Image

    squeezed = Image.fromarray(noise(50, 70, 10)).resize(shape[::-1], Image.Resampling.LANCZOS)
    style = as_floats(np.asarray(squeezed))

    def gram(layer, pixels):
        maps = features(studio_vgg, layer, pixels)
        flat = maps.reshape(-1, maps.shape[-1])
        return flat.T @ flat

    style_tape = sum(
        np.square(gram(layer, style) - gram(layer, image)).sum() / (4 * 3**2 * (shape[0] * shape[1]) ** 2)
        for layer in LAYERS
    ) / len(LAYERS)
    of_content = np.square(features(studio_vgg, CONTENT, image) - features(studio_vgg, CONTENT, content)).sum()
    variation_gradient = float(total_variation(image))
    assert found.style == pytest.approx(style_tape, rel=1e-3)
    assert found.content == pytest.approx(of_content, rel=1e-3)
    assert found.total_variation == pytest.approx(variation_gradient, rel=1e-4)
    assert found.loss == pytest.approx(1e-6 * style_tape + 2.5e-8 * of_content + 1e-6 * variation_gradient, rel=1e-3)


def test_our_style_loss_compares_means_and_covariances_each_by_the_paintings_own(studio_vgg):
    shape = (48, 64)
    loss, targets, image = opened(studio_vgg, OURS, shape)
    found = loss.evaluate(image, targets, (1.0, 1.0, 1.0), tile=UNTILED)

    def statistics(layer, pixels):
        around = [[0, 0], [loss.padding, loss.padding], [loss.padding, loss.padding], [0, 0]]
        maps = features(studio_vgg, layer, tf.pad(pixels, around, "SYMMETRIC"))
        stride = loss.strides[layer]
        first = loss.padding // stride
        height, width = (-(-int(length) // stride) for length in pixels.shape[1:3])
        flat = maps[first : first + height, first : first + width].reshape(-1, maps.shape[-1])
        return flat.mean(0), np.cov(flat.T, bias=True)

    from PIL import Image

    longest = max(shape)
    resized = Image.fromarray(noise(50, 70, 10)).resize((longest, round(50 * longest / 70)), Image.Resampling.LANCZOS)
    style = as_floats(np.asarray(resized))
    expected = 0.0
    for layer, weight in OURS.style_layers.items():
        (mean, covariance), (wanted_mean, wanted) = statistics(layer, image), statistics(layer, style)
        of_means = np.square(mean - wanted_mean).sum() / np.square(wanted_mean).sum()
        of_covariances = np.square(covariance - wanted).sum() / np.square(wanted).sum()
        expected += weight / sum(OURS.style_layers.values()) * 0.5 * (of_means + of_covariances)
    assert found.style == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("config", [OURS, OF_THE_BOOK], ids=["ours", "the book's"])
def test_the_gradient_is_that_of_finite_differences(studio_vgg, config):
    loss, targets, image = opened(studio_vgg, dataclasses.replace(config, pooling="average"), (48, 64))
    weights = (1e-6, 2.5e-8, 1e-6) if config.losses == "book" else (1.0, 1.0, 1.0)
    gradient = loss.evaluate(image, targets, weights, tile=UNTILED).gradient
    step, measured, slopes = 3e-3, [], []
    for seed in range(3):
        # Along a smooth direction the loss changes enough to be measured in float32.
        direction = as_floats(noise(48, 64, 100 + seed))
        ahead, behind = (
            loss.evaluate(image + sign * step * direction, targets, weights, tile=UNTILED).loss for sign in (1, -1)
        )
        measured.append((ahead - behind) / (2 * step))
        slopes.append(float(tf.reduce_sum(gradient * direction)))
    # Where the loss hardly changes, its kinks are as large as its slope.
    np.testing.assert_allclose(measured, slopes, rtol=0.03, atol=0.01 * np.max(np.abs(slopes)))


# Tiles and regions


@pytest.mark.parametrize("mirror_padding", [False, True])
@pytest.mark.parametrize("regions", [0, 2])
def test_no_gradient_is_that_of_an_index(studio_vgg, mirror_padding, regions):
    """StridedSliceGrad runs on one core, and took 40 % of a step."""
    layers = ["style_block1_conv1", "style_block3_conv3"]
    loss = PerceptualLoss(
        studio_vgg, layers, "style_block3_conv2", pooling="max", regions=regions, mirror_padding=mirror_padding
    )
    for function in (loss._whole, loss._part, loss._variation):
        operations = function.get_concrete_function().graph.get_operations()
        assert not [operation.name for operation in operations if operation.type == "StridedSliceGrad"]


def halves(shape: tuple[int, int]) -> np.ndarray:
    """A mask over the left half."""
    mask = np.zeros((*shape, 3), np.uint8)
    mask[:, : shape[1] // 2] = 255
    return mask


@pytest.mark.parametrize(("masked", "pooling"), [(True, "max"), (True, "average"), (False, "average")])
@pytest.mark.parametrize("config", [OURS, OF_THE_BOOK], ids=["ours", "the book's"])
def test_in_tiles_losses_and_gradient_are_those_of_the_whole(studio_vgg, config, pooling, masked):
    shape, tile = (85, 93), 88
    config = dataclasses.replace(config, pooling=pooling)
    masks = (halves(shape), None) if masked else (None,)
    loss, targets, image = opened(studio_vgg, config, shape, masks)
    weights = (1e-6, 2.5e-8, 1e-6) if config.losses == "book" else (1.0, 0.5, 2.0)
    whole = loss.evaluate(image, targets, weights, tile=UNTILED)
    tiled_targets = loss_and_scene(studio_vgg, config, shape, masks, tile)[1].targets(config)
    tiled = loss.evaluate(image, tiled_targets, weights, tile=tile)
    for name in ("loss", "style", "content", "total_variation"):
        assert getattr(tiled, name) == pytest.approx(getattr(whole, name), rel=1e-3), name
    error = float(tf.norm(tiled.gradient - whole.gradient) / tf.norm(whole.gradient))
    assert error < 1e-3


def test_a_paintings_pull_ends_where_its_region_does(studio_vgg):
    shape = (64, 128)
    # Two regions, but only the left one's painting counts.
    config = dataclasses.replace(OURS, blend=(1.0, 0.0))
    loss, targets, image = opened(studio_vgg, config, shape, (halves(shape), None))
    gradient = np.abs(loss.evaluate(image, targets, (1.0, 0.0, 0.0), tile=UNTILED).gradient.numpy()[0])
    edge = shape[1] // 2
    assert gradient[:, :edge].max() > 0
    assert gradient[:, edge + loss.margin + loss.stride :].max() == 0


def test_only_one_path_of_layers_runs(studio_vgg):
    loss = PerceptualLoss(studio_vgg, ["block1_conv1"], "block2_conv1", pooling="max")
    assert set(loss.strides) == {"block1_conv1", "block2_conv1"}
    assert (loss.strides["block1_conv1"], loss.strides["block2_conv1"]) == (1, 2)
    deeper = PerceptualLoss(studio_vgg, ["block1_conv1"], "block4_conv1", pooling="max")
    assert deeper.bytes_per_pixel > loss.bytes_per_pixel
    assert deeper.margin > loss.margin


def test_layers_of_two_branches_have_the_strides_and_the_reach_of_their_own_branch(studio_vgg):
    def opened(*layers: str) -> PerceptualLoss:
        return PerceptualLoss(studio_vgg, layers[:-1], layers[-1], pooling="max")

    first, style = ("block1_conv1", "block2_conv1"), ("style_block1_conv1", "style_block3_conv2")
    one, other, both = opened(*first), opened(*style), opened(*first, *style)
    assert both.strides == one.strides | other.strides
    assert both.strides["style_block3_conv2"] == 4
    # Each 3x3 convolution reaches one cell of its stride further, each pooling half of its own.
    assert both.margin == other.margin == 2 * 1 + 1 + 2 * 2 + 2 + 2 * 4
    assert both.margin > one.margin
    assert both.work_per_pixel == one.work_per_pixel + other.work_per_pixel
    assert both.bytes_per_pixel < one.bytes_per_pixel + other.bytes_per_pixel, "they share the image"
