"""What the project promises about itself: its weights, its front matter, its requirements."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = ROOT / "weights"
ENTRY_KEYS = {"file", "what", "source", "licence", "command", "sha256", "bytes", "score"}


def bundled_files() -> list[Path]:
    return [path for path in WEIGHTS.iterdir() if path.suffix not in {".json", ".md", ".h5"} and path.is_file()]


def manifest_entries() -> dict[str, dict]:
    entries = json.loads((WEIGHTS / "manifest.json").read_text(encoding="utf-8"))["files"]
    return {entry["file"]: entry for entry in entries}


def pinned_requirements() -> dict[str, str]:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line.strip())


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
    lines = [
        (ROOT / name).read_text(encoding="utf-8").split() for name in ("requirements-gpu.txt", "requirements-dev.txt")
    ]
    on_gpu, tested = ({line for line in some if "==" in line} for some in lines)
    for line in on_gpu:
        name, version = re.sub(r"\[.*\]", "", line).split("==")
        assert pinned_requirements().get(name) == version or f"{name}=={version}" in tested, line


@pytest.mark.parametrize("kind", ["", "-dev", "-axe", "-gpu", "-mcp", "-heic", "-cluster"])
def test_every_requirement_is_pinned(kind):
    lines = (ROOT / f"requirements{kind}.txt").read_text(encoding="utf-8").split("\n")
    assert all("==" in line for line in lines if line and not line.startswith(("-r ", "#")))


def test_the_tools_need_the_gradio_that_was_tested():
    lines = (ROOT / "requirements-mcp.txt").read_text(encoding="utf-8").splitlines()
    assert f"gradio[mcp]=={pinned_requirements()['gradio']}" in lines


def test_ci_runs_the_readmes_test_command_and_nothing_else():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    commands = [line for line in script.splitlines() if line and not line.startswith(("#", "set ", "cd "))]
    assert commands == ["exec make test"]
    assert "make test" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_picture_that_the_manual_shows_is_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text):
        assert (ROOT / name).is_file(), name
