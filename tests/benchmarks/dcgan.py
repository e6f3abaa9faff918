"""Adversarial networks against the notes' listing: training, drawing, and what a slider waits for in a real browser."""

from __future__ import annotations

import os
import statistics
import time

import numpy as np

from tests.benchmarks.report import Row, main
from tests.benchmarks.timing import a_page, in_a_fresh_process, median_seconds, show_tab, slider_milliseconds

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

BATCH, SAMPLES = 64, 64


def _images(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 64, 64, 3)).astype(np.uint8)


def _listing() -> float:
    """Pictures a second of the listing as it is written: its networks, its `train_step`, `fit`, float32."""
    import keras
    import tensorflow as tf
    from keras import layers

    latent_dim = 128
    discriminator = keras.Sequential(
        [
            keras.Input((64, 64, 3)),
            layers.Conv2D(64, 4, strides=2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Conv2D(128, 4, strides=2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Conv2D(128, 4, strides=2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    generator = keras.Sequential(
        [
            keras.Input((latent_dim,)),
            layers.Dense(8 * 8 * 128),
            layers.Reshape((8, 8, 128)),
            layers.Conv2DTranspose(128, 4, strides=2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Conv2DTranspose(256, 4, strides=2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Conv2DTranspose(512, 4, strides=2, padding="same"),
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
        tf.data.Dataset.from_tensor_slices(_images(8 * BATCH)).batch(BATCH).map(lambda x: tf.cast(x, tf.float32) / 255)
    )
    gan.fit(data.take(2), verbose=0)
    began = time.perf_counter()
    gan.fit(data, verbose=0)
    return 8 * BATCH / (time.perf_counter() - began)


def _step(model: str, objective: str | None, steps: int) -> float:
    """Pictures a second of our loop, as `python -m engines.train` takes it."""
    import tensorflow as tf

    from engines.dcgan_training import Networks, train_step_of
    from engines.parts.dcgan_config import DCGANTrainingConfig
    from engines.parts.shards import one_thread_an_operation

    one_thread_an_operation()
    config = DCGANTrainingConfig(model=model, objective=objective, batch_size=BATCH).filled()
    step = train_step_of(Networks(config), config, 10_000)
    images, rates = tf.constant(_images(BATCH)), (tf.constant(1e-4), tf.constant(0.0))
    return BATCH / median_seconds(lambda: float(step(images, tf.constant(1), *rates)["d_loss"]), steps)


def training() -> list[Row]:
    """Ours, and the notes' networks in our loop, each against the listing; and the notes' own training in our loop."""
    theirs = in_a_fresh_process(_listing)
    rows = []
    for name, model, objective, target in (
        ("training", "faces", None, 15.0),
        ("training_notes_networks", "notes", "hinge", 1.7),
        ("training_notes_exactly", "notes", None, 1.0),
    ):
        ours = in_a_fresh_process(_step, model, objective, 40 if model == "faces" else 8)
        rows.append(Row(name, ours, theirs, ours / theirs, target, "pictures/s"))
    return rows


def sampling() -> Row:
    """64 faces once warm, in milliseconds."""
    from engines.parts.gans import load_gan
    from engines.parts.weights import WeightsStore

    gan = load_gan("faces", WeightsStore())
    ours = 1000 * median_seconds(lambda: gan.sample(range(SAMPLES)), 20)
    return Row("sampling", ours, 150.0, 150.0 / ours, 1.0, "ms")


def in_the_browser() -> list[Row]:
    """From moving a direction's slider to the picture: in peace, and while the other lane paints."""
    with a_page() as browser:

        def measured(count: int) -> list[float]:
            return slider_milliseconds(browser, "#gan-d1", "#gan-portrait .faces", np.linspace(-5.9, 5.9, count))

        time.sleep(20)  # the server warms itself up
        show_tab(browser, "Faces")
        measured(8)
        calm = measured(60)
        show_tab(browser, "Style")
        browser.execute_script("document.querySelector('#style-go').click()")
        time.sleep(4)
        show_tab(browser, "Faces")
        loaded = measured(30)
    median, late = statistics.median(calm), float(np.percentile(calm, 95))
    busy = statistics.median(loaded)
    return [
        Row("slider_latency", median, 60.0, 60.0 / median, 1.0, "ms, median"),
        Row("slider_latency_95", late, 120.0, 120.0 / late, 1.0, "ms, 95th percentile"),
        Row("slider_latency_under_load", busy, 250.0, 250.0 / busy, 1.0, "ms, median"),
    ]


def measure() -> list[Row]:
    """All rows."""
    return [*training(), sampling(), *in_the_browser()]


if __name__ == "__main__":
    main(measure, __doc__.splitlines()[0])
