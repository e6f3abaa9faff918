"""The process beside the studio that speaks Ray: `python -P studio/cluster/ray_link.py OPTIONS`, begun by `client`.

Ray ends whatever process is connected to a cluster that goes away. So that is not the studio but this one, which holds
nothing that could not be had again: the studio notices that it is gone, and begins another when the cluster is back.
What it is asked for and what it answers is pickled, over a socket that nobody else has: the studio's end is trusted,
and so are the machines of the cluster, see the README. It does not import the studio, which would import Gradio.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import itertools
import json
import logging
import math
import os
import pickle
import shutil
import socket
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import numpy as np
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

LOOK_SECONDS = 1.0
# After so long without an answer it is seen whether the head takes connections at all; a busy one is waited for longer.
DOUBT_SECONDS = 3.0
SILENCE_SECONDS = 30.0
CONNECT_SECONDS = 3.0
# A worker begins with an interpreter and may have to unpack the project first.
START_SECONDS = 120.0
# A warm worker keeps its cores from whoever else uses the cluster.
IDLE_SECONDS = 300.0
# A machine on which no worker began is tried again: what was wrong may have been mended.
REFUSED_SECONDS = 30.0
# Versions of the project that stay unpacked on a machine.
PROJECTS_KEPT = 4


def message(template: str, **values: str) -> dict[str, Any]:
    """A sentence in its parts, for `engines.core.messages` to put together: nothing of the project is imported here."""
    return {"template": template, "values": values}


class Unavailable(Exception):  # noqa: N818 - no error: the studio asks again
    """There is no place at this moment."""


class RayWorker:
    """The actor: a `engines.jobs.worker.Worker`, which knows nothing of Ray, with its answers in Ray's reach.

    Ray's own way to bring a project is not used: it takes the folder of two machines with one disk for that of one, and
    deletes it under the other's workers.
    """

    def __init__(self) -> None:
        self._cache = Path.home() / ".cache" / "reverie" / "cluster"
        self._worker: Any = None

    def install_project(self, project: str, sha256: str, package: Any = None) -> bool:
        """Have the project to import from; False where its package is needed for that.

        Args:
            project: the folder that has it; "" for the package.
            sha256: of the package.
            package: (N,) uint8, a zip.

        Raises:
            ValueError: the package is another than it should be.
        """
        folder = self._cache / "projects" / sha256
        if not project and not folder.is_dir():
            if package is None:
                return False
            if hashlib.sha256(package.data).hexdigest() != sha256:
                raise ValueError("the project was changed on its way")
            folder.parent.mkdir(parents=True, exist_ok=True)
            # Renamed when it is whole; whoever comes second finds it there.
            with tempfile.TemporaryDirectory(dir=folder.parent) as unpacked:
                zipfile.ZipFile(io.BytesIO(package.data)).extractall(Path(unpacked) / "project")
                with contextlib.suppress(OSError):
                    (Path(unpacked) / "project").rename(folder)
            others = sorted(folder.parent.iterdir(), key=lambda one: one.stat().st_mtime)
            for older in others[:-PROJECTS_KEPT]:
                shutil.rmtree(older, ignore_errors=True)
        sys.path.insert(0, project or str(folder))
        from engines.jobs.worker import Worker

        self._worker = Worker(self._cache)
        return True

    def introduce(self) -> tuple[str, int]:
        """The project's version here, and the process's id."""
        from engines.jobs.version import version

        return version(), os.getpid()

    def warm(self) -> None:
        """Load what most runs need first."""
        self._worker.warm()

    def missing_files(self, needed: bytes) -> bytes:
        """Those of some files that are not here, see `Worker.missing_files`."""
        return pickle.dumps(self._worker.missing_files(pickle.loads(needed)))

    def take(self, file: bytes, content: Any) -> tuple[str, bytes]:
        """Keep a file that has come, see `Worker.take`."""
        return self._outcome(lambda: self._worker.take(pickle.loads(file), content))

    def call(self, method: str, arguments: bytes) -> tuple[str, bytes, dict[str, Any]]:
        """What one of the worker's methods does: "value", "refused" or "failed", what, and the files that it wrote."""
        kind, said = self._outcome(lambda: getattr(self._worker, method)(*pickle.loads(arguments)))
        return kind, said, self._worker.changed_files() if method == "send" else {}

    @staticmethod
    def _outcome(work: Callable[[], Any]) -> tuple[str, bytes]:
        import traceback

        try:
            return "value", pickle.dumps(work(), protocol=5)
        except ValueError as error:
            return "refused", pickle.dumps(str(error))
        except Exception:  # noqa: BLE001 - whatever a library raises ends this run alone
            return "failed", pickle.dumps(traceback.format_exc())


@dataclass
class Member:
    """A worker of this studio."""

    id: int
    node: str
    title: str
    gpus: float = 0.0
    actor: Any = None
    process: int = 0
    # Whether a run has it; which network it had loaded last; since when it has been as it is; when it began.
    busy: bool = True
    network: str = ""
    since: float = field(default_factory=time.monotonic)
    began: float = math.inf


@dataclass
class Node:
    """A machine of the cluster, as it was seen last."""

    id: str
    title: str
    cpus: float
    gpus: float
    free_cpus: float
    free_gpus: float
    seen: float


@dataclass(frozen=True)
class Refusal:
    """Why no worker is begun on a machine, in a sentence, and until when."""

    sentence: dict[str, Any]
    until: float


class Project:
    """What a worker imports: a folder on its machine, or a package that is sent to it.

    Args:
        folder: of every machine; "" where the package is sent.
        package: path of a zip.
        version: what a worker's version must be.
    """

    def __init__(self, folder: str, package: str, version: str):
        self._folder, self.version = folder, version
        self._sha256, self._object = "", None
        if not folder:
            content = np.fromfile(package, np.uint8)
            self._sha256 = hashlib.sha256(content.data).hexdigest()
            self._object = ray.put(content)

    async def introduced(self, actor: Any) -> tuple[str, int]:
        """The version and the process id of a worker, which has the project now."""
        if not await actor.install_project.remote(self._folder, self._sha256):
            await actor.install_project.remote(self._folder, self._sha256, self._object)
        return await actor.introduce.remote()


class Pool:
    """The workers: begun where there is room, kept warm for the next run, given up when nobody comes.

    Args:
        cpus: cores of a run; a machine that has fewer gives all that it has.
        gpus: GPUs of a run, on machines that have some.
        project: what a worker imports.
    """

    def __init__(self, cpus: float, gpus: float, project: Project):
        self._cpus, self._gpus, self._project = cpus, gpus, project
        self.nodes: dict[str, Node] = {}
        self.refused: dict[str, Refusal] = {}
        self.members: dict[int, Member] = {}
        self._ids = itertools.count(1)
        self._changed = asyncio.Event()

    def see(self, nodes: dict[str, Node]) -> None:
        """Take note of the machines; of members on others there is no more to hope for."""
        self.nodes = nodes
        self.refused = {id: one for id, one in self.refused.items() if id in nodes and one.until > time.monotonic()}
        for member in [one for one in self.members.values() if one.node not in nodes]:
            self.drop(member)
        for member in [one for one in self.members.values() if not one.busy]:
            if time.monotonic() - member.since > IDLE_SECONDS:
                self.drop(member)
        self.changed()

    def changed(self) -> None:
        """Somebody who waits may look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    def cpus_of(self, node: Node) -> float:
        """Cores that a run on a machine has."""
        return min(self._cpus, node.cpus)

    def _unseen(self, node: Node) -> list[Member]:
        """The workers that were begun since a machine said what was free on it, or just before."""
        return [one for one in self.members.values() if one.node == node.id and one.began > node.seen - LOOK_SECONDS]

    def gpus_of(self, node: Node) -> float:
        """GPUs that the next run on a machine has: none where all are taken."""
        free = node.free_gpus - sum(one.gpus for one in self._unseen(node))
        return self._gpus if free >= self._gpus else 0.0

    def places(self, node: Node) -> int:
        """How many more workers a machine has room for."""
        if node.id in self.refused or not node.cpus:
            return 0
        return max(0, int((node.free_cpus + 1e-6) // self.cpus_of(node)) - len(self._unseen(node)))

    @property
    def capacity(self) -> int:
        """How many runs at once there could be if nobody else used the cluster."""
        return sum(
            int(node.cpus // self.cpus_of(node))
            for node in self.nodes.values()
            if node.cpus and node.id not in self.refused
        )

    @property
    def room(self) -> int:
        """How many runs there can be at once."""
        return len(self.members) + sum(map(self.places, self.nodes.values()))

    async def take(self, network: str, patience: float) -> Member:
        """A worker for a run: one that has the network, a warm one, or a new one where there is most room.

        Raises:
            Unavailable: there was none in time.
        """
        until = time.monotonic() + patience
        while True:
            idle = [one for one in self.members.values() if not one.busy]
            if idle:
                member = max(idle, key=lambda one: (one.gpus, one.network == network, one.since))
                member.busy, member.since, member.network = True, time.monotonic(), network
                return member
            free = [node for node in self.nodes.values() if self.places(node)]
            if free:
                begun = await self.begin(max(free, key=lambda node: (self.gpus_of(node), self.places(node))))
                if begun is not None:
                    begun.network = network
                    return begun
                continue
            left = until - time.monotonic()
            if left <= 0:
                raise Unavailable
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)

    async def begin(self, node: Node) -> Member | None:
        """A new worker on a machine; None where that did not work, and the machine is refused, or its room is gone."""
        gpus = self.gpus_of(node)
        member = Member(next(self._ids), node.id, node.title + (" · GPU" if gpus else ""), gpus)
        self.members[member.id] = member
        cpus = self.cpus_of(node)
        threads = str(max(1, int(cpus)))
        variables = {
            "OMP_NUM_THREADS": threads,
            "TF_NUM_INTRAOP_THREADS": threads,
            "TF_NUM_INTEROP_THREADS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "2",
        }
        try:
            member.actor = (
                ray.remote(RayWorker)
                .options(
                    num_cpus=cpus,
                    num_gpus=gpus,
                    scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False),
                    runtime_env={"env_vars": variables},
                    max_restarts=0,
                )
                .remote()
            )
            introduced = asyncio.wait_for(self._project.introduced(member.actor), START_SECONDS)
            found, member.process = await introduced
        except (ray.exceptions.RayError, TimeoutError) as error:
            self.drop(member)
            said = str(error).strip().splitlines()
            why = said[-1][:300] if said else "no answer"
            self._refuse(node, message("No worker begins on {machine}: {why}", machine=node.title, why=why))
            return None
        if found != self._project.version:
            self.drop(member)
            self._refuse(
                node,
                message(
                    "The worker on {machine} is Reverie {theirs} and this studio {ours}; bring both to one version.",
                    machine=node.title,
                    theirs=found,
                    ours=self._project.version,
                ),
            )
            return None
        member.began = time.monotonic()
        return member

    def _refuse(self, node: Node, sentence: dict[str, Any]) -> None:
        logging.warning("%s", sentence["template"].format(**sentence["values"]))
        self.refused[node.id] = Refusal(sentence, time.monotonic() + REFUSED_SECONDS)

    def give_back(self, member: Member) -> None:
        """A run is over; its worker waits for the next."""
        if member.id in self.members:
            member.busy, member.since = False, time.monotonic()
            self.changed()

    def drop(self, member: Member) -> None:
        """End a worker."""
        if self.members.pop(member.id, None) is not None:
            with contextlib.suppress(Exception):  # it may be gone with its machine
                ray.kill(member.actor)
            self.changed()

    def status(self) -> dict[str, Any]:
        """What there is to say of the cluster."""
        nodes = []
        for node in self.nodes.values():
            ours = [one for one in self.members.values() if one.node == node.id]
            nodes.append(
                {
                    "title": node.title,
                    "cpus": node.cpus,
                    "gpus": node.gpus,
                    "free": node.free_cpus,
                    "busy": [one.id for one in ours if one.busy],
                    "warm": sum(not one.busy for one in ours),
                    "refused": self.refused[node.id].sentence if node.id in self.refused else None,
                }
            )
        nodes.sort(key=lambda one: str(one["title"]))
        return {"room": self.room, "capacity": self.capacity, "nodes": nodes}


class Link:
    """What the studio asks for, done: each in a task of its own."""

    def __init__(self, connection: Connection, pool: Pool, address: str):
        self._connection, self._pool, self._address = connection, pool, address
        self._sent: dict[str, Any] = {}
        self._sending = threading.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def say(self, number: int, kind: str, value: Any = None) -> None:
        """Answer what was asked under a number; 0 for what was not asked for."""
        with self._sending:
            self._connection.send_bytes(pickle.dumps((number, kind, value), protocol=5))

    async def serve(self) -> None:
        """Until the studio is gone."""
        loop, gone = asyncio.get_running_loop(), asyncio.Event()

        def listen() -> None:
            while True:
                try:
                    asked = pickle.loads(self._connection.recv_bytes())
                except (EOFError, OSError):
                    loop.call_soon_threadsafe(gone.set)
                    return
                loop.call_soon_threadsafe(self._take_up, asked)

        threading.Thread(target=listen, name="studio", daemon=True).start()
        self._begin(self._look())
        await gone.wait()

    def _begin(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _take_up(self, asked: tuple[int, str, tuple[Any, ...]]) -> None:
        self._begin(self._answer(*asked))

    async def _answer(self, number: int, name: str, arguments: tuple[Any, ...]) -> None:
        try:
            kind, value = await getattr(self, f"do_{name}")(*arguments)
        except Unavailable:
            kind, value = "unavailable", None
        except (ray.exceptions.RayError, KeyError) as error:
            kind, value = "lost", f"{type(error).__name__}: {error}"
        except Exception as error:  # an answer must come, whatever it was
            logging.exception("%s could not be done", name)
            kind, value = "failed", f"{type(error).__name__}: {error}"
        self.say(number, kind, value)

    async def do_take(self, network: str, patience: float) -> tuple[str, Any]:
        """A worker: its id, what its machine is called and the id of its process there."""
        member = await self._pool.take(network, patience)
        return "value", (member.id, member.title, member.process)

    async def do_call(self, id: int, method: str, arguments: bytes, writes: dict[str, str]) -> tuple[str, Any]:
        """What a worker's method returns, pickled; what it wrote is written here first."""
        kind, said, files = await self._of(id, "call", method, arguments)
        for name, content in files.items():
            await asyncio.to_thread(_write, Path(writes[name]), content)
        return kind, said

    async def _of(self, id: int, method: str, *arguments: Any) -> Any:
        """What a worker's actor answers; one that does not is dropped, or it would be taken for busy for ever."""
        member = self._pool.members[id]
        try:
            return await getattr(member.actor, method).remote(*arguments)
        except ray.exceptions.RayError:
            self._pool.drop(member)
            raise

    async def do_bring(self, id: int, needed: bytes, paths: dict[str, str]) -> tuple[str, Any]:
        """See that files are on a worker's machine; each is one object, which Ray brings to a machine once."""
        lacking = pickle.loads(await self._of(id, "missing_files", needed))
        for file in lacking:
            if file.sha256 not in self._sent:
                content = await asyncio.to_thread(np.fromfile, paths[file.sha256], np.uint8)
                self._sent[file.sha256] = await asyncio.to_thread(ray.put, content)
            kind, said = await self._of(id, "take", pickle.dumps(file), self._sent[file.sha256])
            if kind != "value":
                del self._sent[file.sha256]
                return kind, said
        while len(self._sent) > 8:
            del self._sent[next(iter(self._sent))]
        return "value", pickle.dumps(len(lacking))

    async def do_give_back(self, id: int) -> tuple[str, Any]:
        """A worker is free."""
        self._pool.give_back(self._pool.members[id])
        return "value", None

    async def do_drop(self, id: int) -> tuple[str, Any]:
        """A worker is to end."""
        self._pool.drop(self._pool.members[id])
        return "value", None

    async def do_warm(self) -> tuple[str, Any]:
        """Have a worker on every machine, loaded and traced."""
        nodes = [node for node in self._pool.nodes.values() if self._pool.places(node)]
        await asyncio.gather(*(self._warmed(node) for node in nodes))
        return "value", None

    async def _warmed(self, node: Node) -> None:
        member = await self._pool.begin(node)
        if member is not None:
            try:
                await member.actor.warm.remote()
            except ray.exceptions.RayError:
                self._pool.drop(member)
            self._pool.give_back(member)

    async def _look(self) -> None:
        """Look at the cluster again and again, and tell the studio."""
        while True:
            asked = asyncio.ensure_future(asyncio.to_thread(_nodes, self._pool.nodes))
            try:
                if not (await asyncio.wait({asked}, timeout=DOUBT_SECONDS))[0]:
                    await asyncio.to_thread(_check_reachable, self._address)
                nodes = await asyncio.wait_for(asked, SILENCE_SECONDS)
            except Exception:  # noqa: BLE001 - a timeout, a lost connection: it is all the same to whoever waits
                _leave(message("The cluster does not answer any more."))
            self._pool.see(nodes)
            self.say(0, "status", self._pool.status())
            await asyncio.sleep(LOOK_SECONDS)


def _nodes(before: dict[str, Node]) -> dict[str, Node]:
    """The machines that are alive; those that were there before are called what they were called then."""
    from ray._private.state import available_resources_per_node

    seen, free = time.monotonic(), available_resources_per_node()
    alive = [node for node in ray.nodes() if node["Alive"]]
    called = {id: node.title for id, node in before.items() if id in {one["NodeID"] for one in alive}}
    found: dict[str, Node] = {}
    for node in sorted(alive, key=lambda one: (one["NodeManagerAddress"], one["NodeManagerPort"])):
        address = node["NodeManagerAddress"]
        names = itertools.chain([address], (f"{address} ({number})" for number in itertools.count(2)))
        title = called.get(node["NodeID"]) or next(name for name in names if name not in called.values())
        called[node["NodeID"]] = title
        has, left = node["Resources"], free.get(node["NodeID"], {})
        found[node["NodeID"]] = Node(
            id=node["NodeID"],
            title=title,
            cpus=has.get("CPU", 0.0),
            gpus=has.get("GPU", 0.0),
            free_cpus=left.get("CPU", 0.0),
            free_gpus=left.get("GPU", 0.0),
            seen=seen,
        )
    return found


def _write(path: Path, content: Any) -> None:
    """Write a file that a worker wrote, whole or not at all."""
    from engines.core.files import written_atomically

    with written_atomically(path) as file:
        file.write(content.data)


def _leave(sentence: dict[str, Any]) -> None:
    """End at once, whatever Ray still waits for."""
    print(json.dumps(sentence), file=sys.stderr, flush=True)
    os._exit(3)


def _check_reachable(address: str) -> str:
    """The address of a cluster that answers, as HOST:PORT; where it does not, Ray would try for a minute."""
    if address == "auto":
        found = os.environ.get("RAY_ADDRESS") or ray._private.services.canonicalize_bootstrap_address("auto")
        address = found or ""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        _leave(message("There is no Ray cluster on this machine; begin one with ray start."))
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except OSError:
        _leave(message("There is no Ray cluster at {address}.", address=address))
    return address


def main() -> None:
    """Connect, and serve the studio that began this process."""
    options = json.loads(sys.argv[1])
    logging.basicConfig(level=logging.WARNING)
    connection = Connection(options["socket"])
    address = _check_reachable(options["address"])
    try:
        ray.init(address=address, namespace="reverie", log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # noqa: BLE001 - it raises all kinds of things
        why = str(error).strip().splitlines()[0][:300]
        _leave(message("Ray at {address} cannot be joined: {why}", address=address, why=why))

    async def serve() -> None:
        project = Project(options["project"], options["package"], options["version"])
        pool = Pool(options["cpus"], options["gpus"], project)
        link = Link(connection, pool, address)
        link.say(0, "joined", address)
        await link.serve()

    asyncio.run(serve())
    ray.shutdown()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    main()
