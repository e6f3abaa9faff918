"""API endpoints: engine, files and networks of each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engines.core.description import Engine
from engines.jobs import ENGINES
from engines.jobs.batch import MAX_PICTURES
from engines.recipes import Recipe, RecipeError
from studio.api.parameters import Parameter, file_parameter, setting_parameters
from studio.trained_models import read_model


@dataclass(frozen=True)
class Endpoint:
    """Description of an API endpoint.

    Attributes:
        engine: key in `engines.jobs.ENGINES`.
        config: config class; stored here because an engine loads TensorFlow to return that of a training.
        does: one-sentence summary.
        files: name -> help, for the engine's images or data.
        needed: files that are required.
        networks: names of the networks to choose from; empty for a training.
        steerable: fields that may differ when a training resumes.
        left_out: fields without a parameter, as they only make sense when steering.
        batch: name of the input that varies over a batch; "" for a single run.
    """

    engine: str
    config: type
    does: str
    files: Mapping[str, str] = field(default_factory=dict)
    needed: Collection[str] = ()
    networks: Collection[str] = ()
    steerable: Collection[str] = ()
    left_out: Collection[str] = ()
    batch: str = ""

    @property
    def trains(self) -> bool:
        return "data" in ENGINES[self.engine].files

    @property
    def parameters(self) -> list[Parameter]:
        """List the parameters: files, network, settings."""
        series = ENGINES[self.engine].series
        files = [
            file_parameter(name, help, several=name in series or name == IMAGES, needed=name in self.needed)
            for name, help in self.files.items()
        ]
        return [*files, *self.network, *setting_parameters(self.config, self.left_out)]

    @property
    def network(self) -> list[Parameter]:
        return [network_parameter(self.engine, self.networks)] if self.networks else []


# Parameter that holds the images of a batch.
IMAGES = "images"
_MANY = f"Images, or zips of images, at most {MAX_PICTURES}."


def endpoints_of(engine: Engine) -> Iterator[tuple[str, Endpoint]]:
    """Yield an engine's endpoints with their names: single runs, then batches if it has them."""
    files = engine.inputs or ({"data": engine.data} if engine.data else {})
    one = Endpoint(
        engine=engine.name,
        config=engine.config_class,
        does=engine.does,
        files=files,
        needed=engine.needed or tuple(files),
        networks=engine.networks,
        steerable=engine.steerable,
        left_out=engine.left_out,
    )
    name = engine.endpoint or engine.name
    yield name, one
    if engine.batch:
        shared = {name: files[name] for name in engine.batch_shares}
        needed = (IMAGES, *(name for name in engine.needed if name != engine.batch))
        many = {IMAGES: _MANY, **shared}
        yield f"{name}_batch", replace(one, does=engine.batch_does, files=many, needed=needed, batch=engine.batch)


ENDPOINTS = {name: endpoint for engine in ENGINES.values() for name, endpoint in endpoints_of(engine)}
# Training engine -> engine that runs the trained network, and the function that loads its file.
TRAINED: dict[str, tuple[str, Callable[[Path], Any]]] = {
    name: (engine.makes, read_model(engine.makes)) for name, engine in ENGINES.items() if engine.makes
}


def network_parameter(engine: str, networks: Collection[str]) -> Parameter:
    """Create the parameter that selects a network."""
    loaders = {ENGINES[trained].loader for trained, _ in TRAINED.values()}
    others = ", or one trained on this server" if ENGINES[engine].loader in loaders else ""
    help = f"Name of the network: {', '.join(networks)}{others}."
    return Parameter("backbone", str, help, ENGINES[engine].network)


def check_inputs(recipe: Recipe, endpoint: Endpoint) -> None:
    """Check that a recipe's inputs are those of its engine.

    Raises:
        RecipeError: an unknown input, a missing one, or a gap in a series.
    """
    engine = ENGINES[recipe.engine]
    series = engine.series
    known = [name for name in endpoint.files if name not in series]
    known += [f"{name}_{i}" for name in series for i in range(1, engine.most + 1)]
    needed = [name for name in endpoint.needed if name not in series]
    for name in series & set(endpoint.needed):
        count = sum(one.startswith(f"{name}_") for one in recipe.inputs)
        needed += [f"{name}_{i}" for i in range(1, max(count, 1) + 1)]
    if not set(needed) <= set(recipe.inputs) <= set(known):
        raise RecipeError("The inputs of this recipe do not match its engine.")
