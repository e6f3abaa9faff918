"""A Space: the uploaded files, and a server that runs from them.

It answers under its public name, stays within its memory, and shows visitors only their own results.
"""

from __future__ import annotations

import inspect
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from huggingface_hub import SpaceCard, SpaceCardData, SpaceHardware, constants
from PIL import Image

from studio.server.space import files, main
from tests.studio.hub import TOKEN, Hub

ROOT = Path(__file__).resolve().parents[3]
PUBLIC = "someone-reverie.hf.space"
MAX_BYTES = 6e9


class Space:
    """`python app.py` in a process of its own, configured as a Space, with the uploaded files only."""

    def __init__(self, uploaded: Path, folder: Path):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        self.url, self._log = f"http://127.0.0.1:{port}", folder / "log.txt"
        environment = {name: value for name, value in os.environ.items() if name != "REVERIE_WEIGHTS"}
        environment |= {"SPACE_ID": "someone/reverie", "GRADIO_TEMP_DIR": str(folder / "gradio")}
        command = [sys.executable, "app.py", "--port", str(port), "--outputs", str(folder / "outputs")]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=uploaded, env=environment, stdout=log, stderr=subprocess.STDOUT
            )

    def wait(self) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self._log.read_text()
            try:
                assert httpx.get(self.url, timeout=30).status_code == 200
                return
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError(f"the server did not answer:\n{self._log.read_text()}")

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    @property
    def max_memory(self) -> int:
        """Return the peak resident memory of the process and its children, in bytes."""
        parents = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                told = dict(line.split(":", 1) for line in (entry / "status").read_text().splitlines() if ":" in line)
            except OSError:
                continue  # exited meanwhile
            parents[int(entry.name)] = int(told["PPid"]), int(told.get("VmHWM", "0 kB").split()[0]) * 1024
        ours, before = {self.process.pid}, 0
        while len(ours) > before:
            before = len(ours)
            ours |= {one for one, (parent, _) in parents.items() if parent in ours}
        return sum(parents[one][1] for one in ours if one in parents)


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    hub = Hub()
    yield hub
    hub.close()


def upload(hub: Hub, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Run `python -m studio.server.space` with or without a login."""
    told = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    told |= {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "NO_PROXY": "127.0.0.1"} | environment
    command = [sys.executable, "-m", "studio.server.space", *arguments]
    return subprocess.run(command, cwd=ROOT, env=told, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def uploaded(hub, tmp_path_factory) -> Path:
    """The files on the Hub after an upload, unpacked to a folder."""
    hub.spaces["someone/reverie"] = {".gitattributes": b"", "studio/old.py": b"", "notes.txt": b"their own"}
    done = upload(hub, "someone/reverie")
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == (f"{hub.url}/spaces/someone/reverie\n", "")
    folder = tmp_path_factory.mktemp("uploaded")
    for name, content in hub.spaces["someone/reverie"].items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def space(uploaded, tmp_path_factory) -> Iterator[Space]:
    space = Space(uploaded, tmp_path_factory.mktemp("space"))
    try:
        space.wait()
        yield space
    finally:
        space.close()


@pytest.fixture
def wishes(tmp_path) -> dict[str, dict[str, Any]]:
    """What five visitors start at once, each something different, and a network that a sixth has trained meanwhile."""
    noise = np.random.default_rng(0)
    photo, painting, digits = tmp_path / "photo.jpg", tmp_path / "painting.jpg", tmp_path / "digits.npz"
    for path in (photo, painting):
        Image.fromarray(noise.integers(0, 256, (480, 640, 3), np.uint8)).save(path)
    images, labels = noise.integers(0, 256, (160, 28, 28), np.uint8), np.arange(160, dtype=np.uint8) % 10
    np.savez(digits, x_train=images[:96], y_train=labels[:96], x_test=images[96:], y_test=labels[96:])
    paint = {"content_image": handle_file(photo), "style_images": [handle_file(painting)]}
    return {
        "/deep_dream": {"image": handle_file(photo), "octaves": 2, "steps": 3},
        "/style_transfer": paint | {"seconds": 0, "size": 512, "scales": 1, "steps": 3},
        "/vae_walk": {"steps": 24},
        "/dcgan_draw": {"count": 40},
        "/write": {"prompt": "This movie", "tokens": 40},
        "/vae_training": {"data": handle_file(digits), "epochs": 1, "batch_size": 32},
    }


def listed(client: Client) -> list[str]:
    """Return the names of a visitor's results, requested as the page does."""
    config = client.config
    called = {part["props"].get("elem_id"): part["id"] for part in config["components"]}
    asked = [called["gallery-filter"], called["gallery-grid"]]
    (event,) = [
        one["id"]
        for one in config["dependencies"]
        if one["inputs"] == asked and one["outputs"] == asked[1:] and ("select" in {kind for _, kind in one["targets"]})
    ]
    said = {"fn_index": event, "data": ["All", {}], "session_hash": client.session_hash}
    answer = httpx.post(f"{client.src}gradio_api/run/predict", json=said, timeout=30)
    assert answer.status_code == 200, answer.text
    return [result["name"] for result in answer.json()["data"][0]["results"]]


def test_the_upload_is_what_a_space_needs_in_one_commit(hub, uploaded):
    (said,) = [one for one in hub.created if one["name"] == "reverie"]
    assert (said["type"], said["sdk"]) == ("space", "gradio")
    (commit,) = hub.commits
    large = {line["value"]["path"] for line in commit if line["key"] == "lfsFile"}
    assert {path.name for path in (ROOT / "weights").glob("*.npz")} <= {Path(name).name for name in large}
    there = {path.relative_to(uploaded).as_posix(): path for path in uploaded.rglob("*") if path.is_file()}
    # Foreign files are left alone; stale files of an earlier upload are deleted.
    assert set(there) == {*files(), ".gitattributes", "notes.txt"}
    assert all(there[name].read_bytes() == (ROOT / name).read_bytes() for name in files())


def test_a_dry_run_lists_all_that_is_kept_of_what_a_space_runs_and_sends_nothing(capsys, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert main(["someone/reverie", "--dry-run"]) == 0
    *lines, total = capsys.readouterr().out.splitlines()
    listed = {line.split()[1]: int(line.split()[0].replace(",", "")) for line in lines}
    assert listed == files()
    assert total.strip() == f"{sum(listed.values()):,}  bytes in {len(listed)} files, which would go to someone/reverie"
    if not (ROOT / ".git").exists():
        pytest.skip("what is kept is compared in a git checkout only")
    asked = ["git", "ls-files", "-co", "--exclude-standard", "app.py", "README.md", "LICENSE", "requirements.txt"]
    # Intermediate results of a training are of no use to a visitor.
    folders = ["docs", "engines", "studio", "weights", ":(exclude)weights/training"]
    kept = subprocess.check_output([*asked, *folders], cwd=ROOT, text=True)
    assert set(listed) == set(kept.splitlines())


@pytest.mark.parametrize(
    ("name", "token", "said"),
    [
        ("someone/new", "hf_wrong", "The Hub rejected this token"),
        ("someone/new", "", "Log in first"),
        ("somebody-else/reverie", TOKEN, "This token may not write to somebody-else/reverie"),
    ],
)
def test_what_the_hub_refuses_is_said_in_a_sentence(hub, tmp_path, monkeypatch, capsys, name, token, said):
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("HF_TOKEN", token)
    assert main([name]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(said)


def test_a_hub_that_does_not_answer_is_said_in_a_sentence(monkeypatch, capsys):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert main(["someone/reverie"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("The Hub at http://127.0.0.1:9 does not respond")


def test_the_hub_reads_the_front_matter():
    card = SpaceCard.load(ROOT / "README.md", repo_type="space").data
    assert isinstance(card, SpaceCardData)
    known = {*inspect.signature(SpaceCardData).parameters, "emoji", "colorFrom", "colorTo", "short_description"}
    assert set(card.to_dict()) <= known | {"suggested_hardware"}
    assert (card.sdk, card.app_file, card.license) == ("gradio", "app.py", "apache-2.0")
    assert {card.colorFrom, card.colorTo} <= {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert len(card.short_description) <= 60
    assert card.suggested_hardware in {hardware.value for hardware in SpaceHardware}


def test_five_visitors_and_a_training_fit_and_each_sees_their_own_results(space, wishes, tmp_path):
    clients = {name: Client(space.url, verbose=False, download_files=str(tmp_path)) for name in wishes}
    with ThreadPoolExecutor(len(wishes)) as visitors:
        runs = {name: visitors.submit(clients[name].predict, **wish, api_name=name) for name, wish in wishes.items()}
        results = {name: Path(run.result()[1]).name for name, run in runs.items()}
    print(f"at most {space.max_memory / 1e9:.2f} GB")
    assert space.max_memory < MAX_BYTES
    assert {name: listed(client) for name, client in clients.items()} == {
        name: [result] for name, result in results.items()
    }
    assert listed(Client(space.url, verbose=False)) == []


def test_a_space_answers_under_its_public_name_and_may_be_shown_on_its_own_page(space):
    answer = httpx.get(space.url, headers={"Host": PUBLIC})
    assert answer.status_code == 200
    assert "frame-ancestors 'self' https://huggingface.co" in answer.headers["content-security-policy"]
    assert "x-frame-options" not in answer.headers
