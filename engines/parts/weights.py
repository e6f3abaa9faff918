"""From a backbone's name to a verified file: bundled, found in a folder, or downloaded with progress.

The order is: the folders given and the project's weights/ (official Keras files dropped there are used as they are),
then Keras's own cache. Nothing is downloaded unless `download` is called.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engines.parts.files import sha256_of, written_atomically

BUNDLED_FOLDER = Path(__file__).resolve().parents[2] / "weights"
KERAS_CACHE = Path.home() / ".keras" / "models"
_KERAS_HOST = "https://storage.googleapis.com/tensorflow/keras-applications/"
_NOTOP = "_weights_tf_dim_ordering_tf_kernels_notop.h5"


class WeightsError(ValueError):
    """Weights that are missing, damaged or cannot be fetched; the message is a sentence for a person."""


@dataclass(frozen=True)
class OfficialFile:
    """A file that keras.applications publishes, with the MD5 that Keras checks it by."""

    name: str
    url: str
    md5: str
    megabytes: int


OFFICIAL_FILES = {
    name: OfficialFile(f"{name}{_NOTOP}", f"{_KERAS_HOST}{folder}/{name}{_NOTOP}", md5, megabytes)
    for name, folder, md5, megabytes in (
        ("vgg16", "vgg16", "6d6bbae143d832006294945121d1f1fc", 59),
        ("vgg19", "vgg19", "253f8cb515780f3b799900260a226db6", 80),
        ("inception_v3", "inception_v3", "bcbd6486424b2319ff4ef7d526e38f63", 88),
        ("xception", "xception", "b0042744bf5b25fce3cb969f33bebb97", 84),
        ("resnet50", "resnet", "4d473c1dd8becc155b73f8504c6f6626", 95),
    )
}


@dataclass(frozen=True)
class LocatedWeights:
    """A file that is there. `source` is "folder", "cache" or "bundled"."""

    path: Path
    source: str


@dataclass(frozen=True)
class WeightsStore:
    """Where weights may lie.

    Attributes:
        folders: looked through first, in order; files in them are used as they are.
        cache: where downloads go; by default the folder that Keras itself uses.
        bundled: the project's own weights with their manifest.json.
    """

    folders: tuple[Path, ...] = ()
    cache: Path = KERAS_CACHE
    bundled: Path = BUNDLED_FOLDER

    def manifest(self) -> dict[str, dict]:
        """The entries of manifest.json by file name.

        Raises:
            WeightsError: the manifest is missing or damaged.
        """
        try:
            entries = json.loads((self.bundled / "manifest.json").read_text(encoding="utf-8"))["files"]
            return {entry["file"]: entry for entry in entries}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise WeightsError("weights/manifest.json is missing or damaged; restore it from the project.") from error

    def find(self, name: str) -> LocatedWeights | None:
        """The file for a backbone, or None where it would have to be downloaded."""
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
        """The file for a backbone, its hash checked where the manifest or Keras states one.

        Raises:
            WeightsError: not there, or not the file that it should be.
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
        if located.source == "cache" and _md5_of(located.path) != OFFICIAL_FILES[name].md5:
            raise WeightsError(f"{located.path.name} in {self.cache} is damaged; delete it and download it again.")
        return located

    def download(self, name: str, *, url: str | None = None, timeout: float = 20) -> Iterator[tuple[int, int]]:
        """Fetch an official file into the cache, yielding (bytes so far, bytes in all; 0 if unknown).

        The file appears in the cache only once it is whole and its MD5 is the one that Keras publishes.

        Raises:
            WeightsError: no such file, no network, or not the file that Keras publishes.
        """
        if name not in OFFICIAL_FILES:
            raise WeightsError(f"{name} cannot be downloaded.")
        official = OFFICIAL_FILES[name]
        hasher, done = hashlib.md5(usedforsecurity=False), 0
        try:
            with (
                urllib.request.urlopen(url or official.url, timeout=timeout) as response,
                written_atomically(self.cache / official.name) as file,
            ):
                total = response.length or 0
                while chunk := response.read(1 << 18):
                    file.write(chunk)
                    hasher.update(chunk)
                    done += len(chunk)
                    yield done, total
                if hasher.hexdigest() != official.md5:
                    raise WeightsError(
                        f"What was downloaded for {name} is not the file that Keras publishes; nothing was kept."
                    )
        except (OSError, http.client.HTTPException) as error:
            raise WeightsError(
                f"{name} could not be downloaded (no connection, or not enough disk); "
                f"put {official.name} into the weights folder instead, or use the bundled backbone."
            ) from error


def _md5_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
