"""Test a queue with room for several runs: which start, which wait, which slots are borrowed, how long a wait is."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from engines.core.frames import Frame
from engines.jobs import JobExecution
from studio.runs import timer
from studio.runs.queue import QueueFullError, RunQueue
from studio.runs.run import NoWorkerAvailable, Run
from tests.studio.helpers import Clock, LoopEngine, MemoryResultWriter, eventually, finished


class Room:
    """The room that a test sets."""

    def __init__(self, now: int):
        self.now = now

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def room() -> Room:
    return Room(2)


@pytest.fixture
def wide(room) -> Iterator[RunQueue]:
    """A queue with room for two runs at first, and for ten at most."""
    queue = RunQueue("wide", max_waiting=3, room=room, max_room=10)
    yield queue
    queue.close()


def gated_runs(queue: RunQueue, count: int, steps: int = 5, **options) -> tuple[list[Run], list[threading.Semaphore]]:
    """Submit runs that make a step whenever their gate is released."""
    gates = [threading.Semaphore(0) for _ in range(count)]
    runs = [Run(LoopEngine(steps, gate=gate, **options), MemoryResultWriter()) for gate in gates]
    for run in runs:
        queue.submit(run)
    return runs, gates


def open_all(gates: list[threading.Semaphore]) -> None:
    for gate in gates:
        gate.release(1000)


def states(runs: list[Run]) -> list[str]:
    return [run.state for run in runs]


def test_as_many_runs_run_as_there_is_room_for(wide):
    runs, gates = gated_runs(wide, 4)
    eventually(lambda: states(runs) == ["running", "running", "waiting", "waiting"], "two to begin")
    gates[1].release(1000)
    finished(runs[1])
    eventually(lambda: runs[2].state == "running", "the next to take its place")
    assert states(runs) == ["running", "done", "running", "waiting"]
    open_all(gates)
    assert [finished(run).state for run in runs] == ["done"] * 4


def test_more_room_is_used_when_it_comes_and_less_room_ends_no_run(wide, room):
    runs, gates = gated_runs(wide, 5)
    room.now = 4
    wide.start_waiting()
    eventually(lambda: states(runs).count("running") == 4, "two more to begin")
    room.now = 1
    wide.start_waiting()
    gates[0].release(1000)
    finished(runs[0])
    assert runs[4].state == "waiting", "three are at work where there is room for one"
    open_all(gates)
    assert [finished(run).state for run in runs] == ["done"] * 5


def test_a_full_queue_takes_only_runs_that_can_start_at_once(room):
    queue = RunQueue("short", max_waiting=1, room=room, max_room=10)
    runs, gates = gated_runs(queue, 3)
    with pytest.raises(QueueFullError):
        queue.submit(Run(LoopEngine(1), MemoryResultWriter()))
    room.now = 4
    late = Run(LoopEngine(1), MemoryResultWriter())
    queue.submit(late)
    open_all(gates)
    assert [finished(run).state for run in [*runs, late]] == ["done"] * 4
    queue.close()


def test_a_position_counts_how_many_runs_must_end_or_yield_first(wide):
    runs, gates = gated_runs(wide, 5)
    eventually(lambda: states(runs).count("running") == 2, "two to begin")
    assert [wide.position(run).before for run in runs] == [0, 0, 1, 2, 3]
    open_all(gates)
    for run in runs:
        finished(run)


def test_a_slot_is_lent_only_while_no_run_waits_and_counts_as_used(wide, room):
    room.now = 3
    runs, gates = gated_runs(wide, 1)
    assert wide.acquire()
    more, more_gates = gated_runs(wide, 2)
    eventually(lambda: states(more) == ["running", "waiting"], "one of the two to begin")
    assert not wide.acquire(), "somebody waits"
    wide.release()
    eventually(lambda: states(more) == ["running", "running"], "what was borrowed to be used")
    assert not wide.acquire(), "all are taken"
    open_all([*gates, *more_gates])
    for run in [*runs, *more]:
        finished(run)


class LosesWorker(LoopEngine):
    """Loses its worker once, after two steps."""

    losses = 0

    def send(self, changed):
        if self.last is not None and self.last.step == 2 and not self.losses:
            self.losses += 1
            raise NoWorkerAvailable
        return super().send(changed)


def test_a_run_that_loses_its_worker_is_next_and_shows_each_frame_once(room):
    room.now = 1
    queue = RunQueue("one", max_waiting=5, room=room, max_room=10)
    order: list[str] = []
    writer, gate = MemoryResultWriter(), threading.Semaphore(0)
    lost = Run(LosesWorker(4, gate=gate, on_step=lambda: order.append("lost")), writer)
    other = Run(LoopEngine(1, on_step=lambda: order.append("other")), MemoryResultWriter())
    queue.submit(lost)
    queue.submit(other)
    gate.release(1000)
    assert (finished(lost).state, finished(other).state) == ("done", "done")
    assert [frame.step for frame in writer.seen] == [1, 2, 3, 4]
    assert order.index("other") > len(order) - 1 - order[::-1].index("lost")
    queue.close()


def test_a_run_that_cannot_yield_does_not(room):
    room.now = 1
    queue = RunQueue("one", max_waiting=5, room=room, max_room=10)
    holding = LoopEngine(4, yield_every=1, gate=threading.Semaphore(0))
    holding.preemptible = False
    first, second = Run(holding, MemoryResultWriter()), Run(LoopEngine(1), MemoryResultWriter())
    queue.submit(first)
    queue.submit(second)
    holding.gate.release(2)
    eventually(lambda: first.frame and first.frame.step == 2, "two parts")
    assert second.state == "waiting"
    holding.gate.release(1000)
    assert (finished(first).state, finished(second).state) == ("done", "done")
    queue.close()


class CatchingUp(LoopEngine):
    """Returns its second frame three times, as a job that redoes lost steps."""

    repeats = 3

    def send(self, changed):
        if self.last is not None and self.last.step == 2 and self.repeats:
            self.repeats -= 1
            return self.last
        return super().send(changed)


def test_a_frame_that_comes_again_is_not_written_again(wide):
    writer = MemoryResultWriter()
    run = Run(CatchingUp(4), writer)
    wide.submit(run)
    finished(run)
    assert [frame.step for frame in writer.seen] == [1, 2, 3, 4]
    assert len(run.curves["loss"]) == 4


def test_loop_engine_has_the_attributes_of_a_job_execution_that_a_run_uses():
    asked = {
        "notices",
        "where",
        "preemptible",
        "unfinished",
        "progress_before",
        "job",
        "last",
        "send",
        "close",
        "recipe",
        "resolve",
    }
    assert asked <= {*dir(LoopEngine()), *vars(LoopEngine())}
    assert asked <= {*dir(JobExecution), "job", "last"}


def test_a_resumed_run_estimates_the_time_left_from_its_own_steps(wide, monkeypatch):
    engine = LoopEngine(10, gate=threading.Semaphore(0))
    engine.last = Frame(step=5, total=10)  # made by the run that was lost
    engine.progress_before = 0.5
    run = Run(engine, MemoryResultWriter())
    wide.submit(run)
    eventually(lambda: run.state == "running", "it to begin")
    assert run.seconds_left is None
    engine.gate.release()
    eventually(lambda: run.frame and run.frame.step == 6, "a step")
    clock = Clock(run._timer._resumed_at + 3.0)
    monkeypatch.setattr(timer, "time", clock)
    assert run.seconds_left == pytest.approx(12.0), "four steps at three seconds each"
    monkeypatch.undo()
    engine.gate.release(100)
    finished(run)
