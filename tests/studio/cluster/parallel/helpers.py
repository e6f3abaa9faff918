"""Batches and sweeps for several workers, the same ones done one part after another, and how their results compare."""

from __future__ import annotations

import dataclasses
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from engines.deep_dream import DreamConfig
from engines.jobs import Job
from engines.jobs.batch import Batch, batch_of, image_files
from engines.jobs.sweep import DreamSweepConfig
from engines.recipes import read_recipe
from studio.runs.run import Run
from studio.services import Studio
from tests.engines.helpers import as_png
from tests.studio.cluster.parallel.fake_cluster import FakeCluster
from tests.studio.helpers import eventually

QUICK = DreamConfig(size=0, octaves=1, steps=4, step_size=0.1, jitter=2, layer_weights={"block1_conv1": 1.0})


def nothing_is_left(studio: Studio, machines: FakeCluster) -> None:
    """Check that no thread prefetches, no slot is borrowed and no worker has a job."""
    eventually(lambda: not prefetching_threads(), "prefetching to end")
    assert studio.runs.queue._borrowed == 0
    assert machines.busy == 0


def prefetching_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "prefetch"]


def batch(folder: Path, count: int, config: DreamConfig = QUICK, bad: tuple[int, ...] = ()) -> Batch:
    """A batch of numbered images, some of which cannot be read."""
    folder.mkdir(exist_ok=True)
    paths = []
    for number in range(count):
        image = np.random.default_rng(number).integers(0, 256, (24, 32, 3), np.uint8)
        image[0, 0, 0] = number
        paths.append(folder / f"picture{number}.png")
        paths[-1].write_bytes(b"no pixels" if number in bad else as_png(image))
    return batch_of(
        Job(engine="deep_dream", config=config, inputs={}, backbone="studio_vgg"), image_files(paths), "image"
    )


def dreams(values: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4), **changes: Any) -> DreamSweepConfig:
    settings = dataclasses.asdict(dataclasses.replace(QUICK, **changes))
    return DreamSweepConfig(settings=settings, columns="step_size", column_values=values)


def sweep_of(config: Any, image: np.ndarray) -> Job:
    name = "image" if isinstance(config, DreamSweepConfig) else "content_image"
    inputs = {name: image} | ({} if name == "image" else {"style_images_1": image[::-1, ::-1]})
    return Job(engine=f"{config.engine}_sweep", config=config, inputs=inputs, backbone="studio_vgg")


def of_cell(job: Job) -> float:
    return job.config.step_size


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def same_results(one: Run, other: Run) -> None:
    """Check that two batches have the same results in the same order."""
    assert (one.state, one.error, one.notices) == (other.state, other.error, other.notices)
    assert len(one.results) == len(other.results)
    for first, second in zip(one.results, other.results, strict=True):
        assert read_recipe(first) == read_recipe(second)
        if first.suffix == ".png":
            np.testing.assert_array_equal(pixels(first), pixels(second))
        else:
            np.testing.assert_array_equal(images_of(first), images_of(second))
    with zipfile.ZipFile(one.result) as first, zipfile.ZipFile(other.result) as second:
        assert first.namelist() == second.namelist()


images_in: dict[Path, list[np.ndarray]] = {}


def images_of(video: Path) -> list[np.ndarray]:
    """The images that went into a video; checks that its file has as many."""
    with av.open(str(video)) as container:
        assert sum(1 for _ in container.decode(video=0)) == len(images_in[video])
    return images_in[video]


def steered_at(run_of: Callable[[], Run], steers: dict[int, Any]) -> tuple[Run, list[tuple[int, int, float]]]:
    """Advance a run here and steer it after some steps; returns it and (step, total, progress) of its frames."""
    run = run_of()
    seen: list[tuple[int, int, float]] = []
    execution = run._execution
    real = execution.send

    def send(changed: Any) -> Any:
        step = run.frame.step if run.frame else 0
        config = steers.pop(step, None)
        frame = real(changed if config is None else execution.resolve(config))
        if not seen or seen[-1][0] != frame.step:
            seen.append((frame.step, frame.total, round(frame.progress, 9)))
        return frame

    execution.send = send
    while not run.over:
        run.advance()
    return run, seen


def here(studio: Studio, job: Job) -> Callable[[], Run]:
    """A run of a job, done in parts one after another, without a cluster."""
    return lambda: Run(studio.workshop.start(job), studio.result_writer(job))


def there(studio: Studio, job: Job) -> Callable[[], Run]:
    """A run of a job, spread, that is not in the queue."""
    return lambda: Run(studio.runs._begin(job), studio.result_writer(job))


def all_prefetched(run: Run) -> Run:
    """Make a run wait after each frame until all prefetching is done."""
    send = run._execution.send

    def wait(changed: Any) -> Any:
        frame = send(changed)
        eventually(lambda: not prefetching_threads(), "prefetching to end")
        return frame

    run._execution.send = wait
    return run


def release_all(machines: FakeCluster) -> None:
    for label in list(machines.gates):
        machines.release(label)
