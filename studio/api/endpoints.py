"""API endpoints, as the engines' descriptions give them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from engines.core.description import Engine
from engines.jobs import ENGINES
from engines.jobs.batch import MAX_IMAGES
from engines.recipes import Recipe, RecipeError
from studio.api.parameters import Parameter, file_parameter, setting_parameters

# Parameter that holds the images of a batch.
IMAGES = "images"
_MANY = f"Images, or zips of images, at most {MAX_IMAGES}."


@dataclass(frozen=True)
class Endpoint:
    """An API endpoint.

    Attributes:
        engine: the engine that it runs.
        batch: True if it runs the engine on many images.
    """

    engine: Engine
    batch: bool = False

    @property
    def does(self) -> str:
        return self.engine.batch_does if self.batch else self.engine.does

    @property
    def trains(self) -> bool:
        return "data" in self.engine.files

    @property
    def files(self) -> Mapping[str, str]:
        """Name -> help of the engine's images or data."""
        engine = self.engine
        if self.batch:
            return {IMAGES: _MANY} | {name: engine.inputs[name] for name in engine.batch_shares}
        return engine.inputs or ({"data": engine.data} if engine.data else {})

    @property
    def needed(self) -> Collection[str]:
        """Names of the files that are required."""
        if self.batch:
            return (IMAGES, *(name for name in self.engine.needed if name != self.engine.batch))
        return self.engine.needed or tuple(self.files)

    @property
    def parameters(self) -> list[Parameter]:
        """The parameters: files, network, settings."""
        files = [
            file_parameter(name, help, several=name in self.engine.series or name == IMAGES, needed=name in self.needed)
            for name, help in self.files.items()
        ]
        network = [network_parameter(self.engine)] if self.engine.networks else []
        return [*files, *network, *self.settings]

    @property
    def settings(self) -> list[Parameter]:
        """The parameters of the engine's settings, without those that only make sense when steering."""
        return setting_parameters(self.engine.config_class, self.engine.left_out)


def endpoints_of(engine: Engine) -> Iterator[tuple[str, Endpoint]]:
    """Yield an engine's endpoints with their names: single runs, then batches if it has them."""
    name = engine.endpoint or engine.name
    yield name, Endpoint(engine)
    if engine.batch:
        yield f"{name}_batch", Endpoint(engine, batch=True)


ENDPOINTS = {name: endpoint for engine in ENGINES.values() for name, endpoint in endpoints_of(engine)}
# Loader of networks that can be trained here -> engine that runs them.
TRAINABLE = {ENGINES[engine.makes].loader: engine.makes for engine in ENGINES.values() if engine.makes}


def network_parameter(engine: Engine) -> Parameter:
    """Create the parameter that selects a network."""
    others = ", or one trained on this server" if engine.loader in TRAINABLE else ""
    help = f"Name of the network: {', '.join(engine.networks)}{others}."
    return Parameter("backbone", str, help, engine.network)


def check_inputs(recipe: Recipe, endpoint: Endpoint) -> None:
    """Check that a recipe's inputs are those of its engine.

    Raises:
        RecipeError: an unknown input, a missing one, or a gap in a series.
    """
    engine, series = endpoint.engine, endpoint.engine.series
    known = [name for name in endpoint.files if name not in series]
    known += [f"{name}_{i}" for name in series for i in range(1, engine.most + 1)]
    needed = [name for name in endpoint.needed if name not in series]
    for name in series & set(endpoint.needed):
        count = sum(one.startswith(f"{name}_") for one in recipe.inputs)
        needed += [f"{name}_{i}" for i in range(1, max(count, 1) + 1)]
    if not set(needed) <= set(recipe.inputs) <= set(known):
        raise RecipeError("The inputs of this recipe do not match its engine.")
