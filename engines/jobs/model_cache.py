"""Cache of loaded networks."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from engines.core.description import import_string
from engines.core.files import sha256_of
from engines.jobs.registry import ENGINES
from engines.weights.store import WeightsError, WeightsStore


@dataclass
class ModelCache:
    """Loads networks from a weights store and keeps them."""

    store: WeightsStore = field(default_factory=WeightsStore)
    _networks: dict[tuple[str, str], Any] = field(default_factory=dict)
    _files: dict[tuple[str, str], Path] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, folders: Sequence[Path]) -> Self:
        """Create a cache that searches these folders for weights first."""
        return cls(WeightsStore(folders=tuple(folders)))

    def network(self, engine: str, name: str) -> Any:
        """The network of an engine, loaded at most once; None if the engine has none.

        Raises:
            WeightsError: the weights are missing or damaged.
        """
        loader = ENGINES[engine].loader
        if not loader:
            return None
        with self._lock:
            if (loader, name) not in self._networks:
                self._networks[loader, name] = import_string(loader)(name, self.store)
            return self._networks[loader, name]

    def keep(self, engine: str, name: str, network: Any, file: Path | None = None) -> None:
        """Add a network that is already loaded, optionally with its file."""
        self._networks[ENGINES[engine].loader, name] = network
        if file is not None:
            self._files[ENGINES[engine].loader, name] = file

    def weights(self, engine: str, name: str) -> str:
        """SHA-256 of the weights of an engine's network; "" if it has no network or its weights are unusable."""
        description = ENGINES[engine]
        if not description.loader:
            return ""
        network = self._networks.get((description.loader, name))
        if network is not None:
            return network.weights
        try:
            return sha256_of(self.store.verified(description.weights.format(name)).path)
        except (WeightsError, OSError):
            return ""

    def weights_file(self, engine: str, name: str) -> Path | None:
        """The weights file of an engine's network; None if it has no network or its weights are bundled.

        Raises:
            WeightsError: the weights are missing or damaged.
        """
        description = ENGINES[engine]
        if not description.loader:
            return None
        file = self._files.get((description.loader, name))
        if file is not None:
            return file
        located = self.store.verified(description.weights.format(name))
        return None if located.source == "bundled" else located.path

    def forget(self, engine: str, name: str) -> None:
        """Remove a network from the cache, if it is there."""
        self._networks.pop((ENGINES[engine].loader, name), None)
        self._files.pop((ENGINES[engine].loader, name), None)
