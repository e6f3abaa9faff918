"""Custom HTML components: a template, a script, and a value passed between page and server.

Template, script and style lie beside the module they belong to, under the same stem. Text to translate is marked as
`[[Clear]]` in a template and as `phrase('step {step}', { step })` in a script.
"""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import gradio as gr

from studio.i18n.catalog import ENGLISH, current_language, translate
from studio.i18n.page_translation import with_language

TEMPLATE_WORDS = re.compile(r"\[\[(.+?)\]\]")
SCRIPT_WORDS = re.compile(r"""\bphrase\((['"])(.+?)\1""")
# JavaScript counterpart of `studio.i18n.catalog.translate`; also fills in the values.
_PHRASE = """const phrase = (text, values = {}) =>
  (SENTENCES[text] ?? text).replace(/\\{(\\w+)\\}/g, (_, place) => values[place]);"""


def asset(path: Path) -> str:
    """Read a text file."""
    return path.read_text(encoding="utf-8")


def concatenate_scripts(*paths: Path) -> str:
    """Join scripts into one; each runs in its own try block, so an error in one does not stop the others."""
    return "\n".join(f"try {{\n{asset(path)}}} catch (error) {{ console.error(error); }}" for path in paths)


def component(path: str | Path, elem_id: str, value: Any, **options: Any) -> gr.HTML:
    """Create a component from the .html and .js files that share the stem of `path`.

    Args:
        path: a module's `__file__`, or any path with that stem; the file itself need not exist.
        value: initial value; the script reads it as `props.value`.
        options: passed to `gr.HTML`.
    """
    path = Path(path)
    for option, suffix in (("html_template", ".html"), ("js_on_load", ".js")):
        if option not in options:
            options[option] = asset(path.with_suffix(suffix))
    options["html_template"] = translate_template(options["html_template"])
    options["js_on_load"] = translate_script(options["js_on_load"])
    if "server_functions" in options and current_language() is not ENGLISH:
        options["server_functions"] = [with_language(one, current_language()) for one in options["server_functions"]]
    return gr.HTML(value=value, apply_default_css=False, elem_id=elem_id, **options)


def translate_template(template: str) -> str:
    """Translate the marked text of a template into the current language."""
    return TEMPLATE_WORDS.sub(lambda words: html.escape(translate(words[1])), template)


def translate_script(script: str) -> str:
    """Prepend the translations of a script's phrases in the current language."""
    words = sorted({found[1] for found in SCRIPT_WORDS.findall(script)})
    if not words:
        return script
    sentences = {text: translation for text in words if (translation := translate(text)) != text}
    return "\n".join([f"const SENTENCES = {json.dumps(sentences, ensure_ascii=False)};", _PHRASE, script])
