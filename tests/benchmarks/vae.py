"""Autoencoders against the notes' listing: the grid, a training step, and what a slider waits for in a real browser."""

from __future__ import annotations

import os
import statistics
import time

import numpy as np

from tests.benchmarks.report import Row, main
from tests.benchmarks.timing import a_page, in_a_fresh_process, median_seconds, show_tab, slider_milliseconds

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

COUNT, REACH = 30, 1.0
BATCH = 128


def grid() -> Row:
    """The 30 x 30 figure: the listing asks `predict` for each of 900 digits, of which 60 are timed."""
    import keras

    from engines.parts.autoencoders import load_vae
    from engines.parts.vae_networks import ARCHITECTURES
    from engines.parts.weights import WeightsStore

    vae = load_vae("digits_notes", WeightsStore())
    decoder = ARCHITECTURES["digits_notes"].build_decoder()
    points = np.random.default_rng(0).uniform(-REACH, REACH, (60, 1, 2))
    keras.utils.disable_interactive_logging()
    decoder.predict(points[0], verbose=0)
    began = time.perf_counter()
    for z in points:
        decoder.predict(z, verbose=0)
    theirs = (time.perf_counter() - began) / len(points) * COUNT**2
    ours = median_seconds(lambda: vae.latent_grid(COUNT, REACH), 20)
    return Row("grid", ours, theirs, theirs / ours, 300.0, "s a figure")


def _step_of_the_listing() -> float:
    """Seconds of the listing's step, which runs eagerly."""
    import keras
    import tensorflow as tf

    from engines.parts.vae_networks import ARCHITECTURES

    architecture = ARCHITECTURES["digits_notes"]
    encoder, decoder = architecture.build_encoder(), architecture.build_decoder()
    optimizer = keras.optimizers.Adam()
    weights = [*encoder.trainable_weights, *decoder.trainable_weights]
    data = tf.constant(_batch() / 255, tf.float32)

    def step() -> float:
        with tf.GradientTape() as tape:
            mean, log_variance = encoder(data)
            z = mean + tf.exp(0.5 * log_variance) * tf.random.normal(tf.shape(mean))
            reconstruction = tf.sigmoid(decoder(z))
            losses = keras.losses.binary_crossentropy(data, reconstruction)
            loss = tf.reduce_mean(tf.reduce_sum(losses, axis=(1, 2)))
            kl = -0.5 * (1 + log_variance - tf.square(mean) - tf.exp(log_variance))
            loss += tf.reduce_mean(tf.reduce_sum(kl, axis=1))
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return float(loss)

    return median_seconds(step, 15)


def _step_of_ours(program: bool) -> float:
    """Seconds of our step, as the training program takes it or as the page does."""
    import keras
    import tensorflow as tf

    from engines.parts.precision import training_policy
    from engines.parts.shards import one_thread_an_operation
    from engines.parts.vae_networks import ARCHITECTURES
    from engines.vae_training import Loss, train_step_of

    if program:
        one_thread_an_operation()
    architecture = ARCHITECTURES["digits_notes"]
    keras.config.set_dtype_policy(training_policy())
    networks = architecture.build_encoder(), architecture.build_decoder()
    step = train_step_of(*networks, keras.optimizers.Adam(), Loss(architecture, 0.0), seed=0)
    rows = tf.constant(_batch())
    one = tf.constant(0), tf.constant(1.0)
    return median_seconds(lambda: float(step(rows, *one)["kl_loss"]), 40)


def _batch() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (BATCH, 28, 28, 1)).astype(np.uint8)


def training_step() -> list[Row]:
    """A step at batch 128 on the same network: as `python -m engines.train` takes it, and as the page does."""
    theirs = in_a_fresh_process(_step_of_the_listing)
    rows = []
    for name, program in (("training_step", True), ("training_step_page", False)):
        ours = in_a_fresh_process(_step_of_ours, program)
        rows.append(Row(name, ours, theirs, theirs / ours, 5.0, "s a step"))
    return rows


# Moves the pointer over the map, once a frame of the screen, and resolves with the seconds that took, how many pictures
# were drawn meanwhile, and how many requests were made.
_POINT = """
const [count, done] = arguments, root = document.querySelector('.explorer'), map = root.querySelector('.tiles');
const box = map.getBoundingClientRect(), requests = () => performance.getEntriesByType('resource').length;
const before = { requests: requests(), drawn: Number(root.dataset.drawn) };
let frames = 0, began;
const move = now => {
  began ??= now;
  if (frames === count) {
    return done([(now - began) / 1000, Number(root.dataset.drawn) - before.drawn, requests() - before.requests]);
  }
  const turn = frames++ / 20, at = (side, wave) => side * (0.5 + 0.45 * wave);
  const clientX = box.left + at(box.width, Math.cos(turn)), clientY = box.top + at(box.height, Math.sin(turn));
  map.dispatchEvent(new PointerEvent('pointermove', { bubbles: true, clientX, clientY }));
  requestAnimationFrame(move);
};
requestAnimationFrame(move);
"""


def in_the_browser() -> list[Row]:
    """The pointer on the map, and from moving a slider of the faces to the picture: in peace, and while the other lane
    paints.
    """
    with a_page() as browser:

        def measured(count: int) -> list[float]:
            values = np.linspace(-2.9, 2.9, count)
            return slider_milliseconds(browser, "#faces-0", "#faces-picture .faces", values)

        time.sleep(20)  # the server warms itself up
        show_tab(browser, "Latent")
        seconds, drawn, requests = browser.execute_async_script(_POINT, 240)
        assert requests == 0, f"{requests} requests were made while the pointer moved"
        show_tab(browser, "Portraits")
        measured(8)
        calm = measured(60)
        show_tab(browser, "Style")
        browser.execute_script("document.querySelector('#style-go').click()")
        time.sleep(4)
        show_tab(browser, "Latent")
        loaded = measured(30)
    median, late = statistics.median(calm), float(np.percentile(calm, 95))
    busy = statistics.median(loaded)
    return [
        # A frame now and then may be lost to what else the machine does.
        Row("pointer", drawn / seconds, 60.0, drawn / seconds / 60, 0.98, "pictures a s"),
        Row("slider_latency", median, 60.0, 60.0 / median, 1.0, "ms, median"),
        Row("slider_latency_95", late, 120.0, 120.0 / late, 1.0, "ms, 95th percentile"),
        Row("slider_latency_under_load", busy, 250.0, 250.0 / busy, 1.0, "ms, median"),
    ]


def measure() -> list[Row]:
    """All rows."""
    return [grid(), *training_step(), *in_the_browser()]


if __name__ == "__main__":
    main(measure, __doc__.splitlines()[0])
