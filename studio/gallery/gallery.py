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
from studio.gallery.outputs_folder import SNAPSHOTS
from studio.runs.snapshots import Snapshots

_NAME = re.compile(r"([a-z_]+)-(\d{8})-(\d{6})-([0-9a-f]{12})(\.png|\.mp4|\.txt)")
# Archives are downloaded right away or not at all.
ARCHIVES_KEPT = 3


@dataclass(frozen=True)
class Result:
    """A result in the gallery.

    Attributes:
        path: its file.
        engine: key in `engines.jobs.ENGINES`.
        stamp: local time at which it was finished, as YYYYmmddHHMMSS.
    """

    path: Path
    engine: str
    stamp: str

    @property
    def name(self) -> str:
        """File name, unique in the gallery."""
        return self.path.name

    @property
    def made(self) -> datetime.datetime | None:
        """Local time at which it was finished; None if the stamp is not a date."""
        try:
            return datetime.datetime.strptime(self.stamp, "%Y%m%d%H%M%S")
        except ValueError:
            return None

    @property
    def kind(self) -> str:
        """ "picture", "video" or "text"."""
        return {".png": "picture", ".mp4": "video", ".txt": "text"}[self.path.suffix]

    def recipe(self) -> Recipe | None:
        """Read the recipe; None if there is none, or if the file is damaged."""
        try:
            return read_recipe(self.path)
        except RecipeError:
            return None


class Gallery:
    """A folder of results.

    Results are named `<engine>-<date>-<time>-<random>` with the suffix .png, .mp4 or .txt; a text's recipe lies beside
    it as .json. The random part keeps visitors from guessing each other's results. Inputs are stored as
    `inputs/<hash>.png`, where a recipe finds them; they are not embedded in a result, since sharing a result should not
    share the photo. There is no index: files may be moved or deleted by hand.

    Args:
        folder: the folder.
        snapshots: folder for snapshots of runs; `folder`/moments by default.
    """

    def __init__(self, folder: Path, snapshots: Path | None = None):
        self.folder = folder.resolve()
        self.inputs = self.folder / "inputs"
        self._snapshots = snapshots or self.folder / SNAPSHOTS

    # Inputs

    def keep_input(self, image: np.ndarray, details: Details = NO_DETAILS) -> Path:
        """Store an image under its hash, once, and return its path.

        Args:
            image: (H, W, 3) uint8 RGB.
            details: metadata to write into the file.

        Raises:
            OSError: it cannot be written.
        """
        path = self.inputs / f"{digest(image)}.png"
        if not path.exists():
            with written_atomically(path) as file:
                Image.fromarray(image).save(file, "PNG", compress_level=1, **details.options)
        return path

    def find_input(self, hash_: str) -> Path | None:
        """Return the path of the stored input with this hash, or None."""
        if not re.fullmatch(r"[0-9a-f]{64}", hash_):
            return None
        path = self.inputs / f"{hash_}.png"
        return path if path.is_file() else None

    # Results

    def snapshots(self, *, every: bool = False) -> Snapshots:
        """Create the snapshots of a new run; `every` is as for `Snapshots`."""
        return Snapshots(self._snapshots / secrets.token_hex(12), every=every)

    def new_path(self, engine: str, suffix: str) -> Path:
        """Return an unused path for a result; creates the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f"{engine}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(6)}{suffix}"

    def names(self, engines: Collection[str] | None = None) -> list[str]:
        """List the names of all results, newest first.

        Args:
            engines: only results of these engines; None for all.
        """
        if not self.folder.is_dir():
            return []
        found = [match for name in os.listdir(self.folder) if (match := _NAME.fullmatch(name))]
        kept = [(match[2], match[3], match[0]) for match in found if engines is None or match[1] in engines]
        return [name for _, _, name in sorted(kept, reverse=True)]

    def find(self, name: str) -> Result | None:
        """Return the result with this file name, or None."""
        result = self._result(name)
        return result if result is not None and result.path.is_file() else None

    def _result(self, name: str) -> Result | None:
        match = _NAME.fullmatch(name)
        return Result(self.folder / name, match[1], match[2] + match[3]) if match else None

    def remove(self, names: Collection[str]) -> int:
        """Delete results; return how many existed."""
        found = [result for name in names if (result := self.find(name))]
        for result in found:
            for path in (result.path, result.path.with_suffix(".json"), self.thumbnail(result)):
                path.unlink(missing_ok=True)
        return len(found)

    def thumbnail(self, result: Result) -> Path:
        """Return the path of a result's thumbnail, which may not exist."""
        return self.folder / "thumbnails" / f"{result.path.stem}.jpg"

    def archive(self, names: Sequence[str], called: Sequence[str] = ()) -> Path:
        """Write a zip of results, each with its recipe as .json, and return its path.

        Args:
            names: file names of the results.
            called: their names in the zip, without suffix; the file names by default. Duplicates are numbered.

        Raises:
            ValueError: none of the results exists any longer.
            OSError: the zip cannot be written.
        """
        titles = called or [Path(name).stem for name in names]
        found = [(result, title) for name, title in zip(names, titles, strict=True) if (result := self.find(name))]
        if not found:
            raise ValueError(message("Select the results to export first."))
        folder = self.folder / "archives"
        folder.mkdir(exist_ok=True)
        for old in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)[: 1 - ARCHIVES_KEPT]:
            old.unlink(missing_ok=True)
        path = folder / f"reverie-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(6)}.zip"
        # Images and videos are compressed already.
        with written_atomically(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for (result, _), title in zip(found, _unique_titles([title for _, title in found]), strict=True):
                archive.write(result.path, f"{title}{result.path.suffix}")
                recipe = result.recipe()
                if recipe is not None:
                    archive.writestr(f"{title}.json", recipe.to_json())
        return path


def _unique_titles(titles: Sequence[str]) -> list[str]:
    """Number duplicate titles; upper and lower case count as equal."""
    seen: set[str] = set()
    unique = []
    for title in titles:
        name = next(
            one
            for one in itertools.chain([title], (f"{title}-{i}" for i in itertools.count(2)))
            if one.lower() not in seen
        )
        seen.add(name.lower())
        unique.append(name)
    return unique


def url_of(path: Path) -> str:
    """Return the URL of a file for the browser."""
    return f"gradio_api/file={quote(str(path))}"
