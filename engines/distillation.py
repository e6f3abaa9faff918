"""Teach the first blocks of the bundled backbone what VGG19's have learnt (distillation: Hinton et al. 2015).

Each of their layers learns the features of the layer of VGG19 (Simonyan & Zisserman 2014) that is as deep, through a
linear map of its own (hints: Romero et al. 2015), point by point and as Gram matrices (Gatys et al. 2016), which style
transfer compares. The maps are held near isometries: distances between the Gram matrices of the small network's
features are then those of the teacher's, but for what does not fit into fewer channels. No layer is copied.

What an optimiser paints by a small network is not what its teacher would have it paint: the picture goes where the
small network is wrong. So some of what it learns from are such pictures: photos that the network as it is paints, and
that the teacher corrects at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from engines.frames import Frames
from engines.parts import studio_vgg
from engines.parts.backbones import Backbone
from engines.parts.datasets import whole_pictures
from engines.parts.distillation_config import DistillationConfig
from engines.parts.files import written_atomically
from engines.parts.precision import training_policy
from engines.parts.training import data_hash, one_cycle, train_frames

PHOTOS_FILE = "photos.zip"
# A layer of ours learns from the layer of VGG19 at its right.
TAUGHT_BY = {
    "block1_conv1": "block1_conv1",
    "block1_conv2": "block1_conv2",
    "block2_conv1": "block2_conv1",
    "block2_conv2": "block2_conv2",
    "block3_conv1": "block3_conv1",
    "block3_conv2": "block3_conv3",
    "block3_conv3": "block3_conv4",
}
# Paintings by which the network is judged.
HELD_OUT = ("gauguin_tahiti.jpg", "munch_the_scream.jpg", "picabia_udnie_1913.jpg")
# Paintings are fewer than photos, and each is cropped as often as so many of them.
PAINTINGS_COUNT = 3
_ADAM = (0.9, 0.99, 1e-7)
_LARGEST_GRADIENT = 1.0


def crops(pictures: Sequence[np.ndarray], count: int, size: int, largest_scale: float, rng: np.random.Generator):
    """Random squares of random pictures at random scales, half of them mirrored.

    Args:
        pictures: (H, W, 3) uint8 RGB each, of any size from (size, size) on.
        largest_scale: the largest square has sides of so many times `size`.

    Returns:
        (count, size, size, 3) float32 in [-1, 1].
    """
    found = np.empty((count, size, size, 3), np.float32)
    for row in range(count):
        picture = pictures[int(rng.integers(len(pictures)))]
        side = min(int(size * rng.uniform(1, largest_scale)), *picture.shape[:2])
        y, x = rng.integers(picture.shape[0] - side + 1), rng.integers(picture.shape[1] - side + 1)
        crop = Image.fromarray(picture[y : y + side, x : x + side])
        crop = crop.resize((size, size), Image.Resampling.LANCZOS, reducing_gap=3.0)
        found[row] = np.asarray(crop)[:, :: 1 if rng.random() < 0.5 else -1]
    return found / 127.5 - 1


def gram(features: tf.Tensor) -> tf.Tensor:
    """The Gram matrix of each picture's features, (B, H, W, C) -> (B, C, C), divided by H x W."""
    flat = tf.reshape(features, (tf.shape(features)[0], -1, features.shape[-1]))
    return tf.matmul(flat, flat, transpose_a=True) / tf.cast(tf.shape(flat)[1], flat.dtype)


def relative(found: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
    """The squared distance of what was found from what was wanted, relative to the latter: a scalar."""
    return tf.reduce_sum(tf.square(found - wanted)) / (tf.reduce_sum(tf.square(wanted)) + 1e-6)


def bend(kernel: tf.Tensor) -> tf.Tensor:
    """How far a linear map, (channels, others), is from keeping all angles, or where these are fewer from being such a
    map's transpose: a scalar, 0 where it does."""
    kernel = tf.cast(kernel, tf.float32)
    wide = kernel.shape[0] <= kernel.shape[1]
    inner = tf.matmul(kernel, kernel, transpose_a=not wide, transpose_b=wide)
    size = tf.shape(inner)[0]
    scale = tf.linalg.trace(inner) / tf.cast(size, tf.float32)
    return tf.reduce_mean(tf.square(inner / scale - tf.eye(size))) * tf.cast(size, tf.float32)


def train(
    config: DistillationConfig,
    data: Path,
    paintings: Path,
    teacher: Backbone,
    checkpoint: Path | None,
    output: Path | None,
) -> Frames[None]:
    """Train on the photos in `data`/photos.zip and the pictures in `paintings`, yielding a frame every interval; write
    `output` when done.

    Metrics: the loss of each layer over the interval, `painted` the share of it that is owed to paintings in the
    making, `bent` how far the maps are from isometries, learning rate.

    Args:
        teacher: VGG19.
        output: an .npz with "<layer>/kernel" and "<layer>/bias" of the taught layers, float32.

    Raises:
        ValueError: data missing or damaged, a checkpoint of another training, or a training that diverged.
    """
    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(training_policy())
    photos, left_out = whole_pictures(data / PHOTOS_FILE, config.size)
    painted, others_left_out = whole_pictures(paintings, config.size, HELD_OUT)
    everything = [*photos, *painted * PAINTINGS_COUNT]

    features = studio_vgg.build_features(normalised=False)
    student = keras.Model(features.input, [features.get_layer(name).output for name in TAUGHT_BY])
    taught = teacher.extractor(list(TAUGHT_BY.values()))
    maps = [
        keras.layers.Conv2D(teacher.channels(name), 1, use_bias=False, kernel_initializer="orthogonal")
        for name in TAUGHT_BY.values()
    ]
    for layer, found in zip(maps, student.outputs, strict=True):
        layer.build(found.shape)
    rng = np.random.default_rng((config.seed, 0))
    # Features of VGG19 are hundreds; a network learns best what is about 1.
    probe = tf.constant(crops(everything, 16, config.size, config.largest_scale, rng))
    units = [tf.sqrt(tf.reduce_mean(tf.square(tf.cast(found, tf.float32)))) for found in taught(probe)]

    weights = [*student.trainable_variables, *(variable for layer in maps for variable in layer.trainable_variables)]
    moments = [[tf.Variable(np.zeros(w.shape, np.float32)) for w in weights] for _ in range(2)]
    rate, count = tf.Variable(0.0), tf.Variable(0.0)
    shape = (config.paintings, config.size, config.size, 3)
    canvas, photo, style = (tf.Variable(np.zeros(shape, np.float32)) for _ in range(3))

    def student_features(pictures) -> list[Any]:
        return [tf.cast(found, tf.float32) for found in student(pictures, training=True)]

    def paint() -> None:
        """Move each painting in the making a step towards the style of a painting, as the network as it is sees it."""
        wanted = [gram(found) for found in student_features(style)]
        content = student_features(photo)[-1]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(canvas)
            found = student_features(canvas)
            loss = tf.add_n([relative(gram(f), g) for f, g in zip(found, wanted, strict=True)])
            loss += 0.5 * relative(found[-1], content)
        gradient = tape.gradient(loss, canvas)
        size = tf.sqrt(tf.reduce_mean(tf.square(gradient), (1, 2, 3), keepdims=True)) + 1e-12
        canvas.assign(tf.clip_by_value(canvas - config.paintings_rate * gradient / size, -1.0, 1.0))

    @tf.function
    def update(fresh):
        paint()
        pictures = tf.concat([fresh, canvas], 0)
        wanted = [tf.cast(found, tf.float32) / unit for found, unit in zip(taught(pictures), units, strict=True)]
        half = config.batch_size
        with tf.GradientTape() as tape:
            losses, of_paintings = [], []
            for own, layer, right in zip(student(pictures, training=True), maps, wanted, strict=True):
                told = tf.cast(layer(own), tf.float32)
                parts = [
                    relative(told[rows], right[rows])
                    + config.gram_weight * relative(gram(told[rows]), gram(right[rows]))
                    for rows in (slice(None, half), slice(half, None))
                ]
                losses.append(tf.add_n(parts) / 2)
                of_paintings.append(parts[1] / 2)
            bent = tf.add_n([bend(layer.kernel[0, 0]) for layer in maps])
            loss = tf.add_n(losses) + config.isometry_weight * bent
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, weights), _LARGEST_GRADIENT)
        count.assign_add(1.0)
        first, second, least = _ADAM
        for weight, gradient, mean, square in zip(weights, gradients, *moments, strict=True):
            mean.assign(first * mean + (1 - first) * gradient)
            square.assign(second * square + (1 - second) * tf.square(gradient))
            corrected = (mean / (1 - first**count)) / (tf.sqrt(square / (1 - second**count)) + least)
            weight.assign(weight.value - rate * corrected)
        told = dict(zip(TAUGHT_BY, losses, strict=True))
        return {"loss": loss, "painted": tf.add_n(of_paintings) / tf.add_n(losses), "bent": bent, **told}

    def renew(step: int, rng: np.random.Generator) -> None:
        """Put new photos in the place of paintings that have come of age: one after another, so that all ages are
        there."""
        each, number = config.paintings_age, config.paintings
        rows = [row for row in range(number) if not step or (step + row * each // number) % each == 0]
        if not rows:
            return
        begun = crops(photos, len(rows), config.size, config.largest_scale, rng)
        for variable, values in (
            (photo, begun),
            (canvas, begun),
            (style, crops(painted, len(rows), config.size, config.largest_scale, rng)),
        ):
            held = variable.numpy()
            held[rows] = values
            variable.assign(held)

    def train_step(step: int):
        rng = np.random.default_rng((config.seed, 1, step))
        renew(step, rng)
        rate.assign(one_cycle(step / config.steps, config.learning_rate, config.warmup))
        fresh = crops(everything, config.batch_size, config.size, config.largest_scale, rng)
        return update(tf.constant(fresh))

    yield from train_frames(
        variables=[*weights, *moments[0], *moments[1], count, canvas, photo, style],
        train_step=train_step,
        total=config.steps,
        interval=config.interval,
        settings=dataclasses.asdict(config) | {"data": data_hash(*everything), "teacher": teacher.weights},
        checkpoint=checkpoint,
        monitor=lambda _: (_side_by_side(canvas.numpy()), {"learning_rate": float(rate.numpy())}),
        notices=(*left_out, *others_left_out),
    )
    if output:
        arrays: dict[str, Any] = {}
        for name in TAUGHT_BY:
            kernel, bias = features.get_layer(name).get_weights()
            arrays |= {f"{name}/kernel": kernel.astype(np.float32), f"{name}/bias": bias.astype(np.float32)}
        with written_atomically(output) as file:
            np.savez_compressed(file, **arrays)


def _side_by_side(pictures: np.ndarray) -> np.ndarray:
    """Pictures, (B, H, W, 3) float32 in [-1, 1], in one row: (H, B x W, 3) uint8."""
    return np.clip(np.concatenate(list(pictures), axis=1) * 127.5 + 127.5, 0, 255).astype(np.uint8)
