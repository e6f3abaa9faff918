"""Keep snapshots of a run's images on disk, and make videos of them."""

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
from engines.imaging.video import VideoConfig, write_video

MAX_SNAPSHOTS = 120
SECONDS_APART = 0.2


class Snapshots:
    """At most MAX_SNAPSHOTS images of one run, evenly spaced over its steps.

    Args:
        folder: folder for this run alone; deleted with the snapshots.
        every: also keep images that are less than SECONDS_APART apart. The last image is always kept.
    """

    def __init__(self, folder: Path, *, every: bool = False):
        self.folder = folder
        self._every = every
        self._steps: list[int] = []
        self._stride = 1
        self._seen = 0
        self._kept_at = 0.0
        self._lock = threading.Lock()

    def add(self, frame: Frame) -> None:
        """Keep a frame's image, if it has one and the last snapshot is old enough.

        Raises:
            OSError: it cannot be written; earlier snapshots are kept.
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
            dropped = self._steps[1::2] if len(self._steps) > MAX_SNAPSHOTS else []
            if dropped:
                self._steps, self._stride = self._steps[::2], 2 * self._stride
        for step in dropped:
            self._path(step).unlink(missing_ok=True)

    def _path(self, step: int) -> Path:
        return self.folder / f"{step:06d}.jpg"

    @property
    def steps(self) -> list[int]:
        """The steps of the snapshots, ascending."""
        with self._lock:
            return list(self._steps)

    def at(self, step: int) -> tuple[int, np.ndarray] | None:
        """Return the snapshot nearest to a step: its step and image, (H, W, 3) uint8 RGB; None if there is none."""
        steps = self.steps
        if not steps:
            return None
        for nearest in sorted(steps, key=lambda kept: abs(kept - step)):
            with contextlib.suppress(OSError):  # dropped meanwhile
                return nearest, self._read(nearest)
        return None

    def _read(self, step: int) -> np.ndarray:
        with Image.open(self._path(step)) as image:
            return np.asarray(image.convert("RGB"))

    def video(self, config: VideoConfig, comment: str) -> Path | None:
        """Write a video of all snapshots and return its path; None if there is none.

        Args:
            comment: stored in the file: the recipe.

        Raises:
            OSError: it cannot be written.
        """
        steps = self.steps
        newest = self.at(steps[-1]) if steps else None
        if newest is None:
            return None
        path = self.folder / f"evolution.{config.kind}"
        return write_video(path, self._images(steps), newest[1].shape[:2], config, comment)

    def _images(self, steps: list[int]) -> Iterator[np.ndarray]:
        for step in steps:
            try:
                yield self._read(step)
            except OSError:
                continue  # dropped meanwhile

    def delete(self) -> None:
        """Delete the folder."""
        with self._lock:
            self._steps = []
        shutil.rmtree(self.folder, ignore_errors=True)
