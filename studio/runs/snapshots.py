"""Snapshots of a run's pictures on disk."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from engines.core.files import written_atomically
from engines.core.frames import Frame
from engines.imaging.video import FilmConfig, write_film

MOST = 120
SECONDS_APART = 0.2


class Snapshots:
    """At most MOST pictures of one run, evenly over it, in a folder of their own that goes when they are forgotten.

    Args:
        every: keep pictures however soon one comes after another; otherwise they are SECONDS_APART, but for the last.
    """

    def __init__(self, folder: Path, *, every: bool = False):
        self.folder = folder
        self._every = every
        self._steps: list[int] = []
        self._stride = 1
        self._seen = 0
        self._kept_at = 0.0
        self._lock = threading.Lock()

    def see(self, frame: Frame) -> None:
        """Keep a frame's picture, if enough time has passed since the last that was kept.

        Raises:
            OSError: it cannot be written; those before it stay.
        """
        now = time.monotonic()
        soon = now - self._kept_at < SECONDS_APART and not self._every
        if frame.image is None or (soon and frame.step < frame.total):
            return
        self._kept_at = now
        self._seen += 1
        if self._seen % self._stride and frame.step < frame.total:
            return
        with written_atomically(self._path(frame.step), durable=False) as file:
            Image.fromarray(frame.image).save(file, "JPEG", quality=95, subsampling=0)
        with self._lock:
            self._steps.append(frame.step)
            dropped = self._steps[1::2] if len(self._steps) > MOST else []
            if dropped:
                self._steps, self._stride = self._steps[::2], 2 * self._stride
        for step in dropped:
            self._path(step).unlink(missing_ok=True)

    def _path(self, step: int) -> Path:
        return self.folder / f"{step:06d}.jpg"

    @property
    def steps(self) -> list[int]:
        """The steps whose pictures are kept."""
        with self._lock:
            return list(self._steps)

    def at(self, step: int) -> tuple[int, np.ndarray] | None:
        """The kept moment nearest to a step: its own step and its picture, (H, W, 3) uint8; None without any."""
        steps = self.steps
        if not steps:
            return None
        for nearest in sorted(steps, key=lambda kept: abs(kept - step)):
            with contextlib.suppress(OSError):  # thinned away meanwhile
                return nearest, self._read(nearest)
        return None

    def _read(self, step: int) -> np.ndarray:
        with Image.open(self._path(step)) as picture:
            return np.asarray(picture.convert("RGB"))

    def film(self, config: FilmConfig, comment: str) -> Path | None:
        """Write the evolution as a film; None without pictures.

        Args:
            comment: goes into the file: the recipe.
        """
        steps = self.steps
        newest = self.at(steps[-1]) if steps else None
        if newest is None:
            return None
        path = self.folder / f"evolution.{config.kind}"
        return write_film(path, self._pictures(steps), newest[1].shape[:2], config, comment)

    def _pictures(self, steps: list[int]) -> Iterator[np.ndarray]:
        for step in steps:
            try:
                yield self._read(step)
            except OSError:
                continue  # thinned away meanwhile

    def forget(self) -> None:
        """Delete them."""
        with self._lock:
            self._steps = []
        shutil.rmtree(self.folder, ignore_errors=True)
