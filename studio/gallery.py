"""Results on disk: the files are the truth. PNG and MP4 with their recipe inside, TXT with it beside them, inputs by
their hash."""

from __future__ import annotations

import re
import secrets
import shutil
import time
from pathlib import Path

import numpy as np
from PIL import Image

from engines.films import Film
from engines.frames import Frame
from engines.jobs import ENGINES, Job, StartedJob
from engines.parts.files import written_atomically
from engines.parts.pictures import digest
from engines.recipes import RecipeError, write_png, write_text
from studio.moments import Moments


class Gallery:
    """A folder of results.

    Results are `<engine>-<date>-<time>-<random>.png`, `.mp4` or `.txt`, the last with its recipe beside it as `.json`:
    the random part keeps one visitor from guessing another's. Inputs are kept beside them as `inputs/<hash>.png`, so
    that a recipe can find what it was made from; a result does not carry its photo inside, as whoever shares a dream
    may not want to share the photo.
    """

    def __init__(self, folder: Path):
        self.folder = folder.resolve()
        self.inputs = self.folder / "inputs"
        self.inputs.mkdir(parents=True, exist_ok=True)
        # Moments live as long as their runs are remembered; those of an earlier server are nobody's.
        self._moments = self.folder / "moments"
        shutil.rmtree(self._moments, ignore_errors=True)

    def keep_input(self, image: np.ndarray) -> Path:
        """Keep (H, W, 3) uint8 RGB under its hash; the same picture is kept once."""
        path = self.inputs / f"{digest(image)}.png"
        if not path.exists():
            with written_atomically(path) as file:
                Image.fromarray(image).save(file, "PNG", compress_level=1)
        return path

    def find_input(self, hash_: str) -> Path | None:
        """The kept input with this hash, or None."""
        if not re.fullmatch(r"[0-9a-f]{64}", hash_):
            return None
        path = self.inputs / f"{hash_}.png"
        return path if path.is_file() else None

    def keeper(self, job: Job) -> ResultKeeper:
        """What makes a result of a job's frames."""
        return ResultKeeper(self, job)

    def moments(self, *, every: bool = False) -> Moments:
        """Where a new run's moments go; `every` is as for `Moments`."""
        return Moments(self._moments / secrets.token_hex(12), every=every)

    def new_path(self, engine: str, suffix: str) -> Path:
        """A name that no result has yet."""
        return self.folder / f"{engine}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(6)}{suffix}"


class ResultKeeper:
    """Turns a run's frames into a PNG of the last one, an MP4 of several where a run makes a film, or a text."""

    def __init__(self, gallery: Gallery, job: Job):
        self._gallery, self._job = gallery, job
        film = ENGINES[job.engine].film
        self.moments = gallery.moments(every=film)
        self._film: Film | None = None
        self._is_film = film or getattr(job.config, "pictures", 1) > 1

    def see(self, frame: Frame) -> None:
        """Take one frame."""
        self.moments.see(frame)
        if not self._is_film or not frame.keyframe or frame.image is None:
            return
        if self._film is None:
            height, width = frame.image.shape[:2]
            self._film = Film(self._gallery.new_path(self._job.engine, ".mp4"), (width, height))
        self._film.add(frame.image)

    def finish(self, started: StartedJob) -> Path:
        """Write the result and the inputs it was made from."""
        for image in self._job.inputs.values():
            self._gallery.keep_input(image)
        if self._film:
            return self._film.finish(started.recipe.to_json())
        if ENGINES[self._job.engine].writes and started.last is not None:
            path = self._gallery.new_path(self._job.engine, ".txt")
            write_text(path, started.last.text, started.recipe)
            return path
        if started.last is None or started.last.image is None:
            raise RecipeError("There is nothing to keep.")
        path = self._gallery.new_path(self._job.engine, ".png")
        write_png(path, started.last.image, started.recipe)
        return path

    def discard(self) -> None:
        """Leave nothing behind."""
        if self._film:
            self._film.discard()
