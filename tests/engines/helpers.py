"""Helpers for tests of the engines: sentences, files in a folder, small images."""

from __future__ import annotations

import contextlib
import errno
import io
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engines.dcgan.model import GAN
from engines.language_model.config import LanguageTrainingConfig

# The smallest useful training of a language model: sixteen steps, two checkpoints.
TINY_LANGUAGE_TRAINING = LanguageTrainingConfig(
    tokens=16 * 64 * 8,
    tokeniser="characters",
    vocab_size=64,
    block_size=16,
    embed_dim=32,
    num_layers=1,
    num_heads=2,
    dense_dim=64,
    batch_tokens=64 * 8,
    interval=8,
)
LITTLE_TEXT = "the cat sat on the mat and the dog sat on the log. " * 120


def blocks(count: int, seed: int = 0) -> np.ndarray:
    """Different images of coloured blocks, (count, 64, 64, 3) uint8."""
    rough = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3)).astype(np.uint8)
    return rough.repeat(8, 1).repeat(8, 2)


def zip_of(path: Path, images: Iterable[np.ndarray]) -> Path:
    """A zip of images, in the order of their names."""
    with zipfile.ZipFile(path, "w") as archive:
        for i, image in enumerate(images):
            archive.writestr(f"{i:02d}.png", as_png(image))
    return path


def untrained_gan(name: str = "faces") -> GAN:
    """Networks of random weights that are large enough to draw images that differ."""
    import keras

    from engines.dcgan.model import gan_from_networks
    from engines.dcgan.networks import ARCHITECTURES

    keras.utils.set_random_seed(0)
    generator, discriminator = ARCHITECTURES[name].build_generator(), ARCHITECTURES[name].build_discriminator()
    for layer in generator.layers:
        if isinstance(layer, keras.layers.Conv2DTranspose):
            layer.kernel.assign(4 * layer.kernel.value)
    return gan_from_networks(name, generator, discriminator)


@contextlib.contextmanager
def uncompiled() -> Iterator[None]:
    """What TensorFlow would trace and compile is done operation by operation: to trace a training step takes as long as
    to take it ten times so. That what is compiled is the same is for tests of the same step without this."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


def is_one_sentence(text: object) -> bool:
    """Whether this is one line and one sentence that ends with a full stop."""
    words = str(text)
    return words.endswith(".") and "\n" not in words and not re.search(r"[.!?] +[A-Z]", words) and " " in words


def refusal(kind: type[Exception], call: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    """The message, one sentence, of the error that a call raises."""
    with pytest.raises(kind) as caught:
        call(*arguments, **options)
    assert is_one_sentence(caught.value), str(caught.value)
    return str(caught.value)


def files_in(folder: Path) -> list[str]:
    """Names of everything in a folder, hidden files included, so that a forgotten draft is seen; but for a studio's
    lock."""
    return sorted(path.name for path in folder.iterdir() if path.name != ".reverie.lock")


class Disk:
    """A disk that is full in the folders for which `full` is true: no file can be created there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.full: Callable[[Path], bool] = lambda folder: False
        begin = tempfile.mkstemp

        def mkstemp(*arguments: Any, **options: Any) -> tuple[int, str]:
            folder = options.get("dir")
            if folder is not None and self.full(Path(folder)):
                raise OSError(errno.ENOSPC, "No space left on device", str(folder))
            return begin(*arguments, **options)

        monkeypatch.setattr(tempfile, "mkstemp", mkstemp)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    """A Pillow image as the bytes of a file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def as_png(image: np.ndarray) -> bytes:
    """An array as the bytes of a PNG."""
    return encoded(Image.fromarray(image), "PNG")
