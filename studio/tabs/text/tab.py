"""Text tab."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import gradio as gr

from engines.core.messages import message
from engines.core.options import parse_text
from engines.data.text import decode_utf8
from engines.jobs import ENGINES, Job, replay_if_same
from engines.language_model.config import MAX_PROMPT, TEMPERATURES, WritingConfig
from engines.recipes import Recipe, RecipeError, read_recipe
from studio.components.config_form import Settings
from studio.components.toasts import inform, run_or_warn, warn
from studio.panels.handoff import Handoff
from studio.panels.recipe_restore import job_for_tab
from studio.panels.saved_settings import SavedSettings
from studio.run_views.text_run_view import TextRunView
from studio.run_views.token_inspector import token_details, token_inspector
from studio.runs.run import Run
from studio.services import Studio
from studio.tabs.page_tab import PageTab
from studio.tabs.text.scoring import TextScore
from studio.tabs.text.training import LanguageTraining
from studio.trained_models import TrainedNetworks

PROMPT = "This movie"
ONE, SIDE_BY_SIDE, GREEDY = "Single text", "Five temperatures", "Greedy vs sampling"
MODES: dict[str, tuple[float, ...]] = {ONE: (), SIDE_BY_SIDE: TEMPERATURES, GREEDY: (0.0, 0.7)}
# Tokens per second at which the pace is not limited.
FASTEST = 200
STEERED = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "stop", "ends")
FIXED = ("prompt", "begun", "tokens", "seed", "temperatures")
COLOURED = "(on) => document.querySelector('#text-canvas').classList.toggle('coloured', on)"


class TextTab(PageTab):
    """The tab's controls and event handlers."""

    id = "text"
    title = "Words"
    card = message("Generate text word by word, with the probability of each word.")

    def __init__(self, studio: Studio):
        super().__init__(studio)
        self.view = TextRunView(studio, "text")
        self.score = TextScore(studio)
        self.training = LanguageTraining(studio)
        self._trained = TrainedNetworks(studio, "language_model")
        # Display title -> name of each bundled model that is installed.
        engine, store = ENGINES["language_model"], studio.workshop.store
        self._shipped = {
            title: name for title, name in engine.network_choices.items() if store.find(engine.weights.format(name))
        }

    def build(self) -> None:
        """Create and wire the controls, inside the page's Blocks."""
        with gr.Tabs() as self.parts:
            with gr.Tab("Write", id="write"):
                self._build_writing()
            with gr.Tab("Score text", id="score"):
                self.score.build()
            with gr.Tab("Train", id="text-training"):
                self.training.build()
        self._wire()

    def _build_writing(self) -> None:
        self.settings = settings = Settings(WritingConfig(prompt=PROMPT), "text")
        view = self.view
        with gr.Row(elem_classes="workbench"):
            with gr.Column(elem_classes="inputs", min_width=300):
                with gr.Column(elem_classes="begin"):
                    settings.add(
                        "prompt",
                        gr.Textbox(
                            PROMPT,
                            label=settings.label("prompt"),
                            info="Type the opening words, or leave it empty to start a new review.",
                            lines=3,
                            max_lines=8,
                            elem_id="text-prompt",
                        ),
                        read=lambda text: text or "",
                    )
                    self.model = gr.Radio(
                        list(self._shipped.items()),
                        value=next(iter(self._shipped.values()), None),
                        label="Model",
                        visible=len(self._shipped) > 1,
                        elem_id="text-model",
                        elem_classes="chips",
                    )
                    settings.add(
                        "temperatures",
                        gr.Radio(
                            list(MODES),
                            value=ONE,
                            label="Mode",
                            info="Texts written side by side use the same random noise.",
                            elem_id="text-mode",
                            elem_classes="chips",
                        ),
                        show=choice_of,
                        read=lambda mode: MODES.get(mode, ()),
                    )
                    view.build_buttons("Write")
                settings.slider("temperature", 0.0, 2.0, 0.05)
                settings.slider("tokens", 10, 1000, 10)
                self.pace = gr.Slider(
                    5,
                    FASTEST,
                    value=40,
                    step=5,
                    label="Writing speed",
                    info=message("Maximum tokens per second; {fastest} means no limit.", fastest=FASTEST),
                    elem_id="text-pace",
                )
                with gr.Accordion(
                    "More: sampling, repetition, stops, seed", open=False, elem_id="text-more", elem_classes="fold"
                ):
                    settings.number("top_k")
                    settings.slider("top_p", 0.0, 1.0, 0.01)
                    settings.slider("min_p", 0.0, 1.0, 0.01)
                    settings.slider("repetition_penalty", 0.5, 3.0, 0.05)
                    settings.add(
                        "stop",
                        gr.Textbox(
                            "",
                            label=settings.label("stop"),
                            info="Text to stop at; \\n is a new line.",
                            elem_id="text-stop-at",
                        ),
                        show=lambda stop: stop[0].replace("\n", "\\n") if stop else "",
                        read=lambda text: parse_text(text or ""),
                    )
                    settings.add("ends", gr.Checkbox(True, label=settings.label("ends"), elem_id="text-ends"))
                    settings.number("seed")
                self.saved_settings = SavedSettings(self.studio, settings, "text")
                self.saved_settings.build()
                gr.Markdown(
                    "A saved recipe restores its settings; any other text becomes the prompt.", elem_classes="quiet"
                )
                self.saved = gr.UploadButton(
                    "Restore a text", file_types=[".json", ".txt"], size="sm", type="filepath", elem_id="text-saved"
                )
            with gr.Column(elem_classes="outputs", min_width=320, scale=3):
                view.build_canvas(None, message("Press Write to generate text word by word."))
                with gr.Row(elem_classes="under"):
                    self.coloured = gr.Checkbox(
                        False,
                        label="Colour words by surprise",
                        container=False,
                        elem_id="text-coloured",
                    )
                    view.build_continue_button("Continue")
                view.build_footer("Move a slider during a run; it takes effect from the next word.")
                self.token_inspector = token_inspector("text-token-inspector")
                with gr.Row(elem_classes="under"):
                    hint = "Click a word to see the ten most likely words there. Choose one to continue from it."
                    gr.Markdown(hint, elem_classes="quiet")
                    self.again = gr.Button("Rewrite from here", size="sm", interactive=False, elem_id="text-again")
        settings.add("begun", gr.State(()), read=tuple)
        self.restored = gr.State(None)

    def _wire(self) -> None:
        view, controls = self.view, self.settings.components
        options: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
        asked = [self.model, self.pace, *controls]
        watched = [self.token_inspector, self.again]
        view.start_on(view.start_button.click, self.start, [self.restored, *asked], watched)
        by_hand = [*watched, *controls]
        here = [view.run_id, view.token_position, *asked]
        assert view.continue_button is not None
        view.start_on(view.continue_button.click, self.continue_text, here, by_hand)
        view.start_on(self.again.click, self.rewrite_from_token, here, by_hand)
        view.start_on(self.token_inspector.pick, self.replace_token, here, by_hand)
        view.canvas.pick(
            self.picked,
            [view.run_id],
            [view.token_position, self.token_inspector, self.again],
            trigger_mode="always_last",
            **options,
        )
        self.coloured.change(None, [self.coloured], None, js=COLOURED)
        # Tokens that continue a prompt are dropped when the prompt or the model changes.
        prompt, tokens = self.settings.controls["prompt"], self.settings.controls["begun"]
        gr.on(
            [prompt.input, self.model.input], lambda: ((), None), None, [tokens, self.restored], queue=False, **options
        )
        self._restore_outputs = [self.model, self.restored, *controls]
        self.saved.upload(self.restore_upload, [self.saved], self._restore_outputs, **options)
        view.steered_by([self.settings.controls[name] for name in STEERED], self.settings, self.model, FIXED)
        view.wire()
        self.saved_settings.wire(view.start_button)
        self.score.wire(self.model)
        self.training.use.click(self.use_trained, [self.training.view.run_id], [self.model], **options)

    def on_visit(self, page: gr.Blocks, tab: gr.Tab) -> None:
        """Resume the runs and load saved settings when a page opens."""
        for view in (self.view, self.training.view):
            view.on_page_load(page)
        self.saved_settings.on_visit(tab)

    # Writing

    async def start(self, restored: str | None, model: str, pace: float, *values: Any) -> AsyncIterator[dict[Any, Any]]:
        """Write a text and watch it until it ends."""

        def job() -> Job:
            return replay_if_same(self._job(self.settings.config(values), model, pace), restored)

        async for update in self._watched(job):
            yield update

    def _job(self, config: WritingConfig, model: str | None, pace: float) -> Job:
        if not model:
            raise ValueError(message("No language model is available; train one or restore the bundled weights."))
        return Job(
            engine="language_model",
            config=config,
            inputs={},
            backbone=model,
            pace=0.0 if pace >= FASTEST else float(pace),
        )

    async def _watched(self, job: Any) -> AsyncIterator[dict[Any, Any]]:
        yield {self.token_inspector: {}, self.again: gr.update(interactive=False)}
        async for update in self.view.start(job):
            yield update

    async def _from(
        self, run_id: str, row: int, pace: float, values: tuple[Any, ...], change: Any
    ) -> AsyncIterator[dict[Any, Any]]:
        """Continue a text of the run from modified tokens.

        Args:
            run_id: id of the run.
            row: index of the text.
            pace: maximum tokens per second.
            values: values of the form.
            change: takes the text's tokens and the config; returns the tokens to start with, and the config.
        """
        run = self.view.run(run_id)
        if run is None or run.frame is None or not run.frame.written:
            warn(message("There is no text to continue yet; press Write first."))
            yield {self.view.start_button: gr.skip()}
            return
        run.stop()
        written = run.frame.written[min(row, len(run.frame.written) - 1)]
        try:
            config = dataclasses.replace(
                self.settings.config(values),
                prompt=run.job.config.prompt,
                temperatures=(),
                **({"temperature": written.temperature} if run.job.config.temperatures else {}),
            )
            tokens, config = change(written.tokens, config)
            tokens = tuple(token for token in tokens if token)
        except ValueError as error:
            warn(error)
            yield {self.view.start_button: gr.skip()}
            return
        # Show the new settings, but not the tokens already written: the next press of Write starts afresh.
        yield self.settings.updates_for(config)
        async for update in self._watched(
            lambda: self._job(dataclasses.replace(config, begun=tokens), run.job.backbone, pace)
        ):
            yield update

    async def continue_text(
        self, run_id: str, place: list[int] | None, model: str, pace: float, *values: Any
    ) -> AsyncIterator[dict[Any, Any]]:
        """Continue a finished text; of several texts the one with the selected token."""

        def on(tokens: tuple[int, ...], config: WritingConfig) -> tuple[tuple[int, ...], WritingConfig]:
            # The same seed would end the text at the same place.
            over = bool(tokens) and tokens[-1] == 0
            return tokens, dataclasses.replace(config, seed=config.seed + 1) if over else config

        async for update in self._from(run_id, place[0] if place else 0, pace, values, on):
            yield update

    async def rewrite_from_token(
        self, run_id: str, place: list[int] | None, model: str, pace: float, *values: Any
    ) -> AsyncIterator[dict[Any, Any]]:
        """Rewrite from the selected token on, with another seed."""
        row, index = place or (0, 0)

        def anew(tokens: tuple[int, ...], config: WritingConfig) -> tuple[tuple[int, ...], WritingConfig]:
            return tokens[:index], dataclasses.replace(config, seed=config.seed + 1)

        async for update in self._from(run_id, row, pace, values, anew):
            yield update

    async def replace_token(
        self, run_id: str, place: list[int] | None, event: gr.EventData, model: str, pace: float, *values: Any
    ) -> AsyncIterator[dict[Any, Any]]:
        """Replace the selected token and continue from it."""
        row, index = place or (0, 0)
        token = int(event.token)
        async for update in self._from(run_id, row, pace, values, lambda tokens, c: ((*tokens[:index], token), c)):
            yield update

    # Token inspector

    def picked(self, run_id: str, event: gr.EventData) -> list[Any]:
        """Inspect the selected token."""
        run = self.view.run(run_id)
        row, index = int(event.row), int(event.index)
        shown = self._token_details(run, row, index) if run is not None else None
        if shown is None:
            return [None, {}, gr.update(interactive=False)]
        return [[row, index], shown, gr.update(interactive=True)]

    def _token_details(self, run: Run, row: int, index: int) -> dict[str, Any] | None:
        written = run.frame.written if run.frame is not None else ()
        if not (0 <= row < len(written) and 0 <= index < len(written[row].distributions)):
            return None
        tokeniser = self.studio.workshop.network("language_model", run.job.backbone).tokeniser
        writing = written[row]
        return token_details(
            writing.distributions, writing.pieces, index, lambda token: tokeniser.pieces([token])[0], rewritable=True
        )

    # Restoring

    def handoffs(self) -> list[Handoff]:
        """Handoffs: restore texts and trainings; continue any text."""
        here = {self.parts: gr.update(selected="write")}
        outputs = [self.parts, *self._restore_outputs]
        training = [self.parts, *self.training.restore_outputs]
        return [
            Handoff(self.id, lambda recipe: here | self._restore(recipe), [], outputs, engines=("language_model",)),
            Handoff(self.id, self.restore_training, [], training, engines=("language_training",)),
            Handoff(
                self.id,
                lambda path: here | self.use_as_prompt(path),
                [],
                outputs,
                title="Continue this text",
                kinds=("text",),
            ),
        ]

    def restore_training(self, recipe: Recipe) -> dict[Any, Any]:
        """Restore a training."""
        return self.training.restore(recipe) | {self.parts: gr.update(selected="text-training")}

    def restore_upload(self, path: str) -> dict[Any, Any]:
        """Restore a recipe, or use a text file as the prompt."""
        try:
            recipe = read_recipe(Path(path))
            if recipe is None and Path(path).suffix.lower() != ".txt":
                raise RecipeError(message("This file has no recipe; choose a recipe saved here, or a .txt file."))
            return self.use_as_prompt(path) if recipe is None else self._restore(recipe)
        except ValueError as error:
            warn(error)
            return {self.restored: None}

    def _restore(self, recipe: Recipe) -> dict[Any, Any]:
        """Show a recipe in the controls.

        Raises:
            ValueError: a recipe of another tab, or with settings that this version rejects.
        """
        names = [*self._shipped.values(), *self._trained.names]
        job = job_for_tab(
            recipe,
            "language_model",
            names,
            message("This recipe was made on another tab; restore it there."),
            workshop=self.studio.workshop,
        )
        inform(message("Settings restored; press Write to repeat the text."))
        return self.settings.updates_for(job.config) | {self.model: job.backbone, self.restored: recipe.to_json()}

    def use_as_prompt(self, path: str) -> dict[Any, Any]:
        """Use a text file as the prompt."""
        try:
            with Path(path).open("rb") as file:
                text = decode_utf8(file.read(8 * MAX_PROMPT), Path(path).name)
            WritingConfig(prompt=text)
        except ValueError as error:
            warn(error)
            return {self.restored: None}
        inform(message("The text is now the prompt."))
        prompt, tokens = self.settings.controls["prompt"], self.settings.controls["begun"]
        return {prompt: text, tokens: (), self.restored: None}

    # Trained models

    async def use_trained(self, run_id: str) -> Any:
        """Use the model of a finished training."""
        model = await run_or_warn(self.studio, lambda: self.training.load_result(run_id))
        if not hasattr(model, "tokeniser"):
            return gr.skip()
        name = self._trained.register(run_id, model)
        inform(message("Your model is ready; open Write to use it."))
        return gr.update(choices=[*self._shipped.items(), (message("Yours"), name)], value=name, visible=True)


def choice_of(temperatures: tuple[float, ...]) -> str:
    """Return the display title of a set of temperatures."""
    return next((mode for mode, known in MODES.items() if known == tuple(temperatures)), SIDE_BY_SIDE)
