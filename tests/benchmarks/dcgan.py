"""Adversarial networks against the notes' listing: training, drawing, and what a slider waits for in a real browser."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.benchmarks.report import Row, compared, main
from tests.benchmarks.timing import (
    a_page,
    by_turns,
    in_processes,
    median_seconds,
    show_tab,
    slider_milliseconds,
    while_painting,
)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

BATCH, SAMPLES = 64, 64
TURNS = 3
# The listing's widths, and how many batches are timed in a turn.
WIDTHS, BATCHES = (64, 128, 128), 4


def _images(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 64, 64, 3)).astype(np.uint8)


def listing() -> Callable[[], float]:
    """What measures the images a second of the listing as it is written: its networks, step and `fit`, in float32."""
    import keras
    import tensorflow as tf
    from keras import layers

    latent_dim, (narrow, middle, wide) = 128, WIDTHS
    discriminator = keras.Sequential(
        [
            keras.Input((64, 64, 3)),
            layers.Conv2D(narrow, 4, strides=2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Conv2D(middle, 4, strides=2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Conv2D(wide, 4, strides=2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    generator = keras.Sequential(
        [
            keras.Input((latent_dim,)),
            layers.Dense(8 * 8 * wide),
            layers.Reshape((8, 8, wide)),
            layers.Conv2DTranspose(wide, 4, strides=2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Conv2DTranspose(2 * wide, 4, strides=2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Conv2DTranspose(4 * wide, 4, strides=2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Conv2D(3, 5, padding="same", activation="sigmoid"),
        ]
    )
    loss_fn = keras.losses.BinaryCrossentropy()

    class GAN(keras.Model):
        def __init__(self):
            super().__init__()
            self.d_optimizer, self.g_optimizer = (keras.optimizers.Adam(1e-4) for _ in range(2))
            self.discriminator, self.generator = discriminator, generator

        def train_step(self, real_images):
            count = tf.shape(real_images)[0]
            drawn = self.generator(tf.random.normal((count, latent_dim)))
            combined = tf.concat([drawn, real_images], axis=0)
            labels = tf.concat([tf.ones((count, 1)), tf.zeros((count, 1))], axis=0)
            labels += 0.05 * tf.random.uniform(tf.shape(labels))
            with tf.GradientTape() as tape:
                d_loss = loss_fn(labels, self.discriminator(combined))
            weights = self.discriminator.trainable_weights
            self.d_optimizer.apply_gradients(zip(tape.gradient(d_loss, weights), weights, strict=True))
            noise = tf.random.normal((count, latent_dim))
            with tf.GradientTape() as tape:
                g_loss = loss_fn(tf.zeros((count, 1)), self.discriminator(self.generator(noise)))
            weights = self.generator.trainable_weights
            self.g_optimizer.apply_gradients(zip(tape.gradient(g_loss, weights), weights, strict=True))
            return {"d_loss": d_loss, "g_loss": g_loss}

    gan = GAN()
    gan.compile()
    data = (
        tf.data.Dataset.from_tensor_slices(_images(BATCHES * BATCH))
        .batch(BATCH)
        .map(lambda x: tf.cast(x, tf.float32) / 255)
    )
    gan.fit(data.take(2), verbose=0)

    def measure() -> float:
        began = time.perf_counter()
        gan.fit(data, verbose=0)
        return BATCHES * BATCH / (time.perf_counter() - began)

    return measure


def loop(model: str, objective: str | None, steps: int) -> Callable[[], float]:
    """What measures the images a second of our loop, as `python -m engines.train` takes it."""
    import tensorflow as tf

    from engines.dcgan.config import DCGANTrainingConfig
    from engines.dcgan.training import TrainState, make_train_step
    from engines.nn.data_parallel import use_one_thread_per_op

    use_one_thread_per_op()
    config = DCGANTrainingConfig(model=model, objective=objective, batch_size=BATCH).filled()
    step = make_train_step(TrainState(config), config, 10_000)
    images, rates = tf.constant(_images(BATCH)), (tf.constant(1e-4), tf.constant(0.0))
    return lambda: BATCH / median_seconds(lambda: float(step(images, tf.constant(1), *rates)["d_loss"]), steps)


def training() -> list[Row]:
    """Ours, and the notes' networks in our loop, each against the listing; and the notes' own training in our loop."""
    targets = {"training": 15.0, "training_notes_networks": 1.7, "training_notes_exactly": 1.0}
    prepared = {
        "listing": (listing,),
        "training": (loop, "faces", None, 5 * BATCHES),
        "training_notes_networks": (loop, "notes", "hinge", BATCHES),
        "training_notes_exactly": (loop, "notes", None, BATCHES),
    }
    with in_processes(prepared) as contenders:
        said = by_turns(contenders, TURNS)
    return [
        compared(name, said[name], said["listing"], target, "pictures/s", more_is_better=True)
        for name, target in targets.items()
    ]


def sampling() -> Row:
    """64 faces once warm, in milliseconds."""
    from engines.dcgan.model import load_gan
    from engines.weights.store import WeightsStore

    gan = load_gan("faces", WeightsStore())
    ours = 1000 * median_seconds(lambda: gan.sample(range(SAMPLES)), 20)
    return Row("sampling", ours, 150.0, 150.0 / ours, 1.0, "ms")


def in_the_browser(browser: Any, moves: int = 60, rest: float = 20.0) -> list[Row]:
    """From moving a direction's slider to the image: in peace, and while the other lane paints.

    Args:
        moves: of the slider in peace.
        rest: seconds that the server has to warm itself up.
    """

    def measured(count: int) -> list[float]:
        return slider_milliseconds(browser, "#gan-d1", "#gan-portrait .faces", np.linspace(-5.9, 5.9, count))

    time.sleep(rest)
    show_tab(browser, "Faces", "#gan-face-grid .face-grid button")
    measured(8)
    calm = measured(moves)
    with while_painting(browser, rest / 5):
        show_tab(browser, "Faces", "#gan-face-grid .face-grid button")
        loaded = measured(moves // 2)
    median, late = statistics.median(calm), float(np.percentile(calm, 95))
    busy = statistics.median(loaded)
    return [
        Row("slider_latency", median, 60.0, 60.0 / median, 1.0, "ms, median"),
        Row("slider_latency_95", late, 120.0, 120.0 / late, 1.0, "ms, 95th percentile"),
        Row("slider_latency_under_load", busy, 250.0, 250.0 / busy, 1.0, "ms, median"),
    ]


def measure() -> list[Row]:
    """All rows."""
    rows = [*training(), sampling()]
    with a_page() as browser:
        return [*rows, *in_the_browser(browser)]


if __name__ == "__main__":
    main(measure, __doc__.splitlines()[0])
