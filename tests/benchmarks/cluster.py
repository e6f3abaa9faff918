"""Runs on a Ray cluster of one-core machines, on this one: a batch on two against one, a frame there against here, and
fifty visitors."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from engines.deep_dream import DreamConfig
from engines.jobs import Job
from engines.jobs.batch import batch_of, image_files
from studio.run_views.stream import Watcher, acknowledge
from studio.runs.run import Run
from studio.services import Studio
from tests.benchmarks.report import Row, compared, main
from tests.benchmarks.timing import by_turns, in_a_fresh_process
from tests.cluster.machines import Machines, joined
from tests.studio.helpers import eventually

DREAMS, SIDE = 8, 384
# Layers so cheap that what is beside the work shows.
CHEAP = {"block1_conv1": 1.0}
FRAMES, FRAME_SIDE = 60, 512
VISITORS, RUNS_EACH = 50, 4
TURNS = 3
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}


def photo(side: int, seed: int = 0) -> np.ndarray:
    """A smooth image with a little noise, (side, side, 3) uint8."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8))
    smooth = np.asarray(small.resize((side, side), Image.Resampling.BICUBIC)).astype(np.int64)
    return np.clip(smooth + rng.integers(-8, 9, smooth.shape), 0, 255).astype(np.uint8)


def dream_of(image: np.ndarray, config: DreamConfig) -> Job:
    return Job(engine="deep_dream", config=config, inputs={"image": image}, backbone="studio_vgg")


def over(run: Run) -> Run:
    """A run once it is over, watched until then."""
    while not run.over:
        run.watched()
        time.sleep(0.002)
    if run.state != "done":
        raise RuntimeError(run.error or run.state)
    return run


@contextlib.contextmanager
def a_studio(count: int) -> Iterator[Studio]:
    """A studio on a cluster of so many machines, each of whose workers is warm."""
    machines = Machines(count)
    with tempfile.TemporaryDirectory() as folder:
        cluster = joined(machines.address)
        studio = Studio(outputs=Path(folder), cluster=cluster, max_waiting=VISITORS * RUNS_EACH)
        eventually(lambda: cluster.status.room == count, "the machines")
        warm = dream_of(photo(SIDE), DreamConfig(size=SIDE, steps=2))
        for _ in range(2):
            for run in [studio.runs.start(warm) for _ in range(count)]:
                over(run)
        yield studio
        studio.runs.close()
    machines.close()


def batch_seconds(studio: Studio, folder: Path) -> float:
    """Of a batch of eight dreams, from its start to its zip."""
    paths = []
    for number in range(DREAMS):
        paths.append(folder / f"{number}.png")
        Image.fromarray(photo(SIDE, number)).save(paths[-1])
    job = dataclasses.replace(dream_of(photo(SIDE), DreamConfig(size=SIDE)), inputs={})
    began = time.perf_counter()
    run = over(studio.runs.start(batch_of(job, image_files(paths), "image")))
    taken = time.perf_counter() - began
    if len(run.results) != DREAMS:
        raise RuntimeError(f"{len(run.results)} of {DREAMS} dreams came back: {run.notices}")
    return taken


def batch_scaling() -> Row:
    """Two machines against one, by turns."""
    with tempfile.TemporaryDirectory() as folder, a_studio(1) as one, a_studio(2) as two:
        machines = {"two": two, "one": one}
        taken = by_turns({name: lambda s=s: batch_seconds(s, Path(folder)) for name, s in machines.items()}, TURNS)
    return compared("batch_scaling", taken["two"], taken["one"], 1.7, "s a batch")


def frame_seconds(studio: Studio) -> float:
    """The median seconds from frame to frame of a dream that hardly works."""
    config = DreamConfig(size=FRAME_SIDE, octaves=1, steps=FRAMES, layer_weights=CHEAP)
    run, times, seen = studio.runs.start(dream_of(photo(FRAME_SIDE), config)), [time.perf_counter()], 0
    while not run.over:
        if run.version != seen and run.frame is not None:
            seen = run.version
            times.append(time.perf_counter())
        time.sleep(0.0005)
    if run.state != "done":
        raise RuntimeError(run.error)
    return float(np.median(np.diff(times[3:])))


def frame_seconds_here() -> float:
    """The same without a cluster, in a process of one thread an operation, as a worker is."""
    with tempfile.TemporaryDirectory() as folder:
        studio = Studio(outputs=Path(folder))
        frame_seconds(studio)
        taken = frame_seconds(studio)
        studio.runs.close()
    return taken


def frame_overhead() -> list[Row]:
    """What Ray adds to a frame, and how many of its images a page is sent."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    with a_studio(1) as studio:
        frame_seconds(studio)
        places = {"there": lambda: frame_seconds(studio), "here": lambda: in_a_fresh_process(frame_seconds_here)}
        taken = by_turns(places, TURNS)
        images = images_per_second(studio)
    for name, value in before.items():
        os.environ.pop(name)
        if value is not None:
            os.environ[name] = value
    more = 1000 * statistics.median(there - here for there, here in zip(taken["there"], taken["here"], strict=True))
    return [
        Row("frame_overhead", more, 15.0, 15.0 / max(more, 0.1), 1.0, "ms a frame"),
        Row("streaming", images, 8.0, images / 8.0, 1.0, "pictures a s"),
    ]


def images_per_second(studio: Studio) -> float:
    """How many images a page is sent of a run on a worker, acknowledging each at once."""
    config = DreamConfig(size=FRAME_SIDE, octaves=1, steps=2 * FRAMES, layer_weights=CHEAP)
    run = studio.runs.start(dream_of(photo(FRAME_SIDE), config))
    times: list[float] = []

    async def watch() -> None:
        async for message in Watcher(run, studio.runs.queue).messages():
            if message:
                json.dumps(message)
                acknowledge([message["watcher"], message["number"]])
                if "picture" in message:
                    times.append(time.perf_counter())

    asyncio.run(watch())
    return (len(times) - 1) / (times[-1] - times[0])


def fifty_visitors(studio: Studio) -> Row:
    """Fifty visitors who start four short runs each, the next when the last is over: the longest wait for a place
    against three times the median."""
    waits: list[float] = []
    results: list[str] = []
    config = DreamConfig(size=96, octaves=1, steps=4)
    before = len(studio.gallery.names())

    def visit(number: int) -> None:
        for turn in range(RUNS_EACH):
            began = time.perf_counter()
            run = studio.runs.start(dream_of(photo(96, number), dataclasses.replace(config, seed=turn)))
            while run.frame is None and not run.over:
                run.watched()
                time.sleep(0.005)
            waits.append(time.perf_counter() - began)
            results.append(str(over(run).result))

    visitors = [threading.Thread(target=visit, args=(number,)) for number in range(VISITORS)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    there = len(studio.gallery.names()) - before
    if not len(results) == len(set(results)) == there == VISITORS * RUNS_EACH:
        raise RuntimeError(f"{len(results)} runs, {len(set(results))} results, {there} in the gallery")
    longest, median = max(waits), statistics.median(waits)
    return Row("fifty_visitors", longest, 3 * median, 3 * median / longest, 1.0, "s longest wait")


def measure() -> list[Row]:
    """All rows."""
    rows = [batch_scaling(), *frame_overhead()]
    with a_studio(2) as studio:
        return [*rows, fifty_visitors(studio)]


if __name__ == "__main__":
    sys.exit(main(measure, " ".join(__doc__.split())))
