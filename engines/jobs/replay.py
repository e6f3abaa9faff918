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
    """Create a job that repeats a recipe on inputs, which may differ from the recipe's own.

    Raises:
        ValueError: an unknown engine, or an unknown or invalid setting.
    """
    if recipe.engine not in ENGINES:
        raise RecipeError(
            message(
                "This recipe needs the engine {engine!r}, which this version does not have.", engine=recipe.engine[:40]
            )
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


def replay_if_same(job: Job, recipe_text: str | None) -> Job:
    """Add a recipe's steering and stop to a job, if the job has the same settings, inputs and backbone.

    A restored recipe then repeats to the same pixels, even if its run was steered. Any difference makes it a new job,
    which is returned unchanged.

    Args:
        recipe_text: the recipe as JSON; None or "" for none.
    """
    if not recipe_text:
        return job
    recipe = from_json(recipe_text)
    replayed = job_from_recipe(recipe, job.inputs)
    same_inputs = {name: digest(image) for name, image in job.inputs.items()} == dict(recipe.inputs)
    is_same = replayed.config == job.config and replayed.backbone == job.backbone and same_inputs
    return dataclasses.replace(replayed, details=job.details, notices=job.notices) if is_same else job
