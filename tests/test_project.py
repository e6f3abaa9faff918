"""What the project promises about itself: its weights, its front matter, its requirements."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import app
from engines.core.python_version import why_unsupported
from studio.server.space import files
from tests.platforms import PYTHONS

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = ROOT / "weights"
ENTRY_KEYS = {"file", "what", "source", "licence", "command", "sha256", "bytes", "score"}


def bundled_files() -> list[Path]:
    return [path for path in WEIGHTS.iterdir() if path.suffix not in {".json", ".md", ".h5"} and path.is_file()]


def manifest_entries() -> dict[str, dict]:
    entries = json.loads((WEIGHTS / "manifest.json").read_text(encoding="utf-8"))["files"]
    return {entry["file"]: entry for entry in entries}


def requirements(kind: str = "") -> list[Requirement]:
    lines = (ROOT / f"requirements{kind}.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith(("-r ", "#"))]


def version(requirement: Requirement) -> str:
    (only,) = requirement.specifier
    assert only.operator == "==", requirement
    return only.version


def pinned_requirements() -> dict[str, str]:
    return {requirement.name: version(requirement) for requirement in requirements()}


def front_matter() -> dict[str, str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    match = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    assert match, "README.md must begin with the Space's front matter"
    return dict(line.split(": ", 1) for line in match[1].splitlines())


def test_every_bundled_file_has_a_whole_manifest_entry_and_the_hash_it_states():
    assert {path.name for path in bundled_files()} == set(manifest_entries())
    for path in bundled_files():
        entry = manifest_entries()[path.name]
        assert set(entry) >= ENTRY_KEYS, path.name
        assert hashlib.sha256(path.read_bytes()).hexdigest() == entry["sha256"], path.name
        assert path.stat().st_size == entry["bytes"], path.name


def test_every_intermediate_result_of_a_training_has_the_hash_that_the_manifest_states():
    entries = json.loads((WEIGHTS / "manifest.json").read_text(encoding="utf-8"))["intermediate"]
    files = {path.relative_to(WEIGHTS).as_posix() for path in (WEIGHTS / "training").iterdir()}
    assert {entry["file"] for entry in entries} == files
    for entry in entries:
        content = (WEIGHTS / entry["file"]).read_bytes()
        assert set(entry) >= ENTRY_KEYS
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (entry["sha256"], entry["bytes"])


def test_the_style_branch_of_the_bundled_network_is_what_distillation_made():
    with (
        np.load(WEIGHTS / "studio_vgg.npz") as shipped,
        np.load(WEIGHTS / "training/studio_vgg_first_blocks.npz") as made,
    ):
        assert {name for name in shipped.files if name.startswith("style_")} == {f"style_{name}" for name in made.files}
        for name in made.files:
            np.testing.assert_array_equal(shipped[f"style_{name}"], made[name].astype(np.float16), err_msg=name)


def test_the_bundled_weights_are_small():
    assert sum(path.stat().st_size for path in bundled_files()) < 60e6
    assert (WEIGHTS / "studio_vgg.npz").stat().st_size <= 8e6


def test_the_space_runs_the_gradio_and_python_that_were_tested():
    matter = front_matter()
    assert matter["sdk"] == "gradio"
    assert matter["sdk_version"] == pinned_requirements()["gradio"]
    assert matter["python_version"] == '"3.11"'
    assert (ROOT / matter["app_file"]).is_file()


def test_a_gpu_trains_with_the_versions_that_were_tested():
    tested = pinned_requirements() | {one.name: version(one) for one in requirements("-dev")}
    for one in requirements("-gpu"):
        assert tested.get(one.name) == version(one), one


@pytest.mark.parametrize("kind", ["", "-dev", "-axe", "-bench", "-gpu", "-mcp", "-heic", "-cluster"])
def test_every_requirement_is_pinned(kind):
    assert all(version(requirement) for requirement in requirements(kind))


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("linux", "x86_64", "tensorflow-cpu"),
        ("linux", "aarch64", "tensorflow"),
        ("darwin", "arm64", "tensorflow"),
        ("win32", "AMD64", "tensorflow-cpu"),
    ],
)
def test_every_machine_gets_one_tensorflow_of_one_version(system, machine, name):
    told = {"sys_platform": system, "platform_machine": machine}
    every = [one for one in requirements() if one.name.startswith("tensorflow")]
    assert [one.name for one in every if one.marker and one.marker.evaluate(told)] == [name]
    assert len({version(one) for one in every}) == 1


def test_the_versions_of_python_are_the_same_everywhere():
    span = SpecifierSet(
        tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    )
    fit = [f"3.{minor}" for minor in range(30) if not why_unsupported((3, minor))]
    assert [f"3.{minor}" for minor in range(30) if span.contains(f"3.{minor}.1")] == fit == list(PYTHONS)
    assert f"Python {', '.join(fit[:-1])} or {fit[-1]}" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(r"^FROM python:(\S+)-slim$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.M)[1] in fit
    assert front_matter()["python_version"].strip('"') in fit


@pytest.mark.parametrize("version", [(3, 10, 9), (3, 14, 0), (4, 0)])
def test_a_python_that_does_not_fit_is_told_so_in_a_sentence(version):
    this = ".".join(map(str, version[:2]))
    sentence = f"Reverie needs Python 3.11 to 3.13, which TensorFlow is published for; this is Python {this}."
    assert why_unsupported(version) == sentence


def test_make_goes_on_with_a_python_that_fits():
    done = subprocess.run(
        [sys.executable, ROOT / "engines" / "core" / "python_version.py"], capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize("name", ["app.py", "engines/__main__.py", "engines/train.py"])
def test_the_commands_can_be_read_by_an_old_python_up_to_where_it_is_told(name):
    """Nothing that may not be installed is imported before the version is asked for, and nothing is newer than it."""
    tree = ast.parse((ROOT / name).read_text(encoding="utf-8"), feature_version=(3, 8))
    (asked,) = [
        i
        for i, node in enumerate(tree.body)
        if isinstance(node, ast.If) and "why_unsupported()" in ast.unparse(node.test)
    ]
    imported = [node for node in tree.body[:asked] if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in imported}
    assert {one.partition(".")[0] for one in names} <= sys.stdlib_module_names | {"engines"}
    assert {one for one in names if one.startswith("engines")} == {"engines.core.python_version"}


def test_what_the_dockerfile_copies_and_runs_is_there_and_not_ignored():
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = {name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]}
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[0] == "!"}
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)
    # What a Space runs, a container runs.
    assert {name.partition("/")[0] for name in files()} - {"README.md", "docs"} == copied
    (command,) = [json.loads(line.removeprefix("CMD ")) for line in lines if line.startswith("CMD ")]
    assert command[:2] == ["python", "app.py"]
    assert app.parse(command[2:]).host == "0.0.0.0"


def test_the_tools_need_the_gradio_that_was_tested():
    lines = (ROOT / "requirements-mcp.txt").read_text(encoding="utf-8").splitlines()
    assert f"gradio[mcp]=={pinned_requirements()['gradio']}" in lines


def test_ci_runs_the_readmes_test_command_where_nothing_is_left_over():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.findall(r"^ *exec (?!unshare)(.*?)'?$", script, re.MULTILINE) == ["make test", "make test"]
    assert "unshare --mount" in script
    assert "mount -t tmpfs" in script
    assert "make test" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_image_that_the_manual_shows_is_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text):
        assert (ROOT / name).is_file(), name
