"""Write a run's result into the gallery."""

from __future__ import annotations

from pathlib import Path

from engines.core.files import cause_of
from engines.imaging.metadata import NO_DETAILS
from engines.imaging.video import Film
from engines.jobs import ENGINES, Job, JobExecution
from engines.jobs.batch import Batch, BatchExecution
from engines.recipes import Recipe, RecipeError, write_png, write_text
from studio.gallery.gallery import Gallery
from studio.gallery.thumbnails import thumbnail_uri
from studio.runs.run import ResultWriter


def result_writer_for(gallery: Gallery, job: Job) -> ResultWriter:
    """Create the writer for a job's result."""
    return BatchResultWriter(gallery, job) if isinstance(job, Batch) else JobResultWriter(gallery, job)


class JobResultWriter:
    """Writes the result of a run: a PNG of the last frame, an MP4 if the job makes a film, or a text."""

    results: tuple[Path, ...] = ()

    def __init__(self, gallery: Gallery, job: Job):
        self._gallery, self._job = gallery, job
        self.moments = gallery.moments(every=ENGINES[job.engine].film)
        self._film: Film | None = None
        self._notices: dict[str, str] = {}

    @property
    def notices(self) -> tuple[str, ...]:
        """Messages about files that could not be kept besides the result."""
        return tuple(self._notices.values())

    def see(self, started: JobExecution) -> None:
        """Take the newest frame.

        Raises:
            OSError: the film cannot be written.
        """
        frame = started.last
        if frame is None:
            return
        try:
            self.moments.see(frame)
        except OSError as error:
            self._notices["moments"] = f"Not all moments of this run could be kept: {cause_of(error)}."
        self.film(started)

    def film(self, started: JobExecution) -> None:
        """Add the newest frame to the film, if the job makes one, without a snapshot.

        Raises:
            OSError: the film cannot be written.
        """
        frame = started.last
        if frame is None or not self._job.makes_film or not frame.keyframe or frame.image is None:
            return
        if self._film is None:
            height, width = frame.image.shape[:2]
            self._film = Film(self._gallery.new_path(self._job.engine, ".mp4"), (width, height))
        self._film.add(frame.image)

    def finish(self, started: JobExecution) -> Path:
        """Write the result, then its thumbnail and inputs as far as there is room; return the result's path.

        Raises:
            OSError: the result cannot be written.
        """
        try:
            path = self._write_result(started)
        except OSError as error:
            # Snapshots are less important than the result, so delete them to make room.
            if self.moments.steps:
                self._notices["moments"] = "The run's earlier pictures were deleted to make room for the result."
            self.moments.forget()
            if self._film is not None:
                self.discard()
                message = f"The film could not be written: {cause_of(error)}; its last picture was kept in its place."
                self._notices["film"] = message
            path = self._write_result(started)
        self._keep_inputs()
        result = self._gallery.find(path.name)
        if result is not None:
            thumbnail_uri(self._gallery, result)
        return path

    def _write_result(self, started: JobExecution) -> Path:
        """Write a film, a text or a picture; raises OSError."""
        if self._film:
            return self._film.finish(started.recipe.to_json())
        if ENGINES[self._job.engine].writes and started.last is not None:
            return self._write_text(started.last.text, started.recipe)
        if started.last is None or started.last.image is None:
            raise RecipeError("There is nothing to keep.")
        path = self._gallery.new_path(self._job.engine, ".png")
        details = NO_DETAILS if self._job.makes_sheet else self._job.details
        write_png(path, started.last.image, started.recipe, details)
        return path

    def _write_text(self, text: str, recipe: Recipe) -> Path:
        path = self._gallery.new_path(self._job.engine, ".txt")
        try:
            write_text(path, text, recipe)
        except OSError as error:
            if not path.is_file():
                raise
            self._notices["recipe"] = f"The recipe of this text could not be written: {cause_of(error)}."
        return path

    def _keep_inputs(self) -> None:
        try:
            first = list(ENGINES[self._job.engine].inputs)[:1]
            for name, image in self._job.inputs.items():
                self._gallery.keep_input(image, self._job.details if name in first else NO_DETAILS)
        except OSError as error:
            message = f"The picture that this was made from could not be kept with it: {cause_of(error)}."
            self._notices["inputs"] = message

    def discard(self) -> None:
        """Remove the unfinished film."""
        if self._film:
            self._film.discard()
        self._film = None


class BatchResultWriter:
    """Writes a result for each picture of a batch, and finally a zip of them.

    A batch has no snapshots, as its pictures appear in the gallery one by one.
    """

    def __init__(self, gallery: Gallery, batch: Batch):
        self._gallery = gallery
        self.moments = gallery.moments()
        self._part: JobExecution | None = None
        self._writer: JobResultWriter | None = None
        self._name = ""
        self._kept: dict[Path, str] = {}
        self._notices: dict[str, None] = {}

    @property
    def notices(self) -> tuple[str, ...]:
        """Messages about files that could not be kept besides the results, without duplicates."""
        return tuple(self._notices)

    @property
    def results(self) -> tuple[Path, ...]:
        """Results written so far."""
        return tuple(self._kept)

    def see(self, started: JobExecution) -> None:
        """Take the newest frame; write the result when a picture is finished.

        Raises:
            OSError: a film or a result cannot be written.
        """
        assert isinstance(started, BatchExecution)
        if started.part is not self._part or self._writer is None:
            self.discard()  # of a picture that failed halfway
            self._part, self._name = started.part, started.name
            self._writer = JobResultWriter(self._gallery, started.job)
        if self._part is not None:
            self._writer.film(self._part)
        if started.last is not None and started.last.seam:
            self._keep()

    def _keep(self) -> None:
        """Write the result of the current picture; raises OSError."""
        if self._writer is not None and self._part is not None:
            self._kept[self._writer.finish(self._part)] = self._name
            self._notices |= dict.fromkeys(self._writer.notices)
        self._writer = self._part = None

    def finish(self, started: JobExecution) -> Path | None:
        """Write the picture at which the batch was stopped, then zip all results; None if there are none.

        Raises:
            OSError: the picture cannot be written.
        """
        assert isinstance(started, BatchExecution)
        if started.part is self._part:
            self._keep()
        else:
            self.discard()  # of a last picture that failed
        there = {path.name: name for path, name in self._kept.items() if path.is_file()}
        if not there:
            return None
        try:
            return self._gallery.archive(list(there), list(there.values()))
        except OSError as error:
            message = (
                f"The results could not be packed into one file: {cause_of(error)}; each of them is in the gallery."
            )
            self._notices[message] = None
            return None

    def discard(self) -> None:
        """Remove the unfinished film of the current picture."""
        if self._writer is not None:
            self._writer.discard()
        self._writer = self._part = None
