"""Allowed imports: packages only those below them, engines no page, the page no TensorFlow.

What is imported by its name in a string is not seen here: `engines.jobs.registry` loads the engines' descriptions so,
and these name configs, functions and loaders, in any package.
"""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from engines.aliases import MOVED
from engines.jobs import ENGINES as REGISTRY
from tests.layout import arrows, circles, floors, imports_of

ROOT = Path(__file__).resolve().parents[1]
ENGINES, STUDIO = ROOT / "engines", ROOT / "studio"
ENTRY_POINTS = {"__main__", "train", "export"}
# A package may import those above it in its list, but none on the same line.
ENGINE_LAYERS: tuple[set[str], ...] = (
    {"core", "aliases"},
    {"imaging", "latent", "nn"},
    {"data", "recipes", "weights"},
    {"backbones"},
    {"deep_dream", "style_transfer", "vae", "dcgan", "language_model"},
    {"jobs"},
    ENTRY_POINTS,
)
STUDIO_LAYERS: tuple[set[str], ...] = (
    {"examples", "i18n", "wire_format"},
    {"runs"},
    {"cluster", "gallery"},
    {"services"},
    {"components", "trained_models"},
    {"api", "run_views"},
    {"panels", "server"},
    {"tabs"},
    {"page"},
)
LAYERS = {"engines": ENGINE_LAYERS, "studio": STUDIO_LAYERS}
# Most floors, and most arrows between packages.
LIMITS = {"engines": (6, 55), "studio": (9, 48)}


def sources(folder: Path) -> list[Path]:
    files = sorted(folder.rglob("*.py"))
    assert files, f"no source in {folder.name}"
    return files


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_package(path: Path, package: str) -> bool:
    return any(name == package or name.startswith(package + ".") for name in imports_of(path))


def test_the_import_finder_sees_imports_at_the_top_and_inside_functions():
    found = imports_of(ENGINES / "deep_dream" / "engine.py")
    assert "engines.imaging.images" in found
    assert "tensorflow" in found
    assert "jobs" not in arrows("engines")["deep_dream"]
    assert arrows("engines")["deep_dream"] >= {"backbones", "core", "imaging"}


def test_the_finders_of_circles_and_floors_find_them():
    graph = {"a": {"b"}, "b": {"c"}, "c": set(), "d": {"a", "c"}}
    assert circles(graph) == []
    assert floors(graph) == {"c": 1, "b": 2, "a": 3, "d": 4}
    assert ["a", "b", "c", "a"] in circles(graph | {"c": {"a"}})


@pytest.mark.parametrize("top", LAYERS)
def test_packages_import_only_those_below_them(top):
    allowed: set[str] = set()
    wrong = {}
    graph = arrows(top)
    assert sorted(graph) == sorted(name for layer in LAYERS[top] for name in layer), "each package has one layer"
    for layer in LAYERS[top]:
        wrong |= {name: graph[name] - allowed for name in layer if graph[name] - allowed}
        allowed |= layer
    assert wrong == {}


@pytest.mark.parametrize("top", LIMITS)
def test_there_is_no_circle_and_the_house_stays_low(top):
    graph = arrows(top)
    max_floors, max_arrows = LIMITS[top]
    assert circles(graph) == []
    assert circles(arrows(top, by_module=True)) == []
    assert max(floors(graph).values()) <= max_floors
    assert sum(map(len, graph.values())) <= max_arrows


def test_no_module_is_named_like_something_that_its_package_exports():
    wrong = []
    for path in [*sources(ENGINES), *sources(STUDIO)]:
        if path.name == "__init__.py":
            imports = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.ImportFrom)]
            exported = {alias.asname or alias.name for node in imports for alias in node.names}
            modules = {other.stem for other in path.parent.iterdir()}
            wrong += [f"{path.parent.name}.{name}" for name in sorted(exported & modules)]
    assert wrong == []


@pytest.mark.parametrize("name", MOVED)
def test_saved_scripts_find_modules_by_their_old_names(name):
    assert importlib.import_module(name) is importlib.import_module(MOVED[name])
    assert importlib.import_module(MOVED[name]).__spec__.name == MOVED[name]


# The imports of all scripts that earlier versions saved.
SAVED_IMPORTS = """
from engines.dcgan import DrawConfig
from engines.dcgan import FaceWalkConfig
from engines.dcgan import ProjectionConfig
from engines.dcgan.engine import DrawConfig
from engines.dcgan.engine import FaceWalkConfig
from engines.dcgan.projection import ProjectionConfig
from engines.dcgan_projection import ProjectionConfig
from engines.deep_dream import DreamConfig
from engines.deep_dream.engine import DreamConfig
from engines.films import Film
from engines.imaging.images import digest, read_picture
from engines.imaging.video import Film
from engines.imaging.video import VideoWriter
from engines.jobs import Job, Workshop
from engines.jobs.sweep import DreamSweepConfig
from engines.jobs.sweep import StyleSweepConfig
from engines.language_model import WritingConfig
from engines.language_model.engine import WritingConfig
from engines.parts.pictures import digest, read_picture
from engines.recipes import write_png
from engines.recipes import write_text
from engines.style_transfer import StyleConfig
from engines.style_transfer.engine import StyleConfig
from engines.sweeps import DreamSweepConfig
from engines.sweeps import StyleSweepConfig
from engines.vae import WalkConfig
from engines.vae.engine import WalkConfig
"""


def test_everything_that_saved_scripts_import_is_there():
    for line in SAVED_IMPORTS.strip().splitlines():
        exec(line, {})


def test_scripts_that_are_saved_now_import_nothing_else():
    configs = {
        "from {} import {}".format(*engine.config.split(":")) for engine in REGISTRY.values() if not engine.files
    }
    assert configs <= set(SAVED_IMPORTS.splitlines())


@pytest.mark.parametrize("package", ["gradio", "studio"])
def test_no_engine_imports_the_page(package):
    assert [path.name for path in sources(ENGINES) if imports_package(path, package)] == []


@pytest.mark.parametrize("package", ["tensorflow", "keras"])
def test_nothing_of_the_page_imports_tensorflow_or_keras_at_any_level(package):
    assert [path.name for path in sources(STUDIO) if imports_package(path, package)] == []


def library_sources() -> list[Path]:
    return [path for path in sources(ENGINES) if path.parent != ENGINES or path.stem not in ENTRY_POINTS]


def test_engines_never_print():
    wrong = [
        f"{path.name}:{node.lineno}"
        for path in library_sources()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert wrong == []


# Keras's folder for downloads is found as Keras finds it, without the second that importing Keras takes.
READS_KERAS_HOME = ENGINES / "weights" / "store.py"


def test_engines_never_read_the_environment():
    wrong = [
        f"{path.name}:{node.lineno}"
        for path in library_sources()
        if path != READS_KERAS_HOME
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in {("os", "environ"), ("os", "getenv"), ("os", "environb")}
    ]
    assert wrong == []
    assert [path.name for path in library_sources() if imports_of(path) & {"os.environ", "os.getenv"}] == []


def test_importing_what_the_page_needs_does_not_import_tensorflow():
    engines = ("deep_dream", "style_transfer", "vae", "dcgan", "language_model")
    names = (
        *engines,
        "recipes",
        "jobs",
        *(f"jobs.{name}" for name in ("recipe_diff", "recipe_script", "sweep", "batch")),
    )
    code = f"""
import importlib, sys
for name in {names!r}:
    importlib.import_module("engines." + name)
    print(name, sorted({{"tensorflow", "keras", "gradio"}} & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == [f"{name} []" for name in names]
