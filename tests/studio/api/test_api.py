"""The API, through gradio_client and plain HTTP, against a served page."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import errno
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import numpy as np
import pytest
from gradio import processing_utils, route_utils
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from engines.imaging.images import ImageError, read_image
from engines.recipes import Recipe, read_recipe
from studio.api import mcp as tools
from studio.api.endpoints import ENDPOINTS, check_inputs
from studio.api.parameters import setting_parameters
from studio.api.routes import add_api
from studio.api.uploads import image_source, upload_path
from studio.components.refusals import NO_ROOM, NO_UPLOAD, UNFIT
from studio.page import build_page
from studio.runs import run as runs
from studio.runs.run import Run
from studio.server.serve import serve
from studio.server.sessions import Session
from studio.services import Studio
from tests.engines.helpers import is_one_sentence, refusal, uncompiled
from tests.studio.api.api_examples import ADDRESS, examples
from tests.studio.helpers import eventually, unserved_page

IN_PYTHON = [one for one in examples() if one.language == "python"]
OVER_HTTP = [one for one in examples() if one.language == "bash"]
LONG: dict[str, Any] = {"size": 128, "octaves": 1, "steps": 1000}


@dataclass
class Served:
    """A served page, the client's working folder, and the names that the examples have defined so far."""

    page: gr.Blocks
    studio: Studio
    url: str
    folder: Path
    names: dict[str, Any] = field(default_factory=dict)

    @property
    def run(self) -> Run:
        """The newest run."""
        return list(self.studio.runs._by_id.values())[-1]

    def client(self) -> Client:
        return Client(self.url, verbose=False, download_files=str(self.folder / "downloads"))

    def post(self, endpoint: str, **parameters: Any) -> str:
        """Start a run over HTTP; return its number."""
        answer = httpx.post(f"{self.url}/gradio_api/call/v2/{endpoint}", json=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()["event_id"]

    def as_upload(self, name: str) -> dict[str, Any]:
        """Upload an image of the folder over HTTP."""
        with (self.folder / name).open("rb") as file:
            (path,) = httpx.post(f"{self.url}/gradio_api/upload", files={"files": file}).json()
        return {"path": path, "meta": {"_type": "gradio.FileData"}}


@pytest.fixture(scope="module")
def served(tmp_path_factory, drawn, studio_vgg) -> Iterator[Served]:
    """A page with the bundled networks and a backbone of random weights."""
    import keras

    policy = keras.config.dtype_policy()  # another model is selected after a training
    folder = tmp_path_factory.mktemp("program")
    studio = Studio(outputs=tmp_path_factory.mktemp("served") / "outputs")
    studio.workshop.keep("deep_dream", "studio_vgg", studio_vgg)
    shutil.copytree(drawn, studio.gallery.folder / "examples", copy_function=os.link)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    page = build_page(studio)
    serve(page, studio, host="127.0.0.1", port=port, mcp=True, block=False)
    noise = np.random.default_rng(0)
    for name, shape in (("photo.jpg", (64, 96, 3)), ("painting.jpg", (64, 64, 3))):
        Image.fromarray(noise.integers(0, 256, shape, np.uint8)).save(folder / name, quality=95)
    yield Served(page, studio, f"http://127.0.0.1:{port}", folder)
    studio.runs.close()
    page.close()
    keras.config.set_dtype_policy(policy)


@pytest.fixture(scope="module")
def client(served) -> Client:
    """A connected client; shared, as connecting fetches the whole API description."""
    return served.client()


@pytest.fixture
def photo(served) -> Any:
    return handle_file(served.folder / "photo.jpg")


# Listing


def test_of_whoever_comes_little_is_remembered(served):
    assert type(served.page.app.state_holder["somebody"]) is Session


def test_the_jobs_are_exposed_and_nothing_of_the_pages_own(built_page):
    page = built_page
    expected = {f"/{name}" for name in (*ENDPOINTS, "repeat", "score_text")}
    assert set(page.get_api_info(all_endpoints=True)["named_endpoints"]) == expected
    others = [one for one in page.fns.values() if f"/{one.api_name}" not in expected and one.fn is not None]
    assert {one.api_visibility for one in others} == {"private"}


def test_every_setting_is_a_parameter_with_its_help_its_range_and_its_default(built_page):
    info = built_page.get_api_info()["named_endpoints"]
    for name, endpoint in ENDPOINTS.items():
        told = {one["parameter_name"]: one for one in info[f"/{name}"]["parameters"]}
        assert all(one["python_type"]["description"] for one in told.values()), name
        assert [one["label"] for one in info[f"/{name}"]["returns"]] == ["progress", "result", "recipe"]
        for setting in dataclasses.fields(endpoint.engine.config_class):
            if setting.name in endpoint.engine.left_out:
                assert setting.name not in told
                continue
            one = told[setting.name]
            assert one["parameter_has_default"], setting.name
            assert one["python_type"]["description"].startswith(setting.metadata["help"])
            said = json.dumps(one["type"])
            assert setting.metadata["high"] is None or f'"maximum": {json.dumps(setting.metadata["high"])}' in said
            assert all(f'"{choice}"' in said for choice in setting.metadata["choices"] or ())


def test_parameters_that_are_left_out_make_the_configs_own_defaults():
    for endpoint in ENDPOINTS.values():
        config_class = endpoint.engine.config_class
        defaults = {one.name: one.default for one in setting_parameters(config_class)}
        values = {name: tuple(one) if isinstance(one, list) else one for name, one in defaults.items()}
        assert config_class(**values) == config_class()


# Examples of the manual


@pytest.mark.parametrize("example", IN_PYTHON, ids=lambda one: one.heading)
def test_the_manuals_examples_in_python_run(served, example, monkeypatch, capsys):
    monkeypatch.setattr("engines.dcgan.model.IMAGES", 32)
    monkeypatch.chdir(served.folder)
    names = served.names
    if "client" not in names:
        exec(examples()[0].text.replace(ADDRESS, served.url), names)
    for name in ("progress", "result", "recipe", "score"):
        names.pop(name, None)
    with uncompiled() if example.heading.endswith("_training") else contextlib.nullcontext():
        exec(example.text.replace(ADDRESS, served.url), names)
    made = names.get("result")
    if made is not None:
        assert names["progress"]["state"] == "done"
        assert Path(made).stat().st_size > 0
        if made.endswith(".zip"):
            with zipfile.ZipFile(made) as archive:
                assert {Path(name).suffix for name in archive.namelist()} == {".png", ".json"}
            assert names["recipe"] is None
            return
        recipe = read_recipe(served.studio.gallery.folder / Path(made).name)
        assert recipe is not None
        assert json.loads(recipe.to_json()) == names["recipe"]
    if example.heading == "repeat":
        np.testing.assert_array_equal(read_image(names["first"]), read_image(made))
    if example.heading == "score_text":
        assert "".join(names["score"]["pieces"]) == "This movie is about a clock."
    if example.heading.startswith("Following"):
        assert eventually(lambda: served.run.over, "the cancelled run to be over")
        assert served.run.state == "stopped"


@pytest.mark.parametrize("example", OVER_HTTP, ids=lambda one: one.text[:5])
def test_the_manuals_examples_over_http_run(served, example):
    command = example.text.replace(ADDRESS, served.url)
    done = subprocess.run(["bash", "-c", command], cwd=served.folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    if "PHOTO" in command:
        image = httpx.get(done.stdout.strip().removeprefix('"url": ').strip('"')).content
        assert read_image(image).shape == (64, 96, 3)
    else:
        assert "event: complete" in done.stdout
        assert '"text": "This movie' in done.stdout


def test_the_manual_has_an_example_of_every_endpoint():
    shown = "".join(one.text for one in examples())
    assert [name for name in (*ENDPOINTS, "repeat", "score_text") if f'api_name="/{name}"' not in shown] == []
    assert {one.language for one in examples()} == {"python", "bash", "bash norun", "python auth", "bash auth"}


@pytest.fixture(scope="module")
def behind_a_password(served, tmp_path_factory) -> Iterator[str]:
    """The address of a server that asks for the manual's name and password."""
    studio = Studio(outputs=tmp_path_factory.mktemp("auth") / "outputs")
    studio.workshop.keep("language_model", "ours", served.studio.workshop.network("language_model", "ours"))
    with gr.Blocks() as page:
        add_api(studio, page)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    serve(page, studio, host="127.0.0.1", port=port, auth="USER:PASSWORD", block=False)
    yield f"http://127.0.0.1:{port}"
    studio.runs.close()
    page.close()


def test_the_manuals_examples_log_in_where_a_password_is_asked_for(behind_a_password, tmp_path):
    in_python, over_http = (one.text for one in examples() if one.language.endswith(" auth"))
    names: dict[str, Any] = {"Client": Client}
    exec(in_python.replace(ADDRESS, behind_a_password), names)
    assert names["score"]["perplexity"] > 1
    command = over_http.replace(ADDRESS, behind_a_password)
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert "event: complete" in done.stdout, done.stderr
    assert '"text": "This movie' in done.stdout
    stranger = httpx.post(f"{behind_a_password}/gradio_api/call/v2/write", json={"tokens": 20})
    assert stranger.status_code == 401


# Streaming and stopping


def test_a_run_is_told_of_while_it_runs_and_waits_its_turn(served, client, photo):
    first = client.submit(image=photo, **LONG, api_name="/deep_dream")
    eventually(lambda: served.studio.runs._by_id and served.run.state == "running", "the first run to begin")
    second = served.client().submit(image=photo, **{**LONG, "steps": 3}, api_name="/deep_dream")
    progress, result, recipe = next(second)
    assert (progress["state"], progress["before"], result, recipe) == ("waiting", 1, None, None)
    steps = [next(first)[0]["step"] for _ in range(3)]
    assert steps == sorted(steps)
    assert steps[-1] > 0
    first.cancel()
    assert second.result()[0]["state"] == "done"


def test_a_cancelled_call_stops_its_run_and_keeps_what_was_made(served, client, photo):
    job = client.submit(image=photo, **LONG, api_name="/deep_dream")
    for progress, *_ in job:
        if progress["step"] > 1:
            break
    run = served.run
    job.cancel()
    eventually(lambda: run.over, "the run to be over")
    assert run.state == "stopped"
    assert run.frame is not None
    assert run.frame.step < 1000
    assert run.result is not None
    assert run.result.is_file()


def test_closing_the_stream_stops_the_run(served):
    event = served.post("deep_dream", image=served.as_upload("photo.jpg"), **LONG)
    with httpx.stream("GET", f"{served.url}/gradio_api/call/deep_dream/{event}", timeout=60) as stream:
        for line in stream.iter_lines():
            if '"state": "running"' in line:
                break
        run = served.run
        assert not run.over
    eventually(lambda: run.over, "the run to be over")
    assert run.state == "stopped"


def test_a_run_whose_stream_nobody_reads_counts_as_unwatched(served, monkeypatch):
    before = len(served.studio.runs._by_id)
    monkeypatch.setattr(runs, "UNWATCHED_SECONDS", 0.5)
    event = served.post("deep_dream", image=served.as_upload("photo.jpg"), **LONG)
    eventually(lambda: len(served.studio.runs._by_id) > before and served.run.over, "the run to be over")
    assert served.run.frame is not None
    assert served.run.frame.step < 1000
    # A late listener is still told the end.
    told = httpx.get(f"{served.url}/gradio_api/call/deep_dream/{event}", timeout=60).text
    assert '"state": "done"' not in told
    assert "event: complete" in told


def test_a_call_past_the_queue_is_refused(served):
    values = [one.default for one in ENDPOINTS["dcgan_draw"].parameters]
    answer = httpx.post(f"{served.url}/gradio_api/run/dcgan_draw", json={"data": values})
    assert answer.status_code == 500
    assert "through the queue" in answer.json()["error"]


# Refusals


def errors_of(served: Served, endpoint: str, **parameters: Any) -> str:
    """Return the errors that an HTTP caller receives for a call that Gradio has accepted."""
    event = served.post(endpoint, **parameters)
    told = httpx.get(f"{served.url}/gradio_api/call/{endpoint}/{event}", timeout=60).text
    assert "event: error" in told
    sentence = json.loads(told.rpartition("data: ")[2])["error"]
    assert is_one_sentence(sentence), sentence
    return sentence


@pytest.mark.parametrize(
    ("endpoint", "body", "status", "told"),
    [
        ("write", {"promt": "This"}, 422, "write has no parameter 'promt'; it has backbone, tokens, temperature, "),
        ("deep_dream", {"steps": 3}, 422, "deep_dream needs the parameter 'image'."),
        ("write", ["This"], 422, "must be a JSON object"),
        ("deep_dreams", {}, 404, "Unknown endpoint 'deep_dreams'; use one of dcgan_draw, "),
    ],
)
def test_a_call_with_a_name_that_does_not_exist_is_told_those_that_do(served, endpoint, body, status, told):
    answer = httpx.post(f"{served.url}/gradio_api/call/v2/{endpoint}", json=body)
    assert answer.status_code == status
    sentence = answer.json()["detail"]
    assert told in sentence
    assert is_one_sentence(sentence)


def test_a_body_that_is_no_json_is_told_so(served):
    answer = httpx.post(f"{served.url}/gradio_api/call/v2/write", content=b"{prompt", headers={"content-type": "text"})
    assert (answer.status_code, is_one_sentence(answer.json()["detail"])) == (422, True)


def test_an_upload_that_is_gone_or_never_was_is_told_of_in_a_sentence(served):
    upload = served.as_upload("photo.jpg")
    Path(upload["path"]).unlink()
    assert errors_of(served, "deep_dream", image=upload) == "photo.jpg was not found."
    assert errors_of(served, "deep_dream", image=upload | {"path": "/etc/passwd"}) == NO_UPLOAD


def test_a_call_by_position_with_too_few_values_is_told_so(served):
    event = httpx.post(f"{served.url}/gradio_api/call/write", json={"data": [1]}).json()["event_id"]
    assert UNFIT in httpx.get(f"{served.url}/gradio_api/call/write/{event}", timeout=60).text


def test_a_full_folder_of_temporary_files_is_told_of_in_a_sentence(served, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, (served.folder / "photo.jpg").open("rb") as file:
        patch.setattr(route_utils.GradioMultiPartParser, "parse", full)
        answer = httpx.post(f"{served.url}/gradio_api/upload", files={"files": file})
    assert (answer.status_code, answer.json()["detail"]) == (507, NO_ROOM)
    with monkeypatch.context() as patch:
        patch.setattr(processing_utils, "save_file_to_cache", full)
        assert errors_of(served, "dcgan_draw", count=4) == NO_ROOM
    assert served.run.result.is_file(), "it lies in the outputs folder all the same"


@pytest.mark.parametrize(
    ("endpoint", "parameters", "told"),
    [
        ("write", {"tokens": 0}, "tokens: Length must be between 1 and 5000, not 0."),
        ("write", {"tokens": "<b>"}, "tokens: Length must be a whole number, not '&lt;b&gt;'."),
        ("write", {"backbone": "../ours"}, "Unknown network '../ours'"),
        ("write", {"backbone": ["ours"]}, "Unknown network"),
        ("vae_walk", {"waypoints": [1, 2, 3]}, "Each waypoint must have 2 numbers"),
        ("dcgan_draw", {"z": [1.0]}, "numbers"),
        ("deep_dream", {"image": {"path": "/etc/passwd"}}, "The parameter image must be an image"),
        ("deep_dream", {"image": None}, "The parameter image must be an image"),
        ("deep_dream", {"image": "data:image/png;base64,bm8gcGljdHVyZQ=="}, "This file is not an image"),
        ("style_transfer", {"content_image": "x", "style_images": []}, "must be"),
        ("language_training", {"data": "rhyme.txt"}, "The parameter data must be an uploaded file"),
        ("repeat", {"recipe": {"engine": "deep_dream"}}, "This is not a Reverie recipe."),
        ("score_text", {"text": ""}, "There is no text to score"),
        ("score_text", {"text": 3}, "The parameter text must be a string."),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(client, endpoint, parameters, told):
    with pytest.raises(AppError) as caught:
        client.predict(**parameters, api_name=f"/{endpoint}")
    assert told in caught.value.message
    assert is_one_sentence(caught.value.message.replace("&lt;", "").replace("&gt;", "")), caught.value.message


def test_on_this_machine_no_other_name_is_answered_to(served):
    assert httpx.get(served.url).status_code == 200
    for name in ("evil.example", "someone-reverie.hf.space"):
        assert httpx.get(served.url, headers={"Host": name}).status_code == 400


def test_no_file_of_the_server_is_taken_for_an_upload(served):
    secret = served.folder / "secret.png"
    Image.new("RGB", (32, 32)).save(secret)
    event = served.post("deep_dream", image={"path": str(secret), "meta": {"_type": "gradio.FileData"}})
    told = httpx.get(f"{served.url}/gradio_api/call/deep_dream/{event}", timeout=60).text
    assert "event: error" in told
    assert "secret" not in told
    for value in ({"path": str(secret)}, str(secret), {"path": str(secret), "meta": "gradio.FileData"}):
        refusal(ValueError, upload_path, value, "data")


async def told_of(value: Any) -> str | bytes:
    return await image_source(value, "image")


@pytest.mark.parametrize("value", ["data:image/png;base64,???", "http://127.0.0.1:1/x.png", "photo.jpg", 3, None, {}])
def test_what_is_no_image_is_refused(value):
    refusal(ImageError, lambda: asyncio.run(told_of(value)))


def test_images_are_taken_as_data_uris(served):
    uri = "data:image/jpeg;base64," + base64.b64encode((served.folder / "photo.jpg").read_bytes()).decode()
    quick = {"seconds": 0, "size": 64, "scales": 1, "steps": 2}
    event = served.post("style_transfer", content_image=uri, style_images=[uri], masks=[None], **quick)
    told = httpx.get(f"{served.url}/gradio_api/call/style_transfer/{event}", timeout=120).text
    assert '"state": "done"' in told


@pytest.mark.parametrize(
    ("engine", "inputs", "fits"),
    [
        ("deep_dream", ["image"], True),
        ("deep_dream", ["image", "guide"], True),
        ("deep_dream", ["guide"], False),
        ("deep_dream", ["image", "photo"], False),
        ("style_transfer", ["content_image", "style_images_1", "style_images_2", "masks_2"], True),
        ("style_transfer", ["content_image"], False),
        ("style_transfer", ["content_image", "style_images_2"], False),
        ("style_transfer", ["content_image", "style_images_1", "style_images_999999999"], False),
        ("style_transfer", ["content_image", "style_images_1", "masks_x"], False),
        ("dcgan", [], True),
    ],
)
def test_a_recipe_names_the_inputs_of_its_engine(engine, inputs, fits):
    recipe = Recipe(engine=engine, config={}, backbone="", weights="", inputs=dict.fromkeys(inputs, ""))
    endpoint = next(one for one in ENDPOINTS.values() if one.engine.name == engine)
    with contextlib.nullcontext() if fits else pytest.raises(ValueError, match="inputs of this recipe"):
        check_inputs(recipe, endpoint)


def test_a_recipe_whose_image_is_nowhere_says_so(client, photo):
    _, _, recipe = client.predict(image=photo, size=64, octaves=1, steps=1, api_name="/deep_dream")
    with pytest.raises(AppError, match="is missing; send it in pictures"):
        client.predict(recipe={**recipe, "inputs": {"image": "0" * 64}}, api_name="/repeat")
    training = {**recipe, "engine": "vae_training", "config": {}, "inputs": {}}
    with pytest.raises(AppError, match="repeated by its own endpoint"):
        client.predict(recipe=training, api_name="/repeat")
    with pytest.raises(AppError, match="which this version does not have"):
        client.predict(recipe={**recipe, "engine": "diffusion"}, api_name="/repeat")
    with pytest.raises(AppError, match="steps: Steps per octave must be between"):
        client.predict(recipe={**recipe, "config": {"steps": 0}}, api_name="/repeat")


# MCP tools


def test_tools_that_cannot_be_served_are_refused_with_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install -r requirements-mcp.txt" in refusal(tools.ToolsError, tools.check_installed)
    with unserved_page() as page:
        pass
    assert "pip install -r requirements-mcp.txt" in refusal(tools.ToolsError, tools.check_served, page)


def test_the_endpoints_are_tools_and_their_images_come_back(served):
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async def used(url: str) -> tuple[set[str], Any, Any]:
        way = streamablehttp_client(f"{url}/gradio_api/mcp/")
        async with way as (read, write, _), ClientSession(read, write) as session:
            await session.initialize()
            names = {tool.name for tool in (await session.list_tools()).tools}
            faces = await session.call_tool("dcgan_draw", {"count": 4})
            return names, faces, await session.call_tool("dcgan_draw", {"z": [1.0]})

    names, faces, refused = asyncio.run(used(served.url))
    assert names == {*ENDPOINTS, "repeat", "score_text"}
    assert [one.type for one in faces.content] == ["text", "image", "text", "text"]
    assert read_image(base64.b64decode(faces.content[1].data)).shape == (128, 128, 3)
    assert refused.isError
    assert "numbers" in refused.content[0].text
