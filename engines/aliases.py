"""Aliases of moved modules, so that saved scripts can still import them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "engines.films": "engines.imaging.video",
    "engines.sweeps": "engines.jobs.sweep",
    "engines.dcgan_projection": "engines.dcgan.projection",
    "engines.parts": "engines.core",
    "engines.parts.pictures": "engines.imaging.images",
    "engines.parts.style_config": "engines.style_transfer.config",
    "engines.parts.language_config": "engines.language_model.config",
}


class _AliasFinder(MetaPathFinder, Loader):
    def __init__(self) -> None:
        self._specs: dict[str, ModuleSpec | None] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(MOVED[spec.name])
        self._specs[spec.name] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Restore the module's own spec: it was executed under its new name."""
        assert module.__spec__ is not None
        module.__spec__ = self._specs.pop(module.__spec__.name)


def install() -> None:
    """Register the aliases. The finder is last, so it does not slow down other imports."""
    sys.meta_path.append(_AliasFinder())
