"""Listening address, allowed host names, startup on slow machines, and proxies."""

from __future__ import annotations

import itertools
import os
import socket
import time
from collections.abc import Iterator
from types import SimpleNamespace

import gradio as gr
import httpx
import pytest
from gradio import http_server, networking
from gradio_client import Client, handle_file

import app
from studio.server.listening import AddressError, allowed_names, bypass_proxy, is_loopback, listen, url_of
from studio.server.serve import serve
from studio.services import Studio
from tests.engines.helpers import is_one_sentence
from tests.studio.helpers import unserved_page
from tests.studio.proxy import reverse_proxy

NAME = "studio.example.com"
PROXIES = [f"{scheme}_proxy" for scheme in ("http", "https", "all", "no")]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@pytest.fixture
def no_proxies(monkeypatch) -> None:
    """Remove proxies from the environment and restore it afterwards."""
    for name in PROXIES:
        for variable in (name, name.upper()):
            monkeypatch.setenv(variable, "")
            monkeypatch.delenv(variable)


@pytest.fixture
def silent_proxy(no_proxies, monkeypatch) -> Iterator[socket.socket]:
    """Set a proxy that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        proxy.setblocking(False)
        yield proxy


def small_page() -> gr.Blocks:
    """A page with an endpoint that returns a file's length."""
    with unserved_page() as page:
        file, length = gr.File(), gr.Number()
        gr.Button("Measure").click(os.path.getsize, [file], [length], api_name="measure")
    return page


@pytest.fixture
def served(tmp_path) -> Iterator[SimpleNamespace]:
    """Serve a small page; takes the options of `serve`."""
    studio, page = Studio(outputs=tmp_path / "outputs"), small_page()

    def begin(host: str = "127.0.0.1", **options) -> str:
        listener = listen(host, 0)
        serve(page, studio, host=host, port=0, listener=listener, block=False, **options)
        return url_of(listener)

    yield begin
    page.close()
    studio.close()


# Address


def test_a_taken_port_is_told_in_a_sentence_before_anything_is_built(tmp_path, monkeypatch):
    monkeypatch.setattr(app, "build_page", lambda _: pytest.fail("built a page that nobody can be served"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit) as ended:
            app.main(["--port", str(port), "--outputs", str(tmp_path)])
    assert str(ended.value.code).startswith(f"python app.py: Port {port} is already in use")
    Studio(outputs=tmp_path).close()  # the lock is released


def test_a_second_one_on_the_same_outputs_is_told_of_the_first_and_not_of_the_port(tmp_path):
    first = Studio(outputs=tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit) as ended:
        app.main(["--port", str(taken.getsockname()[1]), "--outputs", str(tmp_path)])
    first.close()
    assert str(ended.value.code).startswith("python app.py: Another Reverie is already using the outputs folder")


def test_outputs_that_are_a_file_end_the_start_before_anything_else(tmp_path, monkeypatch):
    monkeypatch.setattr(app, "listen", lambda *_: pytest.fail("listened before it had a folder"))
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as ended:
        app.main(["--outputs", str(tmp_path / "file")])
    assert ended.value.code == f"python app.py: --outputs: {tmp_path / 'file'} is a file; choose a folder."


def test_a_temporary_folder_that_is_another_users_ends_the_start(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "file" / "gradio"))  # root may write into any folder
    with pytest.raises(SystemExit, match="GRADIO_TEMP_DIR: cannot write to"):
        app.main(["--port", str(free_port()), "--outputs", str(tmp_path / "outputs")])


@pytest.mark.parametrize(
    ("host", "error"),
    [
        ("192.0.2.1", None),  # reserved for documentation: no machine has it
        ("nowhere.invalid", socket.gaierror(-2, "Name or service not known")),
        ("127.0.0.1", PermissionError(13, "Permission denied")),
        ("127.0.0.1", OSError(99999, "Something else")),
    ],
)
def test_an_address_that_cannot_be_listened_on_is_told_in_a_sentence(host, error, monkeypatch):
    if error is not None:
        where = "getaddrinfo" if isinstance(error, socket.gaierror) else "create_server"
        monkeypatch.setattr(socket, where, lambda *_, **__: (_ for _ in ()).throw(error))
    with pytest.raises(AddressError) as refused:
        listen(host, 7)
    assert is_one_sentence(refused.value)
    assert "--host" in str(refused.value) or "--port" in str(refused.value)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.0.0.2", True),
        ("localhost", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.7", False),
        ("localhost.example.com", False),
    ],
)
def test_which_addresses_only_this_machine_can_reach(host, loopback):
    assert is_loopback(host) is loopback
    assert (allowed_names(host, (), share=False) == ["*"]) is not loopback


def test_on_ipv6_loopback_too_a_foreign_name_is_refused(served):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    url = served("[::1]")
    assert url.startswith("http://[::1]:")
    assert httpx.get(url).status_code == 200
    assert httpx.get(url, headers={"host": "evil.example.com"}).status_code == 400


# Host names


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--allow-host", "https://example.com"], "--allow-host must be a name"),
        (["--allow-host", "example.com:8080"], "--allow-host must be a name"),
        (["--allow-host", "exa*mple.com"], "--allow-host must be a name"),
        (["--allow-host", "example.com", "--share"], "--share and --allow-host cannot be combined"),
        (["--root-path", "studio"], "--root-path must be a path"),
        (["--root-path", "/a path"], "--root-path must be a path"),
        (["--root-path", "/studio?x"], "--root-path must be a path"),
    ],
)
def test_a_flag_that_cannot_be_is_refused(flags, told, capsys):
    with pytest.raises(SystemExit):
        app.parse(flags)
    assert told in capsys.readouterr().err


def test_names_and_paths_that_can_be():
    options = app.parse(["--allow-host", NAME, "--allow-host", "*.example.org", "--root-path", "/studio/"])
    assert (options.allow_host, options.root_path) == ([NAME, "*.example.org"], "/studio")
    assert app.parse(["--root-path", "https://example.com/a/b"]).root_path == "https://example.com/a/b"


def test_where_others_can_reach_it_names_are_allowed_only_if_some_are_named():
    assert allowed_names("0.0.0.0", (), share=False) == ["*"]
    assert NAME in allowed_names("0.0.0.0", [NAME], share=False)
    assert "*" not in allowed_names("0.0.0.0", [NAME], share=False)


def test_behind_a_proxy_all_is_found_under_its_name_and_path(served, tmp_path, monkeypatch):
    resolved = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **more: resolved("127.0.0.1" if NAME in str(host) else host, *rest, **more),
    )
    port = httpx.URL(served(allowed_hosts=[NAME], root_path="/studio")).port
    photo = tmp_path / "photo.bin"
    photo.write_bytes(b"x" * 1234)
    with reverse_proxy(port, "/studio/") as proxy:
        url = f"http://{NAME}:{proxy.port}/studio"
        page = httpx.get(f"{url}/")
        assert f'"root":"{url}"' in page.text
        assert 'href="/' not in page.text
        korean = httpx.get(f"{url}/", headers={"accept": "text/html", "accept-language": "ko"})
        assert (korean.status_code, korean.headers["location"]) == (302, "./ko")
        assert Client(url, verbose=False).predict(handle_file(photo), api_name="/measure") == 1234
        assert httpx.get(f"http://127.0.0.1:{proxy.port}/studio/").status_code == 200
        assert httpx.get(f"{url}/", headers={"host": "other.example.com"}).status_code == 400
        assert all(path.startswith("/studio/") for path in proxy.asked)


# Startup


def test_a_start_asks_no_proxy_for_its_own_addresses(served, silent_proxy):
    url = served()
    assert httpx.get(url).status_code == 200
    with pytest.raises(BlockingIOError):  # no client has connected
        silent_proxy.accept()


def test_what_the_environment_says_of_proxies_else_is_kept(no_proxies, monkeypatch):
    bypass_proxy()
    assert "no_proxy" not in os.environ, "without a proxy there is nothing to say"
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.com:3128")
    monkeypatch.setenv("no_proxy", "intranet, 127.0.0.1")
    bypass_proxy("192.168.0.7")
    assert os.environ["no_proxy"] == "intranet,127.0.0.1,localhost,::1,192.168.0.7"
    assert os.environ["NO_PROXY"] == os.environ["no_proxy"]
    assert os.environ["HTTPS_PROXY"] == "http://proxy.example.com:3128"


def test_a_systems_own_proxies_stay_known(no_proxies, monkeypatch):
    """macOS and Windows store them elsewhere, where Python looks only if the environment sets none."""
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"https": "http://proxy.example.com:3128"})
    bypass_proxy()
    assert os.environ["https_proxy"] == "http://proxy.example.com:3128"
    assert os.environ["no_proxy"] == "127.0.0.1,localhost,::1"


def test_a_machine_that_is_slow_as_it_begins_is_waited_for(served, monkeypatch):
    monkeypatch.setattr(networking, "url_ok", lambda _: False)  # its own page was not ready within three seconds
    leaps = SimpleNamespace(time=itertools.count(0, 60).__next__, sleep=time.sleep)
    monkeypatch.setattr(http_server, "time", leaps)  # nor the server within five
    assert httpx.get(served()).status_code == 200
