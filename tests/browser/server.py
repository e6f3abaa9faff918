"""The real server, in a process of its own."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class ConnectionTrap:
    """Stands where a proxy would be and notes whoever connects: nothing should."""

    def __init__(self):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.caught: list[str] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                try:
                    self.caught.append(connection.recv(200).decode(errors="replace").split("\r\n")[0])
                except OSError:
                    self.caught.append("a connection that said nothing")

    def close(self) -> None:
        self._socket.close()


@dataclass
class Server:
    """The server under test."""

    url: str
    outputs: Path
    log_file: Path
    trap: ConnectionTrap
    process: subprocess.Popen = field(repr=False)

    @property
    def log(self) -> str:
        """All that the server has printed so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def wait_until_it_answers(server: Server) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert server.process.poll() is None, server.log
        try:
            with urllib.request.urlopen(server.url, timeout=10) as answer:
                assert answer.status == 200
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise AssertionError(f"the server did not answer:\n{server.log}")


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Server]:
    """`python app.py` with the bundled weights, and a trap for connections to anywhere else; its outputs and log are
    in a folder."""
    trap = ConnectionTrap()
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), trap.url)
    ours = ("SPACE_ID", "REVERIE_WEIGHTS", "no_proxy", "NO_PROXY", "GRADIO_TEMP_DIR")
    environment = {k: v for k, v in os.environ.items() if k not in ours}
    # The tests' own setting must not stand in for the one that the app makes itself.
    environment.pop("GRADIO_ANALYTICS_ENABLED", None)
    environment |= proxies | {"PYTHONUNBUFFERED": "1"}
    port = free_port()
    log_file = folder / "log.txt"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "app.py", "--port", str(port), "--outputs", str(folder / "outputs")],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    server = Server(f"http://127.0.0.1:{port}/", folder / "outputs", log_file, trap, process)
    try:
        wait_until_it_answers(server)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        trap.close()
