"""Test sweeps on several workers: sheet and recipe of a sequential one, also steered, stopped or with a lost worker."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from engines.jobs import Job, job_from_recipe
from engines.jobs.sweep import StyleSweepConfig
from engines.recipes import Recipe, read_recipe
from studio.cluster import subjob
from studio.runs.run import Run
from studio.services import Studio
from tests.studio.cluster.parallel.helpers import (
    dreams,
    here,
    nothing_is_left,
    of_cell,
    pixels,
    release_all,
    steered_at,
    sweep_of,
    there,
)
from tests.studio.conftest import QUICK_PAINTING
from tests.studio.helpers import eventually, finished


def swept(studio: Studio, job: Job, steers: dict[int, Any] | None = None) -> Run:
    return steered_at(there(studio, job) if studio.cluster else here(studio, job), dict(steers or {}))[0]


def same_sheet(one: Run, other: Run) -> Recipe:
    assert (one.state, one.error) == (other.state, other.error) == ("done", "")
    np.testing.assert_array_equal(pixels(one.result), pixels(other.result))
    assert read_recipe(one.result) == read_recipe(other.result)
    assert (one.frame.step, one.frame.total) == (other.frame.step, other.frame.total)
    return read_recipe(one.result)


def test_a_parallel_sweep_gives_the_result_of_a_sequential_one_and_repeats_here(sample_image, studio, parallel):
    job = sweep_of(dreams(), sample_image)
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
def test_a_steered_sweep_is_the_same_and_repeats_here_and_there(sample_image, studio, parallel, after):
    job = sweep_of(dreams(), sample_image)
    steers = {after: dreams(layer_weights={"block2_conv1": 1.0})}
    wide, _ = parallel(3, of_cell)
    run = swept(wide, job, steers)
    recipe = same_sheet(run, swept(studio, job, steers))
    assert len(recipe.steering) == 1
    again = job_from_recipe(recipe, job.inputs)
    same_sheet(swept(wide, again), run)
    same_sheet(swept(studio, again), run)


def test_a_stopped_sweep_repeats_to_where_it_was_stopped(sample_image, studio, parallel):
    job = dataclasses.replace(sweep_of(dreams(), sample_image), stop_at=4)
    wide, machines = parallel(3, of_cell)
    run = swept(wide, job)
    alone = swept(studio, job)
    np.testing.assert_array_equal(pixels(run.result), pixels(alone.result))
    assert read_recipe(run.result).stopped_at == read_recipe(alone.result).stopped_at == 4
    nothing_is_left(wide, machines)


def paintings(**changes: Any) -> StyleSweepConfig:
    settings = dataclasses.asdict(dataclasses.replace(QUICK_PAINTING, size=48, tile_size=0, **changes))
    return StyleSweepConfig(settings=settings, columns="balance", column_values=(0.1, 0.3, 0.6))


def test_settings_that_the_first_painting_chooses_are_used_for_all(sample_image, studio, parallel):
    job = sweep_of(paintings(), sample_image)
    wide, machines = parallel(3, lambda one: one.config.balance)
    run = finished(wide.runs.start(job))
    recipe = same_sheet(run, swept(studio, job))
    assert recipe.config["settings"]["tile_size"] > 0
    assert sorted(machines.started) == [0.1, 0.3, 0.6], "none was started before it was known"


def test_paintings_in_a_given_time_are_prefetched_when_the_first_is_done(sample_image, studio, parallel, monkeypatch):
    from engines.style_transfer import schedule as painting_plan

    monkeypatch.setattr(painting_plan, "SIZES", (48, 64))
    monkeypatch.setattr(painting_plan, "PROBE_SIDE", 32)
    job = sweep_of(paintings(seconds=1.0), sample_image)
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
def test_a_cell_whose_worker_is_lost_is_done_again_so_its_recipe_holds(
    sample_image, studio, parallel, lost, monkeypatch
):
    monkeypatch.setattr(subjob, "RETRY_SECONDS", 0.0)
    job = sweep_of(dreams(), sample_image)
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


def test_settings_sent_while_a_lost_cell_is_redone_take_effect_where_they_were_sent(sample_image, studio, parallel):
    job = sweep_of(dreams((0.05, 0.1)), sample_image)
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


def test_a_sweep_of_which_a_cell_was_lost_twice_can_be_resumed(sample_image, studio, parallel):
    job = sweep_of(dreams(), sample_image)
    wide, machines = parallel(2, of_cell)
    machines.lost += [0.2, 0.2]
    run = finished(wide.runs.start(job))
    assert (run.state, run.error) == ("failed", "This run lost its worker for the second time; press Resume to resume.")
    same_sheet(finished(wide.runs.resume(run)), swept(studio, job))
