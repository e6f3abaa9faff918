"""Wrap `engines.jobs.worker.Worker` as a Ray actor.

The machines of a cluster do not have this module: Ray sends the class itself. So everything outside of the standard
library is imported inside methods, after `install_project`.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pickle
import shutil
import sys
import tempfile
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Number of unpacked versions of the project kept on a machine.
PROJECTS_KEPT = 4


class RayWorker:
    """The actor: one `Worker`, with arguments and results pickled.

    Results have a kind: "value"; "refused", with the message of a ValueError; or "failed", with a traceback.
    """

    def __init__(self) -> None:
        # Not from platformdirs: the project, and with it the libraries it needs, are not importable yet.
        caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        self._cache = Path(caches) / "reverie" / "cluster"
        self._worker: Any = None

    def install_project(self, project: str, sha256: str, package: Any = None) -> bool:
        """Make the project importable and create the worker.

        Ray's own `working_dir` is not used: two machines that share a disk get the same folder, which Ray deletes while
        the other machine's workers still use it.

        Args:
            project: the project's folder on this machine; "" to use the package.
            sha256: SHA-256 of the package.
            package: a zip, (N,) uint8; None to use the copy that is already unpacked.

        Returns:
            False if the package is needed.

        Raises:
            ValueError: the package does not match its SHA-256.
        """
        folder = self._cache / "projects" / sha256
        if not project and not folder.is_dir():
            if package is None:
                return False
            if hashlib.sha256(package.data).hexdigest() != sha256:
                raise ValueError("the project was changed on its way")
            folder.parent.mkdir(parents=True, exist_ok=True)
            # Renamed when complete. If another worker was faster, its copy is used.
            with tempfile.TemporaryDirectory(dir=folder.parent) as unpacked:
                zipfile.ZipFile(io.BytesIO(package.data)).extractall(Path(unpacked) / "project")
                with contextlib.suppress(OSError):
                    (Path(unpacked) / "project").rename(folder)
            by_age = sorted(folder.parent.iterdir(), key=lambda one: one.stat().st_mtime)
            for older in by_age[:-PROJECTS_KEPT]:
                shutil.rmtree(older, ignore_errors=True)
        sys.path.insert(0, project or str(folder))
        from engines.jobs.worker import Worker

        self._worker = Worker(self._cache)
        return True

    def identify(self) -> tuple[str, int]:
        """Return the project's version on this machine and the id of this process."""
        from engines.jobs.version import version

        return version(), os.getpid()

    def warm(self) -> None:
        """Load and trace what most runs need."""
        self._worker.warm()

    def missing_files(self, needed: bytes) -> bytes:
        """Return those of the files that are not on this machine; see `Worker.missing_files`."""
        return pickle.dumps(self._worker.missing_files(pickle.loads(needed)))

    def store_file(self, file: bytes, content: Any) -> tuple[str, bytes]:
        """Store a received file; see `Worker.take`."""
        return self._outcome(lambda: self._worker.take(pickle.loads(file), content))

    def call(self, method: str, arguments: bytes) -> tuple[str, bytes, dict[str, Any]]:
        """Call a method of `Worker`.

        Returns:
            The kind of the result, the pickled result, and the files that a step wrote: parameter name -> (N,) uint8.
        """
        kind, result = self._outcome(lambda: getattr(self._worker, method)(*pickle.loads(arguments)))
        return kind, result, self._worker.changed_files() if method == "send" else {}

    def leave(self) -> None:
        """Delete what only this worker uses; see `Worker.leave`."""
        self._worker.leave()

    @staticmethod
    def _outcome(work: Callable[[], Any]) -> tuple[str, bytes]:
        try:
            return "value", pickle.dumps(work(), protocol=5)
        except ValueError as error:
            return "refused", pickle.dumps(str(error))
        except Exception:  # noqa: BLE001 - a library may raise anything; only this run ends
            return "failed", pickle.dumps(traceback.format_exc())
