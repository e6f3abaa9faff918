"""Services shared by all tabs: model cache, runs, gallery, limits."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from filelock import BaseFileLock

from engines.imaging.images import MAX_PIXELS, Picture, load_picture
from engines.jobs import Job, Workshop
from engines.weights.store import WeightsError, WeightsStore
from studio.cluster.client import Cluster
from studio.cluster.dispatch import ClusterDispatcher
from studio.gallery.gallery import Gallery
from studio.gallery.outputs_folder import GOING, MOMENTS, UPLOADS, VISITORS, claim, remove_leftovers
from studio.gallery.result_writer import result_writer_for
from studio.gallery.visitors import Visitors
from studio.runs.journal import RunJournal
from studio.runs.manager import RunManager
from studio.runs.run import ResultWriter

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass
class Studio:
    """One server's studio.

    Attributes:
        weights: folders of weights to look into before the bundled ones.
        outputs: folder of results.
        most_waiting: how many runs may wait.
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
    _lock: BaseFileLock = field(init=False, repr=False)

    def __post_init__(self):
        # Before anything there is cleaned: it may be another studio's work.
        self.outputs = Path(os.path.realpath(self.outputs))
        self._lock = claim(self.outputs)
        remove_leftovers(self.outputs)
        self.workshop = Workshop(WeightsStore(folders=self.weights))
        self._interactive = ThreadPoolExecutor(max_workers=1, thread_name_prefix="interactive")
        self.runs = RunManager(
            self.workshop,
            self.result_writer,
            journal=RunJournal(self.outputs / GOING),
            most_waiting=self.most_waiting,
            dispatcher=None if self.cluster is None else ClusterDispatcher(self.workshop, self.cluster),
            unattended=not self.shared,
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
        """Return what writes a job's result, for whoever's event is being handled."""
        return result_writer_for(self.gallery, job)

    def read(self, picture: str | bytes) -> np.ndarray:
        """The pixels of `load`: (H, W, 3) uint8 RGB; raises PictureError with a sentence."""
        return self.load(picture).pixels

    def load(self, picture: str | bytes, background: str = "white") -> Picture:
        """Read an uploaded picture, a path or what is in the file; raises PictureError with a sentence.

        Args:
            background: what shows through where it is transparent, see `load_picture`.
        """
        return load_picture(picture, max_pixels=self.max_pixels, background=background)

    async def answer(self, work: Callable[[], T]) -> T:
        """What `work` returns: something short, done one at a time beside the renders, so that a slider answers."""
        # With the context of who asks, so that what is said meanwhile is said on that page.
        asked = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._interactive, asked.run, work)

    async def answer_slowly(self, work: Callable[[], T]) -> T:
        """What `work` returns: something that takes seconds, done where no slider waits for it."""
        return await asyncio.to_thread(work)

    def warm(self) -> None:
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
