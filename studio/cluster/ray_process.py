"""Run the process that talks to Ray (`studio.cluster.ray_link`), and exchange messages with it."""

from __future__ import annotations

import itertools
import json
import logging
import os
import pickle
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from engines.core.messages import message

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]
# Where the process finds the project and, as a package of its own, `ray_link`.
IMPORT_PATHS = (ROOT, Path(__file__).resolve().parent)
# With this exit code, the last line of stderr is a message for the user, as JSON for `sentence_of`.
EXPLAINED = 3
GONE = message("The cluster cannot be reached.")


class LostError(Exception):
    """A worker is lost, and with it the run's state."""


class RayProcess:
    """The process that is connected to a cluster; it ends when the connection is lost.

    Args:
        options: options of `ray_link`, except for the socket.
        folder: its working directory. Ray puts this on the import path of workers on the same machine, so it must not
            contain a copy of the project.
    """

    def __init__(self, options: dict[str, Any], folder: Path):
        ours, theirs = socket.socketpair()
        self._connection = Connection(ours.detach())
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
        self._waiting: dict[int, Future[tuple[str, Any]]] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._closed = False
        paths = [*map(str, IMPORT_PATHS), os.environ.get("PYTHONPATH", "")]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ray_link", json.dumps({**options, "socket": theirs.fileno()})],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            # Ctrl-C in the terminal is for the studio, which ends its runs first.
            start_new_session=True,
        )
        theirs.close()

    def messages(self) -> Iterator[tuple[str, Any]]:
        """Yield the kind and value of each message that is not an answer, until the process ends.

        Answers are received here too, so requests are answered only while this is being iterated.
        """
        while True:
            try:
                number, kind, value = pickle.loads(self._connection.recv_bytes())
            except (EOFError, OSError):
                return
            if number == 0:
                yield kind, value
                continue
            with self._lock:
                answer = self._waiting.pop(number, None)
            if answer is not None:
                answer.set_result((kind, value))

    def request(self, name: str, *arguments: Any) -> Future[tuple[str, Any]]:
        """Send a request; see `ray_link.server.RequestServer` for their names. Read the answer with `result_of`.

        Raises:
            LostError: the process has ended.
        """
        answer: Future[tuple[str, Any]] = Future()
        with self._lock:
            if self._closed:
                raise LostError(GONE)
            number = next(self._numbers)
            self._waiting[number] = answer
            try:
                self._connection.send_bytes(pickle.dumps((number, name, arguments), protocol=5))
            except OSError:
                del self._waiting[number]
                raise LostError(GONE) from None
        return answer

    def terminate(self) -> None:
        """Ask the process to end, which also ends `messages`."""
        self._process.terminate()

    def close(self) -> str:
        """Kill the process, answer open requests with "lost", and return why it ended, in a sentence."""
        with self._lock:
            self._closed = True
            waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            answer.set_result(("lost", GONE))
        self._connection.close()
        self._process.kill()
        self._process.wait()
        with self._errors:
            self._errors.seek(0)
            lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        for line in lines[:-1]:
            logger.debug("%s", line)
        explained = self._process.returncode == EXPLAINED and lines and lines[-1].startswith("{")
        return sentence_of(json.loads(lines[-1])) if explained else GONE


def sentence_of(parts: Mapping[str, Any] | None) -> str:
    """Create the message from a template and values that `ray_link` sent; "" for None."""
    return message(parts["template"], **parts["values"]) if parts else ""


def result_of(answer: tuple[str, Any]) -> Any:
    """Return the value of an answer.

    Raises:
        LostError: the process or the worker is lost.
        ValueError: the engine raised it; the message is for the user.
        RuntimeError: any other error on the worker.
    """
    kind, value = answer
    if kind == "lost":
        raise LostError(value)
    if kind == "refused":
        raise ValueError(pickle.loads(value))
    if kind != "value":
        raise RuntimeError(pickle.loads(value) if isinstance(value, bytes) else value)
    return value
