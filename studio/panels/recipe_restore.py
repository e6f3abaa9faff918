"""Restore a recipe on its tab."""

from __future__ import annotations

from collections.abc import Collection

from engines.core.messages import message
from engines.jobs import OTHER_WEIGHTS, Job, Workshop, job_from_recipe
from engines.recipes import Recipe, RecipeError
from studio.components.toasts import inform


def job_for_tab(recipe: Recipe, engine: str, networks: Collection[str], elsewhere: str, *, workshop: Workshop) -> Job:
    """The job of a recipe, without its inputs. Says so where its network's weights are no longer the same.

    Args:
        engine: the tab's own; its sweeps are the tab's too.
        networks: names of those that are here.
        elsewhere: the sentence for a recipe of another tab.
        workshop: where its networks are.

    Raises:
        ValueError: a recipe of another tab, for a network that is not here, or that this version cannot follow.
    """
    if recipe.engine not in (engine, f"{engine}_sweep"):
        raise RecipeError(elsewhere)
    job = job_from_recipe(recipe, {})
    if job.backbone not in networks:
        raise RecipeError(
            message("This recipe names a network that is not here: {network!r}.", network=job.backbone[:40])
        )
    if recipe.weights and workshop.weights(recipe.engine, job.backbone) not in ("", recipe.weights):
        inform(OTHER_WEIGHTS)
    return job
