"""Keep events from being lost when a page's event stream ends and the next one opens.

A page has one such stream while it waits for anything. Gradio ends it with a last message once all events are answered,
and what the page asks for later opens the next.
"""

from __future__ import annotations

import asyncio
import re
import urllib.parse

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATIENCE_SECONDS = 2.0

# The last message is a short one; pictures need not be searched for it.
_LAST, _LONGEST = re.compile(rb'"msg": ?"close_stream"'), 100
_SESSION = re.compile(rb'"session_hash": ?"(\w+)"')


class EventStreams:
    """Two moments at which a press of a button would come to nothing. Plain ASGI, as the streams are streamed.

    A browser hangs up as soon as all that it has asked for is answered. Gradio would take that for a visitor who
    leaves, and would drop what the page has asked for meanwhile; so a stream is given a moment to end by itself.

    An event that is asked for after the last message was sent, and whose receipt overtakes that message, is waited for
    on a stream that has ended: the page takes it for open, opens none, and takes no press of that button from then on.
    So such a receipt is kept back until the page has had the last message: then it hangs up.
    """

    def __init__(self, app: ASGIApp):
        self.app = app
        # The streams whose last message is on its way, by their sessions; set when it has arrived.
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
                await asyncio.sleep(PATIENCE_SECONDS)  # ends with the stream
            return message

        async def watched_send(message: Message) -> None:
            body = message.get("body", b"")
            if len(body) <= _LONGEST and _LAST.search(body):
                self._ending[session] = arrived
            elif self._ending.get(session) is arrived and not message.get("more_body"):
                # The page hangs up when it has the last message; one that does not has had it long since.
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
    """Wait until whoever is answered hangs up, but not for long."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        pass
