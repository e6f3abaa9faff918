"""Words tab."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import gradio as gr

from engines.core.messages import message
from engines.core.options import parse_text
from engines.data.text import decoded
from engines.jobs import Job, repeated
from engines.language_model.config import MOST_PROMPT, TEMPERATURES, WritingConfig
from engines.recipes import Recipe, RecipeError, read_recipe
from studio.components.config_form import Settings
from studio.components.toasts import answered, inform, warn
from studio.panels.handoff import Handoff
from studio.panels.recipe_restore import job_for_tab
from studio.panels.saved_settings import OwnSettings
from studio.run_views.text_run_view import TextStage, dice_of, dice_panel
from studio.runs.run import Run
from studio.services import Studio
from studio.tabs.text.scoring import TextScore
from studio.tabs.text.training import LanguageTraining
from studio.trained_models import Trained

PROMPT = "This movie"
ONE, SIDE_BY_SIDE, GREEDY = "One text", "Five temperatures", "Greedy against sampling"
MANNERS: dict[str, tuple[float, ...]] = {ONE: (), SIDE_BY_SIDE: TEMPERATURES, GREEDY: (0.0, 0.7)}
# As fast as it can.
FASTEST = 200
COLOURED = "(on) => document.querySelector('#text-canvas').classList.toggle('coloured', on)"


class TextTab:
    """The controls of the tab and what they do."""

    def __init__(self, studio: Studio):
        self.studio = studio
        self.stage = TextStage(studio, "text")
        self.score = TextScore(studio)
        self.training = LanguageTraining(studio)
        self._trained = Trained(studio, "language_model")
        # Those whose weights are here.
        names = {"Ours": "ours", "As in the book": "notes"}
        store = studio.workshop.store
        self._shipped = {title: name for title, name in names.items() if store.find(f"language_model_{name}")}

    def build(self) -> None:
        """Lay the tab out and wire it, inside the page's Blocks."""
        with gr.Tabs() as self.parts:
            with gr.Tab("Write", id="write"):
                self._build_writing()
            with gr.Tab("Score a text", id="score"):
                self.score.build()
            with gr.Tab("Train", id="text-training"):
                self.training.build()
        self._wire()

    def _build_writing(self) -> None:
        self.settings = settings = Settings(WritingConfig(prompt=PROMPT), "text")
        stage = self.stage
        with gr.Row(elem_classes="workbench"):
            with gr.Column(elem_classes="inputs", min_width=300):
                with gr.Column(elem_classes="begin"):
                    settings.add(
                        "prompt",
                        gr.Textbox(
                            PROMPT,
                            label="Prompt",
                            info="Your opening words. Leave it empty to start a new review.",
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
                            list(MANNERS),
                            value=ONE,
                            label="At once",
                            info="Side by side all are chosen by the same noise.",
                            elem_id="text-manner",
                            elem_classes="chips",
                        ),
                        show=manner_of,
                        read=lambda manner: MANNERS.get(manner, ()),
                    )
                    stage.buttons("Write")
                settings.slider("temperature", "Temperature", 0.0, 2.0, 0.05)
                settings.slider("tokens", "Length", 10, 1000, 10)
                self.pace = gr.Slider(
                    5,
                    FASTEST,
                    value=40,
                    step=5,
                    label="Pace",
                    info=message("Tokens a second at most; {fastest}: as fast as it can.", fastest=FASTEST),
                    elem_id="text-pace",
                )
                with gr.Accordion(
                    "More: cut-offs, repetition, ends, seed", open=False, elem_id="text-more", elem_classes="fold"
                ):
                    settings.number("top_k", "Top-k")
                    settings.slider("top_p", "Top-p", 0.0, 1.0, 0.01)
                    settings.slider("min_p", "Min-p", 0.0, 1.0, 0.01)
                    settings.slider("repetition_penalty", "Repetition penalty", 0.5, 3.0, 0.05)
                    settings.add(
                        "stop",
                        gr.Textbox("", label="Stop at", info="A text; \\n is a new line.", elem_id="text-stop-at"),
                        show=lambda stop: stop[0].replace("\n", "\\n") if stop else "",
                        read=lambda text: parse_text(text or ""),
                    )
                    settings.add("ends", gr.Checkbox(True, label="May end its text", elem_id="text-ends"))
                    settings.number("seed", "Seed")
                self.own = OwnSettings(self.studio, settings, "text")
                self.own.build()
                gr.Markdown(
                    "A saved recipe brings its settings back; another text becomes the prompt.", elem_classes="quiet"
                )
                self.saved = gr.UploadButton(
                    "Bring back a text", file_types=[".json", ".txt"], size="sm", type="filepath", elem_id="text-saved"
                )
            with gr.Column(elem_classes="outputs", min_width=320, scale=3):
                stage.canvas_with(None, message("Press Write, and watch one word follow another."))
                with gr.Row(elem_classes="under"):
                    self.coloured = gr.Checkbox(
                        False,
                        label="Colour words by how surprising they were",
                        container=False,
                        elem_id="text-coloured",
                    )
                    stage.going_on("Continue")
                stage.under("Move a slider while it writes: the next word follows.")
                self.dice = dice_panel("text-dice")
                with gr.Row(elem_classes="under"):
                    hint = "Click a word to see the ten likeliest at that place. Choose one to write on from it."
                    gr.Markdown(hint, elem_classes="quiet")
                    self.again = gr.Button("Try again from here", size="sm", interactive=False, elem_id="text-again")
        settings.add("begun", gr.State(()), read=tuple)
        self.restored = gr.State(None)

    def _wire(self) -> None:
        stage, controls = self.stage, self.settings.components
        seen: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
        asked = [self.model, self.pace, *controls]
        watched = [self.dice, self.again]
        stage.begin_on(stage.go.click, self.start, [self.restored, *asked], watched)
        by_hand = [*watched, *controls]
        here = [stage.run_id, stage.place, *asked]
        assert stage.go_on is not None
        stage.begin_on(stage.go_on.click, self.continued, here, by_hand)
        stage.begin_on(self.again.click, self.tried_again, here, by_hand)
        stage.begin_on(self.dice.pick, self.rewritten, here, by_hand)
        stage.canvas.pick(
            self.picked, [stage.run_id], [stage.place, self.dice, self.again], trigger_mode="always_last", **seen
        )
        self.coloured.change(None, [self.coloured], None, js=COLOURED)
        # What stands after a prompt belongs to it.
        prompt, begun = self.settings.controls["prompt"], self.settings.controls["begun"]
        gr.on([prompt.input, self.model.input], lambda: ((), None), None, [begun, self.restored], queue=False, **seen)
        self._restorable = [self.model, self.restored, *controls]
        self.saved.upload(self.brought_back, [self.saved], self._restorable, **seen)
        moved = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty", "stop", "ends")
        stage.steered_by([self.settings.controls[name] for name in moved], self.steered, [self.model, *controls])
        stage.wire()
        self.own.wire(stage.go)
        self.score.wire(self.model)
        self.training.use.click(self.trained_used, [self.training.stage.run_id], [self.model], **seen)

    def on_visit(self, page: gr.Blocks, tab: gr.Tab) -> None:
        """Have a fresh page find its runs again."""
        for stage in (self.stage, self.training.stage):
            stage.on_page_load(page)
        self.own.on_visit(tab)

    # Writing

    async def start(self, restored: str | None, model: str, pace: float, *values: Any) -> AsyncIterator[dict[Any, Any]]:
        """Write, and watch it to the end."""

        def job() -> Job:
            return repeated(self._job(self.settings.config(values), model, pace), restored)

        async for update in self._watched(job):
            yield update

    def _job(self, config: WritingConfig, model: str | None, pace: float) -> Job:
        if not model:
            raise ValueError(message("There is no language model here yet; train one, or restore the bundled weights."))
        return Job(
            engine="language_model",
            config=config,
            inputs={},
            backbone=model,
            pace=0.0 if pace >= FASTEST else float(pace),
        )

    async def _watched(self, job: Any) -> AsyncIterator[dict[Any, Any]]:
        yield {self.dice: {}, self.again: gr.update(interactive=False)}
        async for update in self.stage.start(job):
            yield update

    async def _from(
        self, run_id: str, row: int, pace: float, values: tuple[Any, ...], change: Any
    ) -> AsyncIterator[dict[Any, Any]]:
        """Write on from what a row of the run has written, once `change` has made another of it.

        Args:
            change: the tokens of the row, and the config -> the tokens to begin with, and the config.
        """
        run = self.stage.run(run_id)
        if run is None or run.frame is None or not run.frame.written:
            warn(message("There is no text to go on from yet; press Write first."))
            yield {self.stage.go: gr.skip()}
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
            begun, config = change(written.tokens, config)
            begun = tuple(token for token in begun if token)
        except ValueError as error:
            warn(error)
            yield {self.stage.go: gr.skip()}
            return
        # The controls show what is written with, but for what stands there already, which would be begun with again.
        yield self.settings.restored(config)
        async for update in self._watched(
            lambda: self._job(dataclasses.replace(config, begun=begun), run.job.backbone, pace)
        ):
            yield update

    async def continued(
        self, run_id: str, place: list[int] | None, model: str, pace: float, *values: Any
    ) -> AsyncIterator[dict[Any, Any]]:
        """Go on where the text has stopped; of several texts, the one with the chosen word."""

        def on(tokens: tuple[int, ...], config: WritingConfig) -> tuple[tuple[int, ...], WritingConfig]:
            # The same dice would end it in the same place.
            over = bool(tokens) and tokens[-1] == 0
            return tokens, dataclasses.replace(config, seed=config.seed + 1) if over else config

        async for update in self._from(run_id, place[0] if place else 0, pace, values, on):
            yield update

    async def tried_again(
        self, run_id: str, place: list[int] | None, model: str, pace: float, *values: Any
    ) -> AsyncIterator[dict[Any, Any]]:
        """Write anew from the chosen word on, with other dice."""
        row, index = place or (0, 0)

        def anew(tokens: tuple[int, ...], config: WritingConfig) -> tuple[tuple[int, ...], WritingConfig]:
            return tokens[:index], dataclasses.replace(config, seed=config.seed + 1)

        async for update in self._from(run_id, row, pace, values, anew):
            yield update

    async def rewritten(
        self, run_id: str, place: list[int] | None, event: gr.EventData, model: str, pace: float, *values: Any
    ) -> AsyncIterator[dict[Any, Any]]:
        """Put another word in the place of the chosen one, and write on from it."""
        row, index = place or (0, 0)
        token = int(event.token)
        async for update in self._from(run_id, row, pace, values, lambda tokens, c: ((*tokens[:index], token), c)):
            yield update

    def steered(self, run_id: str, model: str, *values: Any) -> None:
        """What may be moved while it writes was moved."""
        run = self.stage.run(run_id)
        if run is None or run.over:
            return
        kept = {name: getattr(run.job.config, name) for name in ("prompt", "begun", "tokens", "seed", "temperatures")}
        self.stage.steer(run_id, model, lambda: dataclasses.replace(self.settings.config(values), **kept))

    # The dice

    def picked(self, run_id: str, event: gr.EventData) -> list[Any]:
        """A word was chosen: its dice."""
        run = self.stage.run(run_id)
        row, index = int(event.row), int(event.index)
        shown = self._dice(run, row, index) if run is not None else None
        if shown is None:
            return [None, {}, gr.update(interactive=False)]
        return [[row, index], shown, gr.update(interactive=True)]

    def _dice(self, run: Run, row: int, index: int) -> dict[str, Any] | None:
        written = run.frame.written if run.frame is not None else ()
        if not (0 <= row < len(written) and 0 <= index < len(written[row].dice)):
            return None
        tokeniser = self.studio.workshop.network("language_model", run.job.backbone).tokeniser
        writing = written[row]
        return dice_of(writing.dice, writing.pieces, index, lambda token: tokeniser.pieces([token])[0], rewritable=True)

    # What comes back

    def doors(self) -> list[Handoff]:
        """Texts and trainings come back; any text may be gone on with."""
        here = {self.parts: gr.update(selected="write")}
        outputs = [self.parts, *self._restorable]
        training = [self.parts, *self.training.restorable]
        return [
            Handoff("text", lambda recipe: here | self._restore(recipe), [], outputs, engines=("language_model",)),
            Handoff("text", self.training_entered, [], training, engines=("language_training",)),
            Handoff(
                "text", lambda path: here | self.prompted(path), [], outputs, title="Go on with it", kinds=("text",)
            ),
        ]

    def training_entered(self, recipe: Recipe) -> dict[Any, Any]:
        """A training comes back from another tab."""
        return self.training.restored(recipe) | {self.parts: gr.update(selected="text-training")}

    def brought_back(self, path: str) -> dict[Any, Any]:
        """A recipe puts its settings into the controls; a text becomes the prompt."""
        try:
            recipe = read_recipe(Path(path))
            if recipe is None and Path(path).suffix.lower() != ".txt":
                raise RecipeError(
                    message("There is no recipe in this file: bring one that was saved here, or a .txt file.")
                )
            return self.prompted(path) if recipe is None else self._restore(recipe)
        except ValueError as error:
            warn(error)
            return {self.restored: None}

    def _restore(self, recipe: Recipe) -> dict[Any, Any]:
        """Put a recipe into the controls.

        Raises:
            ValueError: a recipe of another tab, or one that this version cannot follow.
        """
        names = [*self._shipped.values(), *self._trained.names]
        job = job_for_tab(
            recipe,
            "language_model",
            names,
            message("This recipe was made on another tab; drop it there."),
            workshop=self.studio.workshop,
        )
        inform(message("Settings restored; press Write to repeat the text."))
        return self.settings.restored(job.config) | {self.model: job.backbone, self.restored: recipe.to_json()}

    def prompted(self, path: str) -> dict[Any, Any]:
        """A text becomes the prompt."""
        try:
            with Path(path).open("rb") as file:
                text = decoded(file.read(8 * MOST_PROMPT), Path(path).name)
            WritingConfig(prompt=text)
        except ValueError as error:
            warn(error)
            return {self.restored: None}
        inform(message("The text is the prompt now."))
        prompt, begun = self.settings.controls["prompt"], self.settings.controls["begun"]
        return {prompt: text, begun: (), self.restored: None}

    # What was trained

    async def trained_used(self, run_id: str) -> Any:
        """Take up the model of a finished training."""
        model = await answered(self.studio, lambda: self.training.finished(run_id))
        if not hasattr(model, "tokeniser"):
            return gr.skip()
        name = self._trained.take_up(run_id, model)
        inform(message("Your model writes now: see Write."))
        return gr.update(choices=[*self._shipped.items(), (message("Yours"), name)], value=name, visible=True)


def manner_of(temperatures: tuple[float, ...]) -> str:
    """What the page calls some temperatures."""
    return next((manner for manner, known in MANNERS.items() if known == tuple(temperatures)), SIDE_BY_SIDE)
