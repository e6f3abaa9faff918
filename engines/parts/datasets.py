"""Training data, read from where it lies."""

from __future__ import annotations

import contextlib
import csv
import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from engines.parts.files import UNREADABLE
from engines.parts.pictures import DAMAGED, middle_square

_PICTURE_SUFFIXES = {".webp", ".png", ".jpg", ".jpeg", ".bmp"}
# A picture that is larger than these, in a set for training, is a mistake or an attack.
_MOST_BYTES, _MOST_PIXELS = 32 << 20, 50_000_000
_MOST_IN_ALL = 4 << 30
FACES_FILE, FACES_HELD_OUT = "faces64.zip", 2000
LEAST_TO_TRAIN_ON = 16


@dataclass(frozen=True)
class LabelledPictures:
    """Pictures with a class each.

    Attributes:
        images: (N, H, W, 3) uint8 RGB.
        labels: (N,) int32, an index into `classes`.
        classes: class names in sorted order.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]


@dataclass(frozen=True)
class NamedPictures:
    """Pictures in the order of their names.

    Attributes:
        images: (N, size, size, 3) uint8 RGB.
        names: within their zip or folder.
    """

    images: np.ndarray
    names: tuple[str, ...]


@dataclass(frozen=True)
class SplitPictures:
    """Pictures to train on, and pictures held out from it, (N, size, size, 3) uint8 each.

    Attributes:
        names: of the training pictures, within their zip or folder.
    """

    train: np.ndarray
    held_out: np.ndarray
    names: tuple[str, ...]


@dataclass(frozen=True)
class Digits:
    """MNIST: handwritten digits, (N, 28, 28) uint8, white on black, and what they are, (N,) uint8."""

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[list[str], Callable[[str], bytes]]]:
    """The names of all files in a zip or folder, sorted, and a function that reads one; nothing is ever unpacked."""
    if path.is_dir():
        names = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())

        def from_folder(name: str) -> bytes:
            if (path / name).stat().st_size > _MOST_BYTES:
                raise ValueError(f"{name} in {path.name} is too large for a picture; leave it out.")
            return (path / name).read_bytes()

        yield names, from_folder
        return
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise ValueError(f"There is no file {path.name} in {path.parent}; name the folder that holds it.") from error
    except (zipfile.BadZipFile, OSError) as error:
        raise ValueError(f"{path.name} is not a zip file, or is damaged.") from error

    def from_zip(name: str) -> bytes:
        try:
            # A header may lie about the size, so no more is ever unpacked than is allowed.
            with archive.open(name) as file:
                data = file.read(_MOST_BYTES + 1)
        except UNREADABLE as error:
            raise ValueError(f"{path.name} is damaged; fetch it again.") from error
        if len(data) > _MOST_BYTES:
            raise ValueError(f"{name[-60:]} in {path.name} is too large for a picture; leave it out.")
        return data

    with archive:
        yield sorted(name for name in archive.namelist() if not name.endswith("/")), from_zip


def _decoded(path: Path, names: Sequence[str], read: Callable[[str], bytes], size: int) -> np.ndarray:
    """(N, size, size, 3) uint8: the middle square of each picture, resized where it is of another size."""
    if len(names) * size * size * 3 > _MOST_IN_ALL:
        raise ValueError(f"{path.name} holds {len(names)} pictures, too many to keep in memory; use fewer.")
    images = np.empty((len(names), size, size, 3), np.uint8)

    def decode(item: tuple[int, bytes]) -> None:
        row, data = item
        try:
            with Image.open(io.BytesIO(data)) as picture:
                if picture.width * picture.height > _MOST_PIXELS:
                    raise ValueError("too many pixels")
                rgb = picture.convert("RGB")
        except DAMAGED as error:
            raise ValueError(f"{names[row][-60:]} in {path.name} is damaged or too large; leave it out.") from error
        images[row] = middle_square(np.asarray(rgb), size)

    with ThreadPoolExecutor() as pool:
        # Reading stays on one thread, as a ZipFile is not made for several; decoding runs on all.
        for _ in pool.map(decode, ((row, read(name)) for row, name in enumerate(names))):
            pass
    return images


def _is_picture(name: str) -> bool:
    return Path(name).suffix.lower() in _PICTURE_SUFFIXES and "__MACOSX" not in name


def labelled_pictures(path: Path, size: int = 64) -> LabelledPictures:
    """Read a zip or folder of `<class>/<name>` pictures, each resized to (size, size) if it is not so already.

    Raises:
        ValueError: the file is missing, is no zip, or holds no picture in a class folder.
    """
    with _opened(path) as (names, read):
        names = [name for name in names if "/" in name and _is_picture(name)]
        if not names:
            raise ValueError(f"{path.name} holds no pictures in class folders.")
        folders = [name.split("/")[-2] for name in names]
        classes = tuple(sorted(set(folders)))
        index = {name: i for i, name in enumerate(classes)}
        images = _decoded(path, names, read, size)
    return LabelledPictures(images, np.array([index[f] for f in folders], np.int32), classes)


def named_pictures(path: Path, size: int = 64, least: int = 2) -> NamedPictures:
    """Read all pictures in a zip or folder: the middle square of each, resized to (size, size).

    Raises:
        ValueError: the file is missing, is no zip, is damaged, or holds fewer than `least` pictures.
    """
    with _opened(path) as (names, read):
        names = [name for name in names if _is_picture(name)]
        if len(names) < least:
            few = "no pictures" if not names else f"only {len(names)} picture{'s' * (len(names) > 1)}"
            raise ValueError(f"{path.name} holds {few}; at least {least} are needed.")
        return NamedPictures(_decoded(path, names, read, size), tuple(names))


def split_pictures(data: Path, size: int = 64) -> SplitPictures:
    """Named pictures, the last by name held out: at most FACES_HELD_OUT, of few pictures an eighth.

    Args:
        data: the file itself, a folder of pictures, or the folder that holds FACES_FILE.

    Raises:
        ValueError: as `named_pictures`, at least LEAST_TO_TRAIN_ON being needed.
    """
    path = data / FACES_FILE if (data / FACES_FILE).is_file() else data
    found = named_pictures(path, size, least=LEAST_TO_TRAIN_ON)
    held_out = min(FACES_HELD_OUT, len(found.images) // 8)
    return SplitPictures(found.images[:-held_out], found.images[-held_out:], found.names[:-held_out])


def digits(path: Path) -> Digits:
    """Read mnist.npz as Keras publishes it, or as people save it again: whole numbers of any type or grey levels in
    [0, 1], with an axis of channels or without.

    Raises:
        ValueError: the file is missing, damaged, or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = [arrays[name] for name in ("x_train", "y_train", "x_test", "y_test")]
    except FileNotFoundError as error:
        raise ValueError(f"There is no file {path.name} in {path.parent}; name the folder that holds it.") from error
    except UNREADABLE as error:
        raise ValueError(f"{path.name} is not the file of digits that Keras publishes, or is damaged.") from error
    train, train_labels = _digits_of(path.name, *found[:2])
    test, test_labels = _digits_of(path.name, *found[2:])
    for what, images in (("train on", train), ("test with", test)):
        if not len(images):
            raise ValueError(f"{path.name} holds no digits to {what}.")
    return Digits(train, train_labels, test, test_labels)


def _digits_of(name: str, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Digits as (N, 28, 28) uint8 and their labels as (N,) uint8; raises ValueError where they are none."""
    images = images[..., 0] if images.ndim == 4 and images.shape[-1] == 1 else images
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    numbers = all(array.dtype.kind in "buif" for array in (images, labels))
    if not numbers or images.shape[1:] != (28, 28) or labels.shape != images.shape[:1]:
        raise ValueError(f"{name} holds something else than digits of 28 x 28 pixels.")
    if not len(images):
        return np.empty((0, 28, 28), np.uint8), np.empty(0, np.uint8)
    # Of floating-point numbers the values tell whether white is 1 or 255.
    scale = 255 if images.dtype.kind in "bf" and images.max() <= 1 else 1
    # Not a number is within no range.
    if not (images.min() >= 0 and images.max() <= 255 and labels.min() >= 0 and labels.max() <= 9):
        raise ValueError(f"{name} holds something else than digits of 28 x 28 pixels.")
    if images.dtype.kind in "bf":
        images = np.round(images * np.float32(scale))
    return images.astype(np.uint8), labels.astype(np.uint8)


def ratings(path: Path, name: str = "attributes.csv") -> dict[str, np.ndarray]:
    """The columns of a table of ratings within a zip: what is rated -> (N,) float32; "name" -> (N,) of text.

    Raises:
        ValueError: there is no such table, or one of its cells is no number.
    """
    with _opened(path) as (names, read):
        if name not in names:
            raise ValueError(f"{path.name} holds no {name}.")
        rows = list(csv.DictReader(io.StringIO(read(name).decode("utf-8-sig"))))
    try:
        columns = {key: [row[key] for row in rows] for key in rows[0]}
        if any(value is None for values in columns.values() for value in values):
            raise ValueError("a row is too short")
        return {
            key: np.array(values) if key == "name" else np.array(values, np.float32) for key, values in columns.items()
        }
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{name} in {path.name} is not a table of ratings.") from error
