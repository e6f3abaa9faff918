"""Image datasets for training."""

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
from engines.core.preparation import raise_if_abandoned
from engines.data import archives
from engines.data.archives import (
    Member,
    TooLargeError,
    as_archive_error,
    check_password,
    is_system_file,
    left_out_notices,
    members,
    read_member,
)
from engines.imaging.formats import is_image_name
from engines.imaging.images import middle_square, read_image

# A training image larger than this is a mistake or an attack.
_MAX_BYTES, _MAX_PIXELS = 32 << 20, 50_000_000
_MAX_TOTAL_BYTES = 4 << 30
PHOTOS_FILE = "photos.zip"
FACES_FILE, FACES_HELD_OUT = "faces64.zip", 2000
MIN_TRAINING_IMAGES = 16


@dataclass(frozen=True)
class LabelledImages:
    """Images with class labels.

    Attributes:
        images: (N, H, W, 3) uint8 RGB.
        labels: (N,) int32, indices into `classes`.
        classes: sorted class names.
        left_out: notices about skipped files.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class NamedImages:
    """Images sorted by name.

    Attributes:
        images: (N, size, size, 3) uint8 RGB.
        names: paths within the zip or folder.
        left_out: notices about skipped files.
    """

    images: np.ndarray
    names: tuple[str, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class SplitImages:
    """Training and held-out images, (N, size, size, 3) uint8 each.

    Attributes:
        names: paths of the training images within the zip or folder.
        left_out: notices about skipped files.
    """

    train: np.ndarray
    held_out: np.ndarray
    names: tuple[str, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Digits:
    """MNIST: handwritten digits, (N, 28, 28) uint8, white on black, and their labels, (N,) uint8."""

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[list[Member], Callable[[str], bytes]]]:
    """All files in a zip or folder, sorted by name, and a function that reads one by its key."""
    if path.is_dir():
        names = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())

        def from_folder(name: str) -> bytes:
            with as_archive_error():
                if (path / name).stat().st_size > _MAX_BYTES:
                    raise TooLargeError(
                        message(
                            "This file is larger than {megabytes} MB; make it smaller first.",
                            megabytes=_MAX_BYTES >> 20,
                        )
                    )
                return (path / name).read_bytes()

        yield [Member(name, name) for name in names if not is_system_file(name)], from_folder
        return
    with archives.opened(path) as archive:
        check_password(archive, path.name)
        yield members(archive), lambda key: read_member(archive, key, _MAX_BYTES)


def _decode_all(
    path: Path, files: Sequence[Member], read: Callable[[str], bytes], size: int, least: int
) -> tuple[np.ndarray, list[Member], tuple[str, ...]]:
    """Decode images, crop them to their middle square and resize them.

    Returns:
        images, (N, size, size, 3) uint8; their files; and notices about skipped files.

    Raises:
        ValueError: fewer than `least` can be read, or they do not fit into memory.
    """
    if len(files) < least:
        raise ValueError(
            message(
                "{file} has {few}; it needs at least {least}.",
                file=path.name,
                few=_count_phrase(len(files)),
                least=least,
            )
        )
    if len(files) * size * size * 3 > _MAX_TOTAL_BYTES:
        raise ValueError(
            message(
                "{file} has {count} images, too many to fit in memory; use fewer.",
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
            images[row] = middle_square(read_image(data, max_pixels=_MAX_PIXELS), size)
        except ValueError as error:
            return error
        return None

    def contents() -> Iterator[bytes | ValueError]:
        for file in files:
            raise_if_abandoned()  # `map` consumes this generator before it yields its first result
            try:
                yield read(file.key)
            except ValueError as error:
                yield error

    with ThreadPoolExecutor() as pool:
        # A ZipFile is not thread-safe, so reading stays on one thread; decoding uses all.
        errors = []
        for error in pool.map(decode, enumerate(contents())):
            raise_if_abandoned()
            errors.append(error)
    refused = [(file.name, error) for file, error in zip(files, errors, strict=True) if error is not None]
    if not refused:
        return images, list(files), ()
    kept = [error is None for error in errors]
    notices = left_out_notices(refused)
    if sum(kept) < least:
        few = _count_phrase(sum(kept))
        raise ValueError(
            message(
                "{file} has {few} that can be read, but needs at least {least}; {why}",
                file=path.name,
                few=few,
                least=least,
                why=notices[0],
            )
        )
    return images[kept], [file for file, ok in zip(files, kept, strict=True) if ok], notices


def _count_phrase(count: int) -> str:
    return message("no images") if not count else message("only {count} image{s}", count=count, s="s" * (count > 1))


def labelled_images(path: Path, size: int = 64) -> LabelledImages:
    """Read `<class>/<name>` images from a zip or folder: the middle square of each, resized to (size, size).

    Raises:
        ValueError: the file is missing, not a zip, encrypted, or has no images in class folders.
    """
    with _opened(path) as (files, read):
        files = [file for file in files if "/" in file.name and is_image_name(file.name)]
        if not files:
            raise ValueError(
                message("{file} has no images in class folders; put each class in its own folder.", file=path.name)
            )
        images, files, left_out = _decode_all(path, files, read, size, 1)
    folders = [file.name.split("/")[-2] for file in files]
    classes = tuple(sorted(set(folders)))
    index = {name: i for i, name in enumerate(classes)}
    return LabelledImages(images, np.array([index[f] for f in folders], np.int32), classes, left_out)


def named_images(path: Path, size: int = 64, least: int = 2) -> NamedImages:
    """Read all images from a zip or folder: the middle square of each, resized to (size, size).

    Raises:
        ValueError: the file is missing, not a zip, encrypted, or has fewer than `least` readable images.
    """
    with _opened(path) as (files, read):
        image_files = [file for file in files if is_image_name(file.name)]
        images, files, left_out = _decode_all(path, image_files, read, size, least)
    return NamedImages(images, tuple(file.name for file in files), left_out)


def whole_images(path: Path, min_side: int, held_out: Collection[str] = ()) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """Read all images from a zip or folder at full size.

    Args:
        min_side: skip images with a shorter side.
        held_out: names of files to skip without a notice.

    Returns:
        images, (H, W, 3) uint8 RGB each, sorted by name; and notices about skipped files.

    Raises:
        ValueError: the file is missing, not a zip, encrypted, or has no usable images.
    """
    images: list[np.ndarray] = []
    refused: list[tuple[str, ValueError]] = []
    with _opened(path) as (files, read):
        for file in files:
            raise_if_abandoned()
            if file.name in held_out or not is_image_name(file.name):
                continue
            try:
                pixels = read_image(read(file.key), max_pixels=_MAX_PIXELS)
                if min(pixels.shape[:2]) < min_side:
                    raise ValueError(
                        message("This image has a side shorter than {least} pixels; use a larger one.", least=min_side)
                    )
                images.append(pixels)
            except ValueError as error:
                refused.append((file.name, error))
    notices = left_out_notices(refused) if refused else ()
    if not images:
        raise ValueError(
            message("{file} has {few}; it needs at least {least}.", file=path.name, few=_count_phrase(0), least=1)
        )
    return images, notices


def split_images(data: Path, size: int = 64) -> SplitImages:
    """Read images and hold out the last by name: an eighth, but at most FACES_HELD_OUT.

    Args:
        data: the data file, a folder of images, or the folder that contains FACES_FILE.

    Raises:
        ValueError: like `named_images`, with a minimum of MIN_TRAINING_IMAGES.
    """
    path = data / FACES_FILE if (data / FACES_FILE).is_file() else data
    found = named_images(path, size, least=MIN_TRAINING_IMAGES)
    held_out = min(FACES_HELD_OUT, len(found.images) // 8)
    return SplitImages(found.images[:-held_out], found.images[-held_out:], found.names[:-held_out], found.left_out)


def digits(path: Path) -> Digits:
    """Read mnist.npz as Keras publishes it, or saved again with another dtype, with grey levels in [0, 1], or with a
    channel axis.

    Raises:
        ValueError: the file is missing, damaged, or has other contents.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            loaded = [arrays[name] for name in ("x_train", "y_train", "x_test", "y_test")]
    except FileNotFoundError as error:
        raise ValueError(
            message(
                "{file} was not found in {folder}; choose the folder that contains it.",
                file=path.name,
                folder=path.parent,
            )
        ) from error
    except UNREADABLE as error:
        raise ValueError(
            message("{file} is damaged or not the MNIST file published by Keras.", file=path.name)
        ) from error
    train, train_labels = _digits_of(path.name, *loaded[:2])
    test, test_labels = _digits_of(path.name, *loaded[2:])
    if not len(train) or not len(test):
        raise ValueError(
            message("{file} has no digits in {part}.", file=path.name, part="x_test" if len(train) else "x_train")
        )
    return Digits(train, train_labels, test, test_labels)


def _digits_of(name: str, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Convert to digits, (N, 28, 28) uint8, and labels, (N,) uint8; raises ValueError for other data."""
    images = images[..., 0] if images.ndim == 4 and images.shape[-1] == 1 else images
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    numbers = all(array.dtype.kind in "buif" for array in (images, labels))
    if not numbers or images.shape[1:] != (28, 28) or labels.shape != images.shape[:1]:
        raise ValueError(message("{name} must contain only digits of 28 × 28 pixels.", name=name))
    if not len(images):
        return np.empty((0, 28, 28), np.uint8), np.empty(0, np.uint8)
    # For floating-point numbers the values show whether white is 1 or 255.
    scale = 255 if images.dtype.kind in "bf" and images.max() <= 1 else 1
    # NaN fails every comparison.
    if not (images.min() >= 0 and images.max() <= 255 and labels.min() >= 0 and labels.max() <= 9):
        raise ValueError(message("{name} must contain only digits of 28 × 28 pixels.", name=name))
    if images.dtype.kind in "bf":
        images = np.round(images * np.float32(scale))
    return images.astype(np.uint8), labels.astype(np.uint8)


def ratings(path: Path, name: str = "attributes.csv") -> dict[str, np.ndarray]:
    """Read a table of ratings from a zip: column -> (N,) float32; "name" -> (N,) str.

    Raises:
        ValueError: the table is missing, or a cell is not a number.
    """
    with _opened(path) as (files, read):
        key = next((file.key for file in files if file.name == name), None)
        if key is None:
            raise ValueError(message("{file} does not contain {name}.", file=path.name, name=name))
        rows = list(csv.DictReader(io.StringIO(read(key).decode("utf-8-sig"))))
    try:
        columns = {key: [row[key] for row in rows] for key in rows[0]}
        if any(value is None for values in columns.values() for value in values):
            raise ValueError("a row is too short")
        return {
            key: np.array(values) if key == "name" else np.array(values, np.float32) for key, values in columns.items()
        }
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            message("{name} in {file} is not a valid table of ratings.", name=name, file=path.name)
        ) from error
