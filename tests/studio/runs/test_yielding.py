"""Test runs that yield to others between their parts, and are stopped, steered, watched and timed while they wait."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engines.jobs import Job, running
from engines.jobs.batch import batch_of, image_files
from studio.api.progress import run_status
from studio.runs import run as runs_module
from studio.runs import timer
from studio.runs.run import Run, original_of
from tests.studio.conftest import SMALL
from tests.studio.helpers import Clock, LoopEngine, MemoryResultWriter, eventually, finished
from tests.studio.runs.helpers import open_for_good


class Log:
    """Records the order of steps, by the letters of their runs."""

    def __init__(self):
        self.steps = ""

    def engine(self, letter: str, steps: int, **options) -> LoopEngine:
        def note() -> None:
            if engine.last is None or engine.last.step < steps:
                self.steps += letter

        engine = LoopEngine(steps, on_step=note, **options)
        return engine


def gate() -> threading.Semaphore:
    return threading.Semaphore(0)


def submitted(queue, *engines: LoopEngine) -> list[Run]:
    """Submit runs and wait until the first is running."""
    runs = [Run(engine, MemoryResultWriter()) for engine in engines]
    for run in runs:
        queue.submit(run)
    eventually(lambda: runs[0].state == "running", "the first run to start")
    return runs


def yielded(queue, steps: int = 4) -> tuple[Run, Run, threading.Semaphore, threading.Semaphore]:
    """A run with parts of two steps that has yielded to another, which is running; and the gates of both."""
    first, second = gate(), gate()
    run, other = submitted(queue, LoopEngine(steps, gate=first, yield_every=2), LoopEngine(2, gate=second))
    first.release(2)
    eventually(lambda: other.state == "running", "the other to run")
    return run, other, first, second


def test_a_waiting_run_runs_between_two_parts_and_the_one_that_yielded_continues(queue):
    log, hold = Log(), gate()
    run, other = submitted(queue, log.engine("a", 6, gate=hold, yield_every=2), log.engine("b", 3))
    open_for_good(hold)
    finished(run)
    assert log.steps == "aabbbaaaa"
    assert (run.state, other.state) == ("done", "done")
    assert (run.frame.step, len(run.curves["loss"])) == (6, 6)


def test_two_runs_in_parts_take_turns(queue):
    log, hold = Log(), gate()
    runs = submitted(
        queue, log.engine("a", 6, gate=hold, yield_every=2), log.engine("b", 4, yield_every=1), log.engine("c", 1)
    )
    open_for_good(hold)
    for run in runs:
        finished(run)
    assert log.steps == "aabcaabaabb"


def test_a_run_yields_only_where_a_part_of_it_ends(queue):
    log, hold = Log(), gate()
    run, other = submitted(queue, log.engine("a", 5, gate=hold), log.engine("b", 1, yield_every=1))
    open_for_good(hold)
    finished(other)
    assert run.state == "done"
    assert log.steps == "aaaaab"


def test_a_run_does_not_yield_while_no_other_waits(queue):
    states = []
    engine = LoopEngine(6, yield_every=1, on_step=lambda: states.append(run.state))
    run = Run(engine, MemoryResultWriter())
    queue.submit(run)
    finished(run)
    assert set(states) == {"running"}
    assert run.state == "done"


def test_a_run_does_not_yield_to_a_stopped_one(queue):
    hold = gate()
    run, other = submitted(queue, LoopEngine(4, gate=hold, yield_every=2), LoopEngine(1))
    other.stop()
    hold.release(3)
    eventually(lambda: run.frame and run.frame.step == 3, "the next part")
    assert run.state == "running"
    open_for_good(hold)
    assert finished(run).state == "done"


def test_a_run_that_has_done_its_last_step_ends_without_yielding(queue):
    first, second = gate(), gate()
    run, other = submitted(queue, LoopEngine(2, gate=first, yield_every=2), LoopEngine(1, gate=second))
    open_for_good(first)
    finished(run)
    assert run.state == "done"
    assert not other.over
    open_for_good(second)
    finished(other)


def test_a_run_that_yielded_waits_with_its_image_at_the_end_of_the_queue(queue):
    run, other, first, second = yielded(queue)
    assert (run.state, run.frame.step, run.over) == ("waiting", 2, False)
    third = Run(LoopEngine(1), MemoryResultWriter())
    queue.submit(third)
    assert [queue.position(one).before for one in (other, run, third)] == [0, 1, 2]
    assert run_status(run, queue)["before"] == 1
    open_for_good(first)
    open_for_good(second)
    for one in (run, other, third):
        assert finished(one).state == "done"


def test_a_run_that_yielded_is_stopped_at_once_and_keeps_its_result(queue):
    run, other, first, second = yielded(queue)
    run.stop()
    finished(run)
    assert (run.state, run.frame.step, other.state) == ("stopped", 2, "running")
    assert run._writer.finished[0].step == 2
    assert run.result is not None
    open_for_good(second)
    open_for_good(first)
    assert finished(other).state == "done"
    assert queue.position(run).before == 0
    assert len(run._writer.finished) == 1, "it is finished once"


def test_a_run_that_yielded_is_steered_while_it_waits(queue):
    run, other, first, second = yielded(queue)
    engine = run._execution
    run.steer("another config")
    open_for_good(second)
    open_for_good(first)
    finished(run)
    assert engine.sent == [(2, "another config")]
    finished(other)


def test_a_run_that_yielded_and_is_no_longer_watched_ends_with_its_result(queue, monkeypatch):
    run, other, first, second = yielded(queue)
    monkeypatch.setattr(runs_module, "UNWATCHED_SECONDS", -1.0)
    open_for_good(first)
    open_for_good(second)
    finished(run)
    assert (run.state, run.frame.step) == ("stopped", 2)
    assert run.result is not None
    finished(other)


def test_closing_the_queue_keeps_the_result_of_a_run_that_yielded(queue):
    run, other, _, second = yielded(queue)
    other.stop()
    open_for_good(second)
    queue.close()
    assert (run.state, other.state) == ("stopped", "stopped")
    assert run.result is not None


def test_a_part_that_fails_ends_the_run_and_not_the_queue(queue):
    hold = gate()
    broken = LoopEngine(6, gate=hold, yield_every=2, error=ValueError("The dream has run away."), fail_after=3)
    run, other = submitted(queue, broken, LoopEngine(2))
    open_for_good(hold)
    finished(run)
    assert (run.state, run.error, run.frame.step) == ("failed", "The dream has run away.", 3)
    assert finished(other).state == "done"


def test_an_engine_that_yields_is_stepped_and_closed_on_a_thread_of_the_queue(queue):
    hold = gate()
    engine = LoopEngine(4, gate=hold, yield_every=1)
    run, other = submitted(queue, engine, LoopEngine(1))
    open_for_good(hold)
    finished(run)
    finished(other)
    assert {name.split("_")[0] for name in engine.threads} == {"test-queue"}
    assert engine.closed == 1


# Time


@pytest.fixture
def clock(monkeypatch) -> Clock:
    """The clock that runs are timed by; no run is abandoned meanwhile."""
    clock = Clock()
    monkeypatch.setattr(timer, "time", clock)
    monkeypatch.setattr(Run, "_is_abandoned", lambda self: False)
    return clock


def test_the_seconds_of_a_run_are_those_that_it_worked(queue, clock):
    def works(seconds: float):
        def step() -> None:
            clock.now += seconds

        return step

    hold = gate()
    run, other = submitted(
        queue, LoopEngine(4, gate=hold, yield_every=2, on_step=works(1)), LoopEngine(3, on_step=works(100))
    )
    open_for_good(hold)
    finished(run)
    assert run.seconds == 5, "four steps, and the one that finds the end"
    assert finished(other).seconds == 400


def test_the_recipe_of_a_run_has_the_seconds_that_it_worked(studio, small_job, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(running, "time", clock)
    started = studio.workshop.start(small_job)
    for _ in started:
        clock.now += 100  # another run's turn
    assert started.recipe.seconds < 1


def test_a_waiting_run_waits_for_the_next_yield_point_and_not_for_all_parts(queue, clock):
    hold = gate()
    (run,) = submitted(queue, LoopEngine(100, gate=hold, yield_every=2))
    waiting = Run(LoopEngine(1), MemoryResultWriter())
    for step in (1, 2, 3):
        clock.now += 5
        hold.release()
        eventually(lambda step=step: run.frame and run.frame.step == step, f"step {step}")
    assert run.seconds_left == pytest.approx(15 / 3 * 97)
    queue.submit(waiting)
    # The first part took ten seconds, and the second has run for five.
    assert queue.position(waiting).seconds == pytest.approx(5)
    clock.now += 3
    assert queue.position(waiting).seconds == pytest.approx(2)
    clock.now += 30
    assert queue.position(waiting).seconds == 0
    open_for_good(hold)
    finished(waiting)
    run.stop()
    finished(run)


# What a part is compared with


def test_a_batch_is_compared_with_the_image_at_work_and_with_nothing_before(studio, tmp_path, sample_image):
    paths = []
    for name, image in (("a", sample_image), ("b", sample_image[:, ::-1])):
        paths.append(tmp_path / f"{name}.png")
        Image.fromarray(image).save(paths[-1])
    job = Job(engine="deep_dream", config=SMALL, inputs={"guide": sample_image[::-1]}, backbone="studio_vgg")
    batch = batch_of(job, image_files(paths), "image")
    assert original_of(batch) is None
    run = Run(studio.workshop.start(batch), studio.result_writer(batch))
    seen: list[np.ndarray] = []

    class Looking:
        """A writer that writes nothing."""

        snapshots, results, notices = run.snapshots, (), ()

        def add(self, execution) -> None:
            pass

        def finish(self, execution) -> Path:
            return Path("result.zip")

    run._writer = Looking()
    changed = run._changed
    run._changed = lambda: (seen.append(run.original), changed())
    run.advance()
    shown = [image for image in seen if image is not None]
    np.testing.assert_array_equal(shown[0], sample_image)
    np.testing.assert_array_equal(shown[-1], sample_image[:, ::-1])
    assert run.state == "done"


def test_a_sheet_is_compared_with_nothing_and_a_painting_with_its_photo(sample_image, painting_job):
    sheet = Job(engine="deep_dream_sweep", config=None, inputs={"image": sample_image}, backbone="studio_vgg")
    assert original_of(sheet) is None
    inputs = dict(reversed(list(painting_job.inputs.items())))
    hung = Job(engine="style_transfer", config=painting_job.config, inputs=inputs, backbone="studio_vgg")
    np.testing.assert_array_equal(original_of(hung), sample_image)
