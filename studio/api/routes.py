"""The API: every kind of job as a named Gradio endpoint.

The parameters of an endpoint are its engine's inputs and settings; docs/api.md has an example of each.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import gradio as gr

from engines.core.configs import from_mapping
from engines.core.description import Engine
from engines.core.files import why_unwritten
from engines.imaging.images import LoadedImage, digest
from engines.imaging.metadata import NO_DETAILS
from engines.jobs import ENGINES, Job, job_from_recipe
from engines.jobs.batch import Batch, batch_of, image_files
from engines.language_model.config import SamplingConfig
from engines.recipes import RecipeError, from_json, read_recipe
from studio.api.endpoints import ENDPOINTS, IMAGES, TRAINABLE, Endpoint, check_inputs, network_parameter
from studio.api.parameters import Parameter, expose, file_parameter
from studio.api.progress import Caller, follow_run, run_status
from studio.api.uploads import image_source, upload_path
from studio.components.toasts import api_error
from studio.runs.run import Run
from studio.services import Studio
from studio.trained_models import TrainedNetworks, read_model, training_job
from studio.wire_format import written_rows

logger = logging.getLogger(__name__)

# On the page videos are made no faster than they play; for API clients they are made as fast as possible.
UNLIMITED_PACE = 1e6
RETURNS = [
    Parameter(
        "progress",
        dict,
        "Where the run is: state, before (runs ahead of it in the queue), step, total, progress, left (seconds), note, "
        "where (its machine in the cluster, or an empty string), metrics, text, preview (a small JPEG data URI every "
        "two seconds), and at the end notices (further remarks) and network (the name of the trained network).",
    ),
    Parameter(
        "result",
        gr.FileData | None,
        "The result: a PNG, MP4 or TXT file, or a ZIP for a batch; null until the run is over.",
        None,
    ),
    Parameter("recipe", dict | None, "The recipe, for `repeat`; null until the run is over.", None),
]
SCORE = Parameter(
    "score",
    dict,
    "perplexity (per token), bits_per_character, pieces (the text as the model reads it) and bits (how surprising each "
    "piece is).",
)


def add_api(studio: Studio, page: gr.Blocks) -> None:
    """Add all endpoints to a page. Call it once, inside the page's Blocks."""
    gr.Markdown("# Reverie for programs\n\nAll endpoints are listed at `gradio_api/openapi.json`.")
    api = Api(studio, page)
    for name, endpoint in ENDPOINTS.items():
        api.add(name, endpoint.does, endpoint.parameters, api.job_of(endpoint))
    images = "The inputs of the recipe, in any order; those that the gallery still has may be left out."
    again = [
        Parameter("recipe", dict, "The recipe, as an endpoint has returned it or a result's file holds it."),
        file_parameter("pictures", images, several=True),
    ]
    api.add("repeat", "Recreate a result from its recipe.", again, api.repeat_job)
    api.add_score()


class Api:
    """The API's endpoints and their handlers."""

    def __init__(self, studio: Studio, page: gr.Blocks):
        self._studio, self._page = studio, page
        self._trained = {loader: TrainedNetworks(studio, engine) for loader, engine in TRAINABLE.items()}

    def add(self, name: str, does: str, parameters: list[Parameter], make_job: Callable[[dict[str, Any]], Any]) -> None:
        """Add an endpoint that starts a job and streams its progress.

        Args:
            name: name of the endpoint.
            does: one-sentence summary.
            parameters: its parameters.
            make_job: coroutine function that makes a job from the parameters' values by name; may raise ValueError with
                a message for the user.
        """

        async def endpoint(*values: Any) -> AsyncIterator[tuple[Any, Any, Any]]:
            caller = Caller(self._page)
            named = {one.name: value for one, value in zip(parameters, values, strict=True)}
            try:
                run = self._studio.runs.start(await make_job(named))
            except ValueError as error:
                raise api_error(error) from None
            except OSError as error:  # such as a full disk while data is copied
                logger.exception("A run could not be started.")
                raise api_error(f"Could not start the run: {why_unwritten(error)}.") from None
            # Close explicitly: otherwise the run stops only when the generator is collected.
            updates = follow_run(run, self._studio.runs.queue, caller)
            try:
                async for update in updates:
                    yield update, None, None
            finally:
                await updates.aclose()
            if not caller.disconnected:
                yield await self._final_values(run)

        expose(self._page, endpoint, name, does, parameters, RETURNS)

    async def _final_values(self, run: Run) -> tuple[Any, Any, Any]:
        """Return the last values of the stream: status, result file and recipe."""
        if run.error:
            # The part after the semicolon is advice for users of the page.
            raise api_error(run.error.partition(";")[0] + "." if run.unsaved else run.error)
        status = run_status(run, self._studio.runs.queue) | {"network": await self._register_trained(run)}
        if run.result is None:
            return status, None, None
        try:
            recipe = await asyncio.to_thread(read_recipe, run.result)
        except RecipeError as error:
            raise api_error(error) from None
        file = gr.FileData(path=str(run.result), orig_name=run.result.name).model_dump()
        return status, file, json.loads(recipe.to_json()) if recipe else None

    async def _register_trained(self, run: Run) -> str | None:
        """Register the network of a finished training; return its name, or None."""
        output = run.job.files.get("output")
        if run.state != "done" or output is None or not output.is_file():
            return None
        made = ENGINES[run.job.engine].makes
        network = await asyncio.to_thread(read_model(made), output)
        return self._trained[ENGINES[made].loader].register(run.id, network)

    def _check_network(self, engine: Engine, name: Any) -> None:
        trained = self._trained.get(engine.loader)
        if name not in [*(engine.networks or [""]), *(trained.names if trained else [])]:
            raise ValueError(f"Unknown network {str(name)[:60]!r}; use one of {', '.join(engine.networks)}.")

    def job_of(self, endpoint: Endpoint) -> Callable[[dict[str, Any]], Any]:
        """Return a coroutine function that makes an endpoint's job from its parameters."""

        engine = endpoint.engine

        async def make_job(values: dict[str, Any]) -> Job:
            config: Any = from_mapping(engine.config_class, {one.name: values[one.name] for one in endpoint.settings})
            if endpoint.trains:
                config = config.filled() if hasattr(config, "filled") else config
                paths = [str(upload_path(values["data"], "data"))]
                return await asyncio.to_thread(training_job, self._studio, engine.name, config, paths)
            self._check_network(engine, values.get("backbone", ""))
            images = await self._inputs(endpoint, values)
            first = images.get(engine.first_input)
            job = Job(
                engine=engine.name,
                config=config,
                inputs={name: image.pixels for name, image in images.items()},
                backbone=values.get("backbone", ""),
                details=first.details if first else NO_DETAILS,
                notices=tuple(sentence for image in images.values() for sentence in image.notices),
                pace=UNLIMITED_PACE if engine.video else 0.0,
            )
            return self._batch(endpoint, job, values[IMAGES]) if endpoint.batch else job

        return make_job

    def _batch(self, endpoint: Endpoint, job: Job, images: Any) -> Batch:
        if not isinstance(images, list):
            raise ValueError(f"The parameter {IMAGES} must be a list of images.")
        files = image_files(upload_path(value, IMAGES) for value in images)
        return batch_of(job, files, endpoint.engine.batch, self._studio.max_pixels)

    async def _inputs(self, endpoint: Endpoint, values: Mapping[str, Any]) -> dict[str, LoadedImage]:
        engine, inputs = endpoint.engine, {}
        for name in endpoint.files:
            if name == IMAGES:
                continue  # read one by one while the batch runs
            several = name in engine.series
            given = values[name] if several else [values[name]]
            if not isinstance(given, list) or (name in endpoint.needed and not given):
                raise ValueError(f"The parameter {name} must be a list of images.")
            if several and len(given) > engine.most:
                raise ValueError(f"There are {len(given)} images in {name}; use at most {engine.most}.")
            for number, value in enumerate(given, 1):
                if value is not None or name in endpoint.needed:
                    image = await image_source(value, name)
                    key = f"{name}_{number}" if several else name
                    background = engine.background(name)
                    inputs[key] = await asyncio.to_thread(self._studio.load, image, background)
        return inputs

    async def repeat_job(self, values: dict[str, Any]) -> Job:
        """Make a job that repeats a recipe."""
        recipe = from_json(json.dumps(values["recipe"]))
        endpoint = next((one for one in ENDPOINTS.values() if one.engine.name == recipe.engine and not one.batch), None)
        if endpoint is None:
            raise RecipeError(f"This recipe needs the engine {recipe.engine[:40]!r}, which this version does not have.")
        if endpoint.trains:
            raise RecipeError(f"A training is repeated by its own endpoint, {recipe.engine}, with these settings.")
        engine = endpoint.engine
        check_inputs(recipe, endpoint)
        self._check_network(engine, recipe.backbone)
        if not isinstance(values["pictures"], list) or len(values["pictures"]) > engine.max_images:
            raise RecipeError("The parameter pictures must be a list of the input images.")
        sent: dict[str, LoadedImage] = {}
        backgrounds = {engine.background(name.rpartition("_")[0]) for name in recipe.inputs}
        for value in values["pictures"]:
            file = await image_source(value, "pictures")
            # Transparent areas are white in an image and black in a mask; the hash shows which one it is.
            for background in backgrounds:
                image = await asyncio.to_thread(self._studio.load, file, background)
                sent[digest(image.pixels)] = image
        found = {name: await self._find_image(name, hash_, sent) for name, hash_ in recipe.inputs.items()}
        inputs = {name: image.pixels for name, image in found.items()}
        first = found.get(engine.first_input)
        # The first recipe of an engine may load TensorFlow.
        job = await asyncio.to_thread(job_from_recipe, recipe, inputs)
        details = first.details if first else NO_DETAILS
        return dataclasses.replace(job, details=details, pace=UNLIMITED_PACE if engine.video else 0.0)

    async def _find_image(self, name: str, hash_: str, sent: Mapping[str, LoadedImage]) -> LoadedImage:
        """Find an input of a recipe among the images sent and those in the gallery."""
        if hash_ in sent:
            return sent[hash_]
        kept = self._studio.gallery.find_input(hash_)
        if kept is None:
            raise RecipeError(f"The input {name[:40]!r} of this recipe is missing; send it in pictures.")
        return await asyncio.to_thread(self._studio.load, str(kept))

    def add_score(self) -> None:
        """Add the endpoint that scores a text. It does not use the run queue."""
        engine = ENGINES["language_model"]
        parameters = [Parameter("text", str, "The text, at most 10,000 characters."), network_parameter(engine)]

        async def score_text(text: Any, backbone: Any) -> dict[str, Any]:
            def work() -> dict[str, Any]:
                from engines.language_model import score
                from engines.language_model.engine import Generation

                if not isinstance(text, str):
                    raise ValueError("The parameter text must be a string.")
                self._check_network(engine, backbone)
                found = score(
                    text, SamplingConfig(temperature=1.0), self._studio.workshop.network(engine.name, backbone)
                )
                (row,) = written_rows([Generation(1.0, found.pieces, found.distributions)])
                return {
                    "perplexity": found.perplexity,
                    "bits_per_character": found.bits_per_character,
                    "pieces": row["pieces"],
                    "bits": row["bits"],
                }

            try:
                return await self._studio.run_in_thread(work)
            except ValueError as error:
                raise api_error(error) from None

        expose(self._page, score_text, "score_text", "Score a text with a language model.", parameters, [SCORE])
