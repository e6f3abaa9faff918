"""Test batches and sweeps on a Ray cluster of two machines: the results of this machine, and nothing is left."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engines.deep_dream import DreamConfig
from engines.jobs import Job
from engines.jobs.batch import Batch, batch_of, image_files
from engines.jobs.sweep import DreamSweepConfig
from engines.recipes import read_recipe
from studio.runs.run import Run
from studio.services import Studio
from tests.cluster.conftest import PATIENCE
from tests.engines.helpers import as_png
from tests.studio.cluster.parallel.helpers import pixels, prefetching_threads, same_results
from tests.studio.helpers import eventually, finished

CONFIG = DreamConfig(size=96, octaves=2, steps=4, jitter=4, layer_weights={"block2_conv1": 1.0})
# Long enough for the other machine to start before it is over.
LONGER = dataclasses.replace(CONFIG, steps=40)
LONG = dataclasses.replace(CONFIG, steps=400)


@pytest.fixture(scope="module")
def joined(cluster, photos, tmp_path_factory) -> Iterator[Studio]:
    """A studio on two machines with warm workers."""
    eventually(lambda: cluster.status.room == 2, "both machines", PATIENCE)
    studio = Studio(outputs=tmp_path_factory.mktemp("outputs"), cluster=cluster)
    job = Job(engine="deep_dream", config=LONG, inputs={"image": photos[0]}, backbone="studio_vgg", pace=5.0)
    first = [studio.runs.start(job) for _ in range(2)]
    eventually(lambda: all(run.frame or run.over for run in first), "workers on both", PATIENCE)
    for run in first:
        run.stop()
        assert finished(run).state == "stopped", run.error
    yield studio
    studio.runs.queue.close()


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Iterator[Studio]:
    """A studio without a cluster, with as many threads as the machines have."""
    threads = os.environ.get("TF_NUM_INTRAOP_THREADS")
    if threads != "1":
        pytest.skip("To compare pixels this needs TF_NUM_INTRAOP_THREADS=1, as the machines of the cluster have it.")
    studio = Studio(outputs=tmp_path_factory.mktemp("alone"))
    yield studio
    studio.runs.close()


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    return [np.random.default_rng(i).integers(0, 256, (72, 96, 3), np.uint8) for i in range(5)]


def batch(folder: Path, photos: list[np.ndarray], config: DreamConfig = CONFIG) -> Batch:
    paths = [folder / f"photo {number}.png" for number in range(len(photos))]
    for path, photo in zip(paths, photos, strict=True):
        path.write_bytes(as_png(photo))
    shared = Job(engine="deep_dream", config=config, inputs={}, backbone="studio_vgg")
    return batch_of(shared, image_files(paths), "image")


def sweep(photo: np.ndarray, config: DreamConfig = CONFIG) -> Job:
    values = (0.01, 0.03, 0.05, 0.07)
    swept = DreamSweepConfig(settings=dataclasses.asdict(config), columns="step_size", column_values=values)
    return Job(engine="deep_dream_sweep", config=swept, inputs={"image": photo}, backbone="studio_vgg")


def busy_workers(studio: Studio) -> int:
    return sum(len(machine.busy) for machine in studio.cluster.status.machines)


def followed(run: Run) -> int:
    """Watch a run until it is over, and return how many workers it had at once at most."""
    most = 0

    def look() -> bool:
        nonlocal most
        run.watched()
        most = max(most, len(set(run.workers)))
        return run.over

    eventually(look, "the run to be over", 240)
    return most


def nothing_is_left(studio: Studio) -> None:
    eventually(lambda: not prefetching_threads(), "prefetching to end", PATIENCE)
    assert studio.runs.queue._borrowed == 0
    eventually(lambda: busy_workers(studio) == 0, "the workers to be free", PATIENCE)


def test_a_batch_comes_from_both_machines_as_it_comes_from_here(tmp_path, joined, alone, photos):
    job = batch(tmp_path, photos, LONGER)
    run = joined.runs.start(job)
    most = followed(run)
    same_results(run, finished(alone.runs.start(job)))
    assert most == 2
    assert len(run.results) == 5
    nothing_is_left(joined)


def test_a_sweep_comes_from_both_machines_and_its_recipe_is_the_one_from_here(joined, alone, photos):
    run = joined.runs.start(sweep(photos[0]))
    followed(run)
    assert (run.state, run.error) == ("done", "")
    expected = finished(alone.runs.start(sweep(photos[0])))
    np.testing.assert_array_equal(pixels(run.result), pixels(expected.result))
    assert read_recipe(run.result) == read_recipe(expected.result)
    assert (run.frame.step, run.frame.total) == (expected.frame.step, expected.frame.total)
    nothing_is_left(joined)


@pytest.mark.parametrize("kind", ["batch", "sweep"])
def test_what_is_stopped_frees_both_machines(tmp_path, joined, photos, kind):
    job = batch(tmp_path, photos, LONG) if kind == "batch" else sweep(photos[0], LONG)
    run = joined.runs.start(job)
    eventually(lambda: len(set(run.workers)) == 2 and run.frame, "both to run", PATIENCE)
    assert "prefetch" in {thread.name for thread in threading.enumerate()}
    run.stop()
    assert finished(run).state == "stopped"
    assert run.result is not None
    nothing_is_left(joined)


def test_a_machine_that_goes_away_takes_no_image_with_it(tmp_path, joined, machines, photos):
    run = joined.runs.start(batch(tmp_path, photos, LONGER))
    eventually(lambda: len(set(run.workers)) == 2 and run.frame, "both to run", PATIENCE)
    before = joined.cluster.status.room
    machines.remove(machines.nodes[0])
    eventually(lambda: joined.cluster.status.room < before, "the studio to notice", PATIENCE)
    followed(run)
    assert (run.state, run.error, run.notices) == ("done", "", ())
    assert len(run.results) == 5
    nothing_is_left(joined)
    machines.add()
    eventually(lambda: joined.cluster.status.room == 2, "another machine", PATIENCE)
