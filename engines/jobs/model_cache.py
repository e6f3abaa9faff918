"""Cache of loaded networks."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from engines.core.description import loaded
from engines.core.files import sha256_of
from engines.jobs.registry import ENGINES
from engines.weights.store import WeightsError, WeightsStore


@dataclass
class ModelCache:
    """The weights that are there, and the networks already loaded."""

    store: WeightsStore = field(default_factory=WeightsStore)
    _networks: dict[tuple[str, str], Any] = field(default_factory=dict)
    _files: dict[tuple[str, str], Path] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, folders: Sequence[Path]) -> Self:
        """One that looks for weights in these folders before all others."""
        return cls(WeightsStore(folders=tuple(folders)))

    def network(self, engine: str, name: str) -> Any:
        """Load the network of an engine once.

        Raises:
            WeightsError: it is not there, or not what it should be.
        """
        loader = ENGINES[engine].loader
        if not loader:
            return None
        with self._lock:
            if (loader, name) not in self._networks:
                self._networks[loader, name] = loaded(loader)(name, self.store)
            return self._networks[loader, name]

    def keep(self, engine: str, name: str, network: Any, file: Path | None = None) -> None:
        """Use a network that is loaded already, from a file where that is named."""
        self._networks[ENGINES[engine].loader, name] = network
        if file is not None:
            self._files[ENGINES[engine].loader, name] = file

    def weights(self, engine: str, name: str) -> str:
        """SHA-256 of the weights of an engine's network; "" where it needs none, or has none that could be used."""
        told = ENGINES[engine]
        if not told.loader:
            return ""
        network = self._networks.get((told.loader, name))
        if network is not None:
            return network.weights
        try:
            return sha256_of(self.store.verified(told.weights.format(name)).path)
        except (WeightsError, OSError):
            return ""

    def weights_file(self, engine: str, name: str) -> Path | None:
        """The file of an engine's network; None where it needs none, or its weights come with the project.

        Raises:
            WeightsError: it is not there, or not what it should be.
        """
        told = ENGINES[engine]
        if not told.loader:
            return None
        kept = self._files.get((told.loader, name))
        if kept is not None:
            return kept
        located = self.store.verified(told.weights.format(name))
        return None if located.source == "bundled" else located.path

    def forget(self, engine: str, name: str) -> None:
        """Let go of a network that was kept, if it is there."""
        self._networks.pop((ENGINES[engine].loader, name), None)
        self._files.pop((ENGINES[engine].loader, name), None)
