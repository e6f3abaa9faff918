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
from studio.components.hidden_download import download_when_ready
from studio.components.toasts import inform, warn
from studio.panels.recipe_restore import job_for_tab
from studio.run_views.image_run_view import ImageRunView
from studio.run_views.run_view import RunView
from studio.services import Studio
from studio.trained_models import for_keras, read_model, training_job


@dataclass(frozen=True)
class TrainingSpec:
    """Description of a kind of training.

    Attributes:
        engine: key in `engines.jobs.ENGINES`.
        initial: config that the form shows at first.
        data: short description of the data.
        suffixes: file suffixes of the data.
        choose: creates the control above the buttons.
        adjust: creates the controls below the buttons.
        invitation: text of the empty canvas.
        used: text that says what a finished network is for.
        saved: suffix of the result file that contains the recipe.
        network_defaults: returns the default config of a network; None if there is no choice.
        kept_fields: fields that keep their values when another network is selected.
    """

    engine: str
    initial: Any
    data: str
    suffixes: tuple[str, ...]
    choose: Callable[[Settings], None]
    adjust: Callable[[Settings], None]
    invitation: str
    used: str
    saved: str = ".png"
    network_defaults: Callable[[str], Any] | None = None
    kept_fields: Collection[str] = ()


class TrainingPanel:
    """The training controls and their handlers."""

    def __init__(self, studio: Studio, kind: TrainingSpec, prefix: str, view: RunView | None = None):
        self.studio, self.kind, self._prefix = studio, kind, prefix
        self.view = view or ImageRunView(studio, prefix)

    def build(self) -> None:
        """Create and wire the controls."""
        kind, prefix = self.kind, self._prefix
        self.settings = settings = Settings(kind.initial, prefix)
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
                    self.view.build_buttons("Train")
                kind.adjust(settings)
            with gr.Column(elem_classes="outputs", min_width=320, scale=3):
                self.view.build_canvas(None, kind.invitation)
                self.view.build_footer("Stop at any time; press Train to resume with the same settings.")
                with gr.Row(elem_classes="under"):
                    gr.Markdown(kind.used, elem_classes="quiet")
                    self.use = gr.Button("Use it", size="sm", elem_id=f"{prefix}-use")
                    self.export = gr.Button("Keras file", size="sm", elem_id=f"{prefix}-export")
                    self.keras_file = gr.DownloadButton(
                        "File", elem_id=f"{prefix}-keras-file", elem_classes="invisible-button"
                    )
        options: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
        self.view.start_on(self.view.start_button.click, self.start, [self.data, *settings.components])
        exported = self.export.click(self.export_for_keras, [self.view.run_id], [self.keras_file], **options)
        download_when_ready(exported, self.keras_file)
        self.data.upload(self.data_chosen, [self.data], self.restore_outputs, **options)
        self.view.wire()

    def wire_network(self, model: gr.Dropdown, moved: Collection[str]) -> None:
        """Apply a network's defaults when it is selected, and steer the training by some of the controls.

        Args:
            model: control that selects the network.
            moved: fields whose controls steer a running training.
        """
        components = self.settings.components
        options: dict[str, Any] = {"api_visibility": "private"}
        model.input(self.network_chosen, [model, *components], components, **options)
        controls = [self.settings.controls[name] for name in moved]
        self.view.steered_by(controls, self.settings)

    def network_chosen(self, model: str, *values: Any) -> list[Any]:
        """Apply the defaults of the selected network."""
        assert self.kind.network_defaults is not None
        fresh = self.settings.values(self.kind.network_defaults(model).filled())
        both = zip(self.settings.controls, values, fresh, strict=True)
        return self.settings.updates([old if name in self.kind.kept_fields else new for name, old, new in both])

    def data_chosen(self, paths: Sequence[str]) -> dict[Any, Any]:
        """Restore the settings of a saved result that was dropped instead of data."""
        path = paths[0]
        if len(paths) > 1 or Path(path).suffix.lower() != self.kind.saved:
            return {self.data: gr.skip()}
        try:
            recipe = read_recipe(Path(path))
            if recipe is None:
                raise RecipeError(message("This file contains no training data; choose {data}.", data=self.kind.data))
            return self.restore(recipe)
        except ValueError as error:
            warn(error)
            return {self.data: None}

    @property
    def restore_outputs(self) -> list[Any]:
        """List the components that `restore` updates."""
        return [self.data, *self.settings.components]

    def restore(self, recipe: Recipe) -> dict[Any, Any]:
        """Show a recipe in the form.

        Raises:
            ValueError: a recipe of another tab, or with settings that this version rejects.
        """
        job = job_for_tab(
            recipe,
            self.kind.engine,
            [""],
            message("This was made on another tab; restore it there."),
            workshop=self.studio.workshop,
        )
        inform(message("Settings restored; now choose the training data."))
        return {self.data: None} | self.settings.updates_for(job.config)

    async def start(self, paths: Sequence[str] | None, *values: Any) -> AsyncIterator[dict[Any, Any]]:
        """Start or resume a training, and watch it."""

        def job() -> Job:
            if not paths:
                raise ValueError(message("Choose the training data first: {data}.", data=self.kind.data))
            config = self.settings.config(values)
            return training_job(self.studio, self.kind.engine, config, paths)

        async for update in self.view.start(job):
            yield update

    async def export_for_keras(self, run_id: str) -> Any:
        """Export the finished network to a file that Keras opens without Reverie."""
        try:
            path = self.result_path(run_id)
            file = await self.studio.run_in_thread(lambda: for_keras(self.studio, path))
        except ValueError as error:
            warn(error)
            return gr.skip()
        return gr.DownloadButton(value=str(file))

    def load_result(self, run_id: str) -> Any:
        """Load the network of a finished training; raises as `result_path`."""
        return read_model(ENGINES[self.kind.engine].makes)(self.result_path(run_id))

    def result_path(self, run_id: str) -> Path:
        """Return the file that a finished training wrote.

        Raises:
            ValueError: the training is missing or not finished.
        """
        run = self.view.run(run_id)
        path = run.job.files.get("output") if run is not None else None
        if path is None:
            raise ValueError(message("Nothing has been trained yet; press Train first."))
        if not path.is_file():
            raise ValueError(message("Training is not finished; press Train to resume."))
        return path
