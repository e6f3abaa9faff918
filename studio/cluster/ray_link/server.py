"""Serve the studio's requests over a socket.

A request is a pickled (number, name, arguments), an answer (number, kind, value). The kinds of answers are "value",
"refused" (the message of a ValueError), "failed" (a traceback), "lost" (the worker is lost) and "unavailable" (no
worker is free). Messages with number 0 are not answers: "joined" with the cluster's address, and "status" every second.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import threading
from collections.abc import Awaitable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import ray

from .connection import check_reachable, exit_with
from .files import SentFiles, write_file
from .messages import message
from .nodes import Node, live_nodes
from .pool import POLL_SECONDS, NoFreeWorkerError, WorkerPool

# After this long without an answer, check whether the head still accepts connections.
PROBE_SECONDS = 3.0
# A head that accepts connections may take this long to answer before it counts as lost.
ANSWER_SECONDS = 30.0


class RequestServer:
    """Answers the studio's requests, each in an asyncio task of its own.

    Args:
        connection: the socket to the studio.
        address: HOST:PORT of the cluster's head.
    """

    def __init__(self, connection: Connection, pool: WorkerPool, address: str):
        self._connection, self._pool, self._address = connection, pool, address
        self._files = SentFiles()
        self._sending = threading.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, number: int, kind: str, value: Any = None) -> None:
        """Send a message to the studio: an answer to request `number`, or 0 for no request."""
        with self._sending:
            self._connection.send_bytes(pickle.dumps((number, kind, value), protocol=5))

    async def serve(self) -> None:
        """Serve until the studio closes the socket."""
        loop, closed = asyncio.get_running_loop(), asyncio.Event()

        def receive() -> None:
            while True:
                try:
                    request = pickle.loads(self._connection.recv_bytes())
                except (EOFError, OSError):
                    loop.call_soon_threadsafe(closed.set)
                    return
                loop.call_soon_threadsafe(self._handle, request)

        threading.Thread(target=receive, name="studio", daemon=True).start()
        self._start_task(self._poll_cluster())
        await closed.wait()

    def _handle(self, request: tuple[int, str, tuple[Any, ...]]) -> None:
        self._start_task(self._answer(*request))

    def _start_task(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)  # asyncio itself holds only a weak reference
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, number: int, name: str, arguments: tuple[Any, ...]) -> None:
        try:
            kind, value = await getattr(self, f"do_{name}")(*arguments)
        except NoFreeWorkerError:
            kind, value = "unavailable", None
        except (ray.exceptions.RayError, KeyError) as error:
            kind, value = "lost", f"{type(error).__name__}: {error}"
        except Exception as error:  # the studio waits for an answer, whatever went wrong
            logging.exception("%s failed", name)
            kind, value = "failed", f"{type(error).__name__}: {error}"
        self.send(number, kind, value)

    async def do_acquire(self, network: str, timeout: float) -> tuple[str, Any]:
        """Reserve a worker: its id, its machine's title and its process id; see `WorkerPool.acquire`."""
        handle = await self._pool.acquire(network, timeout)
        return "value", (handle.id, handle.title, handle.process)

    async def do_call(self, id: int, method: str, arguments: bytes, writes: dict[str, str]) -> tuple[str, Any]:
        """Call a method of a worker; its result is pickled.

        Args:
            writes: parameter name -> path of each file that the job writes; written before the answer is sent.
        """
        kind, result, files = await self._call_actor(id, "call", method, arguments)
        for name, content in files.items():
            await asyncio.to_thread(write_file, Path(writes[name]), content)
        return kind, result

    async def do_send_files(self, id: int, needed: bytes, paths: dict[str, str]) -> tuple[str, Any]:
        """Send the files that a worker's machine lacks; the value is their number, pickled.

        Args:
            needed: pickled `SentFile`s.
            paths: SHA-256 -> path of each on this machine.
        """
        missing = pickle.loads(await self._call_actor(id, "missing_files", needed))
        for file in missing:
            content = await self._files.reference(file.sha256, paths[file.sha256])
            kind, error = await self._call_actor(id, "store_file", pickle.dumps(file), content)
            if kind != "value":
                self._files.forget(file.sha256)
                return kind, error
        self._files.trim()
        return "value", pickle.dumps(len(missing))

    async def do_release(self, id: int) -> tuple[str, Any]:
        """Release a worker for the next run."""
        self._pool.release(self._pool.workers[id])
        return "value", None

    async def do_drop(self, id: int) -> tuple[str, Any]:
        """End a worker."""
        self._pool.drop(self._pool.workers[id])
        return "value", None

    async def do_warm(self) -> tuple[str, Any]:
        """Start and warm a worker on every machine that has room."""
        nodes = [node for node in self._pool.nodes.values() if self._pool.free_slots(node)]
        await asyncio.gather(*(self._warm(node) for node in nodes))
        return "value", None

    async def _warm(self, node: Node) -> None:
        handle = await self._pool.start(node)
        if handle is not None:
            try:
                await handle.actor.warm.remote()
            except ray.exceptions.RayError:
                self._pool.drop(handle)
            self._pool.release(handle)

    async def _call_actor(self, id: int, method: str, *arguments: Any) -> Any:
        """Call a method of a worker's actor, and drop the worker if that fails: it would stay busy forever."""
        handle = self._pool.workers[id]
        try:
            return await getattr(handle.actor, method).remote(*arguments)
        except ray.exceptions.RayError:
            self._pool.drop(handle)
            raise

    async def _poll_cluster(self) -> None:
        """Poll the machines and send the status to the studio; exits the process when the connection is lost."""
        while True:
            query = asyncio.ensure_future(asyncio.to_thread(live_nodes, self._pool.nodes))
            try:
                if not (await asyncio.wait({query}, timeout=PROBE_SECONDS))[0]:
                    await asyncio.to_thread(check_reachable, self._address)
                nodes = await asyncio.wait_for(query, ANSWER_SECONDS)
            except Exception:  # noqa: BLE001 - after a timeout the cluster counts as lost, too
                exit_with(message("The cluster no longer responds."))
            self._pool.update(nodes)
            self.send(0, "status", self._pool.status())
            await asyncio.sleep(POLL_SECONDS)
