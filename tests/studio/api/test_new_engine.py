"""The engine of CONTRIBUTING.md runs from the command line, through the API, and from its recipe."""

from __future__ import annotations

import re
import socket
import sys
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image

import engines
from engines import __main__ as command_line
from engines.imaging.images import read_picture
from engines.jobs import ENGINES
from engines.jobs.recipe_script import script_of
from engines.jobs.registry import engines_in
from engines.recipes import read_recipe
from studio.api.endpoints import ENDPOINTS, endpoints_of
from studio.api.routes import add_api
from studio.server.serve import serve
from studio.services import Studio
from tests.engines.helpers import blocks

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def photo(tmp_path, monkeypatch) -> Path:
    """A photo beside the registered example engine."""
    manual = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(from dataclasses.*?)```", manual, re.S)
    package = tmp_path / "packages" / "posterize"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(code)
    monkeypatch.setattr(engines, "__path__", [*engines.__path__, str(package.parent)])
    for engine in engines_in("posterize"):
        monkeypatch.setitem(ENGINES, engine.name, engine)
        for name, endpoint in endpoints_of(engine):
            monkeypatch.setitem(ENDPOINTS, name, endpoint)
    Image.fromarray(blocks(1)[0]).save(tmp_path / "photo.png")
    yield tmp_path / "photo.png"
    del sys.modules["engines.posterize"]


def test_it_runs_from_the_command_line_and_its_recipe_makes_the_same_again(photo, tmp_path, capsys):
    first, again = tmp_path / "first.png", tmp_path / "again.png"
    assert command_line.main(["posterize", str(photo), "-o", str(first), "--levels", "3"]) == 0, capsys.readouterr().err
    assert command_line.main(["posterize", str(photo), "-o", str(again), "--recipe", str(first)]) == 0
    np.testing.assert_array_equal(read_picture(first), read_picture(again))
    assert len(np.unique(read_picture(first))) <= 4
    assert read_recipe(again).config == {"levels": 3}
    script = script_of(read_recipe(first))
    assert "from engines.posterize import PosterizeConfig" in script
    assert "levels=3" in script


def test_it_runs_from_programs_and_its_recipe_makes_the_same_again(photo, tmp_path):
    studio = Studio(outputs=tmp_path / "outputs")
    with gr.Blocks() as page:
        add_api(studio, page)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    serve(page, studio, host="127.0.0.1", port=port, block=False)
    try:
        client = Client(f"http://127.0.0.1:{port}", verbose=False)
        progress, result, recipe = client.predict(image=handle_file(photo), levels=5, api_name="/posterize")
        assert progress["state"] == "done"
        assert recipe["config"] == {"levels": 5}
        _, again, _ = client.predict(recipe=recipe, pictures=[handle_file(photo)], api_name="/repeat")
        np.testing.assert_array_equal(read_picture(again), read_picture(result))
    finally:
        studio.close()
        page.close()
