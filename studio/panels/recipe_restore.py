"""Restore a recipe on its tab."""

from __future__ import annotations

from collections.abc import Collection

from engines.core.messages import message
from engines.jobs import OTHER_WEIGHTS, Job, Workshop, job_from_recipe
from engines.recipes import Recipe, RecipeError
from studio.components.toasts import inform


def job_for_tab(recipe: Recipe, engine: str, networks: Collection[str], elsewhere: str, *, workshop: Workshop) -> Job:
    """Return a recipe's job, without inputs. A toast says if the network's weights have changed.

    Args:
        recipe: the recipe.
        engine: the tab's engine; recipes of its sweeps are accepted too.
        networks: names of the available networks.
        elsewhere: message for a recipe of another tab.
        workshop: cache that knows the weights.

    Raises:
        ValueError: a recipe of another tab, of an unknown network, or with settings that this version rejects.
    """
    if recipe.engine not in (engine, f"{engine}_sweep"):
        raise RecipeError(elsewhere)
    job = job_from_recipe(recipe, {})
    if job.backbone not in networks:
        raise RecipeError(
            message("This recipe needs a network that is not available: {network!r}.", network=job.backbone[:40])
        )
    if recipe.weights and workshop.weights(recipe.engine, job.backbone) not in ("", recipe.weights):
        inform(OTHER_WEIGHTS)
    return job
