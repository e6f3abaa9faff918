"""Backbones: folding changes nothing, each network gets what it was trained on, layers are what their names say."""

from __future__ import annotations

import functools
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from engines.backbones import studio_vgg as studio_vgg_network
from engines.backbones.backbone import ARCHITECTURES, Backbone, load_backbone, untrained_backbone
from engines.backbones.batch_norm_folding import fold_batch_normalization
from engines.core.files import sha256_of
from engines.deep_dream import DreamConfig, presets, resolve
from engines.deep_dream.gradient_ascent import GradientAscent
from engines.imaging.images import to_float
from engines.nn.layers import FusedBatchNormalization
from engines.weights.keras_applications import OFFICIAL_FILES
from engines.weights.store import WeightsStore
from tests.engines.helpers import refusal

BUILDERS = {
    "inception_v3": keras.applications.InceptionV3,
    "resnet50": keras.applications.ResNet50,
    "xception": keras.applications.Xception,
}


@functools.cache
def as_keras_builds_it(name: str) -> keras.Model:
    """A network with batch normalisation and random weights, built once for all tests."""
    return with_random_statistics(BUILDERS[name](weights=None, include_top=False))


@functools.cache
def untrained(name: str) -> Backbone:
    """A backbone with random weights, built once for all tests."""
    if name in BUILDERS:
        return Backbone(name, fold_batch_normalization(as_keras_builds_it(name), "float32"))
    return untrained_backbone(name)


def relative_difference(a, b) -> float:
    a, b = np.asarray(a), np.asarray(b)
    return float(np.abs(a - b).max() / np.abs(a).max())


def with_random_statistics(network: keras.Model) -> keras.Model:
    """Give every batch normalisation the statistics and scales that training might have left."""
    rng = np.random.default_rng(0)
    kinds = keras.layers.BatchNormalization | FusedBatchNormalization
    for layer in network.layers:
        if isinstance(layer, kinds):
            for variable in layer.variables:
                positive = variable.name in {"gamma", "moving_variance"}
                values = rng.uniform(0.5, 1.5, variable.shape) if positive else rng.normal(0, 0.2, variable.shape)
                variable.assign(values)
    return network


@pytest.mark.parametrize("name", BUILDERS)
def test_a_network_with_its_normalisation_folded_computes_the_same(name):
    network, folded = as_keras_builds_it(name), untrained(name).network
    image = np.random.default_rng(1).uniform(-1, 1, (1, 96, 96, 3)).astype(np.float32)
    before = network(image, training=False)
    assert np.asarray(before).std() > 0
    assert relative_difference(before, folded(image, training=False)) < 1e-4
    left = [layer.name for layer in folded.layers if isinstance(layer, keras.layers.BatchNormalization)]
    if name != "xception":  # its residual additions keep none either, but that is not promised
        assert left == []
    names = Backbone(name, network).layers
    assert names
    assert untrained(name).layers == names


def test_normalisation_that_cannot_be_folded_stays_and_the_network_computes_the_same():
    inputs = keras.Input((None, None, 3))
    shared = keras.layers.Conv2D(4, 3, name="shared")(inputs)
    curved = keras.layers.Conv2D(4, 3, activation="relu", name="curved")(inputs)
    parts = [
        keras.layers.BatchNormalization(name="beside")(shared),  # something else reads the convolution too
        shared,
        keras.layers.BatchNormalization(name="after_relu")(curved),
        keras.layers.BatchNormalization(name="plain", scale=False)(keras.layers.Conv2D(4, 3, name="alone")(inputs)),
        keras.layers.BatchNormalization(name="first", center=False)(keras.layers.Cropping2D(1)(inputs)),
    ]
    network = with_random_statistics(keras.Model(inputs, keras.layers.Concatenate()(parts)))
    folded = fold_batch_normalization(network, "float32")
    image = np.random.default_rng(1).uniform(-1, 1, (2, 12, 14, 3)).astype(np.float32)
    assert relative_difference(network(image, training=False), folded(image, training=False)) < 1e-5
    left = {layer.name for layer in folded.layers if isinstance(layer, keras.layers.BatchNormalization)}
    assert left == {"beside", "after_relu", "first"}


def test_folding_leaves_the_network_it_was_given_as_it_was():
    inputs = keras.Input((8, 8, 3))
    normalized = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, name="c")(inputs))
    network = with_random_statistics(keras.Model(inputs, normalized))
    before = network.get_layer("c").get_weights()
    folded = fold_batch_normalization(network, "float32")
    folded.get_layer("c").set_weights([np.zeros_like(value) for value in folded.get_layer("c").get_weights()])
    after = network.get_layer("c").get_weights()
    assert len(before) == len(after)
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)
    assert folded.get_layer("c") is not network.get_layer("c")


def test_only_a_network_without_normalisation_in_the_wanted_type_is_not_made_anew(studio_vgg):
    assert fold_batch_normalization(studio_vgg.network, "float32") is studio_vgg.network
    assert fold_batch_normalization(studio_vgg.network, "bfloat16") is not studio_vgg.network


def test_a_backbone_in_bfloat16_sees_nearly_what_one_in_float32_sees(sample_image, studio_vgg):
    narrow = Backbone("studio_vgg", fold_batch_normalization(studio_vgg.network, "bfloat16"))
    image = tf.constant(to_float(sample_image))
    (wide_features,) = studio_vgg.extractor(["block3_conv2"])(image)
    (narrow_features,) = narrow.extractor(["block3_conv2"])(image)
    assert narrow_features.dtype == tf.bfloat16
    assert relative_difference(wide_features, tf.cast(narrow_features, tf.float32)) < 0.05


def test_the_bundled_network_with_its_normalisation_folded_computes_the_same():
    trained = with_random_statistics(studio_vgg_network.build_classifier(7, normalised=True))
    plain = studio_vgg_network.build_classifier(7, normalised=False)
    studio_vgg_network.set_weights(plain, studio_vgg_network.folded_weights(trained))
    image = np.random.default_rng(1).uniform(-1, 1, (2, 48, 32, 3)).astype(np.float32)
    before = np.asarray(trained(image, training=False))
    assert before.shape == (2, 7)
    assert relative_difference(before, plain(image, training=False)) < 1e-4


def test_weights_of_the_bundled_network_that_lack_a_layer_are_refused_by_its_name():
    plain = studio_vgg_network.build_features(normalised=False)
    weights = {}
    for name in studio_vgg_network.layer_names():
        weights[f"{name}/kernel"], weights[f"{name}/bias"] = plain.get_layer(name).get_weights()
    studio_vgg_network.set_weights(plain, weights)
    del weights["block3_conv2/bias"]
    assert "block3_conv2" in refusal(ValueError, studio_vgg_network.set_weights, plain, weights)


PREPROCESSING = {
    "vgg16": keras.applications.vgg16.preprocess_input,
    "vgg19": keras.applications.vgg19.preprocess_input,
    "resnet50": keras.applications.resnet50.preprocess_input,
    "inception_v3": keras.applications.inception_v3.preprocess_input,
    "xception": keras.applications.xception.preprocess_input,
}


@pytest.mark.parametrize("name", PREPROCESSING)
def test_a_network_is_given_what_keras_would_give_it(name):
    pixels = np.random.default_rng(0).integers(0, 256, (96, 80, 3)).astype(np.uint8)
    backbone = untrained(name)
    layer = backbone.layers[0]
    first = keras.Model(backbone.network.input, backbone.network.get_layer(layer).output)
    # Keras works in place, and on the pixels as they are.
    expected = first(PREPROCESSING[name](pixels[None].astype(np.float32)))
    (features,) = backbone.extractor([layer])(tf.constant(to_float(pixels)))
    assert relative_difference(expected, features) < 1e-4


def convolutions_in(extract, dtype=tf.float32) -> int:
    """How many convolutions a traced extractor runs."""
    graph = tf.function(extract).get_concrete_function(tf.TensorSpec((1, None, None, 3), dtype)).graph
    return sum(operation.type == "Conv2D" for operation in graph.get_operations())


def test_an_extractor_ends_at_the_deepest_layer_that_is_asked_for(studio_vgg):
    assert convolutions_in(studio_vgg.extractor(["block1_conv1"])) == 1
    assert convolutions_in(studio_vgg.extractor(["block2_conv1"])) == 3
    assert convolutions_in(studio_vgg.extractor(["block3_conv3", "block1_conv2"])) == 7
    assert convolutions_in(studio_vgg.extractor(["block5_conv2"])) == 12


def test_features_come_in_the_order_that_was_asked_for(sample_image, studio_vgg):
    image = tf.constant(to_float(sample_image))
    deep, shallow = studio_vgg.extractor(["block3_conv1", "block1_conv1"])(image)
    assert (deep.shape, shallow.shape) == ((1, 12, 18, 128), (1, 48, 72, 32))
    (alone,) = studio_vgg.extractor(["block3_conv1"])(image)
    np.testing.assert_allclose(alone, deep, atol=1e-5)


@pytest.mark.parametrize("layer", ["mixed4", "", "block1_pool", "x" * 10_000])
def test_a_layer_that_the_network_does_not_have_is_refused_with_a_list_of_those_it_has(studio_vgg, layer):
    sentence = refusal(ValueError, studio_vgg.extractor, ["block1_conv1", layer])
    assert layer[:40] in sentence
    assert "block5_conv2" in sentence
    assert len(sentence) < 400


def test_the_bundled_network_has_the_layers_that_its_architecture_lists(studio_vgg):
    first, style = studio_vgg_network.layer_names(), studio_vgg_network.layer_names(3, "style_")
    assert studio_vgg.layers == [*first, *style]
    assert [studio_vgg.channels(name) for name in ("block1_conv1", "block5_conv2")] == [32, 320]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_preset_of_every_architecture_fits_its_network(name):
    backbone = untrained(name)
    assert presets(name)
    for title, config in presets(name).items():
        assert resolve(config, backbone) == config, title
        assert set(config.layer_weights) <= set(backbone.layers)
    assert resolve(DreamConfig(), backbone).layer_weights == ARCHITECTURES[name].default_layers


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_layers_of_every_branch_of_an_architecture_come_from_first_to_last(name):
    backbone = untrained(name)
    assert len(backbone.layers) >= 10
    assert len(set(backbone.layers)) == len(backbone.layers)
    # What lies deeper has seen more of the image, and so has fewer cells.
    image = tf.zeros((1, 128, 128, 3))
    features = dict(zip(backbone.layers, backbone.extractor(backbone.layers)(image), strict=True))
    for branch in backbone.architecture.layers:
        cells = [int(found.shape[1]) for layer, found in features.items() if re.fullmatch(branch, layer)]
        assert cells
        assert cells == sorted(cells, reverse=True)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_no_gradient_of_a_dream_is_that_of_an_index(name):
    """StridedSliceGrad runs on one core."""
    backbone = untrained(name)
    layers = tuple(backbone.architecture.default_layers)
    ascent = GradientAscent(backbone, layers, guided=False, single_channel=False)
    operations = ascent._step.get_concrete_function().graph.get_operations()
    assert not [operation.name for operation in operations if operation.type == "StridedSliceGrad"]


def test_the_thinnest_tile_is_large_enough_for_the_deepest_layer():
    image = tf.constant(np.random.default_rng(0).uniform(-1, 1, (1, 96, 130, 3)).astype(np.float32))
    ascent = GradientAscent(untrained("inception_v3"), ("mixed10",), guided=False, single_channel=False)
    result = ascent.step(
        image, layer_weights={"mixed10": 1.0}, step_size=1.0, by_mean_absolute=True, shift=(1, 1), tile_size=128
    )
    assert np.isfinite(result.loss)


@pytest.mark.parametrize("name", ["inception_v3", "vgg19"])
def test_official_files_in_a_folder_are_loaded_as_they_are(shared, tmp_path, name):
    folder = shared / "weights"
    file = folder / OFFICIAL_FILES[name].name
    if not file.is_file():
        pytest.skip(f"needs {file.name}")
    # A folder comes before the cache, whatever lies there.
    (tmp_path / file.name).write_bytes(b"not weights")
    backbone = load_backbone(name, WeightsStore(folders=(folder,), cache=tmp_path), dtype="float32")
    assert (backbone.source, backbone.weights) == ("folder", sha256_of(file))
    (features,) = backbone.extractor([backbone.layers[2]])(tf.random.stateless_uniform((1, 96, 96, 3), (1, 2), -1, 1))
    assert np.isfinite(features).all()
    assert np.asarray(features).std() > 0
    first = next(layer for layer in backbone.network.layers if layer.weights).get_weights()[0]
    other = next(layer for layer in untrained(name).network.layers if layer.weights).get_weights()[0]
    assert first.shape == other.shape
    assert np.abs(first - other).max() > 1e-3


def test_a_folders_own_copy_of_the_bundled_network_comes_before_the_bundled_one(tmp_path, studio_vgg):
    arrays = {}
    for name in studio_vgg.layers:
        arrays[f"{name}/kernel"], arrays[f"{name}/bias"] = studio_vgg.network.get_layer(name).get_weights()
    np.savez(tmp_path / "studio_vgg.npz", **arrays)
    backbone = load_backbone("studio_vgg", WeightsStore(folders=(tmp_path,)), dtype="float32")
    assert backbone.source == "folder"
    assert backbone.weights == sha256_of(tmp_path / "studio_vgg.npz")
    image = tf.random.stateless_uniform((1, 32, 32, 3), (1, 2), -1, 1)
    (features,), (expected,) = (b.extractor(["block4_conv2"])(image) for b in (backbone, studio_vgg))
    np.testing.assert_allclose(features, expected, atol=1e-6)


def test_average_pooling_takes_the_mean_where_the_network_was_trained_with_the_greatest(sample_image):
    backbone = untrained("studio_vgg")
    image = tf.constant(to_float(sample_image))
    pooled, before = "block2_conv1", "block1_conv2"
    usual, averaging = (backbone.extractor([before, pooled], pooling=pooling)(image) for pooling in ("max", "average"))
    np.testing.assert_allclose(averaging[0], usual[0], atol=1e-6)
    rows, columns = usual[0].shape[1] // 2 * 2, usual[0].shape[2] // 2 * 2
    cells = usual[0].numpy()[:, :rows, :columns].reshape(1, rows // 2, 2, columns // 2, 2, -1)
    convolution = backbone.network.get_layer(pooled)
    np.testing.assert_allclose(averaging[1], convolution(cells.mean((2, 4))), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(usual[1], convolution(cells.max((2, 4))), rtol=1e-3, atol=1e-4)
