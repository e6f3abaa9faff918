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

# Labels of the settings that hold the user's own text, which is not translated.
WRITTEN = ("Prompt", "Sample prompt", "Stop sequence")


class RecipePanel:
    """Recipe, code and differences of opened results, and a form to paste a recipe. Call `build` and `build_pasting`
    where the tab wants them."""

    def build(self) -> None:
        """Create the panel."""
        self.fold = gr.Accordion("Recipe and code", open=False, elem_id="gallery-recipe", elem_classes="fold")
        with self.fold:
            gr.Markdown(
                "This code reproduces the result; save it as repeat.py in the project's folder.",
                elem_classes="quiet",
            )
            with gr.Row(elem_classes="codes"):
                self.recipe = gr.Code(language="json", label="Recipe", interactive=False, max_lines=20, wrap_lines=True)
                self.code = gr.Code(language="python", label="Code", interactive=False, max_lines=20)
        self.differences = gr.HTML("", apply_default_css=False, elem_id="gallery-differences")

    def build_pasting(self) -> None:
        """Create the form to paste a recipe."""
        with gr.Accordion("Paste a recipe", open=False, elem_id="gallery-paste", elem_classes="fold"):
            self.pasted = gr.Textbox(
                "",
                label="Recipe",
                info="Paste a recipe shown here or saved with a result to restore its settings.",
                lines=4,
                max_lines=12,
                elem_id="gallery-pasted",
            )
            self.follow = gr.Button("Restore settings", size="sm", elem_id="gallery-follow")

    @property
    def outputs(self) -> list[Any]:
        """List the components that `show` and `compare` update."""
        return [self.fold, self.recipe, self.code, self.differences]

    def show(self, recipe: Recipe | None) -> dict[Any, Any]:
        """Show a result's recipe and its code; hide the panel if there is no recipe."""
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

    def compare(self, left: Result, right: Result) -> dict[Any, Any]:
        """Show the differences between the recipes of two results."""
        first, second = left.recipe(), right.recipe()
        shown = "" if first is None or second is None else table_of(first, second)
        return {self.fold: gr.update(visible=False), self.differences: shown}


def table_of(first: Recipe, second: Recipe) -> str:
    """Render the differences between two recipes as HTML."""
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
        text = (one.first, one.second) if one.name in WRITTEN else map(change_text, (one.first, one.second))
        cells = "".join(f"<td>{html.escape(value)}</td>" for value in text)
        rows.append(f'<tr><th scope="row">{html.escape(translate(one.name))}{hint}</th>{cells}</tr>')
    why = translate("Recipe differences")
    return f'<table class="differences"><caption>{why}</caption><tbody>{"".join(rows)}</tbody></table>'


def change_text(text: str) -> str:
    """Translate a setting and its value, or a list of them such as "Strength 0.02, Octaves 3"."""
    if translate(text) != text:
        return translate(text)
    return "".join(map(_setting_text, re.split("([,;] )", text)))


def _setting_text(text: str) -> str:
    words = text.split(" ")
    for count in range(len(words), 0, -1):
        name = " ".join(words[:count])
        if translate(name) != name:
            return " ".join(filter(None, [translate(name), _value_text(" ".join(words[count:]))]))
    return _value_text(text)


def _value_text(text: str) -> str:
    """Translate a value. One like "max" has the translation of its choice, whose title begins with a capital."""
    title = text.capitalize()
    return translate(text if translate(text) != text or translate(title) == title else title)
