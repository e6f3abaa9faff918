"""Trained models: training jobs, and the networks they produced."""

from __future__ import annotations

import hashlib
import json
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engines import export
from engines.core.description import import_string
from engines.core.files import make_room, sha256_of, written_atomically
from engines.jobs import ENGINES, Job
from studio.services import Studio

# A face checkpoint takes 200 MB, and old ones are rarely resumed.
MAX_BYTES = 2_000_000_000


MAX_TRAINED = 8


class TrainedNetworks:
    """Networks of an engine that were trained on this server.

    The newest MAX_TRAINED are kept in memory; older ones are reported as missing.

    Attributes:
        names: names of the networks in memory, as jobs refer to them.
    """

    def __init__(self, studio: Studio, engine: str):
        self._studio, self._workshop, self._engine = studio, studio.workshop, engine
        # Shared by all pages, so that a network registered on one is available on the others.
        self.names = studio.trained.setdefault(engine, [])

    def register(self, run_id: str, network: Any) -> str:
        """Register the network that a run has trained and return its name.

        Args:
            run_id: id of the training run.
            network: the loaded network.
        """
        name = f"trained-{run_id}"
        run = self._studio.runs.get(run_id)
        # Cluster workers load it from this file.
        file = None if run is None else run.job.files.get("output")
        self._workshop.keep(self._engine, name, network, file)
        self.names[:] = [*(one for one in self.names if one != name), name]
        while len(self.names) > MAX_TRAINED:
            self._workshop.forget(self._engine, self.names.pop(0))
        return name


def pack_files(paths: Sequence[str], folder: Path) -> Path:
    """Return the only file of `paths`, or a zip of them in `folder`; equal files give the same zip."""
    if len(paths) == 1:
        return Path(paths[0])
    files = sorted((Path(path) for path in paths), key=lambda path: path.name)
    content = json.dumps([[path.name, sha256_of(path)] for path in files])
    whole = folder / f"{hashlib.sha256(content.encode()).hexdigest()[:24]}.zip"
    if not whole.is_file():
        with written_atomically(whole) as file, zipfile.ZipFile(file, "w") as archive:
            for number, path in enumerate(files):
                # Number the entries, as files of two folders may share a name. A fixed date keeps equal files in equal
                # zips.
                entry = zipfile.ZipInfo(f"{number:05d}-{path.name}")
                archive.writestr(entry, path.read_bytes())
    return whole


def for_keras(studio: Studio, source: str | Path) -> Path:
    """Export a network to a file for `keras.saving.load_model`; a zip if it consists of several models.

    Args:
        studio: the services.
        source: name of bundled weights, or path of a file that a training wrote.

    Raises:
        WeightsError: the weights are missing or damaged.
    """
    store = studio.workshop.store
    path = export.file_of(str(source), store)
    folder = studio.outputs / "keras"
    folder.mkdir(parents=True, exist_ok=True)
    make_room(folder, MAX_BYTES)
    stem = f"{path.stem}-{sha256_of(path)[:12]}"
    for exported in (folder / f"{stem}.keras", folder / f"{stem}.zip"):
        if exported.is_file():
            return exported
    with tempfile.TemporaryDirectory(dir=folder) as draft:
        parts = export.save(str(source), Path(draft) / f"{path.stem}.keras", store)
        whole = folder / f"{stem}{'.zip' if len(parts) > 1 else '.keras'}"
        with written_atomically(whole) as file:
            if len(parts) == 1:
                file.write(parts[0].read_bytes())
            else:
                with zipfile.ZipFile(file, "w") as archive:
                    for part in parts:
                        archive.write(part, part.name)
    return whole


def training_job(studio: Studio, engine: str, config: Any, paths: Sequence[str]) -> Job:
    """Create a training job on the chosen files.

    It resumes an earlier training with the same data and settings, but for the engine's `steerable` ones.

    Args:
        studio: the services.
        engine: key in `engines.jobs.ENGINES`.
        config: config with every default filled in.
        paths: data files.

    Raises:
        OSError: the data cannot be read or packed.
    """
    folder = studio.outputs / "trainings"
    folder.mkdir(parents=True, exist_ok=True)
    make_room(folder, MAX_BYTES)
    data = pack_files(paths, folder)
    lasting = {name: value for name, value in asdict(config).items() if name not in ENGINES[engine].steerable}
    content = json.dumps([sha256_of(data), lasting], sort_keys=True)
    key = hashlib.sha256(content.encode()).hexdigest()[:24]
    files = {
        "data": data,
        "checkpoint": folder / f"{key}-checkpoint.npz",
        "output": folder / f"{key}-{config.model}.npz",
    }
    return Job(engine=engine, config=config, inputs={}, backbone="", files=files)


def read_model(engine: str) -> Callable[[Path], Any]:
    """Return a function that loads an engine's network from a file written by a training. It imports lazily."""
    return lambda path: import_string(ENGINES[engine].reader)(path)
