"""Training data, read from where it lies."""

from __future__ import annotations

import io
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

_PICTURE_SUFFIXES = {".webp", ".png", ".jpg", ".jpeg", ".bmp"}


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


def labelled_pictures(path: Path, size: int = 64) -> LabelledPictures:
    """Read a zip of `<class>/<name>` pictures, each resized to (size, size) if it is not so already.

    Raises:
        ValueError: the file is missing, is no zip, or holds no picture in a class folder.
    """
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise ValueError(f"There is no file {path.name} in {path.parent}; name the folder that holds it.") from error
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path.name} is not a zip file, or is damaged.") from error
    with archive:
        names = sorted(
            n for n in archive.namelist() if n.count("/") >= 1 and Path(n).suffix.lower() in _PICTURE_SUFFIXES
        )
        if not names:
            raise ValueError(f"{path.name} holds no pictures in class folders.")
        folders = [name.split("/")[-2] for name in names]
        classes = tuple(sorted(set(folders)))
        index = {name: i for i, name in enumerate(classes)}
        images = np.empty((len(names), size, size, 3), np.uint8)

        def decode(item: tuple[int, bytes]) -> None:
            row, data = item
            try:
                with Image.open(io.BytesIO(data)) as picture:
                    rgb = picture.convert("RGB")
            except (OSError, ValueError, SyntaxError) as error:
                raise ValueError(f"{names[row]} in {path.name} is damaged; leave it out.") from error
            if rgb.size != (size, size):
                rgb = rgb.resize((size, size), Image.Resampling.LANCZOS)
            images[row] = np.asarray(rgb)

        with ThreadPoolExecutor() as pool:
            # Reading stays on one thread, as a ZipFile is not made for several; decoding runs on all.
            try:
                for _ in pool.map(decode, ((row, archive.read(name)) for row, name in enumerate(names))):
                    pass
            except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
                raise ValueError(f"{path.name} is damaged; fetch it again.") from error
    return LabelledPictures(images, np.array([index[f] for f in folders], np.int32), classes)
