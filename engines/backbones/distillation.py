"""Distil VGG19's first blocks into the style branch of the bundled backbone (Hinton et al. 2015).

Each of its layers learns the features of the layer of VGG19 (Simonyan & Zisserman 2014) that is as deep, through a
linear map of its own (hints: Romero et al. 2015), point by point and as Gram matrices (Gatys et al. 2016), which style
transfer compares. The maps are kept close to isometries, so that distances between Gram matrices of the student
approximate the teacher's, as far as fewer channels allow. No layer is copied.

Images that are optimised with a small network drift to where it disagrees with its teacher. So each step also trains on
such images: photos that are being stylised with the current student, with the teacher's features as the targets.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from engines.backbones import studio_vgg
from engines.backbones.backbone import Backbone
from engines.backbones.config import DistillationConfig
from engines.backbones.hints import crops, gram, isometry_error, relative
from engines.backbones.optimizer import convolution_optimizer
from engines.core.files import written_atomically
from engines.core.frames import Frames
from engines.data.images import PHOTOS_FILE, whole_images
from engines.nn.precision import training_policy
from engines.nn.training_loop import data_hash, one_cycle, train_frames

# Student layer: teacher layer.
TEACHER_LAYERS = {
    "block1_conv1": "block1_conv1",
    "block1_conv2": "block1_conv2",
    "block2_conv1": "block2_conv1",
    "block2_conv2": "block2_conv2",
    "block3_conv1": "block3_conv1",
    "block3_conv2": "block3_conv3",
    "block3_conv3": "block3_conv4",
}
# Paintings held out for evaluation.
HELD_OUT = ("gauguin_tahiti.jpg", "munch_the_scream.jpg", "picabia_udnie_1913.jpg")
# There are fewer paintings than photos, so each counts this many times.
PAINTING_REPEATS = 3
_MAX_GRADIENT_NORM = 1.0


def train(
    config: DistillationConfig,
    data: Path,
    paintings: Path,
    teacher: Backbone,
    checkpoint: Path | None,
    output: Path | None,
) -> Frames[None]:
    """Train on the photos in `data`/photos.zip and the images in `paintings`, yielding a frame every interval; write
    `output` when done.

    Metrics: the loss of each layer, `painted` the unfinished paintings' share of the loss, `isometry_error` the maps'
    distance from isometries, and the learning rate.

    Args:
        teacher: VGG19.
        output: an .npz with "<layer>/kernel" and "<layer>/bias" of the taught layers, float32.

    Raises:
        ValueError: data missing or damaged, a checkpoint of another training, or a training that diverged.
    """
    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(training_policy())
    photos, left_out = whole_images(data / PHOTOS_FILE, config.size)
    painted, others_left_out = whole_images(paintings, config.size, HELD_OUT)
    everything = [*photos, *painted * PAINTING_REPEATS]

    features = studio_vgg.build_features(studio_vgg.FIRST_BLOCKS)
    student = keras.Model(features.input, [features.get_layer(name).output for name in TEACHER_LAYERS])
    taught = teacher.extractor(list(TEACHER_LAYERS.values()))
    maps = [
        keras.layers.Conv2D(teacher.channels(name), 1, use_bias=False, kernel_initializer="orthogonal")
        for name in TEACHER_LAYERS.values()
    ]
    for layer, found in zip(maps, student.outputs, strict=True):
        layer.build(found.shape)
    rng = np.random.default_rng((config.seed, 0))
    # VGG19's features are in the hundreds; targets are scaled to about 1.
    probe = tf.constant(crops(everything, 16, config.size, config.largest_scale, rng))
    units = [tf.sqrt(tf.reduce_mean(tf.square(tf.cast(found, tf.float32)))) for found in taught(probe)]

    trainable = [*student.trainable_variables, *(variable for layer in maps for variable in layer.trainable_variables)]
    optimizer = convolution_optimizer(trainable, config.learning_rate)
    factor = tf.Variable(0.0)
    shape = (config.paintings, config.size, config.size, 3)
    canvas, photo, style = (tf.Variable(np.zeros(shape, np.float32)) for _ in range(3))

    def paint() -> None:
        """One style transfer step on each unfinished painting, with the current student."""
        wanted = [gram(found) for found in student(style)]
        content = student(photo)[-1]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(canvas)
            found = student(canvas)
            loss = tf.add_n([relative(gram(f), g) for f, g in zip(found, wanted, strict=True)])
            loss += 0.5 * relative(found[-1], content)
        gradient = tape.gradient(loss, canvas)
        size = tf.sqrt(tf.reduce_mean(tf.square(gradient), (1, 2, 3), keepdims=True)) + 1e-12
        canvas.assign(tf.clip_by_value(canvas - config.paintings_rate * gradient / size, -1.0, 1.0))

    @tf.function
    def update(fresh):
        paint()
        images = tf.concat([fresh, canvas], 0)
        wanted = [found / tf.cast(unit, found.dtype) for found, unit in zip(taught(images), units, strict=True)]
        parts = slice(None, config.batch_size), slice(config.batch_size, None)
        with tf.GradientTape() as tape:
            both = []
            for own, layer, right in zip(student(images, training=True), maps, wanted, strict=True):
                mapped = layer(own)
                grams = relative(gram(mapped), gram(right), parts)
                both.append((relative(mapped, right, parts) + config.gram_weight * grams) / 2)
            losses = [tf.reduce_sum(loss) for loss in both]
            error = tf.add_n([isometry_error(layer.kernel[0, 0]) for layer in maps])
            loss = tf.add_n(losses) + config.isometry_weight * error
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, optimizer.weights), _MAX_GRADIENT_NORM)
        optimizer.apply(gradients, factor)
        by_layer = dict(zip(TEACHER_LAYERS, losses, strict=True))
        return {
            "loss": loss,
            "painted": tf.add_n([loss[1] for loss in both]) / tf.add_n(losses),
            "isometry_error": error,
            **by_layer,
        }

    def renew(step: int, rng: np.random.Generator) -> None:
        """Replace paintings that have reached `paintings_age` with new photos, staggered so that all ages occur."""
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
        factor.assign(one_cycle(step / config.steps, 1.0, config.warmup))
        fresh = crops(everything, config.batch_size, config.size, config.largest_scale, rng)
        return update(tf.constant(fresh))

    yield from train_frames(
        variables=[*optimizer.weights, *optimizer.variables, canvas, photo, style],
        train_step=train_step,
        total=config.steps,
        interval=config.interval,
        settings=dataclasses.asdict(config) | {"data": data_hash(*everything), "teacher": teacher.weights},
        checkpoint=checkpoint,
        monitor=lambda _: (
            _contact_strip(canvas.numpy()),
            {"learning_rate": config.learning_rate * float(factor.numpy())},
        ),
        notices=(*left_out, *others_left_out),
    )
    if output:
        arrays: dict[str, Any] = {}
        for name in TEACHER_LAYERS:
            kernel, bias = features.get_layer(name).get_weights()
            arrays |= {f"{name}/kernel": kernel.astype(np.float32), f"{name}/bias": bias.astype(np.float32)}
        with written_atomically(output) as file:
            np.savez_compressed(file, **arrays)


def _contact_strip(images: np.ndarray) -> np.ndarray:
    """Images, (B, H, W, 3) float32 in [-1, 1], in one row: (H, B x W, 3) uint8."""
    return np.clip(np.concatenate(list(images), axis=1) * 127.5 + 127.5, 0, 255).astype(np.uint8)
