"""Who may import whom: engines know nothing of the page, the page nothing of TensorFlow, engines nothing of another."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENGINES, STUDIO = ROOT / "engines", ROOT / "studio"
INFRASTRUCTURE = {
    "frames",
    "configs",
    "options",
    "recipes",
    "jobs",
    "sweeps",
    "batches",
    "films",
    "differences",
    "version",
    "warm_up",
    "worker",
    "scripts",
    "quiet",
    "python_version",
    "__main__",
    "train",
}
ENTRY_POINTS = {"__main__", "train"}


def sources(folder: Path) -> list[Path]:
    files = sorted(folder.rglob("*.py"))
    assert files, f"no source in {folder.name}"
    return files


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of(path: Path) -> set[str]:
    """Every module a file imports anywhere, inside functions too; `from a import b` counts as a and as a.b."""
    found = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import, which these tests do not follow"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def imports_package(path: Path, package: str) -> bool:
    return any(name == package or name.startswith(package + ".") for name in imports_of(path))


def engine_modules_imported(path: Path) -> set[str]:
    """Names of the modules directly in engines/ (or "parts") that a file imports."""
    modules = {file.stem for file in ENGINES.glob("*.py")} | {"parts"}
    return {name.split(".")[1] for name in imports_of(path) if name.startswith("engines.")} & modules


def test_the_import_finder_sees_imports_at_the_top_and_inside_functions():
    found = imports_of(ENGINES / "deep_dream.py")
    assert "engines.imaging.images" in found
    assert "tensorflow" in found
    assert engine_modules_imported(ENGINES / "deep_dream.py") == {"configs", "frames", "parts"}


@pytest.mark.parametrize("package", ["gradio", "studio"])
def test_no_engine_imports_the_page(package):
    assert [path.name for path in sources(ENGINES) if imports_package(path, package)] == []


@pytest.mark.parametrize("package", ["tensorflow", "keras"])
def test_nothing_of_the_page_imports_tensorflow_or_keras_at_any_level(package):
    assert [path.name for path in sources(STUDIO) if imports_package(path, package)] == []


def test_engines_do_not_import_each_other():
    wrong = {
        path.stem: others
        for path in ENGINES.glob("*.py")
        if path.stem not in ENTRY_POINTS
        and (others := engine_modules_imported(path) - INFRASTRUCTURE - {"parts", path.stem})
    }
    assert wrong == {}


def test_nothing_but_the_entry_points_imports_an_entry_point():
    wrong = [
        path.name
        for path in sources(ENGINES)
        if path.stem not in ENTRY_POINTS and engine_modules_imported(path) & ENTRY_POINTS
    ]
    assert wrong == []


def test_parts_import_of_the_engines_only_parts_and_frames_and_configs():
    wrong = {
        path.stem: others
        for path in sources(ENGINES / "parts")
        if (others := engine_modules_imported(path) - {"parts", "frames", "configs"})
    }
    assert wrong == {}


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


def test_engines_never_read_the_environment():
    wrong = [
        f"{path.name}:{node.lineno}"
        for path in library_sources()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in {("os", "environ"), ("os", "getenv"), ("os", "environb")}
    ]
    assert wrong == []
    assert [path.name for path in library_sources() if imports_of(path) & {"os.environ", "os.getenv"}] == []


def test_importing_what_the_page_needs_does_not_import_tensorflow():
    names = ("deep_dream", "style_transfer", "jobs", "recipes", "differences", "scripts", "sweeps", "batches")
    code = f"""
import importlib, sys
for name in {names!r}:
    importlib.import_module("engines." + name)
    print(name, sorted({{"tensorflow", "keras", "gradio"}} & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == [f"{name} []" for name in names]
