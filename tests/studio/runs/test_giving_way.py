"""Runs in parts: another comes between two of them, and what gave way is stopped, watched and timed all the same."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engines.jobs import Job, running
from engines.jobs.batch import batch_of, picture_files
from studio.api.progress import run_status
from studio.runs import run as runs_module
from studio.runs.run import Run, original_of
from tests.studio.conftest import SMALL
from tests.studio.helpers import Clock, LoopEngine, MemoryKeeper, eventually, finished


class Log:
    """In which order steps were done, by the letters of their runs."""

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


def open_for_good(semaphore: threading.Semaphore) -> None:
    semaphore.release(10_000)


def begun(lane, *engines: LoopEngine) -> list[Run]:
    """Runs in a lane, the first of which is at work."""
    runs = [Run(engine, MemoryKeeper()) for engine in engines]
    for run in runs:
        lane.submit(run)
    eventually(lambda: runs[0].state == "running", "the first run to start")
    return runs


def gave_way(lane, steps: int = 4) -> tuple[Run, Run, threading.Semaphore, threading.Semaphore]:
    """A run of parts of two steps that has given way to another, which is at work; with the gates of both."""
    first, second = gate(), gate()
    run, other = begun(lane, LoopEngine(steps, gate=first, seams=2), LoopEngine(2, gate=second))
    first.release(2)
    eventually(lambda: other.state == "running", "the other's turn")
    return run, other, first, second


def test_a_run_that_waits_comes_between_two_parts_and_the_one_that_gave_way_goes_on(lane):
    log, hold = Log(), gate()
    run, other = begun(lane, log.engine("a", 6, gate=hold, seams=2), log.engine("b", 3))
    open_for_good(hold)
    finished(run)
    assert log.steps == "aabbbaaaa"
    assert (run.state, other.state) == ("done", "done")
    assert (run.frame.step, len(run.curves["loss"])) == (6, 6)


def test_two_runs_in_parts_take_turns(lane):
    log, hold = Log(), gate()
    runs = begun(lane, log.engine("a", 6, gate=hold, seams=2), log.engine("b", 4, seams=1), log.engine("c", 1))
    open_for_good(hold)
    for run in runs:
        finished(run)
    assert log.steps == "aabcaabaabb"


def test_a_run_gives_way_only_where_a_part_of_it_ends(lane):
    log, hold = Log(), gate()
    run, other = begun(lane, log.engine("a", 5, gate=hold), log.engine("b", 1, seams=1))
    open_for_good(hold)
    finished(other)
    assert run.state == "done"
    assert log.steps == "aaaaab"


def test_a_run_that_nobody_waits_behind_does_not_give_way(lane):
    states = []
    engine = LoopEngine(6, seams=1, on_step=lambda: states.append(run.state))
    run = Run(engine, MemoryKeeper())
    lane.submit(run)
    finished(run)
    assert set(states) == {"running"}
    assert run.state == "done"


def test_a_stopped_run_that_waits_is_nobody_to_give_way_to(lane):
    hold = gate()
    run, other = begun(lane, LoopEngine(4, gate=hold, seams=2), LoopEngine(1))
    other.stop()
    hold.release(3)
    eventually(lambda: run.frame and run.frame.step == 3, "the next part")
    assert run.state == "running"
    open_for_good(hold)
    assert finished(run).state == "done"


def test_a_run_that_has_done_its_last_step_says_so_before_anybody_else_has_a_turn(lane):
    first, second = gate(), gate()
    run, other = begun(lane, LoopEngine(2, gate=first, seams=2), LoopEngine(1, gate=second))
    open_for_good(first)
    finished(run)
    assert run.state == "done"
    assert not other.over
    open_for_good(second)
    finished(other)


def test_what_gave_way_waits_with_its_picture_at_the_end_of_the_line(lane):
    run, other, first, second = gave_way(lane)
    assert (run.state, run.frame.step, run.over) == ("waiting", 2, False)
    third = Run(LoopEngine(1), MemoryKeeper())
    lane.submit(third)
    assert [lane.place(one).before for one in (other, run, third)] == [0, 1, 2]
    assert run_status(run, lane)["before"] == 1
    open_for_good(first)
    open_for_good(second)
    for one in (run, other, third):
        assert finished(one).state == "done"


def test_what_gave_way_is_stopped_at_once_and_keeps_what_there_is(lane):
    run, other, first, second = gave_way(lane)
    run.stop()
    finished(run)
    assert (run.state, run.frame.step, other.state) == ("stopped", 2, "running")
    assert run._keeper.finished[0].step == 2
    assert run.result is not None
    open_for_good(second)
    open_for_good(first)
    assert finished(other).state == "done"
    assert lane.place(run).before == 0
    assert len(run._keeper.finished) == 1, "it is finished once"


def test_what_gave_way_is_steered_while_it_waits(lane):
    run, other, first, second = gave_way(lane)
    engine = run._started
    run.steer("another config")
    open_for_good(second)
    open_for_good(first)
    finished(run)
    assert engine.sent == [(2, "another config")]
    finished(other)


def test_what_gave_way_and_is_watched_no_more_ends_with_what_it_has(lane, monkeypatch):
    run, other, first, second = gave_way(lane)
    monkeypatch.setattr(runs_module, "UNWATCHED_SECONDS", -1.0)
    open_for_good(first)
    open_for_good(second)
    finished(run)
    assert (run.state, run.frame.step) == ("stopped", 2)
    assert run.result is not None
    finished(other)


def test_a_lane_that_is_closed_keeps_what_has_given_way(lane):
    run, other, _, second = gave_way(lane)
    other.stop()
    open_for_good(second)
    lane.close()
    assert (run.state, other.state) == ("stopped", "stopped")
    assert run.result is not None


def test_a_part_that_fails_ends_the_run_and_the_lane_goes_on(lane):
    hold = gate()
    broken = LoopEngine(6, gate=hold, seams=2, error=ValueError("The dream has run away."), fail_after=3)
    run, other = begun(lane, broken, LoopEngine(2))
    open_for_good(hold)
    finished(run)
    assert (run.state, run.error, run.frame.step) == ("failed", "The dream has run away.", 3)
    assert finished(other).state == "done"


def test_an_engine_in_parts_is_stepped_and_closed_on_the_lanes_own_thread(lane):
    hold = gate()
    engine = LoopEngine(4, gate=hold, seams=1)
    run, other = begun(lane, engine, LoopEngine(1))
    open_for_good(hold)
    finished(run)
    finished(other)
    assert {name.split("_")[0] for name in engine.threads} == {"test-lane"}
    assert engine.closed == 1


# Time


@pytest.fixture
def clock(monkeypatch) -> Clock:
    """What runs take for the time; nobody stops watching in it."""
    clock = Clock()
    monkeypatch.setattr(runs_module, "time", clock)
    monkeypatch.setattr(Run, "_given_up", lambda self: False)
    return clock


def test_the_seconds_of_a_run_are_those_that_it_worked(lane, clock):
    def works(seconds: float):
        def step() -> None:
            clock.now += seconds

        return step

    hold = gate()
    run, other = begun(lane, LoopEngine(4, gate=hold, seams=2, on_step=works(1)), LoopEngine(3, on_step=works(100)))
    open_for_good(hold)
    finished(run)
    assert run.seconds == 5, "four steps, and the one that finds the end"
    assert finished(other).seconds == 400


def test_the_recipe_of_a_run_tells_the_seconds_that_it_worked(studio, small_job, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(running, "time", clock)
    started = studio.workshop.start(small_job)
    for _ in started:
        clock.now += 100  # another run's turn
    assert started.recipe.seconds < 1


def test_whoever_waits_is_told_of_the_next_seam_and_not_of_all_parts(lane, clock):
    hold = gate()
    (run,) = begun(lane, LoopEngine(100, gate=hold, seams=2))
    waiting = Run(LoopEngine(1), MemoryKeeper())
    for step in (1, 2, 3):
        clock.now += 5
        hold.release()
        eventually(lambda step=step: run.frame and run.frame.step == step, f"step {step}")
    assert run.seconds_left == pytest.approx(15 / 3 * 97)
    lane.submit(waiting)
    # The first part took ten seconds, and five of the second are over.
    assert lane.place(waiting).seconds == pytest.approx(5)
    clock.now += 3
    assert lane.place(waiting).seconds == pytest.approx(2)
    clock.now += 30
    assert lane.place(waiting).seconds == 0
    open_for_good(hold)
    finished(waiting)
    run.stop()
    finished(run)


# What a part is compared with


def test_a_batch_is_compared_with_the_picture_at_work_and_with_nothing_before(studio, tmp_path, picture):
    paths = []
    for name, image in (("a", picture), ("b", picture[:, ::-1])):
        paths.append(tmp_path / f"{name}.png")
        Image.fromarray(image).save(paths[-1])
    job = Job(engine="deep_dream", config=SMALL, inputs={"guide": picture[::-1]}, backbone="studio_vgg")
    batch = batch_of(job, picture_files(paths), "image")
    assert original_of(batch) is None
    run = Run(studio.workshop.start(batch), studio.result_writer(batch))
    seen: list[np.ndarray] = []

    class Looking:
        """A keeper that looks at the run instead."""

        moments, results, notices = run.moments, (), ()

        def see(self, started) -> None:
            pass

        def finish(self, started) -> Path:
            return Path("result.zip")

    run._keeper = Looking()
    changed = run._changed
    run._changed = lambda: (seen.append(run.original), changed())
    run.advance()
    shown = [image for image in seen if image is not None]
    np.testing.assert_array_equal(shown[0], picture)
    np.testing.assert_array_equal(shown[-1], picture[:, ::-1])
    assert run.state == "done"


def test_a_sheet_is_compared_with_nothing_and_a_painting_with_its_photo(picture, painting_job):
    sheet = Job(engine="deep_dream_sweep", config=None, inputs={"image": picture}, backbone="studio_vgg")
    assert original_of(sheet) is None
    inputs = dict(reversed(list(painting_job.inputs.items())))
    hung = Job(engine="style_transfer", config=painting_job.config, inputs=inputs, backbone="studio_vgg")
    np.testing.assert_array_equal(original_of(hung), picture)
