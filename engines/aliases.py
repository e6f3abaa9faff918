"""Aliases of modules that have moved, so that saved scripts still import them."""

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
    "engines.parts": "engines.core",
    "engines.parts.pictures": "engines.imaging.images",
    "engines.parts.style_config": "engines.style_transfer.config",
    "engines.parts.language_config": "engines.language_model.config",
}


class _OldNames(MetaPathFinder, Loader):
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
        """It has been executed under its own name, and keeps that."""
        assert module.__spec__ is not None
        module.__spec__ = self._specs.pop(module.__spec__.name)


def install() -> None:
    """Have Python find them; asked last, they cost nothing."""
    sys.meta_path.append(_OldNames())
