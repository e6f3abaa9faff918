"""Style transfer against the book's listing and PyTorch: VGG19, 400 rows; and the bundled network's first image.

Each contender runs in a process of its own and reports its seconds and its peak resident memory. The listing's time
is 4,000 times its measured step. The loss that it ends with, `END_LOSS`, was computed once with a version of it that
is the same on paper, with the two images' targets computed once instead of at every step (`--contender end_loss
4000`; it takes some twenty minutes): the same loss, starting image, SGD and decay, with the network in bfloat16 where
the processor has it. The final loss of either is evaluated in float32. Needs the official VGG19 file in
$REVERIE_WEIGHTS or in the shared test data; the comparison with PyTorch needs `requirements-bench.txt`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from engines.nn.precision import processor_flags
from tests.benchmarks.report import Row, compared, main
from tests.benchmarks.timing import by_turns, peak_mib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

HEIGHT, WIDTH = 400, 533
ITERATIONS = 4000
# What the listing ends with on these two images; see above.
END_LOSS = 1894.1
NETWORK = "vgg19"
FILE = "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
STYLE_LAYERS = [f"block{block}_conv1" for block in range(1, 6)]
CONTENT_LAYER = "block5_conv2"
# How the engine goes about it: the bundled network sketches it, coarse to fine, and VGG19 paints on that, in at most so
# many steps.
SCALES, STEPS = 3, 40
TURNS = 3


def weights_folder() -> Path:
    """Where the official VGG19 file lies."""
    shared = Path(os.environ.get("REVERIE_SHARED", "../shared")) / "weights"
    for folder in filter(None, (os.environ.get("REVERIE_WEIGHTS"), shared)):
        if (Path(folder) / FILE).is_file():
            return Path(folder)
    sys.exit(f"This benchmark needs {FILE}; set REVERIE_WEIGHTS to the folder that holds it.")


def images() -> tuple[np.ndarray, np.ndarray]:
    """A photo that comes with gradio and a painting drawn by the studio: (400, 533, 3) uint8 each."""
    from PIL import Image

    from studio.examples.examples import photographs
    from studio.examples.paintings import PAINTINGS

    originals = Image.open(photographs()[0]).convert("RGB"), PAINTINGS["swirling night"]()
    content, style = (np.asarray(one.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)) for one in originals)
    return content, style


def listing(_: str, model: Any = None) -> dict[str, float]:
    """The book's listing in our own words: three images through the whole network at every step, float32, SGD.

    Args:
        model: with the layers of STYLE_LAYERS and CONTENT_LAYER; VGG19 if none is given.
    """
    import keras
    import tensorflow as tf

    base, reference = (
        tf.constant(keras.applications.vgg19.preprocess_input(image[None].astype(np.float32))) for image in images()
    )
    combination = tf.Variable(base)
    model = model or keras.applications.VGG19(weights=str(weights_folder() / FILE), include_top=False)
    extractor = keras.Model(model.inputs, {layer.name: layer.output for layer in model.layers})

    def gram_matrix(x):
        features = tf.reshape(tf.transpose(x, (2, 0, 1)), (tf.shape(x)[2], -1))
        return tf.matmul(features, tf.transpose(features))

    def compute_loss():
        features = extractor(tf.concat([base, reference, combination], axis=0))
        loss = 2.5e-8 * tf.reduce_sum(tf.square(features[CONTENT_LAYER][2] - features[CONTENT_LAYER][0]))
        for name in STYLE_LAYERS:
            difference = gram_matrix(features[name][1]) - gram_matrix(features[name][2])
            style_loss = tf.reduce_sum(tf.square(difference)) / (4.0 * 3**2 * (HEIGHT * WIDTH) ** 2)
            loss += 1e-6 / len(STYLE_LAYERS) * style_loss
        corner = combination[:, :-1, :-1, :]
        down = tf.square(corner - combination[:, 1:, :-1, :])
        right = tf.square(corner - combination[:, :-1, 1:, :])
        return loss + 1e-6 * tf.reduce_sum(tf.pow(down + right, 1.25))

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = compute_loss()
        return loss, tape.gradient(loss, combination)

    rate = keras.optimizers.schedules.ExponentialDecay(initial_learning_rate=100.0, decay_steps=100, decay_rate=0.96)
    times = []
    for i in range(6):
        began = time.perf_counter()
        loss, gradient = step()
        combination.assign_sub(rate(i) * gradient)
        float(loss)
        times.append(time.perf_counter() - began)
    return {"step": statistics.median(times[1:])}


def backbone(dtype: str | None = None) -> Any:
    """The network of the engine, VGG19 unless NETWORK says something else."""
    from engines.backbones.backbone import load_backbone
    from engines.weights.store import WeightsStore

    folders = () if NETWORK == "studio_vgg" else (weights_folder(),)
    return load_backbone(NETWORK, WeightsStore(folders=folders), dtype=dtype)


def book_loss(dtype: str | None) -> tuple[Any, Any, Any]:
    """The engine's form of the book's loss on the two images: the loss, the scene and its targets."""
    from engines.style_transfer import BOOK
    from engines.style_transfer.perceptual_loss import PerceptualLoss
    from engines.style_transfer.targets import StyleInputs, StyleTargets

    loss = PerceptualLoss(backbone(dtype), STYLE_LAYERS, CONTENT_LAYER, pooling="max")
    content, style = images()
    scene = StyleTargets(StyleInputs(content, (style,), (None,), None), BOOK, loss, (HEIGHT, WIDTH), 1 << 14)
    return loss, scene, scene.targets(BOOK)


BOOK_WEIGHTS = (1e-6, 2.5e-8, 1e-6)


def end_loss(steps: str) -> dict[str, float]:
    """The loss that the listing ends with, the targets computed once. Prints its way there."""
    import tensorflow as tf

    from engines.style_transfer.first_order import FirstOrder

    loss, scene, targets = book_loss(None)
    optimizer = FirstOrder(tf.constant(scene.content), "sgd", 100.0)
    for i in range(1, int(steps) + 1):
        evaluation = loss.evaluate(optimizer.trial, targets, BOOK_WEIGHTS, tile=1 << 14)
        optimizer.tell(evaluation.loss, evaluation.gradient)
        if i % 100 == 0:
            print(i, evaluation.loss, flush=True)
    loss, _, targets = book_loss("float32")
    return {"loss": loss.evaluate(optimizer.x, targets, BOOK_WEIGHTS, tile=1 << 14).loss}


def engine(_: str) -> dict[str, float]:
    """The engine, step by step with an image made of each as for the page, until its loss is what the listing ends
    with. Both losses are those of the unrounded image, as the listing has no other."""
    import dataclasses

    from engines.backbones.backbone import bundled_backbone
    from engines.style_transfer import BOOK
    from engines.style_transfer.optimization import StyleOptimizer
    from engines.style_transfer.targets import StyleInputs

    network, sketch_network = backbone(), bundled_backbone()
    content, style = images()
    layers = {"style_layers": dict.fromkeys(STYLE_LAYERS, 1.0), "content_layer": CONTENT_LAYER, "size": WIDTH}
    config = dataclasses.replace(BOOK, optimizer="lbfgs", start="sketch", scales=SCALES, steps=STEPS, **layers)
    began = time.perf_counter()
    painting = StyleOptimizer(
        StyleInputs(content, (style,), (None,), None), config, network, sketch_network=sketch_network
    )
    steps, reached = 0, False
    while not painting.finished and not reached:
        evaluation = painting.step()
        steps += 1
        painting.image()
        reached = not painting.sketching and evaluation.loss <= 0.995 * END_LOSS
    seconds = time.perf_counter() - began
    peak = peak_mib()
    loss, _, targets = book_loss("float32")
    final = loss.evaluate(painting.best, targets, BOOK_WEIGHTS, tile=1 << 14).loss
    return {"seconds": seconds, "loss": final, "steps": steps, "peak": peak}


def engine_step(_: str) -> dict[str, float]:
    """One evaluation of the engine's loss on VGG19 with its gradient."""
    import tensorflow as tf

    loss, scene, targets = book_loss(None)
    image = tf.constant(scene.content)
    return {"step": timed(lambda: loss.evaluate(image, targets, BOOK_WEIGHTS, tile=1 << 14))}


def torch_step(dtype: str) -> dict[str, float]:
    """The same in PyTorch, channels last: the same layers, losses and sizes; the weights do not matter to its speed."""
    import torch

    torch.manual_seed(0)
    layers, channels = [], 3
    for block, (count, width) in enumerate(((2, 64), (2, 128), (4, 256), (4, 512), (2, 512)), 1):
        for number in range(1, count + 1):
            layers.append((f"block{block}_conv{number}", torch.nn.Conv2d(channels, width, 3, padding=1)))
            channels = width
    low = dtype == "bfloat16"
    for _, convolution in layers:
        convolution.to(memory_format=torch.channels_last).requires_grad_(False)
        if low:
            convolution.to(torch.bfloat16)

    def features(image):
        found, x, block = {}, image.to(torch.bfloat16) if low else image, "1"
        for name, convolution in layers:
            if name[5] != block:
                x, block = torch.nn.functional.max_pool2d(x, 2), name[5]
            x = torch.relu(convolution(x))
            if name in STYLE_LAYERS or name == CONTENT_LAYER:
                found[name] = x.float()
        return found

    def gram(x):
        flat = x[0].reshape(x.shape[1], -1)
        return flat @ flat.T

    image = torch.randn(1, 3, HEIGHT, WIDTH).to(memory_format=torch.channels_last)
    with torch.no_grad():
        wanted = features(image.flip(-1))
    grams = {name: gram(wanted[name]) for name in STYLE_LAYERS}
    image.requires_grad_(True)

    def step():
        image.grad = None
        found = features(image)
        loss = (found[CONTENT_LAYER] - wanted[CONTENT_LAYER]).square().sum() * 2.5e-8
        for name in STYLE_LAYERS:
            loss = loss + (gram(found[name]) - grams[name]).square().sum() * 1e-20
        corner = image[..., :-1, :-1]
        down, right = corner - image[..., 1:, :-1], corner - image[..., :-1, 1:]
        loss = loss + 1e-6 * (down.square() + right.square() + 1e-12).pow(1.25).sum()
        loss.backward()
        return float(loss.detach()), image.grad

    return {"step": timed(step)}


def timed(step: Callable[[], object]) -> float:
    """The median seconds of a step, once warm."""
    for _ in range(3):
        step()
    times = []
    for _ in range(9):
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def quick(_: str, **changed: Any) -> dict[str, float]:
    """Quick mode with the bundled network, through the studio's lane, once warm.

    The first recognisable image is the first with a quarter of the style loss that the photo begins with.

    Args:
        changed: settings that are not the default.
    """
    from engines.jobs import Job
    from engines.style_transfer import StyleConfig
    from studio.services import Studio

    with tempfile.TemporaryDirectory() as folder:
        studio = Studio(outputs=Path(folder))
        content, style = images()
        inputs = {"content_image": content, "style_images_1": style}
        job = Job(engine="style_transfer", config=StyleConfig(**changed), inputs=inputs, backbone="studio_vgg")

        def once() -> tuple[float, float, float]:
            began = time.perf_counter()
            run, first, start = studio.runs.start(job), 0.0, 0.0
            while not run.over:
                run.watched()
                frame = run.frame
                start = start or (frame.metrics["style_loss"] if frame else 0.0)
                if not first and frame and frame.metrics["style_loss"] <= start / 4:
                    first = time.perf_counter() - began
                time.sleep(0.005)
            assert run.frame is not None
            assert run.frame.image is not None
            return first, time.perf_counter() - began, max(run.frame.image.shape)

        once()
        first, whole, side = once()
        studio.runs.close()
    return {"first": first, "whole": whole, "side": side}


CONTENDERS: dict[str, Callable[[str], dict[str, float]]] = {
    "listing": listing,
    "end_loss": end_loss,
    "engine": engine,
    "engine_step": engine_step,
    "torch_step": torch_step,
    "quick": quick,
}


def contend(name: str, argument: str) -> None:
    """Run one contender in this process and print its figures."""
    figures = CONTENDERS[name](argument)
    figures.setdefault("peak", peak_mib())
    print(json.dumps(figures))


def in_a_process(name: str, argument: str = "") -> dict[str, float]:
    """The figures of one contender in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.style_transfer", "--contender", name, argument]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(output.splitlines()[-1])


def against_torch() -> Row:
    """A step of the engine's against the faster of PyTorch's two number formats, by turns."""
    contenders = {
        "engine": partial(in_a_process, "engine_step"),
        **{dtype: partial(in_a_process, "torch_step", dtype) for dtype in ("float32", "bfloat16")},
    }
    taken = {name: [one["step"] for one in results] for name, results in by_turns(contenders, TURNS).items()}
    theirs = min((taken["float32"], taken["bfloat16"]), key=statistics.median)
    return compared("step_vs_torch", taken["engine"], theirs, 1.0, "s a step")


def measure() -> list[Row]:
    """All rows."""
    flags = processor_flags()
    target = 1000.0 if "amx_bf16" in flags else 600.0 if "avx512_bf16" in flags else 150.0
    runs = by_turns({name: partial(in_a_process, name) for name in ("listing", "engine")}, TURNS)
    book, ours = runs["listing"], runs["engine"]
    worst = max(one["loss"] for one in ours)
    if worst > END_LOSS:
        sys.exit(f"The engine stopped at a loss of {worst:.1f}, above the listing's {END_LOSS:.1f}.")
    seconds, whole = [one["seconds"] for one in ours], [ITERATIONS * one["step"] for one in book]
    rows = [
        compared("to_book_loss", seconds, whole, target, "s a painting"),
        compared("peak_memory", [one["peak"] for one in ours], [one["peak"] for one in book], 2.0, "MiB"),
    ]
    if importlib.util.find_spec("torch"):
        rows.append(against_torch())
    limit = 2.0 if "amx_bf16" in flags else 3.0
    painted = in_a_process("quick")
    rows.append(Row("first_picture", painted["first"], limit, limit / painted["first"], 1.0, "s"))
    rows.append(Row("quick_512", painted["side"], 512, painted["side"] / 512, 1.0, "pixels"))
    rows.append(Row("quick_time", painted["whole"], 18.0, 18.0 / painted["whole"], 1.0, "s"))
    return rows


if __name__ == "__main__":
    if "--contender" in sys.argv:
        contend(sys.argv[-2], sys.argv[-1])
    else:
        main(measure, __doc__.splitlines()[0])
