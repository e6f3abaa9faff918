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

from engines.imaging.images import MAX_PIXELS, MIN_SIDE, LoadedImage, check_image, load_image
from engines.jobs import Job, Workshop
from engines.weights.store import WeightsError, WeightsStore
from studio.cluster.client import Cluster
from studio.cluster.dispatch import ClusterDispatcher
from studio.gallery.gallery import Gallery
from studio.gallery.outputs_folder import RUNS_IN_PROGRESS, SNAPSHOTS, UPLOADS, VISITORS, lock_outputs, remove_leftovers
from studio.gallery.result_writer import result_writer_for
from studio.gallery.visitors import Visitors
from studio.runs.journal import RunJournal
from studio.runs.manager import RunManager
from studio.runs.run import ResultWriter

logger = logging.getLogger(__name__)

T = TypeVar("T")

IMAGE_CACHE_BYTES = 200_000_000
# Names of formats as Pillow spells them.
BROWSER_FORMATS = frozenset({"JPEG", "MPO", "PNG", "WEBP", "AVIF", "GIF", "BMP"})


class ImageCache:
    """Cache of decoded images, so that a photo is decoded when it is dropped and not again when a run starts.

    Args:
        max_bytes: maximum size of all pixels together; the newest image is kept whatever its size.
    """

    def __init__(self, max_bytes: int = IMAGE_CACHE_BYTES):
        self._max_bytes = max_bytes
        self._images: OrderedDict[tuple[Any, ...], LoadedImage] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, path: str, background: str, least: int) -> LoadedImage | None:
        """Return the cached image of a file; None if there is none, or if the file has changed."""
        key = self._key(path, background, least)
        with self._lock:
            if key not in self._images:
                return None
            self._images.move_to_end(key)
            return self._images[key]

    def put(self, path: str, background: str, least: int, image: LoadedImage) -> None:
        """Cache the image of a file and evict the least recently used ones."""
        key = self._key(path, background, least)
        with self._lock:
            self._images[key] = image
            self._images.move_to_end(key)
            size = sum(one.pixels.nbytes for one in self._images.values())
            while size > self._max_bytes and len(self._images) > 1:
                _, oldest = self._images.popitem(last=False)
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
    """Services of one server.

    Attributes:
        weights: folders searched for weights before the bundled ones.
        outputs: folder for results.
        max_waiting: maximum number of waiting runs.
        max_pixels: larger images are shrunk to this many pixels.
        data: folder or zip of the images that the bundled networks were trained on; None if not available.
        shared: True if there are several visitors, each with a private gallery.
        visitors: maps pages to visitors.
        trained: engine -> names of the networks that were trained here.
        cluster: cluster that runs are sent to; None to run them here.

    Raises:
        OutputsError: the outputs folder cannot be used, or another studio uses it.
    """

    weights: tuple[Path, ...] = ()
    outputs: Path = Path("outputs")
    max_waiting: int = 20
    max_pixels: int = MAX_PIXELS
    data: Path | None = None
    shared: bool = False
    visitors: Visitors = field(default_factory=Visitors)
    trained: dict[str, list[str]] = field(default_factory=dict)
    cluster: Cluster | None = None
    workshop: Workshop = field(init=False)
    runs: RunManager = field(init=False)
    _interactive: ThreadPoolExecutor = field(init=False, repr=False)
    _images: ImageCache = field(init=False, repr=False, default_factory=ImageCache)
    _lock: BaseFileLock = field(init=False, repr=False)

    def __post_init__(self):
        # Lock the folder before cleaning it: its files may be another studio's work.
        self.outputs = Path(os.path.realpath(self.outputs))
        self._lock = lock_outputs(self.outputs)
        remove_leftovers(self.outputs)
        self.workshop = Workshop(WeightsStore(folders=self.weights))
        self._interactive = ThreadPoolExecutor(max_workers=1, thread_name_prefix="interactive")
        self.runs = RunManager(
            self.workshop,
            self.result_writer,
            journal=RunJournal(self.outputs / RUNS_IN_PROGRESS),
            max_waiting=self.max_waiting,
            dispatcher=None if self.cluster is None else ClusterDispatcher(self.workshop, self.cluster),
            unattended=not self.shared,
        )

    def close(self) -> None:
        """Stop all runs and release the outputs folder."""
        self.runs.close()
        self._interactive.shutdown(wait=False)
        self._lock.release()

    @property
    def uploads(self) -> Path:
        """Folder of uploads, and of copies that browsers download."""
        return self.outputs / UPLOADS

    @property
    def gallery(self) -> Gallery:
        """Gallery of the visitor whose event is being handled."""
        visitor = self.visitors.current() if self.shared else ""
        folder = self.outputs / VISITORS / visitor if visitor else self.outputs
        return Gallery(folder, self.outputs / SNAPSHOTS)

    def result_writer(self, job: Job) -> ResultWriter:
        """Create the writer of a job's result, for the visitor whose event is being handled."""
        return result_writer_for(self.gallery, job)

    def read(self, image: str | bytes, *, least: int = MIN_SIDE) -> np.ndarray:
        """Return the pixels of `load`, (H, W, 3) uint8 RGB; raises as it does."""
        return self.load(image, least=least).pixels

    def load(self, image: str | bytes, background: str = "white", *, least: int = MIN_SIDE) -> LoadedImage:
        """Read and check an uploaded image; recently read files come from a cache.

        Args:
            image: path or bytes of a file.
            background: "white" or "black", shown through transparent pixels.
            least: minimum side in pixels.

        Raises:
            ImageError: the file cannot be read, or the image is too small.
        """
        kept = self._images.get(image, background, least) if isinstance(image, str) else None
        if kept is not None:
            return kept
        loaded = load_image(image, max_pixels=self.max_pixels, background=background)
        check_image(loaded.pixels, least=least)
        if isinstance(image, str):
            self._images.put(image, background, least, loaded)
        return loaded

    def displayable(self, path: str, image: LoadedImage) -> str:
        """Return the path of a file that browsers can show: `path` itself, or a PNG copy."""
        if image.format in BROWSER_FORMATS:
            return path
        png = str(self.gallery.keep_input(image.pixels, image.details))
        self._images.put(png, "white", MIN_SIDE, dataclasses.replace(image, format="PNG", notices=()))
        return png

    async def run_interactive(self, work: Callable[[], T]) -> T:
        """Run short work on the interactive thread, one call at a time, beside the runs."""
        # Copy the caller's context, so that toasts reach the caller's page.
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._interactive, context.run, work)

    async def run_in_thread(self, work: Callable[[], T]) -> T:
        """Run work that takes seconds on a thread of its own."""
        return await asyncio.to_thread(work)

    def warm_up(self) -> None:
        """Load TensorFlow and the bundled networks and trace a first run of each, so that the first visitor does not
        wait.

        Missing weights are logged here; a visitor is told once they are needed.
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
