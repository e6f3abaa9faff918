"""Client of the Ray cluster.

Nothing here imports Ray: a process beside the studio speaks it (`studio.cluster.ray_link`), so that the studio outlives
whatever becomes of the cluster. A job goes out frame by frame (`remote_job`): a worker does a step when it is asked
for one.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import json
import logging
import pickle
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from engines.core.messages import message
from engines.jobs.version import version
from engines.jobs.worker import WorkerTask

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]
LINK = Path(__file__).with_name("ray_link.py")
# How long a run waits for a worker before it asks whether it was stopped meanwhile.
PATIENCE_SECONDS = 2.0
AGAIN_SECONDS = 3.0
# What every worker needs of the project.
SENT = ("engines", "weights")
MOST_ROOM = 256


class AwayError(Exception):
    """There is no cluster at this moment."""


class BusyError(Exception):
    """No worker is free at this moment."""


class LostError(Exception):
    """A worker is gone, with what it was doing."""


class ClusterError(ValueError):
    """The studio cannot use a cluster; the message is a sentence for a person."""


@dataclass(frozen=True)
class Machine:
    """A machine of the cluster.

    Attributes:
        title: its address.
        cpus, gpus: what it gives to Ray; `free` cores are nobody's at this moment.
        busy: ids of this studio's workers that have a run.
        warm: how many of this studio's wait for the next.
        refused: why no run goes there, in a sentence; "" where some may.
    """

    title: str
    cpus: float
    gpus: float
    free: float
    busy: tuple[int, ...]
    warm: int
    refused: str


@dataclass(frozen=True)
class Status:
    """What is known of the cluster.

    Attributes:
        there: whether it answers.
        address: its address as HOST:PORT, or what it was asked for by.
        said: why it is not there, in a sentence.
        room: how many runs there can be at once at this moment.
        capacity: how many that would be if nobody else used it.
    """

    there: bool = False
    address: str = ""
    said: str = ""
    room: int = 0
    capacity: int = 0
    machines: tuple[Machine, ...] = ()

    @property
    def useful(self) -> bool:
        """Whether runs go there at all."""
        return self.there and self.capacity > 0


@dataclass(frozen=True)
class ClusterOptions:
    """How a cluster is used.

    Attributes:
        address: of its head, HOST:PORT; "auto" for the one that this machine belongs to.
        cpus: cores of each run; a machine with fewer gives all that it has.
        gpus: GPUs of each run on machines that have some free.
        project: folder in which every machine has the project; "" where it is sent to them.
    """

    address: str = "auto"
    cpus: float = 2.0
    gpus: float = 1.0
    project: str = ""


class Cluster:
    """The studio's end of a cluster.

    Args:
        changed: called, on another thread, whenever something is known anew: there may be room for a run.
        warm: whether to have a worker ready on every machine before the first run.
    """

    def __init__(self, options: ClusterOptions, changed: Callable[[], None] = lambda: None, *, warm: bool = True):
        if importlib.util.find_spec("ray") is None:
            raise ClusterError("Ray is not installed here; run: pip install -r requirements-cluster.txt")
        self._options, self._changed, self._warm = options, changed, warm
        self.status = Status(address=options.address, said=message("Looking for the cluster."))
        self._waiting: dict[int, Future[tuple[str, Any]]] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._keep_joined, name="cluster", daemon=True)

    def on_change(self, changed: Callable[[], None]) -> None:
        """Have something else called whenever something is known anew."""
        self._changed = changed

    def join(self) -> None:
        """Begin to look for the cluster, now and whenever it is away."""
        self._thread.start()

    def close(self) -> None:
        """Leave the cluster: its workers end."""
        self._closed.set()
        process = self._process
        if process is not None:
            process.terminate()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    # What runs ask for

    def take(self, network: str) -> WorkerPlace:
        """A worker's place.

        Args:
            network: what it should have loaded already, if there is a choice.

        Raises:
            AwayError: there is no cluster, or none that has room for anything.
            BusyError: no worker is free.
        """
        if not self.status.useful:
            raise AwayError
        try:
            kind, value = self._asked("take", network, PATIENCE_SECONDS).result()
        except LostError:
            raise AwayError from None
        if kind == "unavailable":
            raise BusyError
        if kind != "value":
            raise AwayError
        return WorkerPlace(self, *value)

    def ask(self, name: str, *arguments: Any) -> Any:
        """What the process beside the studio answers; raises as `said_in`."""
        return said_in(self._asked(name, *arguments).result())

    def _asked(self, name: str, *arguments: Any) -> Future[tuple[str, Any]]:
        """What will be the answer."""
        answer: Future[tuple[str, Any]] = Future()
        with self._lock:
            connection = self._connection
            if connection is None:
                raise LostError(message("The cluster is away."))
            number = next(self._numbers)
            self._waiting[number] = answer
            try:
                connection.send_bytes(pickle.dumps((number, name, arguments), protocol=5))
            except OSError:
                self._waiting.pop(number, None)
                raise LostError(message("The cluster is away.")) from None
        return answer

    def call(self, id: int, method: str, arguments: tuple[Any, ...], writes: dict[str, str]) -> Future[tuple[str, Any]]:
        """What a method of a worker will return, pickled; what it writes is written first, see `said_in`.

        Raises:
            LostError: the cluster is away.
        """
        return self._asked("call", id, method, pickle.dumps(arguments, protocol=5), writes)

    # The process beside the studio

    def _keep_joined(self) -> None:
        with tempfile.TemporaryDirectory(prefix="reverie-cluster-") as folder:
            package = Path(folder) / "project.zip"
            if not self._options.project:
                pack(package)
            told = ""
            while not self._closed.is_set():
                said = self._joined(package)
                if self._closed.is_set():
                    break
                if said != told:
                    logger.warning("%s Looking for it every %d seconds.", said, AGAIN_SECONDS)
                    told = said
                self.status = Status(address=self._options.address, said=said)
                self._changed()
                self._closed.wait(AGAIN_SECONDS)

    def _joined(self, package: Path) -> str:
        """Speak with the cluster until it is gone; returns why, in a sentence."""
        ours, theirs = socket.socketpair()
        options = {
            "socket": theirs.fileno(),
            "address": self._options.address,
            "cpus": self._options.cpus,
            "gpus": self._options.gpus,
            "project": self._options.project,
            "package": str(package),
            "version": version(),
        }
        with tempfile.TemporaryFile() as errors:
            process = self._process = subprocess.Popen(
                [sys.executable, "-P", str(LINK), json.dumps(options)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                cwd=ROOT,
                # Ctrl-C in the terminal is for the studio, which ends its runs first.
                start_new_session=True,
            )
            theirs.close()
            connection = Connection(ours.detach())
            try:
                self._listen(connection)
            finally:
                # First of all, so that who is told that a worker is lost does not ask for another.
                if self.status.there:
                    self.status = Status(address=self._options.address, said=message("The cluster is away."))
                with self._lock:
                    self._connection = None
                    waiting, self._waiting = self._waiting, {}
                for answer in waiting.values():
                    answer.set_result(("lost", message("The cluster is away.")))
                connection.close()
                process.kill()
                process.wait()
            errors.seek(0)
            said = errors.read().decode("utf-8", "replace").strip().splitlines()
        for line in said[:-1]:
            logger.debug("%s", line)
        why = json.loads(said[-1]) if process.returncode == 3 and said and said[-1].startswith("{") else None
        return sentence_of(why) or message("The cluster is away.")

    def _listen(self, connection: Connection) -> None:
        """Take what the process says until it ends."""
        address = ""
        while not self._closed.is_set():
            try:
                number, kind, value = pickle.loads(connection.recv_bytes())
            except (EOFError, OSError):
                return
            if kind == "joined":
                address = value
            elif kind == "status":
                machines = [
                    Machine(**{**one, "busy": tuple(one["busy"]), "refused": sentence_of(one["refused"])})
                    for one in value["nodes"]
                ]
                said = next((one.refused for one in machines if one.refused), "")
                before, self.status = (
                    self.status,
                    Status(
                        there=True,
                        address=address,
                        said=said,
                        room=value["room"],
                        capacity=value["capacity"],
                        machines=tuple(machines),
                    ),
                )
                if not before.there:
                    self._found(connection)
                if said and said != before.said:
                    logger.warning("%s", said)
                self._changed()
            elif (answer := self._waiting.pop(number, None)) is not None:
                answer.set_result((kind, value))

    def _found(self, connection: Connection) -> None:
        with self._lock:
            self._connection = connection
        logger.info("Runs go to the cluster at %s.", self.status.address)
        if self._warm:
            threading.Thread(target=self._warmed, name="cluster-warm-up", daemon=True).start()

    def _warmed(self) -> None:
        began = time.monotonic()
        try:
            self.ask("warm")
        except LostError:
            return
        logger.info("Its workers are warm after %.0f s.", time.monotonic() - began)


class WorkerPlace:
    """A worker that one run has for itself.

    Attributes:
        id: by which the cluster's status names it.
        title: what its machine is called.
        process: the id of its process there.
    """

    def __init__(self, cluster: Cluster, id: int, title: str, process: int):
        self._cluster, self.id, self.title, self.process = cluster, id, title, process
        self._writes: dict[str, str] = {}

    def begin(self, order: WorkerTask, paths: dict[str, Path], writes: dict[str, Path]) -> None:
        """Have it take up a job.

        Args:
            paths: where the files that the job needs are here, by their SHA-256.
            writes: where those that it writes are to be, by the engine's names for them.

        Raises:
            LostError: it is gone.
            ValueError: a file was changed on its way.
        """
        self._writes = {name: str(path) for name, path in writes.items()}
        if order.needed:
            where = {sha256: str(path) for sha256, path in paths.items()}
            self._cluster.ask("bring", self.id, pickle.dumps(order.needed), where)
        self.call("begin", order)

    def call(self, method: str, *arguments: Any) -> Any:
        """What a method of `engines.jobs.worker.Worker` returns; raises as `Cluster.ask`."""
        return self.begun(method, *arguments)()

    def begun(self, method: str, *arguments: Any) -> Callable[[], Any]:
        """The same begun at once: call what is returned for what the method returns."""
        answer = self._cluster.call(self.id, method, arguments, self._writes)
        return lambda: pickle.loads(said_in(answer.result()))

    def give_back(self) -> None:
        """The run is over: the worker is for the next."""
        with contextlib.suppress(LostError):  # it is gone; so is what it held
            try:
                self.call("close")
            except (ValueError, RuntimeError):
                self._cluster.ask("drop", self.id)  # it would not do for another run
                raise
            self._cluster.ask("give_back", self.id)


def sentence_of(parts: Mapping[str, Any] | None) -> str:
    """A sentence that has come in parts from the process beside the studio; "" for none."""
    return message(parts["template"], **parts["values"]) if parts else ""


def said_in(answer: tuple[str, Any]) -> Any:
    """What an answer of the process beside the studio says.

    Raises:
        LostError: it, or the worker that was asked, is gone.
        ValueError: the engine refuses, in a sentence.
        RuntimeError: something else went wrong there.
    """
    kind, value = answer
    if kind == "lost":
        raise LostError(value)
    if kind == "refused":
        raise ValueError(pickle.loads(value))
    if kind != "value":
        raise RuntimeError(pickle.loads(value) if isinstance(value, bytes) else value)
    return value


def pack(path: Path) -> None:
    """Write what a worker needs of the project as a zip, the same bytes for the same files."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for folder in SENT:
            for file in sorted((ROOT / folder).rglob("*")):
                name = file.relative_to(ROOT)
                if file.is_file() and "__pycache__" not in name.parts and file.suffix in (".py", ".npz", ".json"):
                    # A date would make another package of the same files, to be sent anew.
                    entry = zipfile.ZipInfo(name.as_posix())
                    entry.compress_type = zipfile.ZIP_DEFLATED if file.suffix == ".py" else zipfile.ZIP_STORED
                    archive.writestr(entry, file.read_bytes())
