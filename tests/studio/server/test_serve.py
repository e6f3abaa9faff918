"""The command line, the masthead, and a page that is ready before TensorFlow is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import app
from engines.nn.precision import compute_dtype
from studio import page
from studio.server.theme import STATIC, stylesheet

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch):
    """Unset the variables that mark a Space or name a weights folder."""
    monkeypatch.delenv("SPACE_ID", raising=False)
    monkeypatch.delenv("REVERIE_WEIGHTS", raising=False)


def in_a_fresh_python(code: str, folder: Path) -> str:
    """Return what a program prints in a fresh interpreter."""
    command = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_by_default_only_this_machine_is_served_and_nothing_is_shared():
    options = app.parse([])
    assert (options.host, options.port, options.share, options.auth) == ("127.0.0.1", 7860, False, None)
    assert options.weights is None


def test_on_a_space_the_whole_container_is_served(monkeypatch):
    monkeypatch.setenv("SPACE_ID", "someone/reverie")
    assert app.parse([]).host == "0.0.0.0"
    assert app.parse(["--host", "127.0.0.1"]).host == "127.0.0.1"


def test_the_environment_names_a_folder_of_weights(monkeypatch, tmp_path):
    monkeypatch.setenv("REVERIE_WEIGHTS", str(tmp_path))
    assert app.parse([]).weights == tmp_path
    monkeypatch.setenv("REVERIE_WEIGHTS", str(tmp_path / "missing"))
    with pytest.raises(SystemExit):
        app.parse([])


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--auth", "only-a-name"], "--auth must be USER:PASSWORD"),
        (["--auth", "a:b", "--mcp"], "--mcp and --auth cannot be combined"),
        (["--weights", "no/such/folder"], "folder not found: no/such/folder"),
        (["--queue-size", "0"], "--queue-size must be at least 1"),
        (["--max-pixels", "10"], "--max-pixels at least 1000"),
        (["--port", "http"], "--port"),
        (["--port", "99999"], "--port"),
        (["--port", "-1"], "--port"),
        (["--theme", "pink"], "--theme"),
        (["--no-such-flag"], "--no-such-flag"),
    ],
)
def test_a_bad_flag_ends_with_one_line_that_names_it(flags, told, capsys):
    with pytest.raises(SystemExit) as caught:
        app.parse(flags)
    assert caught.value.code == 2
    *usage, line = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("python app.py: error:")
    assert told in line
    assert usage[0].startswith("usage: python app.py")


def test_help_tells_every_flags_default(capsys):
    with pytest.raises(SystemExit) as caught:
        app.parse(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for default in ("[127.0.0.1]", "[7860]", "[outputs]", "[20]", "[40000000]", "[system]"):
        assert default in text


def test_the_masthead_names_the_cores_and_the_number_format(monkeypatch):
    cores = len(os.sched_getaffinity(0))
    assert f"{cores} core{'s' if cores > 1 else ''}" in page.machine_summary()
    assert compute_dtype() in page.machine_summary()
    monkeypatch.setattr(page.os, "sched_getaffinity", lambda _: {0})
    assert "1 core ·" in page.machine_summary()
    monkeypatch.setattr(page.os, "sched_getaffinity", lambda _: set(range(12)))
    assert "12 cores ·" in page.machine_summary()


def test_the_stylesheet_begins_with_the_pages_own_and_has_each_components_once():
    styles = {path: path.read_text(encoding="utf-8") for path in (ROOT / "studio").rglob("*.css")}
    assert stylesheet().startswith(styles[STATIC / "studio.css"])
    assert sorted(stylesheet().split()) == sorted(" ".join(styles.values()).split())
    assert [path for path, style in styles.items() if stylesheet().count(style) != 1] == []


def test_building_the_page_imports_nothing_heavy_whatever_the_processor_can_and_reports_nothing(tmp_path):
    code = """
import os, sys
from pathlib import Path
os.environ.pop("GRADIO_ANALYTICS_ENABLED", None)
import app
from gradio import analytics
from engines.nn import precision
from studio.page import build_page
from studio.services import Studio
app.parse([])
studio = Studio(outputs=Path(sys.argv[1]))
build_page(studio)
precision.processor_flags = lambda *_: frozenset(["avx2"])
build_page(studio)
print(sorted(set(sys.modules) & {"tensorflow", "keras", "ray"}))
print(os.environ["GRADIO_ANALYTICS_ENABLED"], analytics.analytics_enabled())
"""
    heavy, reports = in_a_fresh_python(code, tmp_path / "outputs").splitlines()
    assert heavy == "[]"
    assert reports == "False False"


def test_every_stage_of_the_page_looks_for_its_run_when_the_page_loads(built_page):
    config = built_page.get_config_file()
    called = {part["id"]: part["props"].get("elem_id") or "" for part in config["components"]}
    canvases = {name for name in called.values() if name.endswith("-canvas")}
    on_load = [event for event in config["dependencies"] if any(kind == "load" for _, kind in event["targets"])]
    assert {called[part] for event in on_load for part in event["outputs"]} >= canvases
    assert len(canvases) >= len(page.TABS)


def test_no_event_has_gradio_tell_its_outputs_of_its_progress(built_page):
    """Each progress message searches the whole page for every output, even if hidden."""
    events = built_page.get_config_file()["dependencies"]
    assert events
    assert {(event["show_progress"], *event["show_progress_on"]) for event in events} == {("hidden",)}


def test_what_is_moved_steers_the_run_that_the_page_showed_at_that_moment(built_page):
    """Gradio reads a state when it handles the event, so a position from before a start could steer the new run."""
    steered = [
        fn
        for fn in built_page.fns.values()
        if fn.name in ("steer", "steered") and all(kind == "input" for _, kind in fn.targets)
    ]
    told_of = {fn.inputs[0].elem_id for fn in steered}
    assert told_of >= {"dream-memory", "style-memory", "text-memory", "sought-memory"}
    assert all(name.endswith("-memory") for name in told_of)
