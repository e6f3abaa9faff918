"""Worker: a job frame by frame, files by their SHA-256, and resuming a job of a lost worker."""

from __future__ import annotations

import dataclasses
import os
import pickle
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest

from engines.core.files import make_room, sha256_of
from engines.deep_dream import DreamConfig
from engines.jobs import Job, JobExecution, ResumePoint
from engines.jobs import version as version_module
from engines.jobs.version import NUMBER, version
from engines.jobs.worker import ChangedFileError, SentFile, StepResult, Worker, WorkerTask
from tests.engines.helpers import is_one_sentence, refusal

ROOT = Path(__file__).resolve().parents[3]
SHORT = DreamConfig(size=0, octaves=2, steps=4, step_size=0.1, jitter=6, layer_weights={"block3_conv1": 1.0})


@pytest.fixture
def worker(tmp_path, studio_vgg) -> Worker:
    """A worker whose network is already loaded, with random weights."""
    worker = Worker(tmp_path / "cache")
    worker._workshop.keep("deep_dream", "studio_vgg", studio_vgg)
    yield worker
    worker.leave()


@pytest.fixture
def job(sample_image) -> Job:
    return Job(engine="deep_dream", config=SHORT, inputs={"image": sample_image}, backbone="studio_vgg")


def travelled(thing):
    """An object as received by another machine."""
    return pickle.loads(pickle.dumps(thing, protocol=5))


def all_of(worker: Worker) -> list[StepResult]:
    """A worker's results until the end of the run."""
    told = []
    while not told or told[-1].frame is not None:
        told.append(travelled(worker.send(None)))
    return told


def sent(path: Path) -> SentFile:
    return SentFile(path.name, sha256_of(path))


def test_a_job_that_travels_makes_the_same_frames_and_the_same_history(worker, workshop, job):
    here = workshop.start(job)
    expected = list(here)
    worker.begin(travelled(WorkerTask(job=job)))
    *told, last = all_of(worker)
    assert [one.frame.step for one in told] == [frame.step for frame in expected]
    for one, frame in zip(told, expected, strict=True):
        np.testing.assert_array_equal(one.frame.image, frame.image)
    assert last.frame is None
    assert dataclasses.replace(last.history, seconds=0) == dataclasses.replace(here.history, seconds=0)


def test_what_is_sent_with_a_request_takes_effect_and_is_in_the_history(worker, job):
    worker.begin(WorkerTask(job=job))
    worker.send(None)
    worker.send(dataclasses.replace(SHORT, step_size=0.0))
    told = worker.send(None)
    ((step, config),) = told.history.steering
    assert (step, config.step_size, told.history.in_force.step_size) == (1, 0.0, 0.0)
    assert told.history.config == SHORT


def test_frames_that_nobody_has_to_see_are_left_out_but_for_the_last_and_what_was_chosen(worker, workshop, job):
    *_, expected = workshop.start(job)
    worker.begin(WorkerTask(job=job))
    told = worker.send(None, 1000.0)
    assert told.frame.step == told.frame.total == 8
    np.testing.assert_array_equal(told.frame.image, expected.image)
    assert worker.send(None, 1000.0).frame is None


def test_no_image_of_a_video_is_left_out(worker, job):
    video = dataclasses.replace(job, config=dataclasses.replace(SHORT, octaves=1, steps=3, pictures=3))
    worker.begin(WorkerTask(job=video))
    told = [worker.send(None, 1000.0).frame for _ in range(3)]
    assert [(frame.step, frame.keyframe) for frame in told] == [(3, True), (6, True), (9, True)]


def test_a_job_that_another_worker_was_lost_with_goes_on_and_says_where(worker, workshop, job):
    lost = workshop.start(job)
    for _ in range(3):
        frame = next(lost)
    worker.begin(travelled(WorkerTask(job=lost.job, resume_point=ResumePoint(frame, lost.history))))
    *told, _ = all_of(worker)
    assert [one.frame.step for one in told] == [4, 5, 6, 7, 8]
    assert told[-1].history.resumed_after == (3,)
    assert told[-1].history.seconds > lost.history.seconds
    again = workshop.start(dataclasses.replace(job, interruptions=(3,)))
    *_, repeated = again
    np.testing.assert_array_equal(repeated.image, told[-1].frame.image)
    assert again.recipe.interruptions == (3,)


def test_what_is_sent_while_it_goes_on_is_not_lost(worker, workshop, job):
    lost = workshop.start(job)
    frame = next(lost)
    worker.begin(WorkerTask(job=lost.job, resume_point=ResumePoint(frame, lost.history)))
    worker.send(dataclasses.replace(SHORT, step_size=0.0))
    told = worker.send(None)
    ((step, config),) = told.history.steering
    assert (step, config.step_size) == (2, 0.0)


def test_a_repeated_interruption_is_forgotten_once_a_person_steers(workshop, job):
    started = workshop.start(dataclasses.replace(job, interruptions=(3,)))
    next(started)
    started.send(dataclasses.replace(SHORT, step_size=0.3))
    for _ in started:
        pass
    assert started.recipe.interruptions == ()


def test_a_worker_that_was_asked_for_nothing_says_so(tmp_path):
    assert "start the run again" in refusal(ValueError, Worker(tmp_path).send, None)


def test_a_file_comes_once_and_is_known_by_what_is_in_it(worker, tmp_path):
    path = tmp_path / "mnist.npz"
    path.write_bytes(b"some bytes")
    file = sent(path)
    assert worker.missing_files([file]) == (file,)
    worker.take(file, np.fromfile(path, np.uint8))
    assert worker.missing_files([file, SentFile("by another name", file.sha256)]) == ()


def test_a_file_that_was_changed_on_its_way_is_refused_and_not_kept(worker, tmp_path):
    file = SentFile("vgg19.h5", "ab" * 32)
    with pytest.raises(ChangedFileError) as caught:
        worker.take(file, np.arange(9, dtype=np.uint8))
    assert "vgg19.h5 was changed while being sent" in str(caught.value)
    assert is_one_sentence(str(caught.value))
    assert worker.missing_files([file]) == (file,)


def test_a_file_that_is_damaged_on_the_machine_is_lacking_and_no_job_begins_with_it(worker, tmp_path, job):
    path = tmp_path / "mnist.npz"
    path.write_bytes(b"some bytes")
    file = sent(path)
    worker.take(file, np.fromfile(path, np.uint8))
    (worker._cache / file.sha256).write_bytes(b"other bytes")
    assert worker.missing_files([file]) == (file,)
    assert "mnist.npz" in refusal(ChangedFileError, worker.begin, WorkerTask(job=job, files={"data": file}))


def test_another_file_of_the_same_networks_name_is_another_network(worker, tmp_path):
    """A dream on weights from a folder, then on other weights with the same name."""
    weights = ROOT / "weights" / "vae_digits.npz"
    with np.load(weights) as arrays:
        held = {name: arrays[name] for name in arrays.files}
    name = next(name for name in held if held[name].dtype.kind == "f" and held[name].ndim)
    held[name] = held[name] * 0.5
    other = tmp_path / "other.npz"
    np.savez(other, **held)
    from engines.vae import WalkConfig

    job = Job(engine="vae", config=WalkConfig(steps=2), inputs={}, backbone="digits")
    faces = dataclasses.replace(job, backbone="digits_notes")
    seen = []
    for path in (weights, other):
        file = SentFile("vae_digits.npz", sha256_of(path))
        worker.take(file, np.fromfile(path, np.uint8))
        worker.begin(WorkerTask(job=job, weights=file))
        seen.append(worker.send(None).history.weights)
        worker.begin(WorkerTask(job=faces))  # something else in between
        worker.send(None)
    assert seen == [sha256_of(weights), sha256_of(other)]


def test_files_not_touched_for_longest_make_room(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}").write_bytes(b"x" * 10)
    make_room(tmp_path, 25)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_worker_leaves_nothing_of_its_own_behind(tmp_path):
    worker = Worker(tmp_path)
    own = worker._folder
    assert own.is_dir()
    worker.leave()
    assert not own.exists()


def test_a_worker_removes_what_one_left_that_was_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = subprocess.Popen(["true"])
    ended.wait()
    dead, alive = tmp_path / f"reverie-worker-{ended.pid}-x", tmp_path / f"reverie-worker-{os.getppid()}-x"
    for folder in (dead, alive):
        (folder / "run").mkdir(parents=True)
    Worker(tmp_path / "cache")
    assert not dead.exists()
    assert alive.exists()


def test_the_version_is_the_projects_and_changes_with_any_source(tmp_path, monkeypatch):
    assert re.fullmatch(rf"{re.escape(NUMBER)} \([0-9a-f]{{8}}\)", version())
    said = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.M)
    assert said is not None
    assert said[1] == NUMBER
    shutil.copytree(ROOT / "engines", tmp_path / "engines", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(version_module, "__file__", str(tmp_path / "engines" / "jobs" / "version.py"))
    same = version.__wrapped__()
    with (tmp_path / "engines" / "core" / "files.py").open("a") as file:
        file.write("# another\n")
    assert same == version()
    assert version.__wrapped__() != same


def test_where_a_checkpoint_has_it_a_job_goes_on_without_a_frame(worker, workshop, job):
    lost = workshop.start(job)
    next(lost)
    started = JobExecution(lost.job, workshop, ResumePoint(None, lost.history))
    assert next(started).step == 1, "this engine has no checkpoint, so it begins again"
    assert started.history.resumed_after == ()
