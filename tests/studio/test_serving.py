"""A stream that has said that it ends is not taken for a visitor who leaves."""

from __future__ import annotations

import asyncio

import pytest
from starlette.responses import StreamingResponse

from studio.serving import PatientStreams


@pytest.mark.parametrize(("last", "ended"), [(b'data: {"msg":"close_stream"}\n\n', True), (b"data: more\n\n", False)])
def test_a_browser_that_hangs_up_after_the_last_word_interrupts_nothing(last, ended):
    over = []

    async def stream():
        try:
            yield last
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

        scope = {"type": "http", "path": "/gradio_api/queue/data", "asgi": {"spec_version": "2.0"}}
        await PatientStreams(StreamingResponse(stream()))(scope, receive, send)

    asyncio.run(check())
    assert over == [ended]
