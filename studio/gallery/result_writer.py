"""Write a run's result into the gallery."""

from __future__ import annotations

from pathlib import Path

from engines.core.files import cause_of
from engines.core.messages import message
from engines.imaging.metadata import NO_DETAILS
from engines.imaging.video import VideoWriter
from engines.jobs import ENGINES, Job, JobExecution
from engines.jobs.batch import Batch, BatchExecution
from engines.recipes import Recipe, RecipeError, write_png, write_text
from studio.gallery.gallery import Gallery
from studio.gallery.thumbnails import thumbnail_uri
from studio.runs.run import ResultWriter


def result_writer_for(gallery: Gallery, job: Job) -> ResultWriter:
    """Create the writer of a job's result."""
    return BatchResultWriter(gallery, job) if isinstance(job, Batch) else JobResultWriter(gallery, job)


class JobResultWriter:
    """Writes a run's result: a PNG of the last frame, an MP4 of the keyframes if the job makes a video, or a text."""

    results: tuple[Path, ...] = ()

    def __init__(self, gallery: Gallery, job: Job):
        self._gallery, self._job = gallery, job
        self.snapshots = gallery.snapshots(every=ENGINES[job.engine].video)
        self._video: VideoWriter | None = None
        self._notices: dict[str, str] = {}

    @property
    def notices(self) -> tuple[str, ...]:
        """Messages about files that could not be written besides the result."""
        return tuple(self._notices.values())

    def add(self, execution: JobExecution) -> None:
        """Take the newest frame.

        Raises:
            OSError: the video cannot be written.
        """
        frame = execution.last
        if frame is None:
            return
        try:
            self.snapshots.add(frame)
        except OSError as error:
            self._notices["snapshots"] = message(
                "Could not save every snapshot of this run: {cause}.", cause=cause_of(error)
            )
        self.video(execution)

    def video(self, execution: JobExecution) -> None:
        """Add the newest frame to the video, if the job makes one; keeps no snapshot.

        Raises:
            OSError: the video cannot be written.
        """
        frame = execution.last
        if frame is None or not self._job.makes_video or not frame.keyframe or frame.image is None:
            return
        if self._video is None:
            height, width = frame.image.shape[:2]
            self._video = VideoWriter(self._gallery.new_path(self._job.engine, ".mp4"), (width, height))
        self._video.add(frame.image)

    def finish(self, execution: JobExecution) -> Path:
        """Write the result, then its inputs and its thumbnail, as far as there is room.

        Raises:
            OSError: the result cannot be written.
        """
        try:
            path = self._write_result(execution)
        except OSError as error:
            # The snapshots are less important than the result, so delete them to make room.
            if self.snapshots.steps:
                self._notices["snapshots"] = message("The run's snapshots were deleted to make room for the result.")
            self.snapshots.delete()
            if self._video is not None:
                self.discard()
                notice = message(
                    "Could not save the video: {cause}; its last frame was saved instead.",
                    cause=cause_of(error),
                )
                self._notices["video"] = notice
            path = self._write_result(execution)
        self._keep_inputs()
        result = self._gallery.find(path.name)
        if result is not None:
            thumbnail_uri(self._gallery, result)
        return path

    def _write_result(self, execution: JobExecution) -> Path:
        """Write a video, a text or an image; raises OSError."""
        if self._video:
            return self._video.finish(execution.recipe.to_json())
        if ENGINES[self._job.engine].writes and execution.last is not None:
            return self._write_text(execution.last.text, execution.recipe)
        if execution.last is None or execution.last.image is None:
            raise RecipeError(message("There is no result to save."))
        path = self._gallery.new_path(self._job.engine, ".png")
        details = NO_DETAILS if self._job.makes_sheet else self._job.details
        write_png(path, execution.last.image, execution.recipe, details)
        return path

    def _write_text(self, text: str, recipe: Recipe) -> Path:
        path = self._gallery.new_path(self._job.engine, ".txt")
        try:
            write_text(path, text, recipe)
        except OSError as error:
            if not path.is_file():
                raise
            self._notices["recipe"] = message("Could not save the recipe of this text: {cause}.", cause=cause_of(error))
        return path

    def _keep_inputs(self) -> None:
        try:
            first = list(ENGINES[self._job.engine].inputs)[:1]
            for name, image in self._job.inputs.items():
                self._gallery.keep_input(image, self._job.details if name in first else NO_DETAILS)
        except OSError as error:
            notice = message("Could not save the input image with the result: {cause}.", cause=cause_of(error))
            self._notices["inputs"] = notice

    def discard(self) -> None:
        """Remove the unfinished video."""
        if self._video:
            self._video.discard()
        self._video = None


class BatchResultWriter:
    """Writes a result for each image of a batch, and in the end a zip of them.

    A batch has no snapshots, as its images appear in the gallery one by one.
    """

    def __init__(self, gallery: Gallery, batch: Batch):
        self._gallery = gallery
        self.snapshots = gallery.snapshots()
        self._part: JobExecution | None = None
        self._writer: JobResultWriter | None = None
        self._name = ""
        self._kept: dict[Path, str] = {}
        self._notices: dict[str, None] = {}

    @property
    def notices(self) -> tuple[str, ...]:
        """Messages about files that could not be written besides the results, without duplicates."""
        return tuple(self._notices)

    @property
    def results(self) -> tuple[Path, ...]:
        """Results written so far."""
        return tuple(self._kept)

    def add(self, execution: JobExecution) -> None:
        """Process the newest frame; if it is the last of an image, write the result."""
        assert isinstance(execution, BatchExecution)
        if execution.part is not self._part or self._writer is None:
            self.discard()  # the video of an image that failed halfway
            self._part, self._name = execution.part, execution.name
            self._writer = JobResultWriter(self._gallery, execution.job)
        if self._part is not None:
            self._writer.video(self._part)
        if execution.last is not None and execution.last.yield_point:
            self._keep()

    def _keep(self) -> None:
        """Write the current image as it is now; raises OSError if it cannot be written."""
        if self._writer is not None and self._part is not None:
            self._kept[self._writer.finish(self._part)] = self._name
            self._notices |= dict.fromkeys(self._writer.notices)
        self._writer = self._part = None

    def finish(self, execution: JobExecution) -> Path | None:
        """Write an image that the batch was stopped in, and pack all results into a zip; None if there are none.

        Raises:
            OSError: the image cannot be written.
        """
        assert isinstance(execution, BatchExecution)
        if execution.part is self._part:
            self._keep()
        else:
            self.discard()  # the video of a last image that failed
        existing = {path.name: name for path, name in self._kept.items() if path.is_file()}
        if not existing:
            return None
        try:
            return self._gallery.archive(list(existing), list(existing.values()))
        except OSError as error:
            notice = message(
                "Could not pack the results into one file: {cause}; each result is in the gallery.",
                cause=cause_of(error),
            )
            self._notices[notice] = None
            return None

    def discard(self) -> None:
        """Delete the unfinished files of the current image."""
        if self._writer is not None:
            self._writer.discard()
        self._writer = self._part = None
