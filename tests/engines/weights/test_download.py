"""Downloads: atomic, resumable, cancellable, and shared by concurrent requests."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest

from engines.weights import download as downloads
from engines.weights.download import UnreachableError, UnwritableError, WrongContentError, discard_part, fetch, part_of
from tests.engines.helpers import files_in, refusal
from tests.engines.servers import FileServer, md5_hex, server

PAYLOAD = np.random.default_rng(0).bytes(1_500_000)
MD5 = md5_hex(PAYLOAD)


@pytest.fixture
def destination(tmp_path) -> Path:
    return tmp_path / "cache" / "weights.h5"


def test_a_whole_download_rises_to_its_total_and_leaves_nothing_else(destination):
    with server(FileServer(PAYLOAD).answer) as url:
        progress = list(fetch(url, destination, MD5))
    done = [step for step, _ in progress]
    assert done == sorted(set(done))
    assert len(done) > 2
    assert progress[-1] == (len(PAYLOAD), len(PAYLOAD))
    assert {total for _, total in progress} == {len(PAYLOAD)}
    assert destination.read_bytes() == PAYLOAD
    assert files_in(destination.parent) == [destination.name]


@pytest.mark.parametrize("ranges", [True, False], ids=["server sends the rest", "server sends the whole"])
def test_an_interrupted_download_is_gone_on_with_if_the_server_can(destination, ranges):
    files = FileServer(PAYLOAD, ranges=ranges, breaks_after=700_000)
    with server(files.answer) as url:
        refusal(UnreachableError, list, fetch(url, destination, MD5))
        assert files_in(destination.parent) == [part_of(destination).name]
        assert part_of(destination).read_bytes() == PAYLOAD[:700_000]
        progress = list(fetch(url, destination, MD5))
    assert files.asked == ["", "bytes=700000-"]
    assert (progress[0][0] > 700_000) is ranges
    assert progress[-1] == (len(PAYLOAD), len(PAYLOAD))
    assert destination.read_bytes() == PAYLOAD
    assert files_in(destination.parent) == [destination.name]


def test_a_download_that_is_given_up_keeps_what_has_arrived(destination):
    files = FileServer(PAYLOAD)
    with server(files.answer) as url:
        download = fetch(url, destination, MD5)
        done, _ = next(download)
        download.close()
        assert part_of(destination).read_bytes() == PAYLOAD[:done]
        assert not destination.exists()
        list(fetch(url, destination, MD5))
    assert files.asked == ["", f"bytes={done}-"]
    assert destination.read_bytes() == PAYLOAD


def test_a_part_that_is_whole_already_asks_nothing_of_the_server(destination):
    destination.parent.mkdir()
    part_of(destination).write_bytes(PAYLOAD)
    list(fetch("http://127.0.0.1:9/never", destination, MD5))
    assert destination.read_bytes() == PAYLOAD
    assert files_in(destination.parent) == [destination.name]


@pytest.mark.parametrize("part", [PAYLOAD + b"more", PAYLOAD[::-1]], ids=["too long", "as long"])
def test_a_part_of_another_file_behind_whose_end_there_is_nothing_is_begun_anew(destination, part):
    destination.parent.mkdir()
    part_of(destination).write_bytes(part)
    with server(FileServer(PAYLOAD).answer) as url:
        list(fetch(url, destination, MD5))
    assert destination.read_bytes() == PAYLOAD


def test_a_part_of_another_file_is_found_out_and_not_kept(destination):
    destination.parent.mkdir()
    part_of(destination).write_bytes(b"something else")
    with server(FileServer(PAYLOAD).answer) as url:
        refusal(WrongContentError, list, fetch(url, destination, MD5))
        assert files_in(destination.parent) == []
        list(fetch(url, destination, MD5))
    assert destination.read_bytes() == PAYLOAD


def answers(data: bytes, *, length: int | None = None, status: int = 200, chunked: bool = False, raw: bytes = b""):
    """A response: `data` with a stated length that may be wrong, or bytes that are not HTTP."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if raw:
            handler.wfile.write(raw)
            return
        handler.send_response(status)
        if chunked:
            handler.send_header("Transfer-Encoding", "chunked")
        elif length is None or length >= 0:
            handler.send_header("Content-Length", str(len(data) if length is None else length))
        handler.end_headers()
        if chunked:  # a piece is announced, and the connection ends in the middle of it
            handler.wfile.write(f"{len(data) + 999:x}\r\n".encode())
        handler.wfile.write(data)

    return answer


def test_a_download_of_unknown_length_says_so_and_works(destination):
    with server(answers(PAYLOAD, length=-1)) as url:
        progress = list(fetch(url, destination, MD5))
    assert progress[-1] == (len(PAYLOAD), 0)
    assert destination.read_bytes() == PAYLOAD


WRONG = {
    "other content": answers(PAYLOAD[::-1]),
    "one bit": answers(PAYLOAD[:-1] + bytes([PAYLOAD[-1] ^ 1])),
    "empty": answers(b""),
    "shorter than meant": answers(PAYLOAD[:700_000]),
}
BROKEN = {
    "connection closed early": answers(PAYLOAD[:700_000], length=len(PAYLOAD)),
    "closed in a piece": answers(PAYLOAD[:700_000], chunked=True),
    "not found": answers(b"no such file", status=404),
    "server error": answers(b"sorry", status=503),
    "no http": answers(b"", raw=b"SSH-2.0-OpenSSH_9.6\r\n"),
    "nothing said": answers(b"", raw=b"\0"),
}


@pytest.mark.parametrize("fault", [*WRONG, *BROKEN])
@pytest.mark.parametrize("before", [None, b"what was there before"], ids=["empty cache", "older file"])
def test_a_download_that_fails_leaves_what_was_there_and_says_why_in_one_sentence(destination, fault, before):
    destination.parent.mkdir()
    if before:
        destination.write_bytes(before)
    kind = WrongContentError if fault in WRONG else UnreachableError
    with server((WRONG | BROKEN)[fault]) as url:
        refusal(kind, list, fetch(url, destination, MD5))
    kept = set(files_in(destination.parent)) - {part_of(destination).name}
    assert kept == ({destination.name} if before else set())
    assert not before or destination.read_bytes() == before
    assert not (fault in WRONG and part_of(destination).exists())


def test_a_refused_connection_leaves_nothing(destination, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening: whoever connects is refused
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/file.h5"
        monkeypatch.setenv("no_proxy", "*")
        refusal(UnreachableError, list, fetch(url, destination, MD5))
    assert not destination.parent.exists()


def test_a_server_that_stops_talking_is_given_up_on(destination):
    gate = threading.Semaphore(5)
    with server(FileServer(PAYLOAD, gate=gate).answer) as url:
        refusal(UnreachableError, list, fetch(url, destination, MD5, timeout=0.3))
        gate.release(1000)
    assert files_in(destination.parent) == [part_of(destination).name]


def test_where_nothing_can_be_written_one_sentence_says_so(tmp_path):
    (tmp_path / "file").write_text("a file where a folder should be")
    with server(FileServer(PAYLOAD).answer) as url:
        refusal(UnwritableError, list, fetch(url, tmp_path / "file" / "weights.h5", MD5))


# Concurrent downloads


def test_who_asks_for_what_is_being_fetched_waits_for_it_and_asks_nothing_of_the_server(destination, monkeypatch):
    monkeypatch.setattr(downloads, "POLL_SECONDS", 0.01)
    files = FileServer(PAYLOAD)
    with server(files.answer) as url:
        first, second = fetch(url, destination, MD5), fetch(url, destination, MD5)
        done, _ = next(first)
        assert next(second) == (done, len(PAYLOAD))
        assert not discard_part(destination)
        list(first)
        assert list(second)[-1] == (len(PAYLOAD), len(PAYLOAD))
    assert files.asked == [""]
    assert destination.read_bytes() == PAYLOAD


def test_when_the_first_gives_up_the_next_goes_on_from_there(destination, monkeypatch):
    monkeypatch.setattr(downloads, "POLL_SECONDS", 0.01)
    files = FileServer(PAYLOAD)
    with server(files.answer) as url:
        first, second = fetch(url, destination, MD5), fetch(url, destination, MD5)
        done, _ = next(first)
        next(second)
        first.close()
        list(second)
    assert files.asked == ["", f"bytes={done}-"]
    assert destination.read_bytes() == PAYLOAD


def test_many_at_once_get_one_whole_file(destination):
    files = FileServer(PAYLOAD)
    ends: list[tuple[int, int]] = []

    def visit(progress: Iterator[tuple[int, int]]) -> None:
        ends.append(list(progress)[-1])

    with server(files.answer) as url:
        visitors = [threading.Thread(target=visit, args=[fetch(url, destination, MD5)]) for _ in range(6)]
        for visitor in visitors:
            visitor.start()
        for visitor in visitors:
            visitor.join(60)
    assert ends == [(len(PAYLOAD), len(PAYLOAD))] * 6
    assert destination.read_bytes() == PAYLOAD
    assert files_in(destination.parent) == [destination.name]
