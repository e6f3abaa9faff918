"""Training of the bundled backbone: its crops, its teacher's hints, and all of it end to end on next to nothing."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from engines import train
from engines.backbones import studio_vgg
from engines.backbones import training as backbone_training
from engines.backbones.backbone import Backbone, load_backbone, untrained_backbone
from engines.backbones.config import BackboneTrainingConfig
from engines.backbones.optimizer import convolution_optimizer
from engines.backbones.training import crop_size, evaluate, pasted_cells, random_boxes
from engines.weights.store import WeightsStore
from tests.engines.data.helpers import flat_png, zip_of
from tests.engines.helpers import as_png, files_in, is_one_sentence, refusal


@pytest.fixture(autouse=True)
def same_precision():
    """Restore Keras's global dtype policy, which training changes."""
    policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(policy)


# Crops


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
def test_random_crops_lie_in_the_image_and_cover_enough_of_it(least):
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


def test_pasted_cells_are_one_rectangle_as_often_as_asked_and_covers_enough_of_it():
    rng = np.random.default_rng(0)
    drawn = [pasted_cells(48, 0.5, rng)[..., 0] for _ in range(400)]
    for cells in drawn:
        rows, columns = cells.any(1), cells.any(0)
        np.testing.assert_array_equal(cells, np.outer(rows, columns))
    assert np.mean([cells.any() for cells in drawn]) == pytest.approx(0.5, abs=0.1)
    # Half of each image on average, less what the square loses at the edges.
    assert 0.25 < np.mean([cells.mean() for cells in drawn if cells.any()]) < 0.5
    assert not any(pasted_cells(48, 0.0, rng).any() for _ in range(20))


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


# From end to end


QUICK = BackboneTrainingConfig(
    epochs=1,
    batch_size=4,
    photos=2,
    hinted=1,
    first_size=80,
    last_size=80,
    interval=2,
    learning_rate=0.01,
)


@pytest.fixture(scope="module")
def teacher() -> Backbone:
    keras.utils.set_random_seed(1)
    return untrained_backbone("inception_v3")


@pytest.fixture
def data(tmp_path) -> Path:
    """Training and validation images of two classes, eight of each."""
    folder = tmp_path / "data"
    folder.mkdir()
    rng = np.random.default_rng(0)

    def images(path):
        files = {}
        for name, color in (("dark", 40), ("light", 215)):
            for i in range(8):
                image = np.clip(rng.normal(color, 20, (64, 64, 3)), 0, 255).astype(np.uint8)
                files[f"{path}/{name}/{i}.png"] = as_png(image)
        return files

    zip_of(folder / "tiny_imagenet_train.zip", images("train"))
    zip_of(folder / "tiny_imagenet_val.zip", images("val"))
    photos = [rng.integers(0, 256, (90, 120, 3)).astype(np.uint8) for _ in range(3)]
    zip_of(folder / "photos.zip", {f"{number}.png": as_png(photo) for number, photo in enumerate(photos)})
    np.savez(folder / "first_blocks.npz", **first_blocks())
    return folder


def first_blocks() -> dict[str, np.ndarray]:
    """Random weights of blocks 1 to 3."""
    network, weights = studio_vgg.build_features(studio_vgg.FIRST_BLOCKS), {}
    for name in studio_vgg.layer_names(studio_vgg.FIRST_BLOCKS):
        weights[f"{name}/kernel"], weights[f"{name}/bias"] = network.get_layer(name).get_weights()
    return weights


def trained(
    config: BackboneTrainingConfig,
    data: Path,
    teacher: Backbone,
    checkpoint=None,
    output=None,
    start="first_blocks.npz",
):
    first_blocks = data / "first_blocks.npz"
    return backbone_training.train(config, data, data / start, first_blocks, teacher, checkpoint, output)


def test_the_bundled_backbone_is_trained_and_written_and_read_again(data, teacher, tmp_path, monkeypatch):
    monkeypatch.setattr(backbone_training, "MONITORED", slice(None))
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
    deepest = ["block5_conv2", "style_block3_conv3"]
    for features in backbone.extractor(deepest)(tf.zeros((1, 32, 32, 3))):
        assert np.isfinite(features).all()
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


def test_a_trained_backbone_is_trained_further_and_keeps_its_first_blocks(data, teacher):
    list(trained(QUICK, data, teacher, output=data / "start.npz"))
    still = dataclasses.replace(QUICK, learning_rate=1e-6, weight_decay=0.0)
    list(trained(still, data, teacher, output=data / "still.npz", start="start.npz"))
    list(trained(QUICK, data, teacher, output=data / "further.npz", start="start.npz"))
    begun, same, further = (dict(np.load(data / name)) for name in ("start.npz", "still.npz", "further.npz"))
    assert set(begun) == set(same) == set(further)
    for name, values in begun.items():
        if name in ("classes", "side"):
            continue
        np.testing.assert_allclose(same[name], values, atol=2e-3, err_msg=name)
        deep = name.startswith(("block4", "block5", "logits"))
        assert np.array_equal(further[name], values) != deep, name
    with np.load(data / "first_blocks.npz") as distilled:
        for name in distilled.files:
            np.testing.assert_array_equal(further[f"style_{name}"], distilled[name].astype(np.float16))


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "There is no"), (b"no", "cannot be read"), ({"block1_conv1/kernel": np.zeros(3)}, "holds neither")],
)
def test_training_from_weights_that_are_missing_or_damaged_is_refused_with_one_sentence(data, teacher, content, said):
    start = data / "start.npz"
    if isinstance(content, bytes):
        start.write_bytes(content)
    elif content:
        np.savez(start, **content)
    assert said in refusal(ValueError, next, trained(QUICK, data, teacher, start=start.name))


def test_training_further_with_other_classes_is_refused_with_one_sentence(data, teacher):
    list(trained(QUICK, data, teacher, output=data / "start.npz"))
    arrays = dict(np.load(data / "start.npz"))
    for changed, said in (
        ({"classes": np.array(["light", "dark"])}, "other classes"),
        ({"logits/bias": np.zeros(7, np.float16)}, "2 classes"),
    ):
        np.savez(data / "other.npz", **arrays | changed)
        assert said in refusal(ValueError, next, trained(QUICK, data, teacher, start="other.npz"))


def test_training_without_a_distilled_style_branch_is_refused_with_one_sentence(data, teacher):
    np.savez(data / "start.npz", **first_blocks())
    for blocks in ({}, first_blocks() | {"block1_conv1/kernel": np.zeros((3, 3, 3, 7))}):
        np.savez(data / "first_blocks.npz", **blocks)
        refused = trained(QUICK, data, teacher, start="start.npz")
        assert "no distilled blocks" in refusal(ValueError, next, refused)


def test_the_command_starts_from_the_files_in_the_project_and_overwrites_neither(capsys):
    options = train._parser().parse_args(["backbone"])
    assert (options.start, options.style_branch) == (train.START, train.FIRST_BLOCKS)
    assert train.START.is_file()
    assert train.FIRST_BLOCKS.is_file()
    for file in (train.START, train.FIRST_BLOCKS):
        assert train.main(["backbone", "--output", str(file)]) == 1
        assert "is what is read" in capsys.readouterr().err


# Optimizer


def test_kernels_of_hidden_convolutions_get_muon_and_a_first_layer_and_biases_adam():
    shapes = [(3, 3, 3, 8), (8,), (3, 3, 8, 16), (16,), (1, 1, 16, 32), (32, 200)]
    weights = [tf.Variable(tf.ones(shape)) for shape in shapes]
    optimizer = convolution_optimizer(weights, rate=0.04, decay=0.02)
    assert [tuple(w.shape) for w in optimizer.matrices] == [(3, 3, 8, 16), (1, 1, 16, 32)]
    assert [tuple(w.shape) for w in optimizer.others] == [(3, 3, 3, 8), (8,), (16,), (32, 200)]
    assert optimizer.weights == [*optimizer.matrices, *optimizer.others]
    assert (optimizer.rate, optimizer.adam_rate, optimizer.decay) == (0.04, pytest.approx(0.004), 0.02)


# Hints


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
    image = tf.random.stateless_uniform((1, side, side, 3), (0, 0), -1, 1)
    with tf.GradientTape() as tape:
        tape.watch(image)
        (found,) = features(image)
        answer = tf.reduce_sum(found[0, cell, cell])
    touched = np.nonzero(np.abs(tape.gradient(answer, image).numpy()[0]).sum((1, 2)))[0]
    assert 0 < touched[0] < touched[-1] < side - 1
    assert (touched[0] + touched[-1]) / 2 == pytest.approx(16 * cell + 21, abs=1)
