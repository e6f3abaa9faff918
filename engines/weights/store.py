"""Find weights: bundled, in a folder, in Keras's cache, or by download.

Search order: the given folders, the project's weights/ (official Keras files put there are used as they are), then
Keras's own cache. Nothing is downloaded unless `download` is called.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

from engines.core.files import md5_of, sha256_of
from engines.core.messages import message
from engines.weights import download as downloads
from engines.weights.keras_applications import OFFICIAL_FILES

BUNDLED_FOLDER = Path(__file__).resolve().parents[2] / "weights"


def keras_cache() -> Path:
    """The folder in which Keras keeps downloaded weights: in KERAS_HOME if set, else in the home folder, or in /tmp if
    that cannot be written. Does not import Keras."""
    home = os.path.expanduser("~")  # unlike Path.home(), never fails
    fallback = Path(home if os.access(home, os.W_OK) else "/tmp") / ".keras"
    return Path(os.environ.get("KERAS_HOME", fallback)) / "models"


class WeightsError(ValueError):
    """Weights that are missing, damaged or cannot be downloaded; the message is for the user."""


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
    cache: Path = field(default_factory=keras_cache)
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
            raise WeightsError(
                message("weights/manifest.json is missing or damaged; restore it from the project.")
            ) from error

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
                raise WeightsError(
                    message(
                        "The weights of {name} are missing; download them ({size} MB) first.",
                        name=name,
                        size=size,
                    )
                )
            raise WeightsError(message("There are no weights named {name}.", name=name))
        if located.source == "bundled":
            entry = self.manifest().get(located.path.name)
            if entry is None or entry.get("sha256") != sha256_of(located.path):
                raise WeightsError(
                    message(
                        "{file} does not match weights/manifest.json; restore it from the project.",
                        file=located.path.name,
                    )
                )
        if located.source == "cache" and md5_of(located.path) != OFFICIAL_FILES[name].md5:
            raise WeightsError(
                message(
                    "{file} is damaged; remove it from Keras's cache and download it again.", file=located.path.name
                )
            )
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
            raise WeightsError(message("{name} cannot be downloaded.", name=name))
        official = OFFICIAL_FILES[name]
        try:
            yield from downloads.fetch(url or official.url, self.cache / official.name, official.md5, timeout=timeout)
        except downloads.UnreachableError as error:
            raise WeightsError(
                message(
                    "{name} could not be downloaded: there is no connection to Keras's server; try "
                    "again to resume, put {file} into the weights folder, or use the bundled network.",
                    name=name,
                    file=official.name,
                )
            ) from error
        except downloads.UnwritableError as error:
            raise WeightsError(
                message(
                    "{file} cannot be saved to Keras's cache; free up disk space, or ask the server's "
                    "administrator for permission.",
                    file=official.name,
                )
            ) from error
        except downloads.WrongContentError as error:
            raise WeightsError(
                message(
                    "The download for {name} does not match the file that Keras publishes, so it was not kept.",
                    name=name,
                )
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
                raise WeightsError(message("{file} changed while it was being read; upload it again.", file=path.name))
        except OSError as error:
            raise WeightsError(
                message(
                    "{file} cannot be saved to Keras's cache; free up disk space, or ask the "
                    "server's administrator for permission.",
                    file=path.name,
                )
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
            raise WeightsError(message("Bundled weights are part of the project and cannot be removed."))
        destination = self.cache / official.name
        if not destination.is_file() and not self.downloaded_bytes(name):
            raise WeightsError(
                message("{file} is not in Keras's cache, so there is nothing to remove.", file=official.name)
            )
        try:
            if not downloads.discard_part(destination):
                raise WeightsError(
                    message(
                        "{file} is being downloaded; cancel the download, or wait until it is done.", file=official.name
                    )
                )
            destination.unlink(missing_ok=True)
        except OSError as error:
            raise WeightsError(
                message("{file} cannot be removed; ask the server's administrator for permission.", file=official.name)
            ) from error


def _not_official(file_name: str) -> str:
    """Why a file is not accepted, judging by its name."""
    for official in OFFICIAL_FILES.values():
        if file_name == official.name:
            return message(
                "{file} is not the file that Keras publishes under this name; download it again and upload that copy.",
                file=file_name,
            )
        if file_name == official.with_classifier:
            return message(
                "{file} includes the classifier; upload {wanted} instead.",
                file=file_name,
                wanted=official.name,
            )
    known = ", ".join(OFFICIAL_FILES)
    return message(
        "This is not a file that Keras publishes for {network}; upload one whose name ends with _notop.h5.",
        network=known,
    )
