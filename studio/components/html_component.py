"""Components of our own: a template, a script, and a value that goes between them and the page. Both lie beside the
module that they belong to, under its name.

Their words are marked where they stand: `[[Clear]]` in a template, `phrase('step {step}', { step })` in a script.
"""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import gradio as gr

from studio.i18n.catalog import ENGLISH, current_language, translate
from studio.i18n.page_translation import in_language

TEMPLATE_WORDS = re.compile(r"\[\[(.+?)\]\]")
SCRIPT_WORDS = re.compile(r"""\bphrase\((['"])(.+?)\1""")
# The same as `studio.i18n.catalog.translate`, with values in the places of a sentence.
_PHRASE = """const phrase = (text, values = {}) =>
  (SENTENCES[text] ?? text).replace(/\\{(\\w+)\\}/g, (_, place) => values[place]);"""


def asset(path: Path) -> str:
    """The text of a file."""
    return path.read_text(encoding="utf-8")


def apart(*paths: Path) -> str:
    """Several scripts as one, each in a block of its own: an error in one keeps no other from running."""
    return "\n".join(f"try {{\n{asset(path)}}} catch (error) {{ console.error(error); }}" for path in paths)


def component(path: str | Path, elem_id: str, value: Any, **options: Any) -> gr.HTML:
    """The component whose look is in an .html and whose behaviour is in a .js of the same name as `path`.

    Args:
        path: a module's `__file__`, or a file beside it that need not be there.
        value: what it shows at first; the script finds it as `props.value`.
        options: as for `gr.HTML`.
    """
    path = Path(path)
    for option, suffix in (("html_template", ".html"), ("js_on_load", ".js")):
        if option not in options:
            options[option] = asset(path.with_suffix(suffix))
    options["html_template"] = said_in_template(options["html_template"])
    options["js_on_load"] = said_in_script(options["js_on_load"])
    if "server_functions" in options and current_language() is not ENGLISH:
        options["server_functions"] = [in_language(one, current_language()) for one in options["server_functions"]]
    return gr.HTML(value=value, apply_default_css=False, elem_id=elem_id, **options)


def said_in_template(template: str) -> str:
    """A template with its words as the page's language has them."""
    return TEMPLATE_WORDS.sub(lambda words: html.escape(translate(words[1])), template)


def said_in_script(script: str) -> str:
    """A script that can say its words as the page's language has them."""
    words = sorted({found[1] for found in SCRIPT_WORDS.findall(script)})
    if not words:
        return script
    sentences = {text: said for text in words if (said := translate(text)) != text}
    return "\n".join([f"const SENTENCES = {json.dumps(sentences, ensure_ascii=False)};", _PHRASE, script])
