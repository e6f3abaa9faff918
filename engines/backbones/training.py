"""Train blocks 4 and 5 of the bundled backbone's classifying branch; the blocks before them stay as they are.

They learn to classify the 200 classes of Tiny ImageNet. Through linear maps, four of their layers also learn
InceptionV3's features (Szegedy et al. 2015; hints: Romero et al. 2015), on these images and on crops of photos, which
are sharper. No layer is copied. Tiny ImageNet's 64-pixel images are enlarged: objects become as large as in a photo.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from engines.backbones import studio_vgg
from engines.backbones.backbone import Backbone
from engines.backbones.config import BackboneTrainingConfig
from engines.backbones.hints import crops, relative
from engines.backbones.optimizer import convolution_optimizer
from engines.core.files import UNREADABLE, written_atomically
from engines.core.frames import Frames
from engines.data.images import PHOTOS_FILE, LabelledImages, labelled_images, whole_images
from engines.nn.precision import training_policy
from engines.nn.training_loop import batch_indices, data_hash, one_cycle, train_frames

# From this share of a run on, images are shifted and mirrored but no longer scaled or pasted: scaling blurs, and a
# network that has seen only blurred images classifies sharp ones 5 percentage points worse.
WHOLE_IMAGES_FROM = 0.75
MAX_SHIFT = 6

# Student layer: teacher layer.
TEACHER_LAYERS = {
    "block4_conv2": "mixed4",
    "block4_conv3": "mixed5",
    "block5_conv1": "mixed7",
    "block5_conv2": "mixed8",
}
# The monitor scores every fifth validation image: all of them take minutes.
MONITORED = slice(None, None, 5)

TRAIN_FILE, VALIDATION_FILE = "tiny_imagenet_train.zip", "tiny_imagenet_val.zip"


def crop_size(position: float, first: int, last: int) -> int:
    """Side of the crops at `position` in [0, 1]: grows in steps of 8 over the first 60 % of a run.

    Starting small is cheaper at no loss of accuracy (progressive resizing, Howard 2018).
    """
    return min(last, first + 8 * int((last - first + 8) / 8 * position / 0.6))


def random_boxes(count: int, min_area: float, rng: np.random.Generator) -> np.ndarray:
    """Random crops, (count, 4) float32 as (y1, x1, y2, x2) in [0, 1]; half of them mirrored (x1 > x2)."""
    area = rng.uniform(min_area, 1, count)
    aspect = np.exp(rng.uniform(-math.log(4 / 3), math.log(4 / 3), count))
    height, width = np.minimum(np.sqrt(area / aspect), 1), np.minimum(np.sqrt(area * aspect), 1)
    y, x = rng.uniform(0, 1 - height), rng.uniform(0, 1 - width)
    mirrored = rng.random(count) < 0.5
    left, right = np.where(mirrored, x + width, x), np.where(mirrored, x, x + width)
    return np.stack([y, left, y + height, right], axis=1).astype(np.float32)


def shifted_boxes(count: int, side: int, rng: np.random.Generator) -> np.ndarray:
    """Whole images moved by up to MAX_SHIFT pixels, as boxes like `random_boxes`; half of them mirrored.

    Cut out at (side, side) they fall on pixels exactly, so nothing is blurred; pixels from beyond the edge are grey.
    """
    last = side - 1
    y, x = rng.integers(-MAX_SHIFT, MAX_SHIFT + 1, (2, count)) / last
    mirrored = rng.random(count) < 0.5
    left, right = np.where(mirrored, x + 1, x), np.where(mirrored, x, x + 1)
    return np.stack([y, left, y + 1, right], axis=1).astype(np.float32)


def pasted_cells(side: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """Which pixels of a batch come from other images of it: one random square of CutMix (Yun et al. 2019).

    Args:
        share: probability that there is a square at all.

    Returns:
        (side, side, 1) float32, 1 where they do.
    """
    cells = np.zeros((side, side, 1), np.float32)
    if rng.random() < share:
        half = side * math.sqrt(rng.random()) / 2
        y, x = rng.uniform(0, side, 2)
        cells[max(0, round(y - half)) : round(y + half), max(0, round(x - half)) : round(x + half)] = 1
    return cells


def hint(features: tf.Tensor, layer: str, shape: Sequence[int | tf.Tensor]) -> tf.Tensor:
    """Features of a student layer, aligned with the teacher's cells: (B, H, W, C) -> (B, *shape, C).

    InceptionV3 does not pad its first layers. The cell m of `mixed4` to `mixed7` has its middle at the pixel 16 m + 21,
    that of `mixed8` at 32 m + 37; of ours, a cell of block 5 at 16 m + 7.5: one row and column lie outside.
    """
    if layer.startswith("block4"):
        features = tf.nn.avg_pool2d(features, 2, 2, "VALID")
    if TEACHER_LAYERS[layer] == "mixed8":
        features = tf.nn.avg_pool2d(features[:, 1:, 1:], 2, 2, "VALID")
        return features[:, : shape[0], : shape[1]]
    return features[:, 1 : 1 + shape[0], 1 : 1 + shape[1]]


def train(
    config: BackboneTrainingConfig,
    data: Path,
    start: Path,
    style_branch: Path,
    teacher: Backbone,
    checkpoint: Path | None,
    output: Path | None,
) -> Frames[None]:
    """Train on `data`/tiny_imagenet_train.zip and `data`/photos.zip, yielding a frame every interval; write `output`
    when done.

    Metrics: loss and accuracy over the interval's training crops, `hints` the mean distance from the teacher's
    features, relative to these, `top1` on a fifth of the validation images, learning rate.

    Args:
        start: an .npz with blocks 1 to 3. If it holds blocks 4 and 5 and the classifier too, like `output`, training
            continues from them; otherwise they are initialised randomly.
        style_branch: the .npz that `engines.backbones.distillation` writes.
        teacher: InceptionV3.

    Raises:
        ValueError: data or weights missing or damaged, a checkpoint of another training, or a training that
            diverged.
    """
    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(training_policy())
    dataset = labelled_images(data / TRAIN_FILE)
    validation = labelled_images(data / VALIDATION_FILE)
    if validation.classes != dataset.classes:
        raise ValueError("Training and validation pictures do not have the same classes.")
    monitored = dataclasses.replace(
        validation, images=validation.images[MONITORED], labels=validation.labels[MONITORED]
    )
    photos, photos_left_out = whole_images(data / PHOTOS_FILE, config.last_size)
    count = len(dataset.images)
    classes = len(dataset.classes)
    total = config.epochs * (count // config.batch_size)

    network, given = _start(start, dataset.classes)
    style = _style_branch(style_branch)
    middle = network.get_layer(f"block{studio_vgg.FIRST_BLOCKS}_pool").output
    first = keras.Model(network.input, middle)
    deep = keras.Model(middle, [*(network.get_layer(name).output for name in TEACHER_LAYERS), network.output])
    taught = teacher.extractor(list(TEACHER_LAYERS.values()))
    maps = [keras.layers.Conv2D(teacher.channels(name), 1, use_bias=False) for name in TEACHER_LAYERS.values()]
    for layer, features in zip(maps, deep.outputs, strict=False):
        layer.build(features.shape)
    probe = tf.constant(crops(photos, 16, config.last_size, config.largest_scale, np.random.default_rng(config.seed)))
    units = [tf.sqrt(tf.reduce_mean(tf.square(tf.cast(found, tf.float32)))) for found in taught(probe)]

    trainable = [*deep.trainable_variables, *(variable for layer in maps for variable in layer.trainable_variables)]
    optimizer = convolution_optimizer(trainable, config.learning_rate, config.weight_decay)
    factor = keras.Variable(0.0, dtype="float32", trainable=False, name="factor")

    @tf.function(reduce_retracing=True)
    def update(images, labels, boxes, gains, pasted, sharp):
        rows = tf.range(tf.shape(images)[0])
        seen = tf.image.crop_and_resize(images, boxes, rows, tf.shape(sharp)[1:3], extrapolation_value=127.5)
        seen = (seen / 127.5 - 1) * gains[:, :1, None, None] + gains[:, 1:, None, None]
        seen = tf.where(pasted > 0, seen[::-1], seen)
        # The images that the teacher sees come first: photos, and some of the training images.
        seen = tf.concat([sharp, seen], 0)
        hinted = config.photos + min(config.hinted, config.batch_size)
        wanted = [tf.cast(found, tf.float32) / unit for found, unit in zip(taught(seen[:hinted]), units, strict=True)]
        share = tf.reduce_mean(pasted)
        targets = (1 - share) * tf.one_hot(labels, classes) + share * tf.one_hot(labels[::-1], classes)
        targets = targets * (1 - config.label_smoothing) + config.label_smoothing / classes
        edges = first(seen, training=False)
        with tf.GradientTape() as tape:
            *found, logits = deep(edges, training=True)
            logits = logits[config.photos :]
            named = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, logits))
            hints = tf.add_n(
                [
                    relative(layer(hint(own[:hinted], name, tf.shape(right)[1:3])), right)[0]
                    for name, own, layer, right in zip(TEACHER_LAYERS, found, maps, wanted, strict=True)
                ]
            ) / len(maps)
            loss = named + config.hint_weight * hints
        optimizer.apply(tape.gradient(loss, optimizer.weights), factor)
        accuracy = tf.reduce_mean(tf.cast(tf.argmax(logits, -1, tf.int32) == labels, tf.float32))
        return {"loss": loss, "accuracy": accuracy, "hints": hints}

    def train_step(step: int):
        position = step / total
        rng = np.random.default_rng((config.seed, 1, step))
        rows = batch_indices(count, config.batch_size, step, config.seed)
        factor.assign(one_cycle(position, 1.0, config.warmup))
        if position < WHOLE_IMAGES_FROM:
            size = crop_size(position, config.first_size, config.last_size)
            boxes = random_boxes(len(rows), config.least_area, rng)
            pasted = pasted_cells(size, config.pasted_share, rng)
        else:
            size = config.last_size
            boxes = shifted_boxes(len(rows), dataset.images.shape[1], rng)
            pasted = pasted_cells(size, 0.0, rng)
        gains = np.stack([rng.uniform(0.8, 1.2, len(rows)), rng.uniform(-0.1, 0.1, len(rows))], axis=1)
        return update(
            tf.constant(dataset.images[rows]),
            tf.constant(dataset.labels[rows]),
            tf.constant(boxes),
            tf.constant(gains, tf.float32),
            tf.constant(pasted),
            tf.constant(crops(photos, config.photos, size, config.largest_scale, rng)),
        )

    def monitor(step: int):
        rate = config.learning_rate * float(factor.value)
        return None, {"top1": top1(network, monitored, config.last_size), "learning_rate": rate}

    learnt = data_hash(dataset.images, dataset.labels, *photos, *given)
    yield from train_frames(
        variables=[*deep.variables, *(layer.kernel for layer in maps), *optimizer.variables],
        train_step=train_step,
        total=total,
        interval=config.interval,
        settings=dataclasses.asdict(config) | {"data": learnt, "teacher": teacher.weights},
        checkpoint=checkpoint,
        monitor=monitor,
        notices=(*dataset.left_out, *photos_left_out),
    )
    if output:
        save(studio_vgg.folded_weights(network) | style, dataset.classes, config.last_size, output)


def _start(path: Path, classes: tuple[str, ...]) -> tuple[keras.Model, list[np.ndarray]]:
    """The classifier to train, and the weights of `path` that are in it. Raises ValueError."""
    arrays = _read(path)
    further = "logits/kernel" in arrays
    network = studio_vgg.build_classifier(len(classes), normalised=not further)
    names = [*studio_vgg.layer_names(), "logits"] if further else studio_vgg.layer_names(studio_vgg.FIRST_BLOCKS)
    try:
        given = [arrays[variable] for variable in _variables(names)]
        for name, kernel, bias in zip(names, given[::2], given[1::2], strict=True):
            network.get_layer(name).set_weights([kernel, bias])
        known = arrays["classes"].tolist() if further else list(classes)
    except UNREADABLE as error:
        raise ValueError(
            f"{path} holds neither a backbone with {len(classes)} classes nor first blocks; use another file."
        ) from error
    if known != list(classes):
        raise ValueError(f"{path} was trained on other classes; use another file, or first blocks only.")
    return network, given


def _style_branch(path: Path) -> dict[str, np.ndarray]:
    """The distilled blocks by the names that they have in the style branch. Raises ValueError."""
    arrays = _read(path)
    try:
        studio_vgg.set_weights(studio_vgg.build_features(studio_vgg.FIRST_BLOCKS), arrays)
    except UNREADABLE as error:
        raise ValueError(
            f"{path} holds no distilled blocks; make it with python -m engines.train distillation."
        ) from error
    names = _variables(studio_vgg.layer_names(studio_vgg.FIRST_BLOCKS))
    return {f"{studio_vgg.STYLE}{name}": arrays[name] for name in names}


def _variables(layers: Sequence[str]) -> list[str]:
    """Names of the layers' weights in a file."""
    return [f"{layer}/{part}" for layer in layers for part in ("kernel", "bias")]


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz. Raises ValueError."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except FileNotFoundError as error:
        raise ValueError(f"There is no {path}; name a file with weights of the backbone.") from error
    except UNREADABLE as error:
        raise ValueError(f"{path} cannot be read as weights of the backbone; use another file.") from error


def save(weights: dict[str, np.ndarray], classes: tuple[str, ...], side: int, path: Path) -> None:
    """Write folded weights in float16 as one .npz, with the class names and the side, in pixels, at which images are
    classified."""
    arrays: dict[str, Any] = {name: values.astype(np.float16) for name, values in weights.items()}
    with written_atomically(path) as file:
        np.savez_compressed(file, classes=np.array(classes), side=np.array(side), **arrays)


def top1(network: keras.Model, validation: LabelledImages, side: int, batch_size: int = 125) -> float:
    """Share of images whose class gets the highest logit, in [0, 1]; whole images, enlarged to (side, side) as for
    the training, no averaging of crops."""

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)])
    def predict(images):
        count = tf.shape(images)[0]
        boxes = tf.tile([[0.0, 0.0, 1.0, 1.0]], (count, 1))
        seen = tf.image.crop_and_resize(images, boxes, tf.range(count), (side, side))
        return tf.argmax(network(seen / 127.5 - 1, training=False), -1, tf.int32)

    right = 0
    for start in range(0, len(validation.labels), batch_size):
        rows = slice(start, start + batch_size)
        right += int(np.sum(predict(tf.constant(validation.images[rows])).numpy() == validation.labels[rows]))
    return right / len(validation.labels)


def evaluate(weights: Path, data: Path) -> dict[str, float]:
    """Score shipped weights on the validation images: {"top1": share in [0, 1], "pictures": their number}."""
    keras.config.set_dtype_policy("float32")
    validation = labelled_images(data / VALIDATION_FILE)
    with np.load(weights, allow_pickle=False) as arrays:
        side = int(arrays["side"]) if "side" in arrays.files else validation.images.shape[1]
    return {"top1": top1(studio_vgg.read_classifier(weights), validation, side), "pictures": len(validation.labels)}
