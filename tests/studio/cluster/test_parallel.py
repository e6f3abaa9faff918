"""A batch and a sweep on several machines: as if their parts came one after another, and nothing is left behind."""

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
from studio.cluster import prefetch as ahead
from studio.cluster import remote_job as remote
from studio.cluster.client import AwayError, BusyError, LostError, Status
from studio.runs import run as runs
from studio.runs.run import Run
from studio.services import Studio
from tests.engines.helpers import as_png
from tests.studio.conftest import QUICK_PAINTING
from tests.studio.helpers import LONGEST_WAIT, eventually, finished

QUICK = DreamConfig(size=0, octaves=1, steps=4, step_size=0.1, jitter=2, layer_weights={"block1_conv1": 1.0})
STRONG = dataclasses.replace(QUICK, step_size=0.5)
FILM = dataclasses.replace(QUICK, steps=1, pictures=6)


class Machines:
    """A cluster in this process: workers that do real steps, one at a time.

    Attributes:
        begun: labels of the jobs that were begun, in order.
        steps: how many steps of each were done.
        gates: by label, what a job waits for before each step.
        where: by label, the machine that a job was begun on last.
        lost: labels of jobs whose worker is lost at their next step, once each.
        busy: how many have a job.
    """

    def __init__(self, workshop: Workshop, count: int, label: Callable[[Job], Any]):
        self._workshop, self._label = workshop, label
        self.begun: list[Any] = []
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
        """From now on there are so many."""
        self.count = count
        self.status = Status(there=count > 0, room=count, capacity=count)
        self.changed()

    def on_change(self, changed: Callable[[], None]) -> None:
        self.changed = changed

    def close(self) -> None:
        self.status = Status()

    def take(self, network: str) -> Place:
        if not self.status.useful:
            raise AwayError
        with self.lock:
            if self.busy >= self.count:
                raise BusyError
            self.busy += 1
        return Place(self, next(self._numbers))

    def hold(self, *labels: Any) -> None:
        """Have jobs wait before each step until they are let go."""
        for label in labels:
            self.gates[label] = threading.Semaphore(0)

    def let_go(self, label: Any, steps: int = 100_000) -> None:
        self.gates[label].release(steps)


class Place:
    """One of them, for one job."""

    def __init__(self, machines: Machines, id: int):
        self.id, self.title = id, f"machine {id}"
        self._machines = machines
        self._worker = Worker(Path("no files come here"))
        self._worker._workshop = machines._workshop
        self._label: Any = None
        self._gone = False

    def begin(self, order, paths, writes) -> None:
        with self._machines.lock:
            self._worker.begin(order)
            self._label = self._machines._label(order.job)
            self._machines.begun.append(self._label)
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
            told = getattr(self._worker, method)(*arguments)
            machines.steps[label] = machines.steps.get(label, 0) + 1
        return told

    def begun(self, method: str, *arguments: Any) -> Callable[[], Any]:
        """Nothing is done before it is asked for: a test says when each step is made."""
        return lambda: self.call(method, *arguments)

    def give_back(self) -> None:
        if not self._gone:
            with self._machines.lock:
                self._worker.leave()
                self._machines.busy -= 1


def of_picture(job: Job) -> int:
    """Which picture of a batch a job is for: its first pixel tells."""
    return int(job.inputs["image"][0, 0, 0])


@pytest.fixture(autouse=True)
def _nothing_is_begun_before_it_is_asked_for(monkeypatch):
    """These tests say at which step settings are sent, and compare with a run in which they were sent at that step."""
    monkeypatch.setattr(remote, "AHEAD_SECONDS", 0.0)
    monkeypatch.setattr(remote, "UNSEEN_SECONDS", 0.0)


@pytest.fixture
def spread(tmp_path, workshop) -> Iterator[Callable[..., tuple[Studio, Machines]]]:
    """A studio with machines; nothing of what it did is left when it is closed."""
    made: list[tuple[Studio, Machines]] = []

    def make(count: int = 3, label: Callable[[Job], Any] = of_picture) -> tuple[Studio, Machines]:
        machines = Machines(workshop, count, label)
        studio = Studio(outputs=tmp_path / f"spread {len(made)}", cluster=machines)
        studio.workshop.keep("deep_dream", "studio_vgg", workshop.network("deep_dream", "studio_vgg"))
        made.append((studio, machines))
        return studio, machines

    yield make
    for studio, machines in made:
        for gate in machines.gates.values():
            gate.release(100_000)
        studio.runs.close()
        nothing_is_left(studio, machines)


def nothing_is_left(studio: Studio, machines: Machines) -> None:
    """No thread, no place that was borrowed, no worker that has a job."""
    eventually(lambda: not threads_ahead(), "the threads of parts ahead to end")
    assert studio.runs.render._lent == 0
    assert machines.busy == 0


def threads_ahead() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "part-ahead"]


def batch(folder: Path, count: int, config: DreamConfig = QUICK, bad: tuple[int, ...] = ()) -> Batch:
    """A batch of pictures that can be told apart; some are none."""
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
    """The picture that a result was made from."""
    return pixels(studio.gallery.find_input(read_recipe(result).inputs["image"]))


def same_results(one: Run, other: Run) -> None:
    """Whether two batches came to the same, in the same order."""
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
    """The pictures that went into a film, of which there are as many in its file."""
    with av.open(str(film)) as container:
        assert sum(1 for _ in container.decode(video=0)) == len(pictures_in[film])
    return pictures_in[film]


def steered_at(run_of: Callable[[], Run], steers: dict[int, Any]) -> tuple[Run, list[tuple[int, int, float]]]:
    """A run, advanced here, that is steered after some steps; and how its frames were counted."""
    run = run_of()
    seen: list[tuple[int, int, float]] = []
    started = run._started
    real = started.send

    def send(changed: Any) -> Any:
        step = run.frame.step if run.frame else 0
        config = steers.pop(step, None)
        frame = real(changed if config is None else started.resolve(config))
        if not seen or seen[-1][0] != frame.step:
            seen.append((frame.step, frame.total, round(frame.progress, 9)))
        return frame

    started.send = send
    while not run.over:
        run.advance()
    return run, seen


def here(studio: Studio, job: Job) -> Callable[[], Run]:
    """A run of a job, done in parts one after another, without a cluster."""
    return lambda: Run(studio.workshop.start(job), studio.result_writer(job))


def there(studio: Studio, job: Job) -> Callable[[], Run]:
    """A run of a job, spread, that is not in the lane."""
    return lambda: Run(studio.runs._begun(job), studio.result_writer(job))


# What comes out


def test_a_spread_batch_is_the_batch_done_one_after_another(tmp_path, studio, spread):
    job = batch(tmp_path / "uploads", 6, bad=(0, 3))
    alone, _ = steered_at(here(studio, job), {})
    wide, machines = spread(3)
    machines.hold(1, 2, 4)
    run = wide.runs.start(job)
    machines.let_go(1, 1)
    eventually(lambda: machines.busy == 3, "three to be at work")
    let_all_go(machines)
    same_results(finished(run), alone)
    assert sorted(machines.begun) == [1, 2, 4, 5], "each is done once"


def test_frames_are_counted_as_if_the_parts_were_done_one_after_another(tmp_path, studio, spread):
    job = batch(tmp_path / "uploads", 5)
    _, alone = steered_at(here(studio, job), {})
    wide, _ = spread(3)
    _, seen = steered_at(there(wide, job), {})
    assert set(seen) <= set(alone)
    assert [frame for frame in seen if frame[0] % 4 == 0] == alone[3::4], "the end of every picture is seen"


def test_parts_ahead_wait_for_their_turn_and_a_place_that_is_free_is_used(tmp_path, spread):
    wide, machines = spread(3)
    machines.hold(0, 4)
    run = wide.runs.start(batch(tmp_path / "uploads", 6))
    eventually(lambda: sorted(machines.begun) == [0, 1, 2, 3, 4, 5], "all to be begun")
    eventually(
        lambda: {n: machines.steps.get(n, 0) for n in (1, 2, 3, 5)} == dict.fromkeys((1, 2, 3, 5), 4), "the others"
    )
    assert run.results == ()
    assert run.frame is None
    machines.let_go(0, 1)
    eventually(lambda: run.frame, "the foremost's first frame")
    assert (run.frame.step, run.frame.total, run.where) == (1, 24, machines.where[0])
    machines.let_go(0)
    eventually(lambda: len(run.results) == 4, "what was done ahead to come at once")
    machines.let_go(4, 2)
    eventually(lambda: run.frame.step == 18, "the next foremost")
    assert run.where == machines.where[4]
    machines.let_go(4)
    assert finished(run).state == "done"
    assert [int(pixels_of_input(wide, path)[0, 0, 0]) for path in run.results] == list(range(6))
    assert machines.begun.count(4) == 1


def test_a_part_that_is_half_way_goes_on_where_it_is_when_its_turn_comes(tmp_path, studio, spread):
    job = batch(tmp_path / "uploads", 2)
    alone, _ = steered_at(here(studio, job), {})
    wide, machines = spread(2)
    machines.hold(0, 1)
    run = wide.runs.start(job)
    eventually(lambda: sorted(machines.begun) == [0, 1], "both to be begun")
    machines.let_go(1, 2)
    eventually(lambda: machines.steps.get(1) == 2, "the second to be half way")
    machines.let_go(0)
    eventually(lambda: run.frame and run.frame.step == 4, "the end of the first")
    machines.let_go(1, 1)
    eventually(lambda: run.frame.step == 7, "the second to be pulled")
    eventually(lambda: wide.runs.render._lent == 0, "the borrowed place to be given back")
    machines.let_go(1)
    same_results(finished(run), alone)
    assert sorted(machines.begun) == [0, 1]


# Steering


def all_ahead_done(run: Run) -> Run:
    """The run, where between two of its frames all that can be done ahead is done."""
    send = run._started.send

    def wait(changed: Any) -> Any:
        frame = send(changed)
        eventually(lambda: not threads_ahead(), "what is done ahead to be done")
        return frame

    run._started.send = wait
    return run


@pytest.mark.parametrize("after", [1, 4])
def test_a_steered_batch_is_what_it_were_one_after_another(tmp_path, studio, spread, after):
    job = batch(tmp_path / "uploads", 4)
    alone, _ = steered_at(here(studio, job), {after: STRONG})
    wide, machines = spread(4)
    steered, _ = steered_at(lambda: all_ahead_done(there(wide, job)()), {after: STRONG})
    same_results(steered, alone)
    assert [read_recipe(path).config["step_size"] for path in steered.results] == [0.1, 0.5, 0.5, 0.5]
    assert [machines.begun.count(number) for number in range(4)] == [1, 2, 2, 2], "begun again with other settings"


def test_no_more_is_begun_ahead_than_there_is_memory_for(tmp_path, spread, monkeypatch):
    monkeypatch.setattr(ahead, "MOST_BYTES", 2 * 24 * 32 * 3 * 2 - 1)
    monkeypatch.setattr(ahead, "UNREAD_BYTES", 1)
    wide, machines = spread(6)
    job = batch(tmp_path / "uploads", 6)
    run = there(wide, job)()
    started = run._started
    for _ in range(2):
        started.send(None)
        eventually(lambda: not threads_ahead(), "what is begun ahead to be done")
    waiting = set(machines.begun) - {0}
    started.send(None)
    assert set(machines.begun) - {0} == waiting, "two hold all that may be held"
    while not run.over:
        run.advance()
    assert len(run.results) == 6


def test_settings_that_are_the_same_change_nothing(tmp_path, spread):
    wide, machines = spread(3)
    job = batch(tmp_path / "uploads", 3, config=dataclasses.replace(QUICK, layer_weights={}))
    machines.hold(0)
    run = wide.runs.start(job)
    eventually(lambda: machines.steps.get(2) == 4, "the others to be done")
    machines.let_go(0, 1)
    eventually(lambda: run.frame, "a frame")
    run.steer(job.config)
    machines.let_go(0)
    assert finished(run).state == "done"
    assert sorted(machines.begun) == [0, 1, 2]
    assert [read_recipe(path).steering for path in run.results] == [(), (), ()]


# Films


def test_no_picture_of_a_film_ahead_is_lost_and_few_wait(tmp_path, studio, spread, monkeypatch):
    monkeypatch.setattr(ahead, "MOST_KEYFRAMES", 2)
    job = batch(tmp_path / "uploads", 2, config=FILM)
    alone, _ = steered_at(here(studio, job), {})
    wide, machines = spread(2)
    machines.hold(0)
    run = wide.runs.start(job)
    eventually(lambda: machines.steps.get(1) == 2, "two pictures of the second film")
    assert threads_ahead(), "it waits with its worker"
    machines.let_go(0)
    same_results(finished(run), alone)
    assert len(pictures_of(run.results[1])) == 6
    assert machines.steps == {0: 6, 1: 6}


def test_a_film_steered_while_its_pictures_are_handed_out_is_what_it_were_one_after_another(tmp_path, studio, spread):
    job = batch(tmp_path / "uploads", 2, config=FILM)
    stronger = dataclasses.replace(FILM, step_size=0.5)
    alone, _ = steered_at(here(studio, job), {8: stronger})
    wide, machines = spread(2)

    steered, _ = steered_at(lambda: all_ahead_done(there(wide, job)()), {8: stronger})
    same_results(steered, alone)
    assert [step for step, _ in read_recipe(steered.results[1]).steering] == [2]
    assert sorted(machines.begun) == [0, 1, 1]


def test_a_film_that_only_waits_gives_its_worker_up_when_others_have_their_turn(tmp_path, spread, monkeypatch):
    monkeypatch.setattr(ahead, "MOST_KEYFRAMES", 2)
    monkeypatch.setattr(ahead, "IDLE_SECONDS", 0.2)
    wide, machines = spread(2)
    run = there(wide, batch(tmp_path / "uploads", 2, config=FILM))()
    run._started.send(None)
    eventually(lambda: machines.steps.get(1) == 2, "two pictures of the second film")
    monkeypatch.setattr(wide.runs.render, "borrow", lambda: False)
    eventually(lambda: not threads_ahead(), "the second film to be given up")
    assert machines.busy == 1
    while not run.over:
        run.advance()
    assert run.state == "done"
    assert len(pictures_of(run.results[1])) == 6


# The end, whatever it is


def at_work_ahead(tmp_path: Path, wide: Studio, machines: Machines) -> Run:
    """A batch of which three pictures are at work, and the first has shown a frame."""
    machines.hold(0, 1, 2)
    run = wide.runs.start(batch(tmp_path / "uploads", 5))
    machines.let_go(0, 1)
    eventually(lambda: run.frame and sorted(machines.begun) == [0, 1, 2], "three to be at work")
    return run


def let_all_go(machines: Machines) -> None:
    for label in list(machines.gates):
        machines.let_go(label)


def test_a_stopped_batch_closes_what_is_ahead(tmp_path, spread):
    wide, machines = spread(3)
    run = at_work_ahead(tmp_path, wide, machines)
    run.stop()
    machines.let_go(0, 1)
    assert finished(run).state == "stopped"
    machines.let_go(1, 1)
    machines.let_go(2, 1)
    assert len(run.results) == 1
    nothing_is_left(wide, machines)
    assert set(machines.begun) == {0, 1, 2}


def test_nobody_stops_a_batch_that_is_watched_no_more_but_itself(tmp_path, spread, monkeypatch):
    wide, machines = spread(3)
    run = at_work_ahead(tmp_path, wide, machines)
    run._patient = False  # as on a server for others
    monkeypatch.setattr(runs, "UNWATCHED_SECONDS", -1.0)
    let_all_go(machines)
    assert finished(run).state == "stopped"
    nothing_is_left(wide, machines)


def test_a_studio_that_closes_leaves_nothing_at_work(tmp_path, spread):
    wide, machines = spread(3)
    run = at_work_ahead(tmp_path, wide, machines)
    let_all_go(machines)
    wide.runs.close()
    assert run.over
    nothing_is_left(wide, machines)


def test_a_sweep_whose_engine_breaks_leaves_nothing_at_work(picture, spread, monkeypatch):
    wide, machines = spread(3, of_cell)
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


def test_a_picture_ahead_that_is_refused_is_left_out_when_its_turn_comes(tmp_path, spread, monkeypatch):
    wide, machines = spread(3)
    real = deep_dream.OctavePyramid.__init__

    def begin(self, original, *arguments) -> None:
        real(self, original, *arguments)
        if round((float(original[0, 0, 0, 0]) + 1) * 127.5) == 1:
            raise ValueError("The dream has run away to infinity.")

    monkeypatch.setattr(deep_dream.OctavePyramid, "__init__", begin)
    machines.hold(0)
    run = wide.runs.start(batch(tmp_path / "uploads", 3))
    eventually(lambda: machines.steps.get(2) == 4, "the last")
    machines.let_go(0, 1)
    eventually(lambda: run.frame, "a frame")
    assert run._started.notices == ()
    machines.let_go(0)
    finished(run)
    assert run.notices == ("picture1 was left out: The dream has run away to infinity.",)
    assert len(run.results) == 2


# Places and machines that come and go


def test_nothing_is_begun_ahead_while_somebody_waits_and_a_seam_gives_way(tmp_path, spread, small_job):
    wide, machines = spread(2)
    label, machines._label = machines._label, lambda job: "dream" if job.config.steps == 3 else label(job)
    machines.hold(0, 1, "dream")
    run = wide.runs.start(batch(tmp_path / "uploads", 4))
    eventually(lambda: sorted(machines.begun) == [0, 1], "two to be at work")
    others = [wide.runs.start(small_job), wide.runs.start(small_job)]
    machines.let_go(1)
    eventually(lambda: others[0].state == "running", "the place to be the other's")
    assert 2 not in machines.begun
    machines.let_go(0)
    eventually(lambda: others[1].state == "running", "the batch to give way")
    assert (run.state, run.frame.step) == ("waiting", 4)
    machines.let_go("dream")
    assert [finished(one).state for one in (*others, run)] == ["done"] * 3
    assert len(run.results) == 4


def test_while_the_cluster_is_away_parts_are_done_here_one_by_one(tmp_path, studio, spread):
    job = batch(tmp_path / "uploads", 3)
    alone, _ = steered_at(here(studio, job), {})
    wide, machines = spread(0)
    run = finished(wide.runs.start(job))
    same_results(run, alone)
    assert machines.begun == []


def test_a_part_ahead_waits_while_the_cluster_is_away_and_gives_its_place_back(tmp_path, spread, monkeypatch):
    monkeypatch.setattr(ahead, "AGAIN_SECONDS", 0.0)
    wide, machines = spread(2)
    machines.hold(0, 1)
    run = wide.runs.start(batch(tmp_path / "uploads", 2))
    eventually(lambda: sorted(machines.begun) == [0, 1], "both to be at work")
    machines.lost += [0, 1]
    machines.have(0)
    let_all_go(machines)
    assert finished(run).state == "done", "both went on here"
    assert (len(run.results), machines.begun.count(1)) == (2, 1)


@pytest.mark.parametrize("lost", [0, 1])
def test_a_picture_whose_worker_is_lost_goes_on_by_itself(tmp_path, spread, lost, monkeypatch):
    monkeypatch.setattr(ahead, "AGAIN_SECONDS", 0.0)
    wide, machines = spread(2)
    machines.hold(0, 1)
    run = wide.runs.start(batch(tmp_path / "uploads", 2))
    eventually(lambda: sorted(machines.begun) == [0, 1], "both to be at work")
    machines.let_go(lost, 2)
    eventually(lambda: machines.steps.get(lost) == 2, "two steps")
    machines.lost.append(lost)
    let_all_go(machines)
    assert (finished(run).state, run.notices) == ("done", ())
    assert [read_recipe(path).interruptions for path in run.results] == [(2,) if n == lost else () for n in (0, 1)]
    assert machines.begun.count(lost) == 2


def test_a_picture_whose_workers_are_lost_twice_is_left_out(tmp_path, spread):
    wide, machines = spread(2)
    machines.lost += [0, 0]
    run = finished(wide.runs.start(batch(tmp_path / "uploads", 2)))
    assert run.notices == (
        "picture0 was left out: The machines that it was on were lost, twice; start it again by itself.",
    )
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


def test_a_spread_sweep_is_the_sweep_done_cell_by_cell_and_repeats_here(picture, studio, spread):
    job = sweep_of(dreams(), picture)
    wide, machines = spread(3, of_cell)
    machines.hold(0.05)
    run = wide.runs.start(job)
    machines.let_go(0.05, 1)
    eventually(lambda: machines.steps.get(0.4) == 4, "all others to be done ahead")
    machines.let_go(0.05)
    recipe = same_sheet(finished(run), swept(studio, job))
    assert sorted(machines.begun) == [0.05, 0.1, 0.2, 0.4]
    same_sheet(swept(studio, job_from_recipe(recipe, job.inputs)), run)


@pytest.mark.parametrize("after", [2, 4])
def test_a_steered_sweep_is_the_same_and_repeats_here_and_there(picture, studio, spread, after):
    job = sweep_of(dreams(), picture)
    steers = {after: dreams(layer_weights={"block2_conv1": 1.0})}
    wide, _ = spread(3, of_cell)
    run = swept(wide, job, steers)
    recipe = same_sheet(run, swept(studio, job, steers))
    assert len(recipe.steering) == 1
    again = job_from_recipe(recipe, job.inputs)
    same_sheet(swept(wide, again), run)
    same_sheet(swept(studio, again), run)


def test_a_stopped_sweep_repeats_to_where_it_was_stopped(picture, studio, spread):
    job = dataclasses.replace(sweep_of(dreams(), picture), stop_at=4)
    wide, machines = spread(3, of_cell)
    run = swept(wide, job)
    alone = swept(studio, job)
    np.testing.assert_array_equal(pixels(run.result), pixels(alone.result))
    assert read_recipe(run.result).stopped_at == read_recipe(alone.result).stopped_at == 4
    nothing_is_left(wide, machines)


def paintings(**changes: Any) -> StyleSweepConfig:
    settings = dataclasses.asdict(dataclasses.replace(QUICK_PAINTING, size=48, tile_size=0, **changes))
    return StyleSweepConfig(settings=settings, columns="balance", column_values=(0.1, 0.3, 0.6))


def test_what_the_first_painting_chooses_holds_for_those_ahead(picture, studio, spread):
    job = sweep_of(paintings(), picture)
    wide, machines = spread(3, lambda one: one.config.balance)
    run = finished(wide.runs.start(job))
    recipe = same_sheet(run, swept(studio, job))
    assert recipe.config["settings"]["tile_size"] > 0
    assert sorted(machines.begun) == [0.1, 0.3, 0.6], "none was begun before it was known"


def test_paintings_in_a_given_time_are_spread_when_the_first_is_done(picture, studio, spread, monkeypatch):
    from engines.style_transfer import schedule as painting_plan

    monkeypatch.setattr(painting_plan, "SIZES", (48, 64))
    monkeypatch.setattr(painting_plan, "PROBE_SIDE", 32)
    job = sweep_of(paintings(seconds=1.0), picture)
    wide, machines = spread(3, lambda one: one.config.balance)
    machines.hold(0.1)
    run = wide.runs.start(job)
    machines.let_go(0.1, 3)
    eventually(lambda: run.frame and run.frame.step == 3, "some steps of the first")
    assert machines.begun == [0.1]
    machines.hold(0.3, 0.6)
    machines.let_go(0.1)
    eventually(lambda: machines.busy == 2, "both others to be at work")
    let_all_go(machines)
    finished(run)
    recipe = read_recipe(run.result)
    assert recipe.config["settings"]["seconds"] == 0
    same_sheet(swept(studio, job_from_recipe(recipe, job.inputs)), run)


@pytest.mark.parametrize("lost", [0.05, 0.2])
def test_a_cell_whose_worker_is_lost_is_done_again_so_that_the_recipe_holds(picture, studio, spread, lost, monkeypatch):
    monkeypatch.setattr(ahead, "AGAIN_SECONDS", 0.0)
    job = sweep_of(dreams(), picture)
    wide, machines = spread(3, of_cell)
    machines.hold(0.05, 0.2)
    run = wide.runs.start(job)
    machines.let_go(0.05, 1)
    eventually(lambda: 0.2 in machines.begun, "cells ahead")
    machines.let_go(lost, 2)
    eventually(lambda: machines.steps.get(lost, 0) >= 2, "some steps")
    machines.lost.append(lost)
    let_all_go(machines)
    same_sheet(finished(run), swept(studio, job))
    assert machines.begun.count(lost) == 2


def test_what_is_sent_while_a_lost_cell_catches_up_takes_effect_where_it_was_sent(picture, studio, spread):
    job = sweep_of(dreams((0.05, 0.1)), picture)
    steers = {2: dreams((0.05, 0.1), layer_weights={"block2_conv1": 1.0})}
    wide, machines = spread(1, of_cell)
    lost: list[float] = []

    def lost_after_two_steps() -> Run:
        run = there(wide, job)()
        send = run._started.send

        def losing(changed: Any) -> Any:
            if run.frame and run.frame.step == 2 and not lost:
                lost.append(0.05)
                machines.lost.append(0.05)
            return send(changed)

        run._started.send = losing
        return run

    steered, _ = steered_at(lost_after_two_steps, dict(steers))
    recipe = same_sheet(steered, swept(studio, job, steers))
    assert [step for step, _ in recipe.steering] == [2]
    assert machines.begun == [0.05, 0.05, 0.1]


def test_a_sweep_of_which_a_cell_was_lost_twice_can_be_gone_on_with(picture, studio, spread):
    job = sweep_of(dreams(), picture)
    wide, machines = spread(2, of_cell)
    machines.lost += [0.2, 0.2]
    run = finished(wide.runs.start(job))
    assert (run.state, run.error.partition(",")[0]) == ("failed", "The machine that this was on is lost")
    same_sheet(finished(wide.runs.go_on(run)), swept(studio, job))
