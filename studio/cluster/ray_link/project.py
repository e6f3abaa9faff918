"""Install the project on workers, or use the copy on their machines."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import ray


class Project:
    """The code that workers import: a folder on their machines, or a package that is sent to them.

    Args:
        folder: the project's folder on every machine; "" to send the package.
        package: path of a zip; not read if there is a folder.
        version: the version that workers must report.
    """

    def __init__(self, folder: str, package: str, version: str):
        self._folder, self.version = folder, version
        self._sha256, self._object = "", None
        if not folder:
            content = np.fromfile(package, np.uint8)
            self._sha256 = hashlib.sha256(content.data).hexdigest()
            self._object = ray.put(content)

    async def install(self, actor: Any) -> tuple[str, int]:
        """Install the project on a `RayWorker`, sending the package only if its machine lacks it.

        Returns:
            The worker's version of the project, and its process id.

        Raises:
            RayError: the worker is lost, or the package was corrupted in transfer.
        """
        if not await actor.install_project.remote(self._folder, self._sha256):
            await actor.install_project.remote(self._folder, self._sha256, self._object)
        return await actor.identify.remote()
