"""From a run's frames to its result in the gallery."""

from __future__ import annotations

from pathlib import Path

from engines.films import Film
from engines.frames import Frame
from engines.jobs import ENGINES, Job, StartedJob
from engines.recipes import RecipeError, write_png, write_text
from studio.gallery import Gallery
from studio.thumbnails import thumbnail_uri


class ResultKeeper:
    """Turns a run's frames into a PNG of the last one, an MP4 of several where a run makes a film, or a text."""

    def __init__(self, gallery: Gallery, job: Job):
        self._gallery, self._job = gallery, job
        self.moments = gallery.moments(every=ENGINES[job.engine].film)
        self._film: Film | None = None

    def see(self, frame: Frame) -> None:
        """Take one frame."""
        self.moments.see(frame)
        if not self._job.makes_film or not frame.keyframe or frame.image is None:
            return
        if self._film is None:
            height, width = frame.image.shape[:2]
            self._film = Film(self._gallery.new_path(self._job.engine, ".mp4"), (width, height))
        self._film.add(frame.image)

    def finish(self, started: StartedJob) -> Path:
        """Write the result, its thumbnail and the inputs it was made from."""
        path = self._written(started)
        result = self._gallery.find(path.name)
        if result is not None:
            thumbnail_uri(self._gallery, result)
        return path

    def _written(self, started: StartedJob) -> Path:
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
