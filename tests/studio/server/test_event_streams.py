"""Event streams end in time, and events queued meanwhile are not lost."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from starlette.responses import JSONResponse, StreamingResponse

from studio.server import event_streams
from studio.server.event_streams import EventStreams

LAST = b'data: {"msg":"close_stream"}\n\n'


@pytest.mark.parametrize(("patience", "ended"), [(30.0, True), (0.0, False)])
def test_a_browser_that_hangs_up_interrupts_nothing_that_is_about_to_end(monkeypatch, patience, ended):
    monkeypatch.setattr(event_streams, "PATIENCE_SECONDS", patience)
    over = []

    async def stream():
        try:
            yield b"data: more\n\n"
            await asyncio.sleep(0.05)
            over.append(True)
        except asyncio.CancelledError:
            over.append(False)
            raise

    async def check() -> None:
        heard = asyncio.Event()

        async def receive():
            await heard.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            if message.get("body"):
                heard.set()

        scope = {"type": "http", "path": "/gradio_api/queue/data", "query_string": b"", "asgi": {"spec_version": "2.0"}}
        await EventStreams(StreamingResponse(stream()))(scope, receive, send)

    asyncio.run(check())
    assert over == [ended]


async def served(scope, receive, send) -> None:
    """Serve a stream that has sent its last message, or the receipt of an event."""
    if scope["path"].endswith("data"):

        async def stream():
            yield LAST

        await StreamingResponse(stream())(scope, receive, send)
    else:
        await receive()
        await JSONResponse({"event_id": "next"})(scope, receive, send)


@pytest.mark.parametrize(
    ("session", "hangs_up", "kept_back"),
    [("mine", True, True), ("mine", False, True), ("another", True, False)],
    ids=["until the page hangs up", "for a while, should it not", "but no other page's"],
)
def test_the_receipt_of_an_event_is_kept_back_while_the_last_message_is_on_its_way(
    monkeypatch, session, hangs_up, kept_back
):
    monkeypatch.setattr(event_streams, "PATIENCE_SECONDS", 30.0 if hangs_up else 0.1)
    streams = EventStreams(served)

    async def check() -> None:
        sent, receipt, hung_up = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def told(message):
            if message.get("body") == LAST:
                sent.set()

        async def until_hung_up():
            await hung_up.wait()
            return {"type": "http.disconnect"}

        async def asked():
            return {"type": "http.request", "body": b'{"data": [], "session_hash": "%s"}' % session.encode()}

        async def received(message):
            receipt.set()

        scope = {"type": "http", "method": "GET", "asgi": {"spec_version": "2.4"}, "query_string": b"session_hash=mine"}
        data, join = ({**scope, "path": f"/gradio_api/queue/{name}"} for name in ("data", "join"))
        stream = asyncio.create_task(streams(data, until_hung_up, told))
        await sent.wait()
        press = asyncio.create_task(streams(join, asked, received))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(receipt.wait(), 0.02)
        assert receipt.is_set() is not kept_back
        if hangs_up:
            hung_up.set()
        await asyncio.wait_for(asyncio.gather(stream, press), 20)
        assert receipt.is_set()
        assert streams._ending == {}

    asyncio.run(check())
