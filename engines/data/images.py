"""Picture datasets for training."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.core.files import UNREADABLE
from engines.core.messages import message
from engines.core.preparation import check
from engines.data import archives
from engines.data.archives import (
    Member,
    TooLargeError,
    check_password,
    is_aside,
    members,
    read_member,
    readable,
    told_of,
)
from engines.imaging.formats import SUFFIXES
from engines.imaging.images import middle_square, read_picture

# A picture that is larger than these, in a set for training, is a mistake or an attack.
_MOST_BYTES, _MOST_PIXELS = 32 << 20, 50_000_000
_MOST_IN_ALL = 4 << 30
PHOTOS_FILE = "photos.zip"
FACES_FILE, FACES_HELD_OUT = "faces64.zip", 2000
LEAST_TO_TRAIN_ON = 16


@dataclass(frozen=True)
class LabelledPictures:
    """Pictures with a class each.

    Attributes:
        images: (N, H, W, 3) uint8 RGB.
        labels: (N,) int32, an index into `classes`.
        classes: class names in sorted order.
        left_out: sentences of the files that were left out, and why.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class NamedPictures:
    """Pictures in the order of their names.

    Attributes:
        images: (N, size, size, 3) uint8 RGB.
        names: within their zip or folder.
        left_out: sentences of the files that were left out, and why.
    """

    images: np.ndarray
    names: tuple[str, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class SplitPictures:
    """Pictures to train on, and pictures held out from it, (N, size, size, 3) uint8 each.

    Attributes:
        names: of the training pictures, within their zip or folder.
        left_out: sentences of the files that were left out, and why.
    """

    train: np.ndarray
    held_out: np.ndarray
    names: tuple[str, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Digits:
    """MNIST: handwritten digits, (N, 28, 28) uint8, white on black, and what they are, (N,) uint8."""

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[list[Member], Callable[[str], bytes]]]:
    """All files in a zip or folder, sorted by name, and a function that reads one by its key; nothing is ever
    unpacked to disk."""
    if path.is_dir():
        names = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())

        def from_folder(name: str) -> bytes:
            with readable():
                if (path / name).stat().st_size > _MOST_BYTES:
                    raise TooLargeError(
                        message(
                            "This file is larger than {megabytes} MB; make it smaller first.",
                            megabytes=_MOST_BYTES >> 20,
                        )
                    )
                return (path / name).read_bytes()

        yield [Member(name, name) for name in names if not is_aside(name)], from_folder
        return
    with archives.opened(path) as archive:
        check_password(archive, path.name)
        yield members(archive), lambda key: read_member(archive, key, _MOST_BYTES)


def _decoded(
    path: Path, files: Sequence[Member], read: Callable[[str], bytes], size: int, least: int
) -> tuple[np.ndarray, list[Member], tuple[str, ...]]:
    """The middle square of each picture, resized where it is of another size, by the one reader of pictures.

    Returns:
        (N, size, size, 3) uint8; the files that they are of; and sentences of those that were left out.

    Raises:
        ValueError: fewer than `least` can be read, or more than fit the memory.
    """
    if len(files) < least:
        raise ValueError(
            message(
                "{file} holds {few}; at least {least} are needed.", file=path.name, few=_few(len(files)), least=least
            )
        )
    if len(files) * size * size * 3 > _MOST_IN_ALL:
        raise ValueError(
            message(
                "{file} holds {count} pictures, too many to keep in memory; use fewer.",
                file=path.name,
                count=len(files),
            )
        )
    images = np.empty((len(files), size, size, 3), np.uint8)

    def decode(item: tuple[int, bytes | ValueError]) -> ValueError | None:
        row, data = item
        try:
            if isinstance(data, ValueError):
                raise data
            images[row] = middle_square(read_picture(data, max_pixels=_MOST_PIXELS), size)
        except ValueError as error:
            return error
        return None

    def contents() -> Iterator[bytes | ValueError]:
        for file in files:
            check()  # all is read before the first is waited for
            try:
                yield read(file.key)
            except ValueError as error:
                yield error

    with ThreadPoolExecutor() as pool:
        # Reading stays on one thread, as a ZipFile is not made for several; decoding runs on all.
        errors = []
        for error in pool.map(decode, enumerate(contents())):
            check()
            errors.append(error)
    refused = [(file.name, error) for file, error in zip(files, errors, strict=True) if error is not None]
    if not refused:
        return images, list(files), ()
    kept = [error is None for error in errors]
    told = told_of(refused)
    if sum(kept) < least:
        few = _few(sum(kept))
        raise ValueError(
            message(
                "{file} holds {few} that can be read, at least {least} are needed, and {why}",
                file=path.name,
                few=few,
                least=least,
                why=told[0],
            )
        )
    return images[kept], [file for file, fine in zip(files, kept, strict=True) if fine], told


def _few(count: int) -> str:
    return message("no pictures") if not count else message("only {count} picture{s}", count=count, s="s" * (count > 1))


def _is_picture(file: Member) -> bool:
    return Path(file.name).suffix.lower() in SUFFIXES


def labelled_pictures(path: Path, size: int = 64) -> LabelledPictures:
    """Read a zip or folder of `<class>/<name>` pictures, each resized to (size, size) if it is not so already.

    Raises:
        ValueError: the file is missing, is no zip, has a password, or holds no picture in a class folder.
    """
    with _opened(path) as (files, read):
        files = [file for file in files if "/" in file.name and _is_picture(file)]
        if not files:
            raise ValueError(message("{file} holds no pictures in class folders.", file=path.name))
        images, files, left_out = _decoded(path, files, read, size, 1)
    folders = [file.name.split("/")[-2] for file in files]
    classes = tuple(sorted(set(folders)))
    index = {name: i for i, name in enumerate(classes)}
    return LabelledPictures(images, np.array([index[f] for f in folders], np.int32), classes, left_out)


def named_pictures(path: Path, size: int = 64, least: int = 2) -> NamedPictures:
    """Read all pictures in a zip or folder: the middle square of each, resized to (size, size).

    Raises:
        ValueError: the file is missing, is no zip, has a password, or holds fewer than `least` pictures that can be
            read.
    """
    with _opened(path) as (files, read):
        images, files, left_out = _decoded(path, [file for file in files if _is_picture(file)], read, size, least)
    return NamedPictures(images, tuple(file.name for file in files), left_out)


def whole_pictures(
    path: Path, least_side: int, held_out: Collection[str] = ()
) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """Read all pictures in a zip or folder as they are.

    Args:
        least_side: pictures with a shorter side are left out.
        held_out: names of files that are not read.

    Returns:
        (H, W, 3) uint8 RGB each, in the order of their names; and sentences of those that were left out, and why.

    Raises:
        ValueError: the file is missing, is no zip, has a password, or holds no picture that can be used.
    """
    found: list[np.ndarray] = []
    refused: list[tuple[str, ValueError]] = []
    with _opened(path) as (files, read):
        for file in filter(_is_picture, files):
            check()
            if file.name in held_out:
                continue
            try:
                pixels = read_picture(read(file.key), max_pixels=_MOST_PIXELS)
                if min(pixels.shape[:2]) < least_side:
                    raise ValueError(
                        message(
                            "This picture has a side of fewer than {least} pixels; use a larger one.", least=least_side
                        )
                    )
                found.append(pixels)
            except ValueError as error:
                refused.append((file.name, error))
    told = told_of(refused) if refused else ()
    if not found:
        raise ValueError(
            message("{file} holds {few}; at least {least} are needed.", file=path.name, few=_few(0), least=1)
        )
    return found, told


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
    return SplitPictures(found.images[:-held_out], found.images[-held_out:], found.names[:-held_out], found.left_out)


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
        raise ValueError(
            message(
                "There is no file {file} in {folder}; name the folder that holds it.",
                file=path.name,
                folder=path.parent,
            )
        ) from error
    except UNREADABLE as error:
        raise ValueError(
            message("{file} is not the file of digits that Keras publishes, or is damaged.", file=path.name)
        ) from error
    train, train_labels = _digits_of(path.name, *found[:2])
    test, test_labels = _digits_of(path.name, *found[2:])
    if not len(train) or not len(test):
        raise ValueError(
            message("{file} holds no digits in its {part}.", file=path.name, part="x_test" if len(train) else "x_train")
        )
    return Digits(train, train_labels, test, test_labels)


def _digits_of(name: str, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Digits as (N, 28, 28) uint8 and their labels as (N,) uint8; raises ValueError where they are none."""
    images = images[..., 0] if images.ndim == 4 and images.shape[-1] == 1 else images
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    numbers = all(array.dtype.kind in "buif" for array in (images, labels))
    if not numbers or images.shape[1:] != (28, 28) or labels.shape != images.shape[:1]:
        raise ValueError(message("{name} holds something else than digits of 28 x 28 pixels.", name=name))
    if not len(images):
        return np.empty((0, 28, 28), np.uint8), np.empty(0, np.uint8)
    # Of floating-point numbers the values tell whether white is 1 or 255.
    scale = 255 if images.dtype.kind in "bf" and images.max() <= 1 else 1
    # Not a number is within no range.
    if not (images.min() >= 0 and images.max() <= 255 and labels.min() >= 0 and labels.max() <= 9):
        raise ValueError(message("{name} holds something else than digits of 28 x 28 pixels.", name=name))
    if images.dtype.kind in "bf":
        images = np.round(images * np.float32(scale))
    return images.astype(np.uint8), labels.astype(np.uint8)


def ratings(path: Path, name: str = "attributes.csv") -> dict[str, np.ndarray]:
    """The columns of a table of ratings within a zip: what is rated -> (N,) float32; "name" -> (N,) of text.

    Raises:
        ValueError: there is no such table, or one of its cells is no number.
    """
    with _opened(path) as (files, read):
        key = next((file.key for file in files if file.name == name), None)
        if key is None:
            raise ValueError(message("{file} holds no {name}.", file=path.name, name=name))
        rows = list(csv.DictReader(io.StringIO(read(key).decode("utf-8-sig"))))
    try:
        columns = {key: [row[key] for row in rows] for key in rows[0]}
        if any(value is None for values in columns.values() for value in values):
            raise ValueError("a row is too short")
        return {
            key: np.array(values) if key == "name" else np.array(values, np.float32) for key, values in columns.items()
        }
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(message("{name} in {file} is not a table of ratings.", name=name, file=path.name)) from error
