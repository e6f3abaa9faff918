"""DeepDream against the book's listing: same images, same steps, InceptionV3.

Each contender runs in a process of its own, in turn, and reports seconds (loading the network left out, tracing
counted, as a reader of the book would wait for it), peak resident memory and its last loss. Each turn has another
image: a step of 20 at the smallest octave is so large that rounding alone moves one image's last loss by some
percent either way, so only a mean over images compares. An image of 12 million pixels is dreamt as well, against the
limit of 4 GiB. Needs the official InceptionV3 file in $REVERIE_WEIGHTS or in
the shared test data.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.report import Row, compared, main
from tests.benchmarks.timing import by_turns, peak_mib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

WIDTH, HEIGHT = 600, 400
STEPS, OCTAVES, OCTAVE_SCALE, STEP_SIZE = 30, 3, 1.4, 20.0
LAYERS = {"mixed4": 1.0, "mixed5": 1.5, "mixed6": 2.0, "mixed7": 2.5}
LARGE = (4000, 3000)
LARGEST_MIB = 4096
TURNS = 5
FILE = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"


def weights_folder() -> Path:
    """Where the official InceptionV3 file lies."""
    shared = Path(os.environ.get("REVERIE_SHARED", "../shared")) / "weights"
    for folder in filter(None, (os.environ.get("REVERIE_WEIGHTS"), shared)):
        if (Path(folder) / FILE).is_file():
            return Path(folder)
    sys.exit(f"This benchmark needs {FILE}; set REVERIE_WEIGHTS to the folder that holds it.")


def images() -> list[np.ndarray]:
    """The studio's example images that are drawn, and those that come with its packages: (400, 600, 3) uint8 each."""
    from PIL import Image

    from studio.examples.examples import clouds, hills_at_dusk, photographs

    originals = [clouds(), hills_at_dusk(), *(Image.open(path).convert("RGB") for path in photographs()[:3])]
    return [np.asarray(original.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)) for original in originals]


def listing(image: np.ndarray, model: Any = None) -> tuple[float, float]:
    """The book's listing in our own words: float32, traced anew for each octave's shape.

    Two departures: the shrunken original is kept up to date (the printed listing misspells it), and no max_loss, so
    that both contenders do the same number of steps. Returns (seconds, last loss).

    Args:
        model: with the layers of LAYERS; InceptionV3 if none is given.
    """
    import keras
    import tensorflow as tf

    model = model or keras.applications.InceptionV3(weights=str(weights_folder() / FILE), include_top=False)
    extractor = keras.Model(model.inputs, {name: model.get_layer(name).output for name in LAYERS})

    def compute_loss(dreamt):
        loss = tf.zeros(())
        for name, features in extractor(dreamt).items():
            loss += LAYERS[name] * tf.reduce_mean(tf.square(features[:, 2:-2, 2:-2, :]))
        return loss

    @tf.function
    def gradient_ascent_step(dreamt, step_size):
        with tf.GradientTape() as tape:
            tape.watch(dreamt)
            loss = compute_loss(dreamt)
        gradient = tf.math.l2_normalize(tape.gradient(loss, dreamt))
        return loss, dreamt + step_size * gradient

    original = tf.constant(keras.applications.inception_v3.preprocess_input(image[None].astype(np.float32)))
    shapes = [(int(HEIGHT / OCTAVE_SCALE**i), int(WIDTH / OCTAVE_SCALE**i)) for i in range(OCTAVES)][::-1]
    began = time.perf_counter()
    shrunk = tf.image.resize(original, shapes[0])
    dreamt = tf.identity(original)
    for shape in shapes:
        dreamt = tf.image.resize(dreamt, shape)
        for _ in range(STEPS):
            loss, dreamt = gradient_ascent_step(dreamt, STEP_SIZE)
            last = float(loss)
        same_size = tf.image.resize(original, shape)
        dreamt += same_size - tf.image.resize(shrunk, shape)
        shrunk = same_size
    np.clip((dreamt.numpy() + 1) * 127.5, 0, 255).astype(np.uint8)
    return time.perf_counter() - began, last


def load(name: str) -> Any:
    """A network of the engines by its name."""
    from engines.backbones.backbone import load_backbone
    from engines.weights.store import WeightsStore

    return load_backbone(name, WeightsStore(folders=() if name == "studio_vgg" else (weights_folder(),)))


def engine(image: np.ndarray, network: str = "inception_v3") -> tuple[float, float]:
    """The engine as the page runs it, an image made of every step. Returns (seconds, last loss)."""
    from engines.deep_dream import DreamConfig, dream

    backbone = load(network)
    config = DreamConfig(
        size=0,
        octaves=OCTAVES,
        octave_scale=OCTAVE_SCALE,
        steps=STEPS,
        step_size=STEP_SIZE,
        normalization="l2",
        jitter=0,
        layer_weights=LAYERS,
    )
    began = time.perf_counter()
    for frame in dream(image, config, backbone):
        last = frame.metrics["loss"]
    return time.perf_counter() - began, last


CONTENDERS = {"listing": listing, "engine": engine}


def contend(name: str, turn: str) -> None:
    """Run one contender, on one of the images or with one of the networks, in this process; print its figures."""
    seconds, loss = large_image(turn) if name == "large" else CONTENDERS[name](images()[int(turn)])
    print(json.dumps({"seconds": seconds, "loss": loss, "peak": peak_mib()}))


def in_a_process(name: str, turn: str) -> dict[str, float]:
    """The figures of one contender in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.deep_dream", "--contender", name, turn]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(output.splitlines()[-1])


def figures() -> dict[str, dict[str, list[float]]]:
    """Every contender's seconds, peak and last loss of each turn, the contenders taking turns."""
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    for turn in range(len(images())):
        for name, results in runs.items():
            results.append(in_a_process(name, str(turn)))
    return {
        name: {key: [one[key] for one in results] for key in ("seconds", "peak", "loss")}
        for name, results in runs.items()
    }


def large_image(backbone_name: str) -> tuple[float, float]:
    """A dream of LARGE pixels in tiles, in this process. Returns (seconds a step, last loss)."""
    from PIL import Image

    from engines.deep_dream import DreamConfig, dream

    photo = np.asarray(Image.fromarray(images()[0]).resize(LARGE, Image.Resampling.BICUBIC))
    backbone = load(backbone_name)
    steps = 3
    began = time.perf_counter()
    for frame in dream(photo, DreamConfig(size=0, octaves=1, steps=steps), backbone):
        last = frame.metrics["loss"]
    return (time.perf_counter() - began) / steps, last


def streaming(**changed: Any) -> Row:
    """Seconds of a default dream with the bundled backbone: watched by a page, and by nobody.

    The watching page is a coroutine that takes every message, turns it into the JSON that would be sent, and
    acknowledges it at once: the most images that a page can be sent.

    Args:
        changed: settings of the dream that are not the default.
    """
    from engines.deep_dream import presets
    from engines.jobs import Job
    from studio.run_views.stream import Watcher, acknowledge
    from studio.services import Studio

    with tempfile.TemporaryDirectory() as folder:
        studio = Studio(outputs=Path(folder))
        job = Job(
            engine="deep_dream",
            config=dataclasses.replace(next(iter(presets("studio_vgg").values())), **changed),
            inputs={"image": images()[0]},
            backbone="studio_vgg",
        )

        async def watch(run):
            async for message in Watcher(run, studio.runs.queue).messages():
                if message:
                    json.dumps(message)
                    acknowledge([message["watcher"], message["number"]])

        def once(watched: bool) -> float:
            run = studio.runs.start(job)
            if watched:
                page = threading.Thread(target=lambda: asyncio.run(watch(run)))
                page.start()
                page.join()
            while not run.over:
                time.sleep(0.01)
            return run.seconds

        once(True), once(False)
        taken = by_turns({"watched": lambda: once(True), "alone": lambda: once(False)}, TURNS)
        studio.runs.close()
    return compared("streaming", taken["watched"], taken["alone"], 0.95, "s a dream")


def measure() -> list[Row]:
    """All rows."""
    result = figures()
    ours, book = result["engine"], result["listing"]
    # A mean, see above: a median would be that of one image.
    loss, its_loss = statistics.fmean(ours["loss"]), statistics.fmean(book["loss"])
    return [
        compared("speed", ours["seconds"], book["seconds"], 2.0, "s a dream"),
        compared("peak_memory", ours["peak"], book["peak"], 1.0, "MiB"),
        Row("loss", loss, its_loss, loss / its_loss, 0.98, "mean last loss"),
        *(
            Row(f"large_{name}", peak, LARGEST_MIB, LARGEST_MIB / peak, 1.0, "MiB")
            for name, peak in ((name, in_a_process("large", name)["peak"]) for name in ("studio_vgg", "vgg19"))
        ),
        streaming(),
    ]


if __name__ == "__main__":
    if "--contender" in sys.argv:
        contend(sys.argv[-2], sys.argv[-1])
    else:
        main(measure, __doc__.splitlines()[0])
