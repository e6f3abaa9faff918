"""Training panel: data, settings and progress of a training."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from engines.core.messages import message
from engines.jobs import ENGINES, Job
from engines.recipes import Recipe, RecipeError, read_recipe
from studio.components.config_form import Settings
from studio.components.toasts import inform, warn
from studio.panels.recipe_restore import job_for_tab
from studio.run_views.image_run_view import PictureStage
from studio.run_views.run_view import Stage
from studio.services import Studio
from studio.trained_models import read_model, training_job


@dataclass(frozen=True)
class Kind:
    """What is trained, and what the page says of it.

    Attributes:
        engine: key in `engines.jobs.ENGINES`.
        first: the settings that the controls show at first.
        data: what the data is, in a few words.
        suffixes: of its files.
        choose: lays out the control above the buttons.
        adjust: lays out those below.
        invitation: what the canvas says before there is anything on it.
        used: what becomes of a finished network.
        steerable: fields that may be changed while it runs, or when it goes on.
        saved: suffix of the file that holds the recipe of a result.
        own: a network's name -> the config that suits it, where there are several networks.
        persons_own: fields that stay as they were set when another network is chosen.
    """

    engine: str
    first: Any
    data: str
    suffixes: tuple[str, ...]
    choose: Callable[[Settings], None]
    adjust: Callable[[Settings], None]
    invitation: str
    used: str
    steerable: Collection[str] = ()
    saved: str = ".png"
    own: Callable[[str], Any] | None = None
    persons_own: Collection[str] = ()


class Training:
    """The controls of a training and what they do."""

    def __init__(self, studio: Studio, kind: Kind, prefix: str, stage: Stage | None = None):
        self.studio, self.kind, self._prefix = studio, kind, prefix
        self.stage = stage or PictureStage(studio, prefix)

    def build(self) -> None:
        """Lay them out and wire them."""
        kind, prefix = self.kind, self._prefix
        self.settings = settings = Settings(kind.first, prefix)
        with gr.Row(elem_classes="workbench"):
            with gr.Column(elem_classes="inputs", min_width=300):
                with gr.Column(elem_classes="begin"):
                    self.data = gr.File(
                        label=kind.data[0].upper() + kind.data[1:],
                        file_types=[*kind.suffixes, kind.saved],
                        file_count="multiple",
                        type="filepath",
                        height=170,
                        elem_id=f"{prefix}-data",
                        elem_classes="drop",
                    )
                    kind.choose(settings)
                    self.stage.buttons("Train")
                kind.adjust(settings)
            with gr.Column(elem_classes="outputs", min_width=320, scale=3):
                self.stage.canvas_with(None, kind.invitation)
                self.stage.under("Stop when you like: Train goes on from there, with the same settings.")
                with gr.Row(elem_classes="under"):
                    gr.Markdown(kind.used, elem_classes="quiet")
                    self.use = gr.Button("Use it", size="sm", elem_id=f"{prefix}-use")
        seen: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
        self.stage.begin_on(self.stage.go.click, self.start, [self.data, *settings.components])
        self.data.upload(self.data_chosen, [self.data], self.restorable, **seen)
        self.stage.wire()

    def wire_network(self, model: gr.Dropdown, moved: Collection[str]) -> None:
        """Have the choice of another network bring its own settings, and what is moved while it trains take effect.

        Args:
            moved: fields whose controls may be moved meanwhile.
        """
        components = self.settings.components
        seen: dict[str, Any] = {"api_visibility": "private"}
        model.input(self.models_own, [model, *components], components, **seen)
        controls = [self.settings.controls[name] for name in moved]
        self.stage.steered_by(controls, self.steered, [*components])

    def models_own(self, model: str, *values: Any) -> list[Any]:
        """Another network was chosen: its own settings."""
        assert self.kind.own is not None
        fresh = self.settings.values(self.kind.own(model).filled())
        both = zip(self.settings.controls, values, fresh, strict=True)
        return self.settings.shown([old if name in self.kind.persons_own else new for name, old, new in both])

    def steered(self, run_id: str, *values: Any) -> None:
        """What may be moved while it trains was moved."""
        self.stage.steer(run_id, "", lambda: self.settings.config(values))

    def data_chosen(self, paths: Sequence[str]) -> dict[Any, Any]:
        """A saved result in the place of the data brings back the settings that it was trained with."""
        path = paths[0]
        if len(paths) > 1 or Path(path).suffix.lower() != self.kind.saved:
            return {self.data: gr.skip()}
        try:
            recipe = read_recipe(Path(path))
            if recipe is None:
                raise RecipeError(
                    message("There is nothing to train on in this file: choose {data}.", data=self.kind.data)
                )
            return self.restored(recipe)
        except ValueError as error:
            warn(error)
            return {self.data: None}

    @property
    def restorable(self) -> list[Any]:
        """What `restored` changes."""
        return [self.data, *self.settings.components]

    def restored(self, recipe: Recipe) -> dict[Any, Any]:
        """Put a recipe into the controls.

        Raises:
            ValueError: a recipe of another tab, or one that this version cannot follow.
        """
        job = job_for_tab(
            recipe,
            self.kind.engine,
            [""],
            message("This was made on another tab; drop it there."),
            workshop=self.studio.workshop,
        )
        inform(message("Settings restored: now choose the data."))
        return {self.data: None} | self.settings.restored(job.config)

    async def start(self, paths: Sequence[str] | None, *values: Any) -> AsyncIterator[dict[Any, Any]]:
        """Start a training, or go on with one that was stopped, and watch it."""

        def job() -> Job:
            if not paths:
                raise ValueError(message("Choose the data first: {data}.", data=self.kind.data))
            config = self.settings.config(values)
            return training_job(self.studio, self.kind.engine, config, paths, self.kind.steerable)

        async for update in self.stage.start(job):
            yield update

    def finished(self, run_id: str) -> Any:
        """The network that a finished training made.

        Raises:
            ValueError: there is none yet.
        """
        run = self.stage.run(run_id)
        path = run.job.files.get("output") if run is not None else None
        if path is None:
            raise ValueError(message("There is no training to use yet; press Train first."))
        if not path.is_file():
            raise ValueError(message("This training is not finished; press Train to go on with it."))
        return read_model(ENGINES[self.kind.engine].makes)(path)
