"""Services shared by all tabs: model cache, runs, gallery, limits."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from filelock import BaseFileLock

from engines.imaging.images import MAX_PIXELS, Picture, check_picture, load_picture
from engines.jobs import Job, Workshop
from engines.weights.store import WeightsError, WeightsStore
from studio.cluster.client import Cluster
from studio.cluster.dispatch import ClusterDispatcher
from studio.gallery.gallery import Gallery
from studio.gallery.outputs_folder import GOING, MOMENTS, UPLOADS, VISITORS, lock_outputs, remove_leftovers
from studio.gallery.result_writer import result_writer_for
from studio.gallery.visitors import Visitors
from studio.runs.journal import RunJournal
from studio.runs.queue import RunManager
from studio.runs.run import ResultWriter

logger = logging.getLogger(__name__)

T = TypeVar("T")

LEAST_SIDE = 16
PICTURES_KEPT_BYTES = 200_000_000
# As Pillow names them.
BROWSER_FORMATS = frozenset({"JPEG", "MPO", "PNG", "WEBP", "AVIF", "GIF", "BMP"})


class PictureCache:
    """The pictures that were read last, so that a photo is decoded when it is dropped and not again for each run.

    Args:
        most_bytes: size of all pixels together; the newest picture is kept whatever its size.
    """

    def __init__(self, most_bytes: int = PICTURES_KEPT_BYTES):
        self._most_bytes = most_bytes
        self._pictures: OrderedDict[tuple[Any, ...], Picture] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, path: str, background: str, least: int) -> Picture | None:
        """The picture of a file that was read in this way; None where it is not kept, or the file was changed since."""
        key = self._key(path, background, least)
        with self._lock:
            if key not in self._pictures:
                return None
            self._pictures.move_to_end(key)
            return self._pictures[key]

    def put(self, path: str, background: str, least: int, picture: Picture) -> None:
        """Keep the picture of a file, and drop those used longest ago where there are too many."""
        key = self._key(path, background, least)
        with self._lock:
            self._pictures[key] = picture
            self._pictures.move_to_end(key)
            size = sum(one.pixels.nbytes for one in self._pictures.values())
            while size > self._most_bytes and len(self._pictures) > 1:
                _, oldest = self._pictures.popitem(last=False)
                size -= oldest.pixels.nbytes

    @staticmethod
    def _key(path: str, background: str, least: int) -> tuple[Any, ...]:
        try:
            status = os.stat(path)
        except OSError:
            return path, background, least
        return path, background, least, status.st_mtime_ns, status.st_size


@dataclass
class Studio:
    """One server's studio.

    Attributes:
        weights: folders of weights to look into before the bundled ones.
        outputs: folder of results.
        most_waiting: how many runs may wait in a lane.
        max_pixels: what is larger is shrunk to so many pixels.
        data: the pictures that the bundled networks were trained on, a folder or a zip, where they are here.
        shared: whether there are several visitors, who are to see their own results only.
        visitors: who is on which page.
        trained: names of the networks that were trained here and taken up, by their engines.
        cluster: where runs go when it is there; None for here.

    Raises:
        OutputsError: the folder of results cannot be used, or another studio uses it.
    """

    weights: tuple[Path, ...] = ()
    outputs: Path = Path("outputs")
    most_waiting: int = 20
    max_pixels: int = MAX_PIXELS
    data: Path | None = None
    shared: bool = False
    visitors: Visitors = field(default_factory=Visitors)
    trained: dict[str, list[str]] = field(default_factory=dict)
    cluster: Cluster | None = None
    workshop: Workshop = field(init=False)
    runs: RunManager = field(init=False)
    _interactive: ThreadPoolExecutor = field(init=False, repr=False)
    _pictures: PictureCache = field(init=False, repr=False, default_factory=PictureCache)
    _lock: BaseFileLock = field(init=False, repr=False)

    def __post_init__(self):
        # Before anything there is cleaned: it may be another studio's work.
        self.outputs = Path(os.path.realpath(self.outputs))
        self._lock = lock_outputs(self.outputs)
        remove_leftovers(self.outputs)
        self.workshop = Workshop(WeightsStore(folders=self.weights))
        self._interactive = ThreadPoolExecutor(max_workers=1, thread_name_prefix="interactive")
        self.runs = RunManager(
            self.workshop,
            self.result_writer,
            records=RunJournal(self.outputs / GOING),
            most_waiting=self.most_waiting,
            dispatcher=None if self.cluster is None else ClusterDispatcher(self.workshop, self.cluster),
            patient=not self.shared,
        )

    def close(self) -> None:
        """End the runs, and give the outputs folder up."""
        self.runs.close()
        self._interactive.shutdown(wait=False)
        self._lock.release()

    @property
    def uploads(self) -> Path:
        """Where what browsers upload goes, and copies for them to fetch."""
        return self.outputs / UPLOADS

    @property
    def gallery(self) -> Gallery:
        """The results of whoever's event is being handled."""
        visitor = self.visitors.current() if self.shared else ""
        folder = self.outputs / VISITORS / visitor if visitor else self.outputs
        return Gallery(folder, self.outputs / MOMENTS)

    def result_writer(self, job: Job) -> ResultWriter:
        """What makes a result of a job's frames, for whoever's event is being handled."""
        return result_writer_for(self.gallery, job)

    def read(self, picture: str | bytes, *, least: int = LEAST_SIDE) -> np.ndarray:
        """The pixels of `load`: (H, W, 3) uint8 RGB; raises as it does."""
        return self.load(picture, least=least).pixels

    def load(self, picture: str | bytes, background: str = "white", *, least: int = LEAST_SIDE) -> Picture:
        """Read and check an uploaded picture; a file that was read a moment ago is not read again.

        Args:
            picture: a path, or the bytes of a file.
            background: what shows through where it is transparent, see `load_picture`.
            least: pixels that each side must have.

        Raises:
            PictureError: it cannot be read, or is too small.
        """
        kept = self._pictures.get(picture, background, least) if isinstance(picture, str) else None
        if kept is not None:
            return kept
        loaded = load_picture(picture, max_pixels=self.max_pixels, background=background)
        check_picture(loaded.pixels, least=least)
        if isinstance(picture, str):
            self._pictures.put(picture, background, least, loaded)
        return loaded

    def displayable(self, path: str, picture: Picture) -> str:
        """A file that browsers can show: the picture's own, or a PNG of it where its format is not theirs."""
        if picture.format in BROWSER_FORMATS:
            return path
        png = str(self.gallery.keep_input(picture.pixels, picture.details))
        self._pictures.put(png, "white", LEAST_SIDE, dataclasses.replace(picture, format="PNG", notices=()))
        return png

    async def run_interactive(self, work: Callable[[], T]) -> T:
        """What `work` returns: something short, done one at a time beside the renders, so that a slider answers."""
        # With the context of who asks, so that what is said meanwhile is said on that page.
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._interactive, context.run, work)

    async def run_in_thread(self, work: Callable[[], T]) -> T:
        """What `work` returns: something that takes seconds, done where no slider waits for it."""
        return await asyncio.to_thread(work)

    def warm_up(self) -> None:
        """Load TensorFlow and the bundled networks, trace a first dream, painting and word: the first visitor need not
        wait.

        Weights that cannot be loaded are a visitor's concern only once they are asked for: here they are logged.
        """
        from engines.core.quiet import load_quietly

        load_quietly(alone=False)
        from engines.jobs.warm_up import compile_writer, trace

        try:
            trace(self.workshop)
        except WeightsError as error:
            logger.warning("%s", error)
            return
        compile_writer(self.workshop)
