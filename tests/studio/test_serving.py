"""A stream of events whose browser hangs up may end by itself."""

from __future__ import annotations

import asyncio

import pytest
from starlette.responses import StreamingResponse

from studio.serving import PatientStreams


@pytest.mark.parametrize(("patience", "ended"), [(30.0, True), (0.0, False)])
def test_a_browser_that_hangs_up_interrupts_nothing_that_is_about_to_end(monkeypatch, patience, ended):
    monkeypatch.setattr("studio.serving.PATIENCE_SECONDS", patience)
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

        scope = {"type": "http", "path": "/gradio_api/queue/data", "asgi": {"spec_version": "2.0"}}
        await PatientStreams(StreamingResponse(stream()))(scope, receive, send)

    asyncio.run(check())
    assert over == [ended]
