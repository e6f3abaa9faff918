"""Test a run in a queue: it is done, stopped or steered, and its result says so."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image

from engines.recipes import read_recipe
from studio.runs.run import Run
from tests.studio.conftest import SMALL
from tests.studio.helpers import LoopEngine, MemoryResultWriter, eventually, finished
from tests.studio.runs.helpers import LONG, gated, open_for_good


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


def test_a_stopped_dream_is_an_image_whose_recipe_says_where_it_stopped(studio, small_job):
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
    # With a step size of 0 the image does not change.
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
