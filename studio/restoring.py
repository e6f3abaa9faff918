"""A recipe that comes back to the page: whether it is this tab's, and can be followed here."""

from __future__ import annotations

from collections.abc import Collection

from engines.jobs import Job, job_from_recipe
from engines.recipes import Recipe, RecipeError


def job_for_tab(recipe: Recipe, engine: str, networks: Collection[str], elsewhere: str) -> Job:
    """The job of a recipe, without its inputs.

    Args:
        engine: the tab's own; its sweeps are the tab's too.
        networks: names of those that are here.
        elsewhere: the sentence for a recipe of another tab.

    Raises:
        ValueError: a recipe of another tab, for a network that is not here, or that this version cannot follow.
    """
    if recipe.engine not in (engine, f"{engine}_sweep"):
        raise RecipeError(elsewhere)
    job = job_from_recipe(recipe, {})
    if job.backbone not in networks:
        raise RecipeError(f"This recipe names a network that is not here: {job.backbone[:40]!r}.")
    return job
