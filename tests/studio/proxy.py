"""A reverse proxy that strips a prefix, as nginx's `location /studio/ { proxy_pass http://127.0.0.1:7860/; }` does."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

# Hop-by-hop headers, see RFC 9110, 7.6.1.
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer"}


@contextlib.contextmanager
def reverse_proxy(port: int, prefix: str) -> Iterator[SimpleNamespace]:
    """Run a proxy for a port of this machine.

    Yields:
        The proxy: `port`; `asked`, the paths that were requested; `away`, set to True to simulate a missing server;
            `late`, the delay of event streams in seconds.
    """
    proxy = SimpleNamespace(asked=[], away=False, late=0.0)

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            proxy.asked.append(self.path)
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if proxy.away or not self.path.startswith(prefix):
                self.send_error(502 if proxy.away else 404)
                return
            behind = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
            # As in the README; without it the browser's host name would be lost.
            headers |= {"Host": self.headers["host"], "X-Forwarded-Proto": "http"}
            behind.request(self.command, "/" + self.path.removeprefix(prefix), body, headers)
            answer = behind.getresponse()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            self.end_headers()
            with contextlib.closing(behind), contextlib.suppress(OSError):  # the browser has disconnected
                while piece := answer.read1(65536):
                    time.sleep(proxy.late if "/queue/data" in self.path else 0)
                    self.wfile.write(piece)

        do_GET = do_POST = do_HEAD = handle_any  # noqa: N815

        def log_message(self, *_) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        proxy.port = server.server_port
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield proxy
        finally:
            server.shutdown()
