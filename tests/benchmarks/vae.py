"""Autoencoders against the notes' listing: the grid, a training step, and what a slider waits for in a real browser."""

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

COUNT, Z_RANGE = 30, 1.0
BATCH = 128
TURNS = 5
# So many of the listing's calls for one digit are timed in a turn, and so many steps of a training.
CALLS, STEPS = 12, 10


def grid() -> Row:
    """The 30 x 30 figure: the listing asks `predict` for each of 900 digits, of which some are timed."""
    import keras

    from engines.vae.model import load_vae
    from engines.vae.networks import ARCHITECTURES
    from engines.weights.store import WeightsStore

    vae = load_vae("digits_notes", WeightsStore())
    decoder = ARCHITECTURES["digits_notes"].build_decoder()
    points = np.random.default_rng(0).uniform(-Z_RANGE, Z_RANGE, (CALLS, 1, 2))
    keras.utils.disable_interactive_logging()
    decoder.predict(points[0], verbose=0)

    def listing() -> float:
        began = time.perf_counter()
        for z in points:
            decoder.predict(z, verbose=0)
        return (time.perf_counter() - began) / len(points) * COUNT**2

    def ours() -> float:
        return median_seconds(lambda: vae.latent_grid(COUNT, Z_RANGE), 4)

    taken = by_turns({"listing": listing, "ours": ours}, TURNS)
    return compared("grid", taken["ours"], taken["listing"], 300.0, "s a figure")


def step_of_the_listing() -> Callable[[], float]:
    """What measures the seconds of the listing's step, which runs eagerly."""
    import keras
    import tensorflow as tf

    from engines.vae.networks import ARCHITECTURES

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

    return lambda: median_seconds(step, STEPS)


def step_of_ours(program: bool) -> Callable[[], float]:
    """What measures the seconds of our step, as the training program takes it or as the page does."""
    import keras
    import tensorflow as tf

    from engines.nn.data_parallel import use_one_thread_per_op
    from engines.nn.precision import training_policy
    from engines.vae.networks import ARCHITECTURES
    from engines.vae.training import Loss, make_train_step

    if program:
        use_one_thread_per_op()
    architecture = ARCHITECTURES["digits_notes"]
    keras.config.set_dtype_policy(training_policy())
    networks = architecture.build_encoder(), architecture.build_decoder()
    step = make_train_step(*networks, keras.optimizers.Adam(), Loss(architecture, 0.0), seed=0)
    rows = tf.constant(_batch())
    one = tf.constant(0), tf.constant(1.0)
    return lambda: median_seconds(lambda: float(step(rows, *one)["kl_loss"]), STEPS)


def _batch() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (BATCH, 28, 28, 1)).astype(np.uint8)


def training_step() -> list[Row]:
    """A step at batch 128 on the same network: as `python -m engines.train` takes it, and as the page does."""
    ours = {"training_step": (step_of_ours, True), "training_step_page": (step_of_ours, False)}
    with in_processes({"listing": (step_of_the_listing,), **ours}) as contenders:
        taken = by_turns(contenders, TURNS)
    return [compared(name, taken[name], taken["listing"], 5.0, "s a step") for name in ours]


# Moves the pointer over the map, once a frame of the screen, and resolves with the seconds that took, how many images
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


def in_the_browser(browser: Any, moves: int = 60, rest: float = 20.0) -> list[Row]:
    """The pointer on the map, and from moving a slider of the faces to the image: in peace, and while the other lane
    paints.

    Args:
        moves: of the slider in peace.
        rest: seconds that the server has to warm itself up.
    """

    def measured(count: int) -> list[float]:
        values = np.linspace(-2.9, 2.9, count)
        return slider_milliseconds(browser, "#faces-0", "#faces-picture .faces", values)

    time.sleep(rest)
    show_tab(browser, "Latent", ".explorer[data-state=ready]")
    seconds, drawn, requests = browser.execute_async_script(_POINT, 4 * moves)
    assert requests == 0, f"{requests} requests were made while the pointer moved"
    show_tab(browser, "Portraits", "#faces-0 input[type=range]")
    measured(8)
    calm = measured(moves)
    with while_painting(browser, rest / 5):
        show_tab(browser, "Latent", "#faces-0 input[type=range]")
        loaded = measured(moves // 2)
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
    rows = [grid(), *training_step()]
    with a_page() as browser:
        return [*rows, *in_the_browser(browser)]


if __name__ == "__main__":
    main(measure, __doc__.splitlines()[0])
