"""All that the studio says, found in its sources and on the page that is built: what must be in each catalogue."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path

import gradio as gr

from engines import deep_dream, style_transfer
from engines.core.configs import in_words, label_of
from engines.core.messages import Message, places_of
from engines.imaging.video import VideoConfig
from engines.jobs import ENGINES
from engines.jobs.registry import PACKAGES
from studio.components.html_component import SCRIPT_WORDS, TEMPLATE_WORDS
from studio.components.image_input import example_title
from studio.examples.examples import LANDSCAPES, photographs
from studio.examples.paintings import PAINTINGS
from studio.i18n.page_translation import translatable_properties
from studio.run_views.stream import metric_title

ROOT = Path(__file__).resolve().parents[3]
# What these say is said to programs, to whoever starts the server, or on a command line.
ENGLISH_FILES = {
    *(f"studio/api/{name}.py" for name in ("endpoints", "mcp", "parameters", "progress", "routes", "uploads")),
    *(f"studio/server/{name}.py" for name in ("calls", "listening", "serve", "space")),
    *(f"studio/gallery/{name}.py" for name in ("outputs_folder", "retention")),
    *(f"engines/{name}.py" for name in ("__main__", "train")),
    *(f"engines/backbones/{name}.py" for name in ("config", "distillation", "training")),
    *(f"engines/{package}/description.py" for package in PACKAGES),
    *(
        "engines/core/output_paths.py",
        "engines/dcgan/kid.py",
        "engines/nn/compact_checkpoint.py",
        "engines/nn/compiled_step.py",
    ),
}
# Functions whose texts are said, by which of their arguments these are.
SAYING = {"message": 0, "translate": 0, "setting": 1}
# Functions that take what is said, as all errors do: a text that is written there could not be found.
TAKING = {"message", "translate", "warn", "inform", "api_error"}
# Of errors that a caller catches, and what stands before there is a page.
NOT_SAID = {
    *("not a PNG", "too large", "a row is too short", "no stub is wanted", "the project was changed on its way"),
    "Ray is not installed here; run: pip install -r requirements-cluster.txt",
}
# Names, and what is the same in every language.
STAYS_ENGLISH = {
    "This movie was wonderful. I saw it when it first came out and I have a copy of it. It’s one of those movies.",
    *(
        "MP4",
        "GIF",
        "WebP",
        "PNG",
        "JPEG",
        "BMP",
        "WEBP",
        "JPEG 2000",
        "JPEG XL",
        "MD5",
        "SHA-256",
        "bfloat16",
        "float32",
    ),
    *("Reverie", "Studio VGG", "InceptionV3", "VGG16", "VGG19", "Xception", "ResNet50"),
    *("L-BFGS", "Adam", "SGD", "RMSprop", "Top-k", "Top-p", "Min-p"),
}
_WORDS = re.compile(r"[A-Za-z]{2,}")
_METRIC = re.compile(r"([a-z_]+_)?(loss|accuracy|error)|diversity|perplexity|[a-z]+_per_(second|character)")


def everything_said(page: gr.Blocks) -> dict[str, str]:
    """The keys of all that is said in English, and where each was found."""
    found: dict[str, str] = {}
    for where, texts in (
        ("the page", said_by(page)),
        ("the components", said_by_components()),
        ("the names of settings, inputs, engines and presets", names()),
        ("weights/manifest.json", said_of_weights()),
        *((f"{name}:{line}", iter([text])) for name, path in sources() for text, line in said_in(path)),
    ):
        for text in texts:
            found.setdefault(text, where)
    return {text: where for text, where in found.items() if text not in STAYS_ENGLISH and _WORDS.search(text)}


def sources() -> Iterator[tuple[str, Path]]:
    """The modules whose texts are for persons, by their names."""
    for folder in ("engines", "studio"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if name not in ENGLISH_FILES:
                yield name, path


def said_in(path: Path) -> Iterator[tuple[str, int]]:
    """What is said in a module, and the names of its metrics; with their lines."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            place = SAYING.get(_called(node), len(node.args))
            yield from ((text, node.lineno) for one in node.args[place : place + 1] if (text := _text(one)))
        if path.is_relative_to(ROOT / "engines"):
            keys = node.keys if isinstance(node, ast.Dict) else [node.slice] if isinstance(node, ast.Subscript) else []
            metrics = ((_text(key), key.lineno) for key in keys if key is not None)
            yield from ((metric_title(name), line) for name, line in metrics if _METRIC.fullmatch(name))


def unmarked_in(path: Path) -> Iterator[int]:
    """The lines of a module at which a text is said that is no message, so that nobody could translate it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        said: list[ast.expr] = [node.value] if isinstance(node, ast.keyword) and node.arg == "note" else []
        if isinstance(node, ast.Call) and (_called(node) in TAKING or _called(node).endswith("Error")):
            said = [*node.args[:1]]
        for one in said:
            plain = _WORDS.search(_text(one)) and _text(one) not in NOT_SAID and _called(node) not in SAYING
            if isinstance(one, ast.JoinedStr) or plain:
                yield one.lineno


def _called(node: ast.AST) -> str:
    """The name of a function that is called, without its module; "" where none is."""
    return ast.unparse(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""


def _text(node: ast.AST | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def said_by(page: gr.Blocks) -> Iterator[str]:
    """What the components of a page say."""
    for block in page.blocks.values():
        for name, value in translatable_properties(block).items():
            for text in [shown for shown, _ in value] if name == "choices" else [value]:
                yield from keys_of(text)


def keys_of(text: str) -> Iterator[str]:
    """By what a text, and what stands in its places, is looked up."""
    if not isinstance(text, Message) or not text.values:
        yield text
        return
    if _WORDS.search(re.sub(r"\{[^{}]*\}", "", text.template)):
        yield text.template
    for value in text.values.values():
        yield from keys_of(value) if isinstance(value, Message) else ()


def said_by_components() -> Iterator[str]:
    """What stands in templates and scripts of our own."""
    for path in sorted((ROOT / "studio").rglob("*.*")):
        if path.suffix == ".html":
            yield from (found[1] for found in TEMPLATE_WORDS.finditer(path.read_text(encoding="utf-8")))
        if path.suffix == ".js":
            yield from (found[2] for found in SCRIPT_WORDS.finditer(path.read_text(encoding="utf-8")))


def names() -> Iterator[str]:
    """The labels of settings, the names of inputs and engines, and the presets."""
    for config in [*(engine.config_class for engine in ENGINES.values()), VideoConfig]:
        yield from map(label_of, dataclasses.fields(config))
    for engine in ENGINES.values():
        yield engine.title
        for network in engine.networks.values():
            yield from (network.title, network.short)
        for image in engine.inputs:
            one = in_words(image.removesuffix("s"))
            yield f"{one} {{number}}" if image in engine.series else in_words(image)
    for presets in [*deep_dream.PRESETS.values(), *map(style_transfer.presets, style_transfer.LAYERS)]:
        yield from presets
    yield from map(example_title, [*map(Path, [*LANDSCAPES, *PAINTINGS]), *photographs()])


def said_of_weights() -> Iterator[str]:
    """What the list of models tells of the bundled ones."""
    for entry in json.loads((ROOT / "weights" / "manifest.json").read_text(encoding="utf-8"))["files"]:
        yield from (entry["what"], entry["source"], entry["data"], entry["licence"], entry["score"]["on"])


def places_of_plural(text: str) -> set[str]:
    """The s of a plural: a place that another language may leave out."""
    return {name for name in places_of(text) if re.search(rf"[a-z]\{{{name}\}}", text)}
