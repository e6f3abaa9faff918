"""Find weights: bundled, in a folder, in Keras's cache, or by download.

Search order: the given folders, the project's weights/ (official Keras files put there are used as they are), then
Keras's own cache. Nothing is downloaded unless `download` is called.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from engines.core.files import md5_of, sha256_of
from engines.weights import download as downloads
from engines.weights.keras_applications import OFFICIAL_FILES

BUNDLED_FOLDER = Path(__file__).resolve().parents[2] / "weights"
KERAS_CACHE = Path.home() / ".keras" / "models"


class WeightsError(ValueError):
    """Weights that are missing, damaged or cannot be downloaded; the message is a sentence for people."""


@dataclass(frozen=True)
class LocatedWeights:
    """An existing weights file. `source` is "folder", "cache" or "bundled"."""

    path: Path
    source: str


@dataclass(frozen=True)
class WeightsStore:
    """Locations of weights.

    Attributes:
        folders: searched first, in order; files in them are used without verification.
        cache: folder for downloads; by default Keras's own.
        bundled: folder of the project's own weights and their manifest.json.
    """

    folders: tuple[Path, ...] = ()
    cache: Path = KERAS_CACHE
    bundled: Path = BUNDLED_FOLDER

    def manifest(self) -> dict[str, dict]:
        """Entries of manifest.json by file name.

        Raises:
            WeightsError: the manifest is missing or damaged.
        """
        try:
            entries = json.loads((self.bundled / "manifest.json").read_text(encoding="utf-8"))["files"]
            return {entry["file"]: entry for entry in entries}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WeightsError("weights/manifest.json is missing or damaged; restore it from the project.") from error

    def find(self, name: str) -> LocatedWeights | None:
        """The weights file of a network, or None if it is not on this machine."""
        official = OFFICIAL_FILES.get(name)
        file_name = official.name if official else f"{name}.npz"
        for folder in (*self.folders, self.bundled):
            if (folder / file_name).is_file():
                bundled = folder == self.bundled and not official
                return LocatedWeights(folder / file_name, "bundled" if bundled else "folder")
        if official and (self.cache / file_name).is_file():
            return LocatedWeights(self.cache / file_name, "cache")
        return None

    def verified(self, name: str) -> LocatedWeights:
        """The weights file of a network, with its hash verified if the manifest or Keras states one.

        Raises:
            WeightsError: the file is missing or has another hash.
        """
        located = self.find(name)
        if located is None:
            if name in OFFICIAL_FILES:
                size = OFFICIAL_FILES[name].megabytes
                raise WeightsError(f"The weights of {name} are not on this machine; download them ({size} MB) first.")
            raise WeightsError(f"There are no weights named {name}.")
        if located.source == "bundled":
            entry = self.manifest().get(located.path.name)
            if entry is None or entry.get("sha256") != sha256_of(located.path):
                raise WeightsError(
                    f"{located.path.name} is not the file that weights/manifest.json describes; "
                    "restore it from the project."
                )
        if located.source == "cache" and md5_of(located.path) != OFFICIAL_FILES[name].md5:
            raise WeightsError(f"{located.path.name} is damaged; remove it from Keras's cache and download it again.")
        return located

    def download(
        self, name: str, *, url: str | None = None, timeout: float = 20
    ) -> Generator[tuple[int, int], None, None]:
        """Download an official file into the cache, yielding (bytes so far, total bytes or 0 if unknown).

        The file appears in the cache once it is complete and has the MD5 that Keras publishes. Partial downloads are
        kept and resumed.

        Raises:
            WeightsError: no such file, no connection, no space, or wrong contents.
        """
        if name not in OFFICIAL_FILES:
            raise WeightsError(f"{name} cannot be downloaded.")
        official = OFFICIAL_FILES[name]
        try:
            yield from downloads.fetch(url or official.url, self.cache / official.name, official.md5, timeout=timeout)
        except downloads.UnreachableError as error:
            raise WeightsError(
                f"{name} could not be downloaded, as there is no connection to Keras's server; try again to go on from "
                f"where it stopped, put {official.name} into the weights folder, or use the bundled backbone."
            ) from error
        except downloads.UnwritableError as error:
            raise WeightsError(
                f"{official.name} cannot be written into Keras's cache; make room on the disk, or have the server's "
                "owner allow it."
            ) from error
        except downloads.WrongContentError as error:
            raise WeightsError(
                f"What was downloaded for {name} is not the file that Keras publishes; nothing was kept."
            ) from error

    def downloaded_bytes(self, name: str) -> int:
        """Size in bytes of the partial download of an official file."""
        return downloads.size_of(downloads.part_of(self.cache / OFFICIAL_FILES[name].name))

    def add_file(self, path: Path) -> str:
        """Copy an official file, identified by its MD5, into the cache; returns the name of its network.

        Raises:
            WeightsError: it is not an official file, or it cannot be copied.
        """
        try:
            md5 = md5_of(path)
            name = next((name for name, official in OFFICIAL_FILES.items() if official.md5 == md5), None)
            if name is None:
                raise WeightsError(_not_official(path.name))
            destination = self.cache / OFFICIAL_FILES[name].name
            if not downloads.copy_if_matching(path, destination, md5):
                raise WeightsError(f"{path.name} was changed while it was read; bring it again.")
        except OSError as error:
            raise WeightsError(
                f"{path.name} cannot be written into Keras's cache; make room on the disk, or have the server's owner "
                "allow it."
            ) from error
        downloads.discard_part(destination)
        return name

    def remove(self, name: str) -> None:
        """Remove an official file and its partial download from the cache.

        Raises:
            WeightsError: it is not in the cache, is being downloaded, or cannot be removed.
        """
        official = OFFICIAL_FILES.get(name)
        if official is None:
            raise WeightsError("Bundled weights cannot be removed; they are a part of the project.")
        destination = self.cache / official.name
        if not destination.is_file() and not self.downloaded_bytes(name):
            raise WeightsError(f"{official.name} is not in Keras's cache, so there is nothing to remove.")
        try:
            if not downloads.discard_part(destination):
                raise WeightsError(f"{official.name} is being downloaded; cancel that first, or wait until it is done.")
            destination.unlink(missing_ok=True)
        except OSError as error:
            raise WeightsError(f"{official.name} cannot be removed; have the server's owner allow it.") from error


def _not_official(file_name: str) -> str:
    """Why a file is not accepted, judging by its name."""
    for official in OFFICIAL_FILES.values():
        if file_name == official.name:
            return f"{file_name} is not the file that Keras publishes under this name; download it anew and bring that."
        if file_name == official.with_classifier:
            return f"{file_name} is the network with its classifier; bring {official.name} instead."
    known = ", ".join(OFFICIAL_FILES)
    return f"This is none of the files that Keras publishes for {known}; bring one whose name ends with _notop.h5."
