"""Train the bundled backbone (`engines/parts/studio_vgg.py`) to name the 200 classes of Tiny ImageNet."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from engines.frames import Frames
from engines.parts import studio_vgg
from engines.parts.backbone_config import BackboneTrainingConfig
from engines.parts.datasets import LabelledPictures, labelled_pictures
from engines.parts.files import written_atomically
from engines.parts.precision import training_policy
from engines.parts.training import batch_indices, data_hash, one_cycle, train_frames

# From this share of a run on, pictures are shifted and mirrored but no longer scaled: scaling blurs a picture, and a
# network that has seen only blurred ones names sharp ones worse (by 5 points of 100, before this was done).
WHOLE_FROM = 0.75
LARGEST_SHIFT = 6

TRAIN_FILE, VALIDATION_FILE = "tiny_imagenet_train.zip", "tiny_imagenet_val.zip"


def crop_size(position: float, first: int, last: int) -> int:
    """Side of the crops at `position` in [0, 1]: grows in steps of 8 over the first 60 % of a run.

    Small pictures first are cheaper and lose nothing in the end (progressive resizing, Howard 2018).
    """
    return min(last, first + 8 * int((last - first + 8) / 8 * position / 0.6))


def random_boxes(count: int, least_area: float, rng: np.random.Generator) -> np.ndarray:
    """Random crops, (count, 4) float32 as (y1, x1, y2, x2) in [0, 1]; half of them mirrored (x1 > x2)."""
    area = rng.uniform(least_area, 1, count)
    aspect = np.exp(rng.uniform(-math.log(4 / 3), math.log(4 / 3), count))
    height, width = np.minimum(np.sqrt(area / aspect), 1), np.minimum(np.sqrt(area * aspect), 1)
    y, x = rng.uniform(0, 1 - height), rng.uniform(0, 1 - width)
    mirrored = rng.random(count) < 0.5
    left, right = np.where(mirrored, x + width, x), np.where(mirrored, x, x + width)
    return np.stack([y, left, y + height, right], axis=1).astype(np.float32)


def shifted_boxes(count: int, side: int, rng: np.random.Generator) -> np.ndarray:
    """Whole pictures moved by up to LARGEST_SHIFT pixels, as boxes like `random_boxes`; half of them mirrored.

    Cut out at (side, side) they fall on pixels exactly, so nothing is blurred; what comes in from beyond is grey.
    """
    last = side - 1
    y, x = rng.integers(-LARGEST_SHIFT, LARGEST_SHIFT + 1, (2, count)) / last
    mirrored = rng.random(count) < 0.5
    left, right = np.where(mirrored, x + 1, x), np.where(mirrored, x, x + 1)
    return np.stack([y, left, y + 1, right], axis=1).astype(np.float32)


def train(config: BackboneTrainingConfig, data: Path, checkpoint: Path | None, output: Path | None) -> Frames[None]:
    """Train on `data`/tiny_imagenet_train.zip, yielding a frame every interval; write `output` when done.

    Metrics: loss and accuracy over the interval's training crops, `top1` on the validation pictures, learning rate.

    Raises:
        ValueError: data missing or damaged, a checkpoint of another training, or a training that diverged.
    """
    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(training_policy())
    pictures = labelled_pictures(data / TRAIN_FILE)
    validation = labelled_pictures(data / VALIDATION_FILE)
    if validation.classes != pictures.classes:
        raise ValueError("Training and validation pictures do not have the same classes.")
    count = len(pictures.images)
    classes = len(pictures.classes)
    total = config.epochs * (count // config.batch_size)

    network = studio_vgg.build_classifier(classes, normalised=True)
    rate = keras.Variable(0.0, dtype="float32", trainable=False, name="rate")
    weights = network.trainable_variables
    momenta = [keras.Variable(np.zeros(w.shape, np.float32), trainable=False) for w in weights]

    @tf.function(reduce_retracing=True)
    def update(images, labels, boxes, gains, size):
        rows = tf.range(tf.shape(images)[0])
        crops = tf.image.crop_and_resize(images, boxes, rows, [size, size], extrapolation_value=127.5)
        crops = (crops / 127.5 - 1) * gains[:, :1, None, None] + gains[:, 1:, None, None]
        targets = tf.one_hot(labels, classes) * (1 - config.label_smoothing) + config.label_smoothing / classes
        with tf.GradientTape() as tape:
            logits = network(crops, training=True)
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, logits))
        for w, m, g in zip(weights, momenta, tape.gradient(loss, weights), strict=True):
            if len(w.shape) > 1:  # biases and the scales of the normalisation do not decay
                g = g + config.weight_decay * w.value
            m.assign(config.momentum * m.value + g)
            w.assign(w.value - rate.value * (g + config.momentum * m.value))
        accuracy = tf.reduce_mean(tf.cast(tf.argmax(logits, -1, tf.int32) == labels, tf.float32))
        return {"loss": loss, "accuracy": accuracy}

    def train_step(step: int):
        position = step / total
        rng = np.random.default_rng((config.seed, 1, step))
        rows = np.sort(batch_indices(count, config.batch_size, step, config.seed))
        rate.assign(one_cycle(position, config.learning_rate, config.warmup))
        if position < WHOLE_FROM:
            size = crop_size(position, config.first_size, config.last_size)
            boxes = random_boxes(len(rows), config.least_area, rng)
        else:
            size = pictures.images.shape[1]
            boxes = shifted_boxes(len(rows), size, rng)
        gains = np.stack([rng.uniform(0.8, 1.2, len(rows)), rng.uniform(-0.1, 0.1, len(rows))], axis=1)
        return update(
            tf.constant(pictures.images[rows]),
            tf.constant(pictures.labels[rows]),
            tf.constant(boxes),
            tf.constant(gains, tf.float32),
            tf.constant(size),
        )

    def monitor(step: int):
        return None, {"top1": top1(network, validation), "learning_rate": float(rate.value)}

    yield from train_frames(
        variables=[*network.variables, *momenta],
        train_step=train_step,
        total=total,
        interval=config.interval,
        settings=dataclasses.asdict(config) | {"data": data_hash(pictures.images, pictures.labels)},
        checkpoint=checkpoint,
        monitor=monitor,
        notices=pictures.left_out,
    )
    if output:
        save(studio_vgg.folded_weights(network), pictures.classes, output)


def save(weights: dict[str, np.ndarray], classes: tuple[str, ...], path: Path) -> None:
    """Write folded weights in float16, with the class names, as one .npz file."""
    arrays: dict[str, Any] = {name: values.astype(np.float16) for name, values in weights.items()}
    with written_atomically(path) as file:
        np.savez_compressed(file, classes=np.array(classes), **arrays)


def top1(network: keras.Model, validation: LabelledPictures, batch_size: int = 250) -> float:
    """Share of pictures whose class gets the highest logit, in [0, 1]; whole pictures, no averaging of crops."""
    predict = tf.function(
        lambda images: tf.argmax(network(tf.cast(images, tf.float32) / 127.5 - 1, training=False), -1, tf.int32),
        input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)],
    )
    right = 0
    for start in range(0, len(validation.labels), batch_size):
        rows = slice(start, start + batch_size)
        right += int(np.sum(predict(tf.constant(validation.images[rows])).numpy() == validation.labels[rows]))
    return right / len(validation.labels)


def evaluate(weights: Path, data: Path) -> dict[str, float]:
    """Score shipped weights on the 10,000 validation pictures: {"top1": share in [0, 1]}."""
    keras.config.set_dtype_policy("float32")
    validation = labelled_pictures(data / VALIDATION_FILE)
    with np.load(weights, allow_pickle=False) as arrays:
        network = studio_vgg.build_classifier(len(arrays["classes"]), normalised=False)
        studio_vgg.set_weights(network, dict(arrays))
    return {"top1": top1(network, validation), "pictures": len(validation.labels)}
