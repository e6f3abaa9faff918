"""All that the studio says, collected from its sources and from the page that is built: what must be in locales/."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from engines import deep_dream, style_transfer
from engines.imaging.video import FilmConfig
from engines.jobs import ENGINES
from engines.jobs.registry import PACKAGES
from studio.api.endpoints import ENDPOINTS
from studio.components.html_component import SCRIPT_WORDS, TEMPLATE_WORDS
from studio.examples.examples import photographs
from studio.examples.paintings import PAINTINGS
from studio.i18n.catalog import PLACE, SEPARATOR
from studio.i18n.page_translation import translatable_properties

ROOT = Path(__file__).resolve().parents[2]
# What these say is said to programs, to whoever starts the server, or on a command line.
ENGLISH_FILES = {
    *(
        "studio/api/routes.py",
        "studio/api/endpoints.py",
        "studio/api/parameters.py",
        "studio/api/uploads.py",
        "studio/api/progress.py",
    ),
    *(
        "studio/api/mcp.py",
        "studio/server/serve.py",
        "studio/i18n/middleware.py",
        "studio/components/html_component.py",
        "studio/server/theme.py",
    ),
    *(
        "studio/server/calls.py",
        "studio/tabs/home/showcase.py",
        "studio/gallery/retention.py",
        "studio/gallery/outputs_folder.py",
        "studio/server/listening.py",
    ),
    *("studio/__init__.py", "studio/server/space.py", "engines/core/python_version.py"),
    *(
        "engines/__main__.py",
        "engines/export.py",
        "engines/train.py",
        "engines/backbones/training.py",
        "engines/backbones/config.py",
    ),
    "engines/backbones/distillation.py",
    *(f"engines/{package}/description.py" for package in PACKAGES),
    *("engines/dcgan/kid.py", "engines/nn/compiled_step.py", "engines/core/output_paths.py"),
}
# What is said in these is said where it is refused; all else is code.
OF_CODE = {"engines/jobs/recipe_script.py"}
# Functions whose texts are said, by which of their arguments these are.
SAYING = {"translate": 0, "warn": 0, "inform": 0, "setting": 1, "_fact": 0, "_difference": 0, "Difference": 0}
# Said, where no rule of this file finds it.
SAID_TOO = {
    *("yes", "no", "none", "nothing", "text", "it", "missing"),
}
# Looks like it is said, and is not; or is a name, or the same in every language.
STAYS_ENGLISH = {
    # of errors that a caller catches
    *("not a PNG", "too large", "too many pixels", "a row is too short", "a range that nobody asked for"),
    "no stub is wanted",
    # on the command line, before there is a page
    "Ray is not installed here; run: pip install -r requirements-cluster.txt",
    # what a model wrote, and what it is given to go on with
    *("This movie", "Temperature {}\n\n{}"),
    "This movie was wonderful. I saw it when it first came out and I have a copy of it. It’s one of those movies.",
    # names
    *("MP4", "GIF", "WebP", "PNG", "JPEG", "BMP", "WEBP", "JPEG 2000", "JPEG XL", "MD5", "SHA-256", "bfloat16"),
    *("Studio VGG", "InceptionV3", "VGG16", "VGG19", "Xception", "ResNet50"),
    *("L-BFGS", "Adam", "SGD", "RMSprop", "Top-k", "Top-p", "Min-p", "Top k", "Top p", "Min p"),
    # a choice of a config, as recipes have it
    *("noisy labels", "colour and shift"),
}
_CODE = re.compile(r"</?[a-z]|=\"|=>|\(\)|^[0-9a-f ]+$|[{};] *\n|;$|^bytes |^name=> ")
_WORDS = re.compile(r"[A-Za-z]{2,}")
_METRIC = re.compile(r"([a-z_]+_)?(loss|accuracy|error)|diversity|perplexity|[a-z]+_per_(second|character)")


def everything_said(page: gr.Blocks) -> dict[str, str]:
    """All that is said in English, and where each was found."""
    found: dict[str, str] = {}
    for where, texts in (
        ("the components", said_by_components()),
        ("the names of settings, inputs, engines and presets", names()),
        ("weights/manifest.json", said_of_weights()),
        ("SAID_TOO", iter(SAID_TOO)),
    ):
        for text in texts:
            found.setdefault(text, where)
    for folder in ("engines", "studio"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if name not in ENGLISH_FILES:
                for text, line in said_in(path, only_certain=name in OF_CODE):
                    found.setdefault(text, f"{name}:{line}")
    # What the page says with a number or a name in it is known already.
    patterns = [re.compile("(.*)".join(map(re.escape, text.split(PLACE)))) for text in found if PLACE in text]
    for text in said_by(page):
        parts = [text] if text in found else text.split(SEPARATOR)
        parts = [part for part in parts if part not in {*found, *STAYS_ENGLISH} and _WORDS.search(part)]
        unknown = [part for part in parts if not _known(part, patterns)]
        found |= {text: "the page"} if unknown and text not in STAYS_ENGLISH else {}
    return {text: where for text, where in found.items() if text not in STAYS_ENGLISH}


def _known(text: str, patterns: list[re.Pattern[str]]) -> bool:
    return any(pattern.fullmatch(text) for pattern in patterns)


def said_by(page: gr.Blocks) -> Iterator[str]:
    """What the components of a page say."""
    for block in page.blocks.values():
        for name, value in translatable_properties(block).items():
            yield from [shown for shown, _ in value] if name == "choices" else [value]


def said_by_components() -> Iterator[str]:
    """What stands in templates and scripts of our own."""
    for path in sorted((ROOT / "studio").rglob("*.*")):
        if path.suffix == ".html":
            yield from (found[1] for found in TEMPLATE_WORDS.finditer(path.read_text(encoding="utf-8")))
        if path.suffix == ".js":
            yield from (found[2] for found in SCRIPT_WORDS.finditer(path.read_text(encoding="utf-8")))


def in_words(name: str) -> str:
    return name.replace("_", " ").capitalize()


def names() -> Iterator[str]:
    """What a person reads of settings, inputs and engines by their names, and of presets."""
    for config in [*(endpoint.config for endpoint in ENDPOINTS.values()), FilmConfig]:
        yield from (in_words(field.name) for field in dataclasses.fields(config) if _WORDS.search(field.name))
    for name, engine in ENGINES.items():
        yield engine.title
        yield name.replace("_", " ")
        for picture in engine.inputs:
            yield in_words(picture.removesuffix("s")) + f" {PLACE}" if picture in engine.series else in_words(picture)
    for presets in [*deep_dream.PRESETS.values(), *map(style_transfer.presets, style_transfer.LAYERS)]:
        yield from presets
    yield from PAINTINGS
    yield from (path.stem.replace("_", " ") for path in photographs())


def said_of_weights() -> Iterator[str]:
    """What the list of models tells of the bundled ones."""
    for entry in json.loads((ROOT / "weights" / "manifest.json").read_text(encoding="utf-8"))["files"]:
        yield from (entry["what"], entry["source"], entry["data"], entry["licence"], entry["score"]["on"])


def said_in(path: Path, *, only_certain: bool = False) -> Iterator[tuple[str, int]]:
    """What stands in a module: texts of several words, single ones where they are said for sure, and metrics."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    silent = {id(node) for node in _silent(tree)}
    certain = {id(node) for node in _certain(tree, tables=path.is_relative_to(ROOT / "studio"))}
    for node in ast.walk(tree):
        keys = node.keys if isinstance(node, ast.Dict) else [node.slice] if isinstance(node, ast.Subscript) else []
        for key in keys if path.is_relative_to(ROOT / "engines") else ():
            if isinstance(key, ast.Constant) and _METRIC.fullmatch(str(key.value)):
                yield str(key.value).replace("_", " "), key.lineno
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in silent:
            for text in _texts(node):
                sentence = " " in text and not _CODE.search(text) and not only_certain
                if _WORDS.search(text.replace(PLACE, "")) and (sentence or id(node) in certain):
                    yield text, node.lineno


def _texts(node: ast.Constant | ast.JoinedStr) -> list[str]:
    """The text of a literal, with places in it; the parts of a line each by itself."""
    if isinstance(node, ast.Constant):
        return [re.sub(r"\{\w+\}", PLACE, node.value).removeprefix(SEPARATOR)] if isinstance(node.value, str) else []
    text = "".join(part.value if isinstance(part, ast.Constant) else PLACE for part in node.values)  # type: ignore[misc]
    text = re.sub(r"\{\w+\}", PLACE, text)
    return [part.strip() for part in text.split(SEPARATOR.rstrip()) if part.strip()]


def _silent(tree: ast.AST) -> Iterator[ast.AST]:
    """Literals that nobody reads: docstrings, what is logged, names of classes, and those inside of other literals."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr):
                yield first.value
        if isinstance(node, ast.JoinedStr):
            yield from (inner for inner in _within(node) if inner is not node)
        if isinstance(node, ast.keyword) and node.arg in ("elem_classes", "elem_id"):
            yield from ast.walk(node)
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith(("logger.", "logging.")):
            yield from ast.walk(node)


def _within(node: ast.AST) -> Iterator[ast.AST]:
    """A literal and the parts of it, without what is said by itself inside of it."""
    yield node
    for part in ast.iter_child_nodes(node):
        if not (isinstance(part, ast.Call) and ast.unparse(part.func) == "translate"):
            yield from _within(part)


def _certain(tree: ast.AST, *, tables: bool) -> Iterator[ast.AST]:
    """Literals that are said even where they are a single word."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            place = 0 if name.endswith("Error") else SAYING.get(name)
            if place is not None and len(node.args) > place:
                yield from ast.walk(node.args[place])
            if name == "update":
                worded = ("label", "value", "choices", "info", "placeholder")
                yield from (one for kw in node.keywords if kw.arg in worded for one in ast.walk(kw.value))
        if isinstance(node, ast.keyword) and node.arg == "note":
            yield from ast.walk(node.value)
    for statement in getattr(tree, "body", []) if tables else []:
        # Tables of what things are called.
        if isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(statement.value, ast.Dict | ast.Tuple):
            yield from (
                one
                for one in ast.walk(statement.value)
                if isinstance(one, ast.Constant) and isinstance(one.value, str) and one.value[:1].isupper()
            )


def places_of(text: str) -> set[str]:
    """The places in a translation, as "0", "1"; those without a number counted through."""
    found = re.findall(r"\{(\d*)\}", text)
    return {place or str(index) for index, place in enumerate(found)}


def config_texts(value: Any) -> Iterator[str]:
    """All texts in a part of a page's config."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from config_texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from config_texts(one)
