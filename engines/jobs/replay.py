"""Recreate a job from its recipe."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from engines.core.configs import from_mapping
from engines.core.messages import message
from engines.imaging.images import digest
from engines.jobs.job import Job
from engines.jobs.registry import ENGINES
from engines.recipes import Recipe, RecipeError, from_json


def job_from_recipe(recipe: Recipe, inputs: Mapping[str, np.ndarray]) -> Job:
    """The job that repeats a recipe on inputs, which may be others than the recipe's own.

    Raises:
        ValueError: an engine, a setting or a value that this version does not know.
    """
    if recipe.engine not in ENGINES:
        raise RecipeError(
            message("This recipe is for {engine!r}, which this version does not have.", engine=recipe.engine[:40])
        )
    config_class = ENGINES[recipe.engine].config_class
    return Job(
        engine=recipe.engine,
        config=from_mapping(config_class, recipe.config),
        inputs=inputs,
        backbone=recipe.backbone,
        steering=tuple((step, from_mapping(config_class, settings)) for step, settings in recipe.steering),
        stop_at=recipe.stopped_at,
        weights=recipe.weights,
        interruptions=recipe.interruptions,
    )


def repeated(job: Job, recipe_text: str | None) -> Job:
    """The job, with what was changed while it ran and where it was stopped, if it is just what a recipe says.

    A restored recipe repeats to the same pixels this way, even if its run was steered; as soon as a setting, an input
    or the backbone is another, it is a new job.
    """
    if not recipe_text:
        return job
    recipe = from_json(recipe_text)
    again = job_from_recipe(recipe, job.inputs)
    same_inputs = {name: digest(image) for name, image in job.inputs.items()} == dict(recipe.inputs)
    same = again.config == job.config and again.backbone == job.backbone and same_inputs
    return dataclasses.replace(again, details=job.details, notices=job.notices) if same else job
