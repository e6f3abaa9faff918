"""Test runs on the workers of a real cluster: same images, steering, Stop, files that are sent, lost workers."""

from __future__ import annotations

import dataclasses
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engines.core.files import sha256_of
from engines.jobs import Job, job_from_recipe
from engines.recipes import read_recipe
from engines.vae.training import VAETrainingConfig
from engines.weights.store import BUNDLED_FOLDER
from studio.runs.run import Run
from tests.cluster.conftest import PATIENCE
from tests.cluster.machines import kill
from tests.engines.helpers import is_one_sentence
from tests.studio.helpers import eventually

ROOT = Path(__file__).resolve().parents[2]
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}
LOCALLY = """
import pickle, sys
from engines.core.quiet import load_quietly
load_quietly()
from engines.jobs import Workshop
workshop = Workshop()
while True:
    for frame in workshop.start(pickle.load(sys.stdin.buffer)): pass
    pickle.dump(frame.image, sys.stdout.buffer)
    sys.stdout.buffer.flush()
"""


@pytest.fixture(scope="module")
def done_here() -> Iterator[Callable[[Job], np.ndarray]]:
    """Runs a job in a process with as many threads as a worker has, and returns its image."""
    process = subprocess.Popen(
        [sys.executable, "-c", LOCALLY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, **ONE_THREAD},
    )
    jobs, images = process.stdin, process.stdout
    assert jobs is not None
    assert images is not None

    def done(job: Job) -> np.ndarray:
        pickle.dump(job, jobs)
        jobs.flush()
        return pickle.load(images)

    with process:
        yield done
        process.kill()


def over(run: Run) -> Run:
    """Watch a run until it is over, and return it."""

    def ended() -> bool:
        run.watched()
        return run.over

    eventually(ended, "the run to be over", PATIENCE)
    return run


def at(run: Run, step: int) -> None:
    """Wait until a run is at a step."""

    def there() -> bool:
        run.watched()
        return run.over or (run.frame is not None and run.frame.step >= step)

    eventually(there, f"step {step}", PATIENCE)


def lasting(dream: Job) -> Job:
    """A dream that is still running when the slowest worker has started."""
    return dataclasses.replace(dream, config=dataclasses.replace(dream.config, octaves=1, steps=1000), pace=5.0)


def image_of(run: Run) -> np.ndarray:
    assert run.result is not None, run.error
    return np.asarray(Image.open(run.result))


@pytest.mark.parametrize("kind", ["dream", "painting"])
def test_the_same_seed_gives_the_same_image_here_and_on_a_worker(studio, dream_job, painting_job, done_here, kind):
    job = {"dream": dream_job, "painting": painting_job}[kind]
    run = studio.runs.start(job)
    at(run, 1)
    assert run.where, "it says which machine it is on"
    assert over(run).state == "done", run.error
    np.testing.assert_array_equal(image_of(run), done_here(job))
    recipe = read_recipe(run.result)
    assert job_from_recipe(recipe, {}).config == job.config
    assert recipe.weights == sha256_of(BUNDLED_FOLDER / "studio_vgg.npz")
    assert recipe.interruptions == ()


def test_a_worker_is_kept_for_the_next_run(studio, machines, dream_job):
    over(studio.runs.start(dream_job))
    before = set(machines.workers())
    assert over(studio.runs.start(dream_job)).state == "done"
    assert set(machines.workers()) == before


def test_two_runs_run_at_once_on_two_machines_and_a_third_waits(studio, dream_job):
    long = lasting(dream_job)
    runs = [studio.runs.start(long) for _ in range(3)]
    at(runs[0], 1)
    at(runs[1], 1)
    assert runs[0].where != runs[1].where
    assert runs[2].state == "waiting"
    assert studio.runs.queue.position(runs[2]).before == 1
    runs[0].stop()
    at(runs[2], 1)
    for run in runs:
        run.stop()
    assert [over(run).state for run in runs] == ["stopped"] * 3


def test_steering_and_stop_take_effect_within_two_steps(studio, dream_job):
    config = dataclasses.replace(dream_job.config, octaves=1, steps=1000)
    run = studio.runs.start(dataclasses.replace(dream_job, config=config))
    at(run, 2)
    run.steer(dataclasses.replace(config, step_size=0.0))
    steered_at = run.frame.step
    at(run, steered_at + 4)
    run.stop()
    stopped_at = run.frame.step
    over(run)
    assert run.frame.step <= stopped_at + 2
    recipe = read_recipe(run.result)
    ((step, settings),) = recipe.steering
    assert settings["step_size"] == 0.0
    assert step <= steered_at + 2
    assert recipe.stopped_at == run.frame.step


def test_a_refused_job_fails_with_its_sentence_and_frees_the_worker(studio, dream_job, machines):
    misfit = dataclasses.replace(dream_job.config, layer_weights={"mixed4": 1.0})
    run = over(studio.runs.start(dataclasses.replace(dream_job, config=misfit)))
    assert run.state == "failed"
    assert "no layer 'mixed4'" in run.error
    assert over(studio.runs.start(dream_job)).state == "done"
    eventually(lambda: not any(one.busy for one in studio.cluster.status.machines), "all workers to be free", PATIENCE)


# Files that are sent


def written_as_npz(path: Path, count: int) -> Path:
    """Random images in the format of MNIST's file."""
    draw = np.random.default_rng(0).integers(0, 255, (count, 28, 28), np.uint8)
    labels = np.arange(count, dtype=np.uint8) % 10
    np.savez(path, x_train=draw, y_train=labels, x_test=draw[:40], y_test=labels[:40])
    return path


TRAINING = VAETrainingConfig(model="digits_notes", epochs=2, batch_size=40, interval=2)


@pytest.fixture
def training_job(tmp_path) -> Job:
    """A training of four steps with a checkpoint every other."""
    files = {
        "data": written_as_npz(tmp_path / "mnist.npz", 80),
        "checkpoint": tmp_path / "so-far.npz",
        "output": tmp_path / "trained.npz",
    }
    return Job(engine="vae_training", config=TRAINING, inputs={}, backbone="", files=files)


def weights_in(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files if arrays[name].dtype.kind == "f"}


def test_a_training_is_sent_with_its_data_and_its_network_is_sent_to_the_next_run(studio, training_job):
    from engines.vae import WalkConfig
    from studio.trained_models import TrainedNetworks

    training = studio.runs.start(training_job)
    at(training, 2)
    assert training_job.files["checkpoint"].is_file(), "a checkpoint that a frame has reported is on disk"
    assert over(training).state == "done", training.error
    assert training.frame.step == training.frame.total == 4
    assert weights_in(training_job.files["output"])

    name = TrainedNetworks(studio, "vae").register(training.id, object())
    run = over(studio.runs.start(Job(engine="vae", config=WalkConfig(steps=3), inputs={}, backbone=name)))
    assert run.state == "done", run.error
    assert read_recipe(run.result).backbone == name


def test_a_weights_file_that_is_changed_on_its_way_is_refused(studio, training_job, monkeypatch):
    from engines.vae import WalkConfig
    from studio.cluster import worker_run
    from studio.trained_models import TrainedNetworks

    # Another network than in other tests, whose files are on the machines already.
    other = dataclasses.replace(training_job, config=dataclasses.replace(training_job.config, seed=5))
    name = TrainedNetworks(studio, "vae").register(over(studio.runs.start(other)).id, object())
    hash_of = worker_run.sha256_of

    def then_changed(path: Path) -> str:
        said = hash_of(path)
        path.write_bytes(path.read_bytes() + b"!")
        return said

    monkeypatch.setattr(worker_run, "sha256_of", then_changed)
    run = over(studio.runs.start(Job(engine="vae", config=WalkConfig(steps=3), inputs={}, backbone=name)))
    assert run.state == "failed"
    assert "was changed while being sent" in run.error
    assert is_one_sentence(run.error)
    eventually(lambda: not any(one.busy for one in studio.cluster.status.machines), "all workers to be free", PATIENCE)


# Lost workers


def worker_of(run: Run) -> int:
    """The process id of a run's worker."""
    return run._execution._execution.lease.pid


def test_a_painting_is_resumed_whenever_its_worker_is_killed_and_others_are_not_affected(
    studio, painting_job, dream_job, done_here
):
    # Slow enough to kill a worker at each of the steps.
    job = dataclasses.replace(painting_job, config=dataclasses.replace(painting_job.config, steps=30), pace=10.0)
    run, other = studio.runs.start(job), studio.runs.start(lasting(dream_job))
    at(other, 2)
    where, kills = other.where, list(range(3, 27, 6))
    for number, step in enumerate(kills):
        at(run, step)
        seen = other.frame.step
        kill(worker_of(run))
        if number % 2 == 0:
            at(run, step + 3)
            assert run.state == "running", "the first time it resumes by itself"
            at(other, seen + 2)
            continue
        assert over(run).state == "failed"
        assert is_one_sentence(run.error)
        assert "Resume" in run.error
        assert run.result is not None, "what there was is kept"
        interruptions = list(read_recipe(run.result).interruptions)
        assert len(interruptions) == number, "the last loss was not resumed from"
        run = studio.runs.resume(run)
    assert over(run).state == "done", run.error
    recipe = read_recipe(run.result)
    assert len(recipe.interruptions) == len(kills)
    assert list(recipe.interruptions) == sorted(recipe.interruptions)
    assert image_of(run).shape == (48, 72, 3)
    assert run.frame.step == run.frame.total == 30
    assert other.where == where
    other.stop()
    assert read_recipe(over(other).result).interruptions == ()
    # Repeated, it is interrupted at the same steps and gives the same pixels.
    again = dataclasses.replace(job, interruptions=recipe.interruptions)
    np.testing.assert_array_equal(done_here(again), image_of(run))


def test_a_training_is_resumed_from_its_last_checkpoint_whenever_its_worker_is_killed(
    studio, training_job, tmp_path, done_here
):
    # Slow enough to kill a worker at each of the steps.
    job = dataclasses.replace(training_job, config=dataclasses.replace(TRAINING, epochs=12), pace=4.0)
    run = studio.runs.start(job)
    for number, step in enumerate(range(2, 18, 4)):
        at(run, step)
        kill(worker_of(run))
        if number % 2 == 0:
            at(run, step + 4)
            assert run.state == "running", "the first time it resumes by itself"
            continue
        assert over(run).state == "failed"
        assert "Train" in run.error
        run = studio.runs.start(job)
    assert over(run).state == "done", run.error
    assert run.frame.step == run.frame.total == 24
    files = {**job.files, "checkpoint": tmp_path / "other.npz", "output": tmp_path / "straight.npz"}
    done_here(dataclasses.replace(job, files=files))
    ours, theirs = weights_in(job.files["output"]), weights_in(files["output"])
    assert ours.keys() == theirs.keys()
    for name, values in ours.items():
        np.testing.assert_allclose(values, theirs[name], atol=5e-3)


def test_an_idle_worker_that_died_is_replaced_and_occupies_no_slot(studio, dream_job, training_job):
    run = studio.runs.start(lasting(dream_job))
    at(run, 1)
    process = worker_of(run)
    run.stop()
    over(run)
    kill(process)
    runs = [studio.runs.start(training_job), studio.runs.start(dream_job)]
    assert [over(one).state for one in runs] == ["done", "done"], [one.error for one in runs]
    eventually(lambda: not any(one.busy for one in studio.cluster.status.machines), "all workers to be free", PATIENCE)


def test_a_run_that_cannot_be_resumed_from_an_image_is_redone_without_showing_frames_twice(studio, machines):
    from engines.dcgan import FaceWalkConfig

    config = FaceWalkConfig(seeds=(0, 1), steps=40, closed=False)
    job = Job(engine="dcgan_walk", config=config, inputs={}, backbone="faces")
    run = studio.runs.start(job)
    at(run, 10)
    kill(worker_of(run))
    assert over(run).state == "done", run.error
    assert run.frame.step == run.frame.total
    assert read_recipe(run.result).interruptions == ()
    assert len(run.snapshots.steps) == len(set(run.snapshots.steps))
