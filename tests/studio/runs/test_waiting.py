"""Test a queue that runs one at a time: no two overlap, and those that wait know their position or can be stopped."""

from __future__ import annotations

import dataclasses
import threading

import pytest

from engines.jobs import JobExecution
from studio.runs import timer
from studio.runs.queue import QueueFullError, RunQueue
from studio.runs.run import Run
from tests.studio.helpers import Clock, LoopEngine, MemoryResultWriter, eventually, finished
from tests.studio.runs.helpers import LONG, gated, open_for_good


def test_no_two_runs_of_a_queue_overlap(queue):
    at_work, most = 0, 0
    lock = threading.Lock()

    class Counting(LoopEngine):
        def send(self, changed):
            nonlocal at_work, most
            with lock:
                if self.last is None:
                    at_work += 1
                most = max(most, at_work)
            return super().send(changed)

        def close(self):
            nonlocal at_work
            super().close()
            with lock:
                at_work -= 1

    runs = [Run(Counting(20), MemoryResultWriter()) for _ in range(5)]
    threads = [threading.Thread(target=queue.submit, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for run in runs:
        finished(run)
    assert {run.state for run in runs} == {"done"}
    assert (most, at_work) == (1, 0)


def test_an_engine_is_started_stepped_and_closed_on_a_thread_of_the_queue(queue):
    engines = [LoopEngine(3), LoopEngine(error=ValueError("No."), fail_after=1), LoopEngine(2)]
    for engine in engines:
        queue.submit(Run(engine, MemoryResultWriter()))
    eventually(lambda: all(engine.closed for engine in engines), "all engines to be closed")
    (name,) = {name for engine in engines for name in engine.threads}
    assert name.startswith("test-queue")


def test_a_real_engine_is_stepped_and_closed_on_a_thread_of_the_queue(studio, small_job, monkeypatch):
    threads = []
    for method in ("send", "close"):
        real = getattr(JobExecution, method)

        def noting(self, *arguments, real=real):
            threads.append((real.__name__, threading.current_thread().name))
            return real(self, *arguments)

        monkeypatch.setattr(JobExecution, method, noting)
    run = studio.runs.start(dataclasses.replace(small_job, config=LONG))
    eventually(lambda: run.frame, "the first frame")
    run.stop()
    finished(run)
    assert {method for method, _ in threads} == {"send", "close"}
    assert {name.split("_")[0] for _, name in threads} == {"render"}


def test_a_stopped_waiting_run_never_starts(queue):
    engine, gate = gated(2)
    waiting_engine = LoopEngine(1)
    first, waiting, last = (
        Run(engine, MemoryResultWriter()),
        Run(waiting_engine, MemoryResultWriter()),
        Run(LoopEngine(1), MemoryResultWriter()),
    )
    for run in (first, waiting, last):
        queue.submit(run)
    waiting.stop()
    open_for_good(gate)
    finished(last)
    assert (first.state, waiting.state, last.state) == ("done", "stopped", "done")
    assert (waiting_engine.last, waiting.result) == (None, None)


def test_a_waiting_run_that_is_stopped_is_over_while_others_run_and_leaves_the_queue(queue):
    engine, gate = gated(1)
    first, waiting, last = (
        Run(engine, MemoryResultWriter()),
        Run(LoopEngine(1), MemoryResultWriter()),
        Run(LoopEngine(1), MemoryResultWriter()),
    )
    for run in (first, waiting, last):
        queue.submit(run)
    eventually(lambda: first.state == "running", "the first run to start")
    waiting.stop()
    eventually(lambda: waiting.state == "stopped" and queue.position(last).before == 1, "the stopped run to be gone", 5)
    assert first.state == "running"
    open_for_good(gate)
    assert finished(last).state == "done"


def test_a_position_counts_the_runs_before_and_has_no_estimate_until_one_was_timed(queue):
    engine, gate = gated(4)
    runs = [Run(engine, MemoryResultWriter()), *(Run(LoopEngine(1), MemoryResultWriter()) for _ in range(2))]
    for run in runs:
        queue.submit(run)
    eventually(lambda: runs[0].state == "running", "the first run to start")
    assert [queue.position(run).before for run in runs] == [0, 1, 2]
    assert queue.position(runs[0]).seconds == 0
    assert [queue.position(run).seconds for run in runs[1:]] == [None, None]
    gate.release(2)
    eventually(lambda: runs[0].frame and runs[0].frame.step == 2, "step 2")
    assert queue.position(runs[1]).seconds > 0
    assert queue.position(runs[2]).seconds is None, "no run has been timed yet"
    open_for_good(gate)
    for run in runs:
        finished(run)


def test_a_position_estimates_the_time_left_plus_the_median_of_the_runs_before(queue, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(timer, "time", clock)

    def advance():
        clock.now += 5.0

    for steps in (1, 2, 30):  # 10, 15 and 155 seconds: one more step finds the end
        run = Run(LoopEngine(steps, on_step=advance), MemoryResultWriter())
        monkeypatch.setattr(run, "_is_abandoned", lambda: False)
        queue.submit(run)
        finished(run)
    eventually(lambda: queue.position(run).before == 0, "the last timed run to leave")
    engine, gate = gated(4)
    runs = [Run(engine, MemoryResultWriter()), *(Run(LoopEngine(1), MemoryResultWriter()) for _ in range(2))]
    for run in runs:
        queue.submit(run)
    gate.release()
    eventually(lambda: runs[0].frame, "the first frame")
    clock.now += 8.0
    # A quarter took 8 seconds, so 24 are left; a typical run takes 15.
    assert queue.position(runs[1]).seconds == pytest.approx(24.0)
    assert queue.position(runs[2]).seconds == pytest.approx(24.0 + 15.0)
    open_for_good(gate)
    for run in runs:
        finished(run)


def test_a_run_that_is_over_has_no_position(queue):
    run = Run(LoopEngine(1), MemoryResultWriter())
    queue.submit(run)
    finished(run)
    eventually(lambda: not queue._running, "the queue to be empty")
    assert (queue.position(run).before, queue.position(run).seconds) == (0, 0)


def test_a_full_queue_takes_no_more_runs():
    queue = RunQueue("small", max_waiting=2)
    engine, gate = gated(1)
    runs = [Run(engine, MemoryResultWriter()), *(Run(LoopEngine(1), MemoryResultWriter()) for _ in range(3))]
    for run in runs[:3]:
        queue.submit(run)
    with pytest.raises(QueueFullError) as caught:
        queue.submit(runs[3])
    assert "full; try again" in str(caught.value)
    open_for_good(gate)
    for run in runs[:3]:
        assert finished(run).state == "done"
    queue.submit(runs[3])
    assert finished(runs[3]).state == "done"
    queue.close()


def test_closing_a_queue_stops_its_runs_and_keeps_what_they_have():
    queue = RunQueue("closing", max_waiting=5)
    writer = MemoryResultWriter()
    running, waiting = Run(LoopEngine(10**9), writer), Run(LoopEngine(1), MemoryResultWriter())
    queue.submit(running)
    queue.submit(waiting)
    eventually(lambda: running.frame, "the first frame")
    queue.close()
    assert running.state == "stopped"
    assert len(writer.finished) == 1
    assert waiting.result is None
