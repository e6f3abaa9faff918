"""Test runs in a queue: stop, steer, failure, waiting, and that no two runs overlap."""

from __future__ import annotations

import dataclasses
import errno
import logging
import tempfile
import threading

import numpy as np
import pytest
from PIL import Image

from engines.jobs import JobExecution
from engines.recipes import read_recipe
from studio.runs import manager, timer
from studio.runs import run as runs_module
from studio.runs.curves import VALUES_KEPT
from studio.runs.queue import QueueFullError, RunQueue
from studio.runs.run import NOBODY_WATCHED, Run, may_run_unattended
from studio.services import Studio
from tests.engines.helpers import Disk, files_in, is_one_sentence, refusal
from tests.studio.conftest import SMALL
from tests.studio.helpers import Clock, LoopEngine, MemoryResultWriter, eventually, finished

LONG = dataclasses.replace(SMALL, steps=1000)


def gated(steps: int = 50, **options) -> tuple[LoopEngine, threading.Semaphore]:
    gate = threading.Semaphore(0)
    return LoopEngine(steps, gate=gate, **options), gate


def open_for_good(gate: threading.Semaphore) -> None:
    gate.release(10_000)


def test_a_run_waits_runs_and_is_done(queue):
    engine, gate = gated(3)
    writer = MemoryResultWriter()
    run = Run(engine, writer)
    assert (run.state, run.version, run.over) == ("waiting", 0, False)
    queue.submit(run)
    gate.release()
    eventually(lambda: run.frame, "the first frame")
    assert run.state == "running"
    assert run.seconds_left is not None
    open_for_good(gate)
    finished(run)
    assert (run.state, run.error, run.seconds_left) == ("done", "", None)
    assert run.result is not None
    assert [frame.step for frame in writer.seen] == [1, 2, 3]
    assert writer.finished == [writer.seen[-1]]
    assert engine.closed == 1


def test_a_real_dream_goes_through_a_queue_to_a_file(studio, small_job):
    run = finished(studio.runs.start(small_job))
    assert (run.state, run.error) == ("done", "")
    assert run.frame.step == run.frame.total == 3
    assert len(run.curves["loss"]) == 3
    recipe = read_recipe(run.result)
    assert recipe.config == dataclasses.asdict(SMALL)
    assert np.asarray(Image.open(run.result)).shape == (48, 72, 3)


def test_stop_ends_the_run_within_one_step_and_keeps_the_last_frame(queue):
    engine, gate = gated()
    writer = MemoryResultWriter()
    run = Run(engine, writer)
    queue.submit(run)
    gate.release(2)
    eventually(lambda: run.frame and run.frame.step == 2, "step 2")
    run.stop()
    open_for_good(gate)
    finished(run)
    assert (run.state, run.error) == ("stopped", "")
    assert run.frame.step <= 3
    assert writer.finished[0].step == run.frame.step
    assert run.result is not None
    assert engine.closed == 1


def test_a_stopped_dream_is_a_picture_whose_recipe_says_where_it_stopped(studio, small_job):
    run = studio.runs.start(dataclasses.replace(small_job, config=LONG))
    eventually(lambda: run.frame and run.frame.step >= 2, "two steps")
    run.stop()
    finished(run)
    assert run.state == "stopped"
    assert read_recipe(run.result).stopped_at == run.frame.step < 1000
    np.testing.assert_array_equal(np.asarray(Image.open(run.result)), run.frame.image)


def test_a_run_that_repeats_a_stopped_one_is_done_where_that_one_stopped(studio, small_job):
    run = finished(studio.runs.start(dataclasses.replace(small_job, stop_at=2)))
    assert (run.state, run.frame.step) == ("done", 2)


def test_steering_reaches_the_engine_at_its_next_step(queue):
    engine, gate = gated()
    run = Run(engine, MemoryResultWriter())
    queue.submit(run)
    gate.release(2)
    eventually(lambda: run.frame and run.frame.step == 2, "step 2")
    run.steer("another config")
    seen = run.frame.step
    gate.release(3)
    eventually(lambda: run.frame.step == 5, "step 5")
    assert [changed for _, changed in engine.sent] == ["another config"]
    # One step may have started before the config was sent.
    assert engine.sent[0][0] <= seen + 1
    run.stop()
    open_for_good(gate)


def test_a_steered_dream_notes_it_in_its_recipe(studio, small_job):
    run = studio.runs.start(dataclasses.replace(small_job, config=LONG))
    eventually(lambda: run.frame and run.frame.step >= 2, "two steps")
    run.steer(dataclasses.replace(LONG, step_size=0.0))
    at = run.frame.step
    eventually(lambda: run.frame.step >= at + 4, "four more steps")
    still = run.frame.image
    run.stop()
    finished(run)
    ((step, settings),) = read_recipe(run.result).steering
    assert settings["step_size"] == 0.0
    assert step <= at + 1
    # With a step size of 0 the picture does not change.
    np.testing.assert_array_equal(np.asarray(Image.open(run.result)), still)


def test_a_config_that_does_not_fit_is_refused_to_whoever_steers_and_the_run_goes_on(studio, small_job):
    run = studio.runs.start(dataclasses.replace(small_job, config=LONG))
    eventually(lambda: run.frame, "the first frame")
    with pytest.raises(ValueError, match="no layer 'mixed4'"):
        run.steer(dataclasses.replace(LONG, layer_weights={"mixed4": 1.0}))
    at = run.frame.step
    eventually(lambda: run.frame.step > at + 1, "two more steps")
    assert run.state == "running"
    run.stop()
    finished(run)
    assert read_recipe(run.result).steering == ()


def test_steering_or_stopping_a_run_that_is_over_changes_nothing(queue):
    engine = LoopEngine(2)
    run = Run(engine, MemoryResultWriter())
    queue.submit(run)
    finished(run)
    version = run.version
    run.steer("too late")
    run.stop()
    assert (run.state, run.version, engine.sent) == ("done", version, [])


def test_a_value_error_fails_the_run_with_exactly_its_sentence(studio, small_job):
    misfit = dataclasses.replace(SMALL, layer_weights={"mixed4": 1.0})
    with pytest.raises(ValueError, match="no layer") as caught:
        studio.workshop.network("deep_dream", "studio_vgg").check_layers(["mixed4"])
    run = finished(studio.runs.start(dataclasses.replace(small_job, config=misfit)))
    assert (run.state, run.error) == ("failed", str(caught.value))
    assert is_one_sentence(run.error)
    assert run.result is None
    assert [name for name in files_in(studio.gallery.folder) if (studio.gallery.folder / name).is_file()] == []
    assert finished(studio.runs.start(small_job)).state == "done"


def test_a_value_error_after_some_frames_fails_the_run_with_its_sentence_too(queue):
    run = Run(LoopEngine(error=ValueError("The dream has run away."), fail_after=2), MemoryResultWriter())
    queue.submit(run)
    finished(run)
    assert (run.state, run.error, run.frame.step) == ("failed", "The dream has run away.", 2)


@pytest.mark.parametrize("fail_after", [0, 2])
def test_any_other_exception_is_logged_and_the_run_fails_with_a_plain_sentence(queue, caplog, fail_after):
    broken = LoopEngine(error=KeyError("/secret/path"), fail_after=fail_after)
    run, following = Run(broken, MemoryResultWriter()), Run(LoopEngine(2), MemoryResultWriter())
    with caplog.at_level(logging.ERROR, "studio.runs.run"):
        queue.submit(run)
        queue.submit(following)
        finished(run)
        finished(following)
    assert run.state == "failed"
    assert "secret" not in run.error
    assert "server log" in run.error
    (record,) = caplog.records
    assert record.exc_info[0] is KeyError
    assert broken.closed == 1
    assert following.state == "done"


def test_an_engine_that_fails_before_its_first_frame_leaves_nothing(queue):
    writer = MemoryResultWriter()
    run = Run(LoopEngine(error=ValueError("No.")), writer)
    queue.submit(run)
    finished(run)
    assert (writer.discarded, writer.finished, run.result) == (1, [], None)


@pytest.mark.parametrize("error", [OSError("no space in /secret"), RuntimeError("/secret")])
def test_a_result_that_cannot_be_written_fails_the_run_with_a_sentence_and_the_queue_goes_on(queue, error):
    run, following = Run(LoopEngine(2), MemoryResultWriter(error)), Run(LoopEngine(2), MemoryResultWriter())
    queue.submit(run)
    queue.submit(following)
    finished(following)
    assert run.state == "failed"
    assert "secret" not in run.error
    assert "Could not save the result" in run.error
    assert run.result is None
    assert queue.position(run).before == 0


LUXURIES = ("inputs", "thumbnails", "moments")


def test_what_goes_with_a_result_may_fail_with_a_sentence_without_the_result(studio, small_job, monkeypatch):
    Disk(monkeypatch).full = lambda folder: folder.name in LUXURIES or folder.parent.name == "moments"
    run = finished(studio.runs.start(small_job))
    assert (run.state, run.error) == ("done", "")
    assert read_recipe(run.result).config == dataclasses.asdict(SMALL)
    assert len(run.notices) == 2
    for sentence, what in zip(run.notices, ("snapshot", "input image"), strict=True):
        assert is_one_sentence(sentence)
        assert what in sentence
        assert "the disk is full" in sentence
    assert run.snapshots.steps == []


def test_a_result_that_the_disk_refuses_is_written_when_there_is_room_again(studio, small_job, monkeypatch):
    disk = Disk(monkeypatch)
    disk.full = lambda folder: folder == studio.gallery.folder
    run = finished(studio.runs.start(small_job))
    assert (run.state, run.result, run.unsaved) == ("failed", None, True)
    assert is_one_sentence(run.error)
    assert run.error.startswith("Could not save the result: the disk is full; fix this")
    assert run.snapshots.steps == [], "what is only looked back at makes room for it"
    assert run.error == refusal(ValueError, run.save)
    disk.full = lambda folder: False
    run.save()
    assert (run.state, run.error, run.unsaved) == ("done", "", False)
    assert np.asarray(Image.open(run.result)).shape == small_job.inputs["image"].shape
    assert read_recipe(run.result).steering == ()
    written = run.result
    run.save()
    assert (run.result, studio.gallery.names()) == (written, [written.name])


def test_the_last_picture_of_a_film_that_the_disk_refuses_is_kept(studio, small_job, monkeypatch):
    begin = tempfile.mkstemp

    def mkstemp(*arguments, **options):
        if options["suffix"] == ".mp4":
            raise OSError(errno.ENOSPC, "No space left on device")
        return begin(*arguments, **options)

    monkeypatch.setattr(tempfile, "mkstemp", mkstemp)
    film = dataclasses.replace(SMALL, pictures=2, steps=1)
    run = finished(studio.runs.start(dataclasses.replace(small_job, config=film)))
    assert (run.state, run.result.suffix) == ("failed", ".png")
    assert "the disk is full" in run.error
    assert read_recipe(run.result).config["pictures"] == 2
    assert is_one_sentence(run.error)


def test_only_a_few_runs_that_are_over_keep_an_unsaved_result_in_memory(studio, small_job, monkeypatch):
    monkeypatch.setattr(manager, "RESUMABLE_RUNS", 1)
    Disk(monkeypatch).full = lambda folder: folder == studio.gallery.folder
    runs = [finished(studio.runs.start(small_job)) for _ in range(3)]
    assert [run.unsaved for run in runs] == [False, True, True], "let go when another is begun"


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


def test_a_run_that_nobody_watches_stops_with_its_last_frame_and_says_why(queue, monkeypatch):
    monkeypatch.setattr(runs_module, "UNWATCHED_SECONDS", 0.2)
    run = Run(LoopEngine(10**9), MemoryResultWriter())
    queue.submit(run)
    finished(run)
    assert (run.state, run.error, run.stop_reason) == ("stopped", "", NOBODY_WATCHED)
    assert is_one_sentence(run.stop_reason)
    assert run.result is not None
    assert run.unfinished.job.inputs, "all that is needed to go on"


def test_a_run_that_a_person_stops_has_no_stop_reason_and_cannot_be_resumed(queue):
    run = Run(LoopEngine(10**9), MemoryResultWriter())
    queue.submit(run)
    eventually(lambda: run.frame, "the first frame")
    run.stop()
    finished(run)
    assert (run.state, run.stop_reason, run.unfinished) == ("stopped", "", None)


def test_an_unattended_run_continues_to_its_end(queue, monkeypatch):
    monkeypatch.setattr(runs_module, "UNWATCHED_SECONDS", -1.0)
    run = Run(LoopEngine(20), MemoryResultWriter(), unattended=True)
    queue.submit(run)
    finished(run)
    assert (run.state, run.stop_reason, run.frame.step) == ("done", "", 20)


@pytest.mark.parametrize(
    ("changes", "alone"),
    [
        ({}, False),
        ({"config": dataclasses.replace(SMALL, pictures=2)}, True),
        ({"engine": "vae_training"}, True),
        ({"engine": "language_training"}, True),
        ({"engine": "vae"}, True),
        ({"engine": "deep_dream_sweep"}, True),
        ({"engine": "language_model"}, False),
    ],
    ids=str,
)
@pytest.mark.parametrize("shared", [True, False])
def test_trainings_films_and_many_pictures_may_run_unattended_on_ones_own_machine(
    tmp_path, small_job, changes, alone, shared
):
    job = dataclasses.replace(small_job, **changes)
    assert may_run_unattended(job) == alone
    studio = Studio(outputs=tmp_path, shared=shared)
    run = studio.runs._submit(LoopEngine(1), job)
    assert run._unattended == (alone and not shared)
    studio.runs.close()


def test_a_dream_that_nobody_watched_is_resumed_from_its_last_picture(studio, small_job, monkeypatch):
    job = dataclasses.replace(small_job, config=dataclasses.replace(SMALL, steps=6))
    whole = finished(studio.runs.start(job))
    with monkeypatch.context() as patch:
        patch.setattr(Run, "unwatched", property(lambda run: run.frame is not None and run.frame.step >= 2))
        run = finished(studio.runs.start(job))
    assert (run.state, run.frame.step, run.stop_reason) == ("stopped", 2, NOBODY_WATCHED)
    rest = finished(studio.runs.resume(run))
    assert (rest.state, rest.frame.step, rest.frame.total) == ("done", 6, 6)
    assert read_recipe(rest.result).interruptions == (2,)
    assert read_recipe(rest.result).config == read_recipe(whole.result).config
    assert np.asarray(Image.open(rest.result)).shape == np.asarray(Image.open(whole.result)).shape
    assert run.unfinished is None, "once"
    assert "no run to resume" in refusal(ValueError, studio.runs.resume, run)


def test_a_run_that_is_watched_goes_on(queue, monkeypatch):
    monkeypatch.setattr(runs_module, "UNWATCHED_SECONDS", 0.2)
    clock = Clock()
    monkeypatch.setattr(runs_module, "time", clock)
    engine, gate = gated(1000)
    run = Run(engine, MemoryResultWriter())
    queue.submit(run)
    for step in range(1, 11):
        clock.now += 0.15
        run.watched()
        gate.release()
        eventually(lambda step=step: run.frame and run.frame.step == step, f"step {step}")
    assert run.state == "running"
    clock.now += 0.25
    open_for_good(gate)
    finished(run)
    assert (run.state, run.frame.step) == ("stopped", 11)


def test_a_run_that_nobody_waits_for_any_more_never_starts(queue, monkeypatch):
    engine, gate = gated(1)
    queue.submit(Run(engine, MemoryResultWriter()))
    forgotten = LoopEngine(1)
    run = Run(forgotten, MemoryResultWriter())
    queue.submit(run)
    monkeypatch.setattr(runs_module, "UNWATCHED_SECONDS", -1.0)
    open_for_good(gate)
    finished(run)
    assert (run.state, forgotten.last) == ("stopped", None)


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
    queue = RunQueue("small", most_waiting=2)
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
    queue = RunQueue("closing", most_waiting=5)
    writer = MemoryResultWriter()
    running, waiting = Run(LoopEngine(10**9), writer), Run(LoopEngine(1), MemoryResultWriter())
    queue.submit(running)
    queue.submit(waiting)
    eventually(lambda: running.frame, "the first frame")
    queue.close()
    assert running.state == "stopped"
    assert len(writer.finished) == 1
    assert waiting.result is None


@pytest.mark.parametrize("run_id", ["", None, "no such run", "0" * 32])
def test_an_unknown_id_finds_no_run(studio, small_job, run_id):
    run = finished(studio.runs.start(small_job))
    assert studio.runs.get(run_id) is None
    assert studio.runs.get(run.id) is run


def test_a_runs_id_cannot_be_guessed_from_another_one():
    ids = {Run(LoopEngine(1), MemoryResultWriter()).id for _ in range(200)}
    assert len(ids) == 200
    assert all(len(name) == 32 and int(name, 16) for name in ids)
    assert len({name[:8] for name in ids}) == 200


def test_only_so_many_finished_runs_are_remembered_and_the_newest_of_them(studio, small_job, monkeypatch):
    monkeypatch.setattr(manager, "RUNS_REMEMBERED", 3)
    quick = dataclasses.replace(small_job, config=dataclasses.replace(SMALL, steps=1))
    runs = [finished(studio.runs.start(quick)) for _ in range(6)]
    going = studio.runs.start(dataclasses.replace(small_job, config=LONG))
    assert [studio.runs.get(run.id) is run for run in runs] == [False] * 3 + [True] * 3
    assert studio.runs.get(going.id) is going
    assert all(run.result.is_file() for run in runs), "what is forgotten is still on disk"
    going.stop()


def test_at_most_a_hundred_finished_runs_are_remembered():
    assert 1 <= manager.RUNS_REMEMBERED <= 100


def test_a_run_that_is_over_keeps_no_full_size_pictures(queue):
    run = Run(LoopEngine(2, picture=np.zeros((40, 3000, 3), np.uint8)), MemoryResultWriter())
    assert run.job.inputs["image"].shape == (40, 3000, 3)
    queue.submit(run)
    finished(run)
    assert run.job.inputs == {}
    assert max(run.frame.image.shape[:2]) == max(run.original.shape[:2]) == 1280
    assert run._execution is None


def test_losses_are_thinned_evenly_over_a_long_run(queue):
    run = Run(LoopEngine(2000), MemoryResultWriter())
    queue.submit(run)
    finished(run)
    assert VALUES_KEPT / 2 - 1 <= len(run.curves["loss"]) <= VALUES_KEPT
    gaps = np.diff(run.curves["loss"])
    assert set(gaps) == {gaps[0]}, "one loss in every so many, from the first to the last"
    assert run.curves["loss"][0] < 20
    assert run.curves["loss"][-1] > 1980
