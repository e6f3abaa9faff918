"""Test batches and sweeps on several workers: the results of sequential ones, and no thread, slot or worker is left."""

from __future__ import annotations

import dataclasses
import itertools
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from engines.deep_dream import DreamConfig
from engines.deep_dream import engine as deep_dream
from engines.imaging.video import Film
from engines.jobs import Job, Workshop, job_from_recipe
from engines.jobs.batch import Batch, batch_of, picture_files
from engines.jobs.sweep import DreamSweepConfig, StyleSweepConfig
from engines.jobs.worker import Worker
from engines.recipes import Recipe, read_recipe
from studio.cluster import prefetch, remote_job, subjob, worker_run
from studio.cluster.client import AwayError, BusyError, Status
from studio.cluster.ray_process import LostError
from studio.runs import run as runs
from studio.runs.run import Run
from studio.services import Studio
from tests.engines.helpers import as_png
from tests.studio.conftest import QUICK_PAINTING
from tests.studio.helpers import LONGEST_WAIT, eventually, finished

QUICK = DreamConfig(size=0, octaves=1, steps=4, step_size=0.1, jitter=2, layer_weights={"block1_conv1": 1.0})
STRONG = dataclasses.replace(QUICK, step_size=0.5)
FILM = dataclasses.replace(QUICK, steps=1, pictures=6)


class FakeCluster:
    """Replaces `Cluster`: workers in this process that do real steps, one at a time.

    Attributes:
        started: labels of the jobs that were started, in order.
        steps: label -> how many steps were done.
        gates: label -> what a job waits for before each step.
        where: label -> title of the machine on which a job was started last.
        lost: labels of jobs that lose their worker at their next step, once each.
        busy: how many workers have a job.
    """

    def __init__(self, workshop: Workshop, count: int, label: Callable[[Job], Any]):
        self._workshop, self._label = workshop, label
        self.started: list[Any] = []
        self.steps: dict[Any, int] = {}
        self.gates: dict[Any, threading.Semaphore] = {}
        self.where: dict[Any, str] = {}
        self.lost: list[Any] = []
        self.busy = 0
        self.lock = threading.RLock()
        self._numbers = itertools.count(1)
        self.changed: Callable[[], None] = lambda: None
        self.have(count)

    def have(self, count: int) -> None:
        """Change the number of machines."""
        self.count = count
        self.status = Status(connected=count > 0, room=count, capacity=count)
        self.changed()

    def on_change(self, changed: Callable[[], None]) -> None:
        self.changed = changed

    def close(self) -> None:
        self.status = Status()

    def acquire(self, network: str) -> FakeLease:
        if not self.status.usable:
            raise AwayError
        with self.lock:
            if self.busy >= self.count:
                raise BusyError
            self.busy += 1
        return FakeLease(self, next(self._numbers))

    def hold(self, *labels: Any) -> None:
        """Make jobs wait before each step until they are released."""
        for label in labels:
            self.gates[label] = threading.Semaphore(0)

    def release(self, label: Any, steps: int = 100_000) -> None:
        self.gates[label].release(steps)


class FakeLease:
    """Replaces `WorkerLease`: a worker in this process."""

    def __init__(self, machines: FakeCluster, id: int):
        self.id, self.title = id, f"machine {id}"
        self._machines = machines
        self._worker = Worker(Path("no files come here"))
        self._worker._workshop = machines._workshop
        self._label: Any = None
        self._gone = False

    def begin(self, task, paths, writes) -> None:
        with self._machines.lock:
            self._worker.begin(task)
            self._label = self._machines._label(task.job)
            self._machines.started.append(self._label)
            self._machines.where[self._label] = self.title

    def call(self, method: str, *arguments: Any) -> Any:
        machines, label = self._machines, self._label
        gate = machines.gates.get(label)
        if gate is not None and not gate.acquire(timeout=LONGEST_WAIT):
            raise AssertionError(f"nobody let {label} go on")
        with machines.lock:
            if label in machines.lost:
                machines.lost.remove(label)
                machines.busy -= 1
                self._gone = True
                self._worker.leave()
                raise LostError("It is gone.")
            result = getattr(self._worker, method)(*arguments)
            machines.steps[label] = machines.steps.get(label, 0) + 1
        return result

    def start_call(self, method: str, *arguments: Any) -> Callable[[], Any]:
        """Do the step when its result is asked for, so that a test decides when that is."""
        return lambda: self.call(method, *arguments)

    def release(self) -> None:
        if not self._gone:
            with self._machines.lock:
                self._worker.leave()
                self._machines.busy -= 1


def of_picture(job: Job) -> int:
    """The number of a batch's picture, which is in its first pixel."""
    return int(job.inputs["image"][0, 0, 0])


@pytest.fixture(autouse=True)
def _no_step_is_requested_ahead(monkeypatch):
    """Settings take effect at the step at which they are sent, as in the sequential run that a test compares with."""
    monkeypatch.setattr(worker_run, "AHEAD_SECONDS", 0.0)
    monkeypatch.setattr(remote_job, "UNWATCHED_SECONDS", 0.0)


@pytest.fixture
def parallel(tmp_path, workshop) -> Iterator[Callable[..., tuple[Studio, FakeCluster]]]:
    """Makes studios with a cluster, and checks that nothing is left when they are closed."""
    made: list[tuple[Studio, FakeCluster]] = []

    def make(count: int = 3, label: Callable[[Job], Any] = of_picture) -> tuple[Studio, FakeCluster]:
        machines = FakeCluster(workshop, count, label)
        studio = Studio(outputs=tmp_path / f"parallel {len(made)}", cluster=machines)
        studio.workshop.keep("deep_dream", "studio_vgg", workshop.network("deep_dream", "studio_vgg"))
        made.append((studio, machines))
        return studio, machines

    yield make
    for studio, machines in made:
        for gate in machines.gates.values():
            gate.release(100_000)
        studio.runs.close()
        nothing_is_left(studio, machines)


def nothing_is_left(studio: Studio, machines: FakeCluster) -> None:
    """Check that no thread prefetches, no slot is borrowed and no worker has a job."""
    eventually(lambda: not prefetching_threads(), "prefetching to end")
    assert studio.runs.queue._lent == 0
    assert machines.busy == 0


def prefetching_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "prefetch"]


def batch(folder: Path, count: int, config: DreamConfig = QUICK, bad: tuple[int, ...] = ()) -> Batch:
    """A batch of numbered pictures, some of which cannot be read."""
    folder.mkdir(exist_ok=True)
    paths = []
    for number in range(count):
        picture = np.random.default_rng(number).integers(0, 256, (24, 32, 3), np.uint8)
        picture[0, 0, 0] = number
        paths.append(folder / f"picture{number}.png")
        paths[-1].write_bytes(b"no pixels" if number in bad else as_png(picture))
    return batch_of(
        Job(engine="deep_dream", config=config, inputs={}, backbone="studio_vgg"), picture_files(paths), "image"
    )


def dreams(values: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4), **changes: Any) -> DreamSweepConfig:
    settings = dataclasses.asdict(dataclasses.replace(QUICK, **changes))
    return DreamSweepConfig(settings=settings, columns="step_size", column_values=values)


def sweep_of(config: Any, picture: np.ndarray) -> Job:
    name = "image" if isinstance(config, DreamSweepConfig) else "content_image"
    inputs = {name: picture} | ({} if name == "image" else {"style_images_1": picture[::-1, ::-1]})
    return Job(engine=f"{config.engine}_sweep", config=config, inputs=inputs, backbone="studio_vgg")


def of_cell(job: Job) -> float:
    return job.config.step_size


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def pixels_of_input(studio: Studio, result: Path) -> np.ndarray:
    """The picture from which a result was made."""
    return pixels(studio.gallery.find_input(read_recipe(result).inputs["image"]))


def same_results(one: Run, other: Run) -> None:
    """Check that two batches have the same results in the same order."""
    assert (one.state, one.error, one.notices) == (other.state, other.error, other.notices)
    assert len(one.results) == len(other.results)
    for first, second in zip(one.results, other.results, strict=True):
        assert read_recipe(first) == read_recipe(second)
        if first.suffix == ".png":
            np.testing.assert_array_equal(pixels(first), pixels(second))
        else:
            np.testing.assert_array_equal(pictures_of(first), pictures_of(second))
    with zipfile.ZipFile(one.result) as first, zipfile.ZipFile(other.result) as second:
        assert first.namelist() == second.namelist()


@pytest.fixture(autouse=True)
def write_film(monkeypatch) -> None:
    """What went into each film: the encoder does not always make the same of the same."""
    pictures_in.clear()
    add, finish = Film.add, Film.finish
    going_in: dict[int, list[np.ndarray]] = {}

    def adding(film: Film, image: np.ndarray) -> None:
        going_in.setdefault(id(film), []).append(image.copy())
        add(film, image)

    def finishing(film: Film, comment: str) -> Path:
        path = finish(film, comment)
        pictures_in[path] = going_in.pop(id(film))
        return path

    monkeypatch.setattr(Film, "add", adding)
    monkeypatch.setattr(Film, "finish", finishing)


pictures_in: dict[Path, list[np.ndarray]] = {}


def pictures_of(film: Path) -> list[np.ndarray]:
    """The pictures that went into a film; checks that its file has as many."""
    with av.open(str(film)) as container:
        assert sum(1 for _ in container.decode(video=0)) == len(pictures_in[film])
    return pictures_in[film]


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


# Results


def test_a_parallel_batch_gives_the_results_of_a_sequential_one(tmp_path, studio, parallel):
    job = batch(tmp_path / "uploads", 6, bad=(0, 3))
    alone, _ = steered_at(here(studio, job), {})
    wide, machines = parallel(3)
    machines.hold(1, 2, 4)
    run = wide.runs.start(job)
    machines.release(1, 1)
    eventually(lambda: machines.busy == 3, "three jobs to run")
    release_all(machines)
    same_results(finished(run), alone)
    assert sorted(machines.started) == [1, 2, 4, 5], "each is done once"


def test_frames_are_counted_as_in_a_sequential_batch(tmp_path, studio, parallel):
    job = batch(tmp_path / "uploads", 5)
    _, alone = steered_at(here(studio, job), {})
    wide, _ = parallel(3)
    _, seen = steered_at(there(wide, job), {})
    assert set(seen) <= set(alone)
    assert [frame for frame in seen if frame[0] % 4 == 0] == alone[3::4], "the end of every picture is seen"


def test_prefetched_parts_wait_for_their_turn_and_free_slots_are_used(tmp_path, parallel):
    wide, machines = parallel(3)
    machines.hold(0, 4)
    run = wide.runs.start(batch(tmp_path / "uploads", 6))
    eventually(lambda: sorted(machines.started) == [0, 1, 2, 3, 4, 5], "all to start")
    eventually(
        lambda: {n: machines.steps.get(n, 0) for n in (1, 2, 3, 5)} == dict.fromkeys((1, 2, 3, 5), 4), "the others"
    )
    assert run.results == ()
    assert run.frame is None
    machines.release(0, 1)
    eventually(lambda: run.frame, "the first part's first frame")
    assert (run.frame.step, run.frame.total, run.where) == (1, 24, machines.where[0])
    machines.release(0)
    eventually(lambda: len(run.results) == 4, "prefetched parts to come at once")
    machines.release(4, 2)
    eventually(lambda: run.frame.step == 18, "the next part")
    assert run.where == machines.where[4]
    machines.release(4)
    assert finished(run).state == "done"
    assert [int(pixels_of_input(wide, path)[0, 0, 0]) for path in run.results] == list(range(6))
    assert machines.started.count(4) == 1


def test_a_half_prefetched_part_continues_on_its_worker_when_its_turn_comes(tmp_path, studio, parallel):
    job = batch(tmp_path / "uploads", 2)
    alone, _ = steered_at(here(studio, job), {})
    wide, machines = parallel(2)
    machines.hold(0, 1)
    run = wide.runs.start(job)
    eventually(lambda: sorted(machines.started) == [0, 1], "both to start")
    machines.release(1, 2)
    eventually(lambda: machines.steps.get(1) == 2, "the second to be half way")
    machines.release(0)
    eventually(lambda: run.frame and run.frame.step == 4, "the end of the first")
    machines.release(1, 1)
    eventually(lambda: run.frame.step == 7, "the second to run")
    eventually(lambda: wide.runs.queue._lent == 0, "the slot to be returned")
    machines.release(1)
    same_results(finished(run), alone)
    assert sorted(machines.started) == [0, 1]


# Steering


def all_prefetched(run: Run) -> Run:
    """Make a run wait after each frame until all prefetching is done."""
    send = run._execution.send

    def wait(changed: Any) -> Any:
        frame = send(changed)
        eventually(lambda: not prefetching_threads(), "prefetching to end")
        return frame

    run._execution.send = wait
    return run


@pytest.mark.parametrize("after", [1, 4])
def test_a_steered_batch_gives_the_results_of_a_sequential_one(tmp_path, studio, parallel, after):
    job = batch(tmp_path / "uploads", 4)
    alone, _ = steered_at(here(studio, job), {after: STRONG})
    wide, machines = parallel(4)
    steered, _ = steered_at(lambda: all_prefetched(there(wide, job)()), {after: STRONG})
    same_results(steered, alone)
    assert [read_recipe(path).config["step_size"] for path in steered.results] == [0.1, 0.5, 0.5, 0.5]
    assert [machines.started.count(number) for number in range(4)] == [1, 2, 2, 2], "made again with other settings"


def test_prefetched_parts_have_a_memory_limit(tmp_path, parallel, monkeypatch):
    monkeypatch.setattr(prefetch, "MOST_BYTES", 2 * 24 * 32 * 3 * 2 - 1)
    monkeypatch.setattr(subjob, "UNREAD_BYTES", 1)
    wide, machines = parallel(6)
    job = batch(tmp_path / "uploads", 6)
    run = there(wide, job)()
    execution = run._execution
    for _ in range(2):
        execution.send(None)
        eventually(lambda: not prefetching_threads(), "prefetching to end")
    waiting = set(machines.started) - {0}
    execution.send(None)
    assert set(machines.started) - {0} == waiting, "two hold as much as is allowed"
    while not run.over:
        run.advance()
    assert len(run.results) == 6


def test_steering_with_the_same_settings_discards_nothing(tmp_path, parallel):
    wide, machines = parallel(3)
    job = batch(tmp_path / "uploads", 3, config=dataclasses.replace(QUICK, layer_weights={}))
    machines.hold(0)
    run = wide.runs.start(job)
    eventually(lambda: machines.steps.get(2) == 4, "the others to be done")
    machines.release(0, 1)
    eventually(lambda: run.frame, "a frame")
    run.steer(job.config)
    machines.release(0)
    assert finished(run).state == "done"
    assert sorted(machines.started) == [0, 1, 2]
    assert [read_recipe(path).steering for path in run.results] == [(), (), ()]


# Films


def test_a_prefetched_film_loses_no_picture_and_buffers_few(tmp_path, studio, parallel, monkeypatch):
    monkeypatch.setattr(subjob, "MOST_KEYFRAMES", 2)
    job = batch(tmp_path / "uploads", 2, config=FILM)
    alone, _ = steered_at(here(studio, job), {})
    wide, machines = parallel(2)
    machines.hold(0)
    run = wide.runs.start(job)
    eventually(lambda: machines.steps.get(1) == 2, "two pictures of the second film")
    assert prefetching_threads(), "it waits and keeps its worker"
    machines.release(0)
    same_results(finished(run), alone)
    assert len(pictures_of(run.results[1])) == 6
    assert machines.steps == {0: 6, 1: 6}


def test_a_film_that_is_steered_while_it_is_taken_from_the_buffer_is_made_again(tmp_path, studio, parallel):
    job = batch(tmp_path / "uploads", 2, config=FILM)
    stronger = dataclasses.replace(FILM, step_size=0.5)
    alone, _ = steered_at(here(studio, job), {8: stronger})
    wide, machines = parallel(2)

    steered, _ = steered_at(lambda: all_prefetched(there(wide, job)()), {8: stronger})
    same_results(steered, alone)
    assert [step for step, _ in read_recipe(steered.results[1]).steering] == [2]
    assert sorted(machines.started) == [0, 1, 1]


def test_a_waiting_film_releases_its_worker_while_its_run_is_idle(tmp_path, parallel, monkeypatch):
    monkeypatch.setattr(subjob, "MOST_KEYFRAMES", 2)
    monkeypatch.setattr(prefetch, "IDLE_SECONDS", 0.2)
    wide, machines = parallel(2)
    run = there(wide, batch(tmp_path / "uploads", 2, config=FILM))()
    run._execution.send(None)
    eventually(lambda: machines.steps.get(1) == 2, "two pictures of the second film")
    monkeypatch.setattr(wide.runs.queue, "borrow", lambda: False)
    eventually(lambda: not prefetching_threads(), "the second film to be discarded")
    assert machines.busy == 1
    while not run.over:
        run.advance()
    assert run.state == "done"
    assert len(pictures_of(run.results[1])) == 6


# Ends


def prefetching_batch(tmp_path: Path, wide: Studio, machines: FakeCluster) -> Run:
    """A batch of which three pictures are being made, and the first has a frame."""
    machines.hold(0, 1, 2)
    run = wide.runs.start(batch(tmp_path / "uploads", 5))
    machines.release(0, 1)
    eventually(lambda: run.frame and sorted(machines.started) == [0, 1, 2], "three jobs to run")
    return run


def release_all(machines: FakeCluster) -> None:
    for label in list(machines.gates):
        machines.release(label)


def test_a_stopped_batch_closes_its_prefetched_parts(tmp_path, parallel):
    wide, machines = parallel(3)
    run = prefetching_batch(tmp_path, wide, machines)
    run.stop()
    machines.release(0, 1)
    assert finished(run).state == "stopped"
    machines.release(1, 1)
    machines.release(2, 1)
    assert len(run.results) == 1
    nothing_is_left(wide, machines)
    assert set(machines.started) == {0, 1, 2}


def test_a_batch_that_is_no_longer_watched_stops(tmp_path, parallel, monkeypatch):
    wide, machines = parallel(3)
    run = prefetching_batch(tmp_path, wide, machines)
    run._unattended = False  # as on a shared server
    monkeypatch.setattr(runs, "UNWATCHED_SECONDS", -1.0)
    release_all(machines)
    assert finished(run).state == "stopped"
    nothing_is_left(wide, machines)


def test_a_studio_that_closes_leaves_nothing_running(tmp_path, parallel):
    wide, machines = parallel(3)
    run = prefetching_batch(tmp_path, wide, machines)
    release_all(machines)
    wide.runs.close()
    assert run.over
    nothing_is_left(wide, machines)


def test_a_sweep_whose_engine_fails_leaves_nothing_running(picture, parallel, monkeypatch):
    wide, machines = parallel(3, of_cell)
    real = deep_dream.OctavePyramid.step

    def step(self) -> float:
        if self.config.step_size == 0.1:
            raise ValueError("The dream has run away to infinity.")
        return real(self)

    monkeypatch.setattr(deep_dream.OctavePyramid, "step", step)
    run = finished(wide.runs.start(sweep_of(dreams(), picture)))
    assert (run.state, run.error) == ("failed", "The dream has run away to infinity.")
    assert run.frame.step == 4, "the first cell was seen whole"
    nothing_is_left(wide, machines)


def test_a_prefetched_picture_that_is_refused_is_left_out_when_its_turn_comes(tmp_path, parallel, monkeypatch):
    wide, machines = parallel(3)
    real = deep_dream.OctavePyramid.__init__

    def begin(self, original, *arguments) -> None:
        real(self, original, *arguments)
        if round((float(original[0, 0, 0, 0]) + 1) * 127.5) == 1:
            raise ValueError("The dream has run away to infinity.")

    monkeypatch.setattr(deep_dream.OctavePyramid, "__init__", begin)
    machines.hold(0)
    run = wide.runs.start(batch(tmp_path / "uploads", 3))
    eventually(lambda: machines.steps.get(2) == 4, "the last")
    machines.release(0, 1)
    eventually(lambda: run.frame, "a frame")
    assert run._execution.notices == ()
    machines.release(0)
    finished(run)
    assert run.notices == ("picture1 was skipped: The dream has run away to infinity.",)
    assert len(run.results) == 2


# Slots and machines that come and go


def test_nothing_is_prefetched_while_a_run_waits_and_a_batch_yields_between_pictures(tmp_path, parallel, small_job):
    wide, machines = parallel(2)
    label, machines._label = machines._label, lambda job: "dream" if job.config.steps == 3 else label(job)
    machines.hold(0, 1, "dream")
    run = wide.runs.start(batch(tmp_path / "uploads", 4))
    eventually(lambda: sorted(machines.started) == [0, 1], "two to run")
    others = [wide.runs.start(small_job), wide.runs.start(small_job)]
    machines.release(1)
    eventually(lambda: others[0].state == "running", "the other to get the slot")
    assert 2 not in machines.started
    machines.release(0)
    eventually(lambda: others[1].state == "running", "the batch to yield")
    assert (run.state, run.frame.step) == ("waiting", 4)
    machines.release("dream")
    assert [finished(one).state for one in (*others, run)] == ["done"] * 3
    assert len(run.results) == 4


def test_while_the_cluster_is_away_parts_run_here_one_by_one(tmp_path, studio, parallel):
    job = batch(tmp_path / "uploads", 3)
    alone, _ = steered_at(here(studio, job), {})
    wide, machines = parallel(0)
    run = finished(wide.runs.start(job))
    same_results(run, alone)
    assert machines.started == []


def test_a_prefetched_part_returns_its_slot_while_the_cluster_is_away(tmp_path, parallel, monkeypatch):
    monkeypatch.setattr(subjob, "RETRY_SECONDS", 0.0)
    wide, machines = parallel(2)
    machines.hold(0, 1)
    run = wide.runs.start(batch(tmp_path / "uploads", 2))
    eventually(lambda: sorted(machines.started) == [0, 1], "both to run")
    machines.lost += [0, 1]
    machines.have(0)
    release_all(machines)
    assert finished(run).state == "done", "both continued here"
    assert (len(run.results), machines.started.count(1)) == (2, 1)


@pytest.mark.parametrize("lost", [0, 1])
def test_a_picture_whose_worker_is_lost_is_resumed(tmp_path, parallel, lost, monkeypatch):
    monkeypatch.setattr(subjob, "RETRY_SECONDS", 0.0)
    wide, machines = parallel(2)
    machines.hold(0, 1)
    run = wide.runs.start(batch(tmp_path / "uploads", 2))
    eventually(lambda: sorted(machines.started) == [0, 1], "both to run")
    machines.release(lost, 2)
    eventually(lambda: machines.steps.get(lost) == 2, "two steps")
    machines.lost.append(lost)
    release_all(machines)
    assert (finished(run).state, run.notices) == ("done", ())
    assert [read_recipe(path).interruptions for path in run.results] == [(2,) if n == lost else () for n in (0, 1)]
    assert machines.started.count(lost) == 2


def test_a_picture_whose_workers_are_lost_twice_is_left_out(tmp_path, parallel):
    wide, machines = parallel(2)
    machines.lost += [0, 0]
    run = finished(wide.runs.start(batch(tmp_path / "uploads", 2)))
    assert run.notices == ("picture0 was skipped: The worker was lost twice; run this one again on its own.",)
    assert len(run.results) == 1


# Sweeps


def swept(studio: Studio, job: Job, steers: dict[int, Any] | None = None) -> Run:
    return steered_at(there(studio, job) if studio.cluster else here(studio, job), dict(steers or {}))[0]


def same_sheet(one: Run, other: Run) -> Recipe:
    assert (one.state, one.error) == (other.state, other.error) == ("done", "")
    np.testing.assert_array_equal(pixels(one.result), pixels(other.result))
    assert read_recipe(one.result) == read_recipe(other.result)
    assert (one.frame.step, one.frame.total) == (other.frame.step, other.frame.total)
    return read_recipe(one.result)


def test_a_parallel_sweep_gives_the_result_of_a_sequential_one_and_repeats_here(picture, studio, parallel):
    job = sweep_of(dreams(), picture)
    wide, machines = parallel(3, of_cell)
    machines.hold(0.05)
    run = wide.runs.start(job)
    machines.release(0.05, 1)
    eventually(lambda: machines.steps.get(0.4) == 4, "all others to be prefetched")
    machines.release(0.05)
    recipe = same_sheet(finished(run), swept(studio, job))
    assert sorted(machines.started) == [0.05, 0.1, 0.2, 0.4]
    same_sheet(swept(studio, job_from_recipe(recipe, job.inputs)), run)


@pytest.mark.parametrize("after", [2, 4])
def test_a_steered_sweep_is_the_same_and_repeats_here_and_there(picture, studio, parallel, after):
    job = sweep_of(dreams(), picture)
    steers = {after: dreams(layer_weights={"block2_conv1": 1.0})}
    wide, _ = parallel(3, of_cell)
    run = swept(wide, job, steers)
    recipe = same_sheet(run, swept(studio, job, steers))
    assert len(recipe.steering) == 1
    again = job_from_recipe(recipe, job.inputs)
    same_sheet(swept(wide, again), run)
    same_sheet(swept(studio, again), run)


def test_a_stopped_sweep_repeats_to_where_it_was_stopped(picture, studio, parallel):
    job = dataclasses.replace(sweep_of(dreams(), picture), stop_at=4)
    wide, machines = parallel(3, of_cell)
    run = swept(wide, job)
    alone = swept(studio, job)
    np.testing.assert_array_equal(pixels(run.result), pixels(alone.result))
    assert read_recipe(run.result).stopped_at == read_recipe(alone.result).stopped_at == 4
    nothing_is_left(wide, machines)


def paintings(**changes: Any) -> StyleSweepConfig:
    settings = dataclasses.asdict(dataclasses.replace(QUICK_PAINTING, size=48, tile_size=0, **changes))
    return StyleSweepConfig(settings=settings, columns="balance", column_values=(0.1, 0.3, 0.6))


def test_settings_that_the_first_painting_chooses_are_used_for_all(picture, studio, parallel):
    job = sweep_of(paintings(), picture)
    wide, machines = parallel(3, lambda one: one.config.balance)
    run = finished(wide.runs.start(job))
    recipe = same_sheet(run, swept(studio, job))
    assert recipe.config["settings"]["tile_size"] > 0
    assert sorted(machines.started) == [0.1, 0.3, 0.6], "none was started before it was known"


def test_paintings_in_a_given_time_are_prefetched_when_the_first_is_done(picture, studio, parallel, monkeypatch):
    from engines.style_transfer import schedule as painting_plan

    monkeypatch.setattr(painting_plan, "SIZES", (48, 64))
    monkeypatch.setattr(painting_plan, "PROBE_SIDE", 32)
    job = sweep_of(paintings(seconds=1.0), picture)
    wide, machines = parallel(3, lambda one: one.config.balance)
    machines.hold(0.1)
    run = wide.runs.start(job)
    machines.release(0.1, 3)
    eventually(lambda: run.frame and run.frame.step == 3, "some steps of the first")
    assert machines.started == [0.1]
    machines.hold(0.3, 0.6)
    machines.release(0.1)
    eventually(lambda: machines.busy == 2, "both others to run")
    release_all(machines)
    finished(run)
    recipe = read_recipe(run.result)
    assert recipe.config["settings"]["seconds"] == 0
    same_sheet(swept(studio, job_from_recipe(recipe, job.inputs)), run)


@pytest.mark.parametrize("lost", [0.05, 0.2])
def test_a_cell_whose_worker_is_lost_is_done_again_so_its_recipe_holds(picture, studio, parallel, lost, monkeypatch):
    monkeypatch.setattr(subjob, "RETRY_SECONDS", 0.0)
    job = sweep_of(dreams(), picture)
    wide, machines = parallel(3, of_cell)
    machines.hold(0.05, 0.2)
    run = wide.runs.start(job)
    machines.release(0.05, 1)
    eventually(lambda: 0.2 in machines.started, "cells to be prefetched")
    machines.release(lost, 2)
    eventually(lambda: machines.steps.get(lost, 0) >= 2, "some steps")
    machines.lost.append(lost)
    release_all(machines)
    same_sheet(finished(run), swept(studio, job))
    assert machines.started.count(lost) == 2


def test_settings_sent_while_a_lost_cell_is_redone_take_effect_where_they_were_sent(picture, studio, parallel):
    job = sweep_of(dreams((0.05, 0.1)), picture)
    steers = {2: dreams((0.05, 0.1), layer_weights={"block2_conv1": 1.0})}
    wide, machines = parallel(1, of_cell)
    lost: list[float] = []

    def lost_after_two_steps() -> Run:
        run = there(wide, job)()
        send = run._execution.send

        def losing(changed: Any) -> Any:
            if run.frame and run.frame.step == 2 and not lost:
                lost.append(0.05)
                machines.lost.append(0.05)
            return send(changed)

        run._execution.send = losing
        return run

    steered, _ = steered_at(lost_after_two_steps, dict(steers))
    recipe = same_sheet(steered, swept(studio, job, steers))
    assert [step for step, _ in recipe.steering] == [2]
    assert machines.started == [0.05, 0.05, 0.1]


def test_a_sweep_of_which_a_cell_was_lost_twice_can_be_resumed(picture, studio, parallel):
    job = sweep_of(dreams(), picture)
    wide, machines = parallel(2, of_cell)
    machines.lost += [0.2, 0.2]
    run = finished(wide.runs.start(job))
    assert (run.state, run.error) == ("failed", "This run lost its worker for the second time; press Resume to resume.")
    same_sheet(finished(wide.runs.resume(run)), swept(studio, job))
