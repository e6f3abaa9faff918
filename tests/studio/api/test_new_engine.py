"""The engine of CONTRIBUTING.md needs its folder and its name in PACKAGES; then it runs everywhere."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engines.imaging.images import read_image
from engines.recipes import read_recipe
from tests.engines.helpers import blocks

ROOT = Path(__file__).resolve().parents[3]
COMMAND_LINE = """
from pathlib import Path
from engines.__main__ import main
from engines.jobs.recipe_script import script_of
from engines.recipes import read_recipe

assert main(["posterize", "photo.png", "-o", "first.png", "--levels", "3"]) == 0
assert main(["posterize", "photo.png", "-o", "again.png", "--recipe", "first.png"]) == 0
Path("repeat.py").write_text(script_of(read_recipe(Path("first.png"))))
"""
STUDIO = """
import json, socket
from pathlib import Path
from gradio_client import Client, handle_file
from studio.page import RESULT_TABS, build_page
from studio.server.serve import serve
from studio.services import Studio
from studio.tabs.gallery.tab import GalleryTab

studio = Studio(outputs=Path("outputs").resolve())
page = build_page(studio)
with socket.create_server(("127.0.0.1", 0)) as taken:
    port = taken.getsockname()[1]
serve(page, studio, host="127.0.0.1", port=port, block=False)
try:
    client, photo = Client(f"http://127.0.0.1:{port}", verbose=False), handle_file("photo.png")
    progress, result, recipe = client.predict(image=photo, levels=5, api_name="/posterize")
    _, again, _ = client.predict(recipe=recipe, pictures=[photo], api_name="/repeat")
    listed = GalleryTab(studio, RESULT_TABS).list_results("All", None)["results"]
finally:
    studio.close()
    page.close()
told = {"state": progress["state"], "config": recipe["config"], "results": [result, again], "listed": listed}
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project with the manual's engine, and a photo."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("engines", "studio"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "weights").symlink_to(ROOT / "weights")
    manual = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(from dataclasses.*?)```", manual, re.S)
    (folder / "engines" / "posterize").mkdir()
    (folder / "engines" / "posterize" / "__init__.py").write_text(code, encoding="utf-8")
    registry = folder / "engines" / "jobs" / "registry.py"
    source = registry.read_text(encoding="utf-8")
    assert source.count("PACKAGES = (") == 1
    registry.write_text(source.replace("PACKAGES = (", 'PACKAGES = ("posterize", '), encoding="utf-8")
    Image.fromarray(blocks(1)[0]).save(folder / "photo.png")
    return folder


def python(project: Path, *arguments: str) -> str:
    """Run Python in the copy and return what it printed."""
    done = subprocess.run([sys.executable, *arguments], cwd=project, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_runs_from_the_command_line_and_its_recipe_makes_the_same_again(project):
    python(project, "-c", COMMAND_LINE)
    python(project, "repeat.py", "photo.png")
    first, again, scripted = (read_image(project / f"{name}.png") for name in ("first", "again", "repeat"))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, scripted)
    assert len(np.unique(first)) <= 4
    assert read_recipe(project / "again.png").config == {"levels": 3}
    script = (project / "repeat.py").read_text(encoding="utf-8")
    assert "from engines.posterize import PosterizeConfig" in script
    assert "levels=3" in script


def test_it_runs_from_programs_and_its_results_are_in_the_gallery(project):
    told: dict[str, Any] = json.loads(python(project, "-c", STUDIO).splitlines()[-1])
    assert told["state"] == "done"
    assert told["config"] == {"levels": 5}
    first, again = map(read_image, told["results"])
    np.testing.assert_array_equal(first, again)
    assert [one["title"] for one in told["listed"]] == ["Poster", "Poster"]
    assert {one["name"] for one in told["listed"]} == {Path(one).name for one in told["results"]}
