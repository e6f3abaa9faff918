"""Trained models: training jobs, and the networks they produced."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engines.core.description import loaded
from engines.core.files import make_room, sha256_of, written_atomically
from engines.jobs import ENGINES, Job
from studio.services import Studio

# Checkpoints of faces take 200 MB each; whoever trains a tenth time has seldom use for the first.
MOST_BYTES = 2_000_000_000


MOST_TRAINED = 8


class TrainedNetworks:
    """Networks that were trained on this server and taken up: the newest MOST_TRAINED of an engine are held in memory,
    and of an older one the page says that it is not there.

    Attributes:
        names: of those that are held, as jobs name them.
    """

    def __init__(self, studio: Studio, engine: str):
        self._studio, self._workshop, self._engine = studio, studio.workshop, engine
        # The same for all that ask: a network that was taken up on one language's page is there on the others too.
        self.names = studio.trained.setdefault(engine, [])

    def register(self, run_id: str, network: Any) -> str:
        """Hold what a run has trained, and return its name."""
        name = f"trained-{run_id}"
        run = self._studio.runs.get(run_id)
        # For a machine that has to load it from its file.
        file = None if run is None else run.job.files.get("output")
        self._workshop.keep(self._engine, name, network, file)
        self.names[:] = [*(one for one in self.names if one != name), name]
        while len(self.names) > MOST_TRAINED:
            self._workshop.forget(self._engine, self.names.pop(0))
        return name


def pack_files(paths: Sequence[str], folder: Path) -> Path:
    """The file that was chosen; of several, one zip of them in `folder`, the same for the same files."""
    if len(paths) == 1:
        return Path(paths[0])
    files = sorted((Path(path) for path in paths), key=lambda path: path.name)
    content = json.dumps([[path.name, sha256_of(path)] for path in files])
    whole = folder / f"{hashlib.sha256(content.encode()).hexdigest()[:24]}.zip"
    if not whole.is_file():
        with written_atomically(whole) as file, zipfile.ZipFile(file, "w") as archive:
            for number, path in enumerate(files):
                # Pictures of two folders may have one name. A date would make two zips of the same files differ.
                entry = zipfile.ZipInfo(f"{number:05d}-{path.name}")
                archive.writestr(entry, path.read_bytes())
    return whole


def training_job(studio: Studio, engine: str, config: Any, paths: Sequence[str], steerable: Collection[str]) -> Job:
    """The training on chosen files; one with the same settings on the same data goes on where it was stopped.

    Args:
        config: with every setting filled in.
        steerable: fields that may be other ones when it goes on.
    """
    folder = studio.outputs / "trainings"
    folder.mkdir(parents=True, exist_ok=True)
    make_room(folder, MOST_BYTES)
    data = pack_files(paths, folder)
    lasting = {name: value for name, value in asdict(config).items() if name not in steerable}
    content = json.dumps([sha256_of(data), lasting], sort_keys=True)
    key = hashlib.sha256(content.encode()).hexdigest()[:24]
    files = {
        "data": data,
        "checkpoint": folder / f"{key}-checkpoint.npz",
        "output": folder / f"{key}-{config.model}.npz",
    }
    return Job(engine=engine, config=config, inputs={}, backbone="", files=files)


def read_model(engine: str) -> Callable[[Path], Any]:
    """What reads a network of an engine from a file that a training wrote; imports what it needs when it is called."""
    return lambda path: loaded(ENGINES[engine].reader)(path)
