"""Local servers of one file, correct or faulty."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest import mock

PIECE = 1 << 16


def md5_hex(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@contextlib.contextmanager
def server(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """The address of a server that answers every request in this way, bypassing any proxy."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            with contextlib.suppress(ConnectionError):  # whoever asked has gone
                answer(self)

        def log_message(self, *arguments):
            pass

    direct = mock.patch.dict(os.environ, no_proxy="*")
    with direct, ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=[0.02])
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}/file.h5"
        finally:
            running.shutdown()
            thread.join()


class FileServer:
    """A request handler that serves one file.

    Attributes:
        asked: the Range of each request, empty where it had none.

    Args:
        ranges: whether it sends a part of the file where one is asked for.
        breaks_after: after how many bytes of the first answer the connection ends.
        gate: pieces are sent only as this is released, where it is given.
    """

    def __init__(
        self, data: bytes, *, ranges: bool = True, breaks_after: int = 0, gate: threading.Semaphore | None = None
    ):
        self.data, self.ranges, self.breaks_after, self.gate = data, ranges, breaks_after, gate
        self.asked: list[str] = []

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        asked = handler.headers.get("Range", "")
        self.asked.append(asked)
        match = re.fullmatch(r"bytes=(\d+)-", asked) if self.ranges else None
        start = int(match[1]) if match else 0
        if start >= len(self.data) > 0:
            handler.send_response(416)
            handler.end_headers()
            return
        handler.send_response(206 if match else 200)
        handler.send_header("Content-Length", str(len(self.data) - start))
        if match:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.data) - 1}/{len(self.data)}")
        handler.end_headers()
        end = self.breaks_after if self.breaks_after and len(self.asked) == 1 else len(self.data)
        for place in range(start, end, PIECE):
            if self.gate is not None:
                self.gate.acquire(timeout=60)
            handler.wfile.write(self.data[place : min(place + PIECE, end)])
