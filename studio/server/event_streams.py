"""Keep events from being lost when a page's event stream ends and the next one opens.

A page keeps one event stream open while it waits for answers. Gradio sends a last message once every event is answered;
the page opens another stream for later events.
"""

from __future__ import annotations

import asyncio
import re
import urllib.parse

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATIENCE_SECONDS = 2.0

# The last message is short; longer ones, with images, are not searched.
_LAST, _LONGEST = re.compile(rb'"msg": ?"close_stream"'), 100
_SESSION = re.compile(rb'"session_hash": ?"(\w+)"')


class EventStreams:
    """Middleware that closes two races in which a button press would be lost. Plain ASGI, because streams are streamed.

    The browser closes its stream as soon as its last event is answered. Gradio treats that as a visitor who has left
    and drops events the page has queued in the meantime. So a disconnect is reported only after a delay, in which the
    stream can end by itself.

    If an event is queued after the last message was sent but its receipt arrives first, the page waits for it on the
    ended stream and ignores that button from then on. So the receipt is held back until the page has received the last
    message and has disconnected.
    """

    def __init__(self, app: ASGIApp):
        self.app = app
        # Session -> event that is set once the stream's last message has arrived.
        self._ending: dict[str, asyncio.Event] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        if path.endswith("/queue/data"):
            await self._stream(scope, receive, send)
        elif path.endswith("/queue/join"):
            await self._receipt(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        session = urllib.parse.parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [""])[0]
        arrived = asyncio.Event()

        async def delayed_receive() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect":
                await asyncio.sleep(PATIENCE_SECONDS)  # cancelled when the stream ends
            return message

        async def watched_send(message: Message) -> None:
            body = message.get("body", b"")
            if len(body) <= _LONGEST and _LAST.search(body):
                self._ending[session] = arrived
            elif self._ending.get(session) is arrived and not message.get("more_body"):
                # The page disconnects once it has the last message. One that does not within the timeout has received
                # it long ago.
                await _wait_for_disconnect(receive)
                arrived.set()
            await send(message)

        try:
            await self.app(scope, delayed_receive, watched_send)
        finally:
            arrived.set()
            if self._ending.get(session) is arrived:
                del self._ending[session]

    async def _receipt(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_body: list[bytes] = []

        async def recorded_receive() -> Message:
            message = await receive()
            request_body.append(message.get("body", b""))
            return message

        async def delayed_send(message: Message) -> None:
            if self._ending and message["type"] == "http.response.start":
                session = _SESSION.search(b"".join(request_body))
                ending = self._ending.get(session[1].decode()) if session else None
                if ending is not None:
                    await ending.wait()
            await send(message)

        await self.app(scope, recorded_receive, delayed_send)


async def _wait_for_disconnect(receive: Receive) -> None:
    """Wait until the client disconnects, for at most PATIENCE_SECONDS."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        pass
