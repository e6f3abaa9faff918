"""Recipe panel: view, compare, export as code, paste."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import gradio as gr

from engines.recipes import Recipe, RecipeError
from studio.gallery.gallery import Result
from studio.i18n.catalog import translate

# Fields of words of a person's own, as `engines.jobs.recipe_diff` names them.
WRITTEN = ("Prompt", "Stop")


class RecipePanel:
    """The panel under an opened result, and the place to paste a recipe. The parts are laid out where the tab wants
    them, each once: `build`, `build_pasting`."""

    def build(self) -> None:
        """Lay the panel out."""
        self.fold = gr.Accordion("Recipe and code", open=False, elem_id="gallery-recipe", elem_classes="fold")
        with self.fold:
            gr.Markdown(
                "The code makes the same result again: save it as repeat.py in the project's folder.",
                elem_classes="quiet",
            )
            with gr.Row(elem_classes="codes"):
                self.recipe = gr.Code(language="json", label="Recipe", interactive=False, max_lines=20, wrap_lines=True)
                self.code = gr.Code(language="python", label="Code", interactive=False, max_lines=20)
        self.differences = gr.HTML("", apply_default_css=False, elem_id="gallery-differences")

    def build_pasting(self) -> None:
        """Lay out the place to paste a recipe."""
        with gr.Accordion("Paste a recipe", open=False, elem_id="gallery-paste", elem_classes="fold"):
            self.pasted = gr.Textbox(
                "",
                label="Recipe",
                info="As it is shown here, or saved beside a result: its settings come back.",
                lines=4,
                max_lines=12,
                elem_id="gallery-pasted",
            )
            self.follow = gr.Button("Bring back its settings", size="sm", elem_id="gallery-follow")

    @property
    def outputs(self) -> list[Any]:
        """What `said_of` and `compared` change."""
        return [self.fold, self.recipe, self.code, self.differences]

    def said_of(self, recipe: Recipe | None) -> dict[Any, Any]:
        """What made a result, where it says so."""
        from engines.jobs.recipe_script import script_of

        if recipe is None:
            return {self.fold: gr.update(visible=False), self.differences: ""}
        try:
            code = script_of(recipe)
        except ValueError as error:
            code = f"# {translate(str(error))}"
        return {
            self.fold: gr.update(visible=True),
            self.recipe: json.dumps(json.loads(recipe.to_json()), ensure_ascii=False, indent=1),
            self.code: code,
            self.differences: "",
        }

    def compared(self, left: Result, right: Result) -> dict[Any, Any]:
        """Why two results differ."""
        first, second = left.recipe(), right.recipe()
        shown = "" if first is None or second is None else table_of(first, second)
        return {self.fold: gr.update(visible=False), self.differences: shown}


def table_of(first: Recipe, second: Recipe) -> str:
    """The differences of two recipes, as HTML."""
    from engines.jobs.recipe_diff import SAME, differences

    try:
        found = differences(first, second)
    except RecipeError as error:
        return f'<p class="quiet">{html.escape(translate(str(error)))}</p>'
    if not found:
        return f'<p class="quiet">{html.escape(translate(SAME))}</p>'
    rows = []
    for one in found:
        hint = f'<span class="quiet">{html.escape(translate(one.help))}</span>' if one.help else ""
        told = (one.first, one.second) if one.name in WRITTEN else map(said_change, (one.first, one.second))
        cells = "".join(f"<td>{html.escape(value)}</td>" for value in told)
        rows.append(f'<tr><th scope="row">{html.escape(translate(one.name))}{hint}</th>{cells}</tr>')
    why = translate("Why different?")
    return f'<table class="differences"><caption>{why}</caption><tbody>{"".join(rows)}</tbody></table>'


def said_change(told: str) -> str:
    """What a recipe has, or what was changed on the way, "step size 0.02, octaves 3", as the page's language has it."""
    if translate(told) != told:
        return translate(told)
    return "".join(map(_said_setting, re.split("([,;] )", told)))


def _said_setting(told: str) -> str:
    words = told.split(" ")
    for count in range(len(words), 0, -1):
        name = " ".join(words[:count]).capitalize()
        if translate(name) != name:
            return " ".join(filter(None, [translate(name), translate(" ".join(words[count:]))]))
    return translate(told)
