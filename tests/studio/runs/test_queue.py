"""A lane with room for several: who begins, who waits, what is lent, and what is known of the wait."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from engines.core.frames import Frame
from engines.jobs import JobExecution
from studio.runs import run as runs
from studio.runs.queue import QueueFullError, RunQueue
from studio.runs.run import NoWorkerAvailable, Run
from tests.studio.helpers import Clock, LoopEngine, MemoryKeeper, eventually, finished


class Room:
    """How much room there is, as a test says."""

    def __init__(self, now: int):
        self.now = now

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def room() -> Room:
    return Room(2)


@pytest.fixture
def wide(room) -> Iterator[RunQueue]:
    """A lane with room for two at first, and for ten at most."""
    lane = RunQueue("wide", most_waiting=3, room=room, most_room=10)
    yield lane
    lane.close()


def gated_runs(lane: RunQueue, count: int, steps: int = 5, **options) -> tuple[list[Run], list[threading.Semaphore]]:
    """Runs that go a step whenever their gate is released, submitted."""
    gates = [threading.Semaphore(0) for _ in range(count)]
    runs = [Run(LoopEngine(steps, gate=gate, **options), MemoryKeeper()) for gate in gates]
    for run in runs:
        lane.submit(run)
    return runs, gates


def open_all(gates: list[threading.Semaphore]) -> None:
    for gate in gates:
        gate.release(1000)


def states(runs: list[Run]) -> list[str]:
    return [run.state for run in runs]


def test_as_many_are_at_work_as_there_is_room_for(wide):
    runs, gates = gated_runs(wide, 4)
    eventually(lambda: states(runs) == ["running", "running", "waiting", "waiting"], "two to begin")
    gates[1].release(1000)
    finished(runs[1])
    eventually(lambda: runs[2].state == "running", "the next to take its place")
    assert states(runs) == ["running", "done", "running", "waiting"]
    open_all(gates)
    assert [finished(run).state for run in runs] == ["done"] * 4


def test_more_room_is_used_when_the_lane_looks_again_and_less_lets_those_at_work_go_on(wide, room):
    runs, gates = gated_runs(wide, 5)
    room.now = 4
    wide.look()
    eventually(lambda: states(runs).count("running") == 4, "two more to begin")
    room.now = 1
    wide.look()
    gates[0].release(1000)
    finished(runs[0])
    assert runs[4].state == "waiting", "three are at work where there is room for one"
    open_all(gates)
    assert [finished(run).state for run in runs] == ["done"] * 5


def test_a_full_line_takes_no_more_but_whoever_finds_room_need_not_stand_in_it(room):
    lane = RunQueue("short", most_waiting=1, room=room, most_room=10)
    runs, gates = gated_runs(lane, 3)
    with pytest.raises(QueueFullError):
        lane.submit(Run(LoopEngine(1), MemoryKeeper()))
    room.now = 4
    late = Run(LoopEngine(1), MemoryKeeper())
    lane.submit(late)
    open_all(gates)
    assert [finished(run).state for run in [*runs, late]] == ["done"] * 4
    lane.close()


def test_how_many_are_before_counts_who_must_make_way_first(wide):
    runs, gates = gated_runs(wide, 5)
    eventually(lambda: states(runs).count("running") == 2, "two to begin")
    assert [wide.place(run).before for run in runs] == [0, 0, 1, 2, 3]
    open_all(gates)
    for run in runs:
        finished(run)


def test_a_place_is_lent_only_while_nobody_waits_and_counts_as_taken(wide, room):
    room.now = 3
    runs, gates = gated_runs(wide, 1)
    assert wide.borrow()
    more, more_gates = gated_runs(wide, 2)
    eventually(lambda: states(more) == ["running", "waiting"], "one of the two to begin")
    assert not wide.borrow(), "somebody waits"
    wide.give_back()
    eventually(lambda: states(more) == ["running", "running"], "what was lent to be used")
    assert not wide.borrow(), "all are taken"
    open_all([*gates, *more_gates])
    for run in [*runs, *more]:
        finished(run)


class Homeless(LoopEngine):
    """Loses its place once, after two steps."""

    displaced = 0

    def send(self, changed):
        if self.last is not None and self.last.step == 2 and not self.displaced:
            self.displaced += 1
            raise NoWorkerAvailable
        return super().send(changed)


def test_who_loses_a_place_goes_on_before_those_who_wait_and_sees_each_frame_once(room):
    room.now = 1
    lane = RunQueue("one", most_waiting=5, room=room, most_room=10)
    order: list[str] = []
    keeper, gate = MemoryKeeper(), threading.Semaphore(0)
    lost = Run(Homeless(4, gate=gate, on_step=lambda: order.append("lost")), keeper)
    other = Run(LoopEngine(1, on_step=lambda: order.append("other")), MemoryKeeper())
    lane.submit(lost)
    lane.submit(other)
    gate.release(1000)
    assert (finished(lost).state, finished(other).state) == ("done", "done")
    assert [frame.step for frame in keeper.seen] == [1, 2, 3, 4]
    assert order.index("other") > len(order) - 1 - order[::-1].index("lost")
    lane.close()


def test_who_cannot_give_way_does_not(room):
    room.now = 1
    lane = RunQueue("one", most_waiting=5, room=room, most_room=10)
    holding = LoopEngine(4, yield_every=1, gate=threading.Semaphore(0))
    holding.can_give_way = False
    first, second = Run(holding, MemoryKeeper()), Run(LoopEngine(1), MemoryKeeper())
    lane.submit(first)
    lane.submit(second)
    holding.gate.release(2)
    eventually(lambda: first.frame and first.frame.step == 2, "two parts")
    assert second.state == "waiting"
    holding.gate.release(1000)
    assert (finished(first).state, finished(second).state) == ("done", "done")
    lane.close()


class CatchingUp(LoopEngine):
    """Says its second frame three times, as what does again what was lost."""

    repeats = 3

    def send(self, changed):
        if self.last is not None and self.last.step == 2 and self.repeats:
            self.repeats -= 1
            return self.last
        return super().send(changed)


def test_a_frame_that_was_seen_is_neither_kept_nor_counted_again(wide):
    keeper = MemoryKeeper()
    run = Run(CatchingUp(4), keeper)
    wide.submit(run)
    finished(run)
    assert [frame.step for frame in keeper.seen] == [1, 2, 3, 4]
    assert len(run.curves["loss"]) == 4


def test_what_stands_in_for_a_started_job_here_has_all_that_a_run_asks_of_one():
    asked = {
        "notices",
        "where",
        "can_give_way",
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


def test_what_goes_on_with_another_run_knows_what_is_left_from_what_it_did_itself(wide, monkeypatch):
    engine = LoopEngine(10, gate=threading.Semaphore(0))
    engine.last = Frame(step=5, total=10)  # what the run that was lost had done
    engine.progress_before = 0.5
    run = Run(engine, MemoryKeeper())
    wide.submit(run)
    eventually(lambda: run.state == "running", "it to begin")
    assert run.seconds_left is None
    engine.gate.release()
    eventually(lambda: run.frame and run.frame.step == 6, "a step")
    clock = Clock(run._resumed + 3.0)
    monkeypatch.setattr(runs, "time", clock)
    assert run.seconds_left == pytest.approx(12.0), "four steps at three seconds each"
    monkeypatch.undo()
    engine.gate.release(100)
    finished(run)
