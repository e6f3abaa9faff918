"""The gallery: results on disk, with their recipes and inputs."""

from __future__ import annotations

import datetime
import itertools
import os
import re
import secrets
import time
import zipfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
from PIL import Image

from engines.core.files import written_atomically
from engines.core.messages import message
from engines.imaging.images import digest
from engines.imaging.metadata import NO_DETAILS, Details
from engines.recipes import Recipe, RecipeError, read_recipe
from studio.runs.snapshots import Snapshots

_NAME = re.compile(r"([a-z_]+)-(\d{8})-(\d{6})-([0-9a-f]{12})(\.png|\.mp4|\.txt)")
# Archives that were fetched, or never will be.
ARCHIVES_KEPT = 3


@dataclass(frozen=True)
class Result:
    """One result.

    Attributes:
        engine: that made it, as in `engines.jobs.ENGINES`.
        stamp: when it was finished, by this machine's clock: YYYYmmddHHMMSS.
    """

    path: Path
    engine: str
    stamp: str

    @property
    def name(self) -> str:
        """Of its file, which no other result has."""
        return self.path.name

    @property
    def made(self) -> datetime.datetime | None:
        """When it was finished; None where its name tells no date."""
        try:
            return datetime.datetime.strptime(self.stamp, "%Y%m%d%H%M%S")
        except ValueError:
            return None

    @property
    def kind(self) -> str:
        """ "picture", "film" or "text"."""
        return {".png": "picture", ".mp4": "film", ".txt": "text"}[self.path.suffix]

    def recipe(self) -> Recipe | None:
        """What made it; None where the file is damaged or says nothing of it."""
        try:
            return read_recipe(self.path)
        except RecipeError:
            return None


class Gallery:
    """A folder of results.

    Results are `<engine>-<date>-<time>-<random>.png`, `.mp4` or `.txt`, the last with its recipe beside it as `.json`:
    the random part keeps one visitor from guessing another's. Inputs are kept beside them as `inputs/<hash>.png`, so
    that a recipe can find what it was made from; a result does not carry its photo inside, as whoever shares a dream
    may not want to share the photo. Nothing else is kept of them: what a person moves, damages or deletes by hand is
    moved, damaged or deleted.

    Args:
        moments: folder for the moments of runs; `folder`/moments by default.
    """

    def __init__(self, folder: Path, moments: Path | None = None):
        self.folder = folder.resolve()
        self.inputs = self.folder / "inputs"
        self._moments = moments or self.folder / "moments"

    # Inputs

    def keep_input(self, image: np.ndarray, details: Details = NO_DETAILS) -> Path:
        """Keep (H, W, 3) uint8 RGB under its hash, with what goes on from its file; the same picture is kept once."""
        path = self.inputs / f"{digest(image)}.png"
        if not path.exists():
            with written_atomically(path) as file:
                Image.fromarray(image).save(file, "PNG", compress_level=1, **details.options)
        return path

    def find_input(self, hash_: str) -> Path | None:
        """The kept input with this hash, or None."""
        if not re.fullmatch(r"[0-9a-f]{64}", hash_):
            return None
        path = self.inputs / f"{hash_}.png"
        return path if path.is_file() else None

    # Results

    def moments(self, *, every: bool = False) -> Snapshots:
        """Where a new run's moments go; `every` is as for `Snapshots`."""
        return Snapshots(self._moments / secrets.token_hex(12), every=every)

    def new_path(self, engine: str, suffix: str) -> Path:
        """A name that no result has yet, in a folder that is there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f"{engine}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(6)}{suffix}"

    def names(self, engines: Collection[str] | None = None) -> list[str]:
        """The names of all results, the newest first; of some engines only, if they are named."""
        if not self.folder.is_dir():
            return []
        found = [match for name in os.listdir(self.folder) if (match := _NAME.fullmatch(name))]
        kept = [(match[2], match[3], match[0]) for match in found if engines is None or match[1] in engines]
        return [name for _, _, name in sorted(kept, reverse=True)]

    def find(self, name: str) -> Result | None:
        """The result whose file has this name, or None."""
        result = self._result(name)
        return result if result is not None and result.path.is_file() else None

    def _result(self, name: str) -> Result | None:
        match = _NAME.fullmatch(name)
        return Result(self.folder / name, match[1], match[2] + match[3]) if match else None

    def remove(self, names: Collection[str]) -> int:
        """Delete results, and say how many were there."""
        found = [result for name in names if (result := self.find(name))]
        for result in found:
            for path in (result.path, result.path.with_suffix(".json"), self.thumbnail(result)):
                path.unlink(missing_ok=True)
        return len(found)

    def thumbnail(self, result: Result) -> Path:
        """Where the thumbnail of a result is, or would be."""
        return self.folder / "thumbnails" / f"{result.path.stem}.jpg"

    def archive(self, names: Sequence[str], called: Sequence[str] = ()) -> Path:
        """A zip of results, each with its recipe beside it as .json.

        Args:
            called: what each of them is called in the zip, without suffix; by its own name if not given. Where two
                would be called the same, the later is numbered.

        Raises:
            ValueError: none of them is there any longer.
        """
        titles = called or [Path(name).stem for name in names]
        found = [(result, title) for name, title in zip(names, titles, strict=True) if (result := self.find(name))]
        if not found:
            raise ValueError(message("Choose what to export first: tick the results."))
        folder = self.folder / "archives"
        folder.mkdir(exist_ok=True)
        for old in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)[: 1 - ARCHIVES_KEPT]:
            old.unlink(missing_ok=True)
        path = folder / f"reverie-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(6)}.zip"
        # Pictures and films are packed already.
        with written_atomically(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for (result, _), title in zip(found, _told_apart([title for _, title in found]), strict=True):
                archive.write(result.path, f"{title}{result.path.suffix}")
                recipe = result.recipe()
                if recipe is not None:
                    archive.writestr(f"{title}.json", recipe.to_json())
        return path


def _told_apart(titles: Sequence[str]) -> list[str]:
    """The same titles, with a number behind each that was there before, whatever the case of its letters."""
    seen: set[str] = set()
    told = []
    for title in titles:
        name = next(
            one
            for one in itertools.chain([title], (f"{title}-{i}" for i in itertools.count(2)))
            if one.lower() not in seen
        )
        seen.add(name.lower())
        told.append(name)
    return told


def url_of(path: Path) -> str:
    """Where a browser finds a file of the gallery."""
    return f"gradio_api/file={quote(str(path))}"
