"""Batches: many images through one engine with the same settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from engines.core.frames import Frame
from engines.core.messages import joined, message
from engines.data import archives
from engines.data.archives import left_out_notices
from engines.imaging.formats import is_image_name
from engines.imaging.images import MAX_PIXELS, ImageError, LoadedImage, load_image
from engines.jobs.job import Job
from engines.jobs.model_cache import ModelCache
from engines.jobs.running import JobExecution, ResumableJob, start_job
from engines.recipes import Recipe

MAX_IMAGES = 200
# Maximum size of an unpacked image; sizes in zip headers are not trusted.
MAX_BYTES = 100 << 20


@dataclass(frozen=True)
class ImageFile:
    """An image file, read when it is needed.

    Attributes:
        path: the file, or the zip that contains it.
        member: key of the zip's member; "" outside a zip.
        title: display name of the zip's member.
    """

    path: Path
    member: str = ""
    title: str = ""

    @property
    def name(self) -> str:
        """The file's name without folders and suffix."""
        # Some programs use backslashes in zips.
        return PurePosixPath((self.title or self.member or self.path.name).replace("\\", "/")).stem

    @property
    def is_supported_type(self) -> bool:
        """True outside a zip, or if its suffix is that of a readable format."""
        return not self.member or is_image_name(self.title)

    def read(self, max_pixels: int = MAX_PIXELS) -> LoadedImage:
        """Read the image; raises ValueError with a sentence."""
        if not self.member:
            return load_image(self.path, max_pixels=max_pixels)
        with archives.opened(self.path) as archive:
            data = archives.read_member(archive, self.member, MAX_BYTES)
        return load_image(data, max_pixels=max_pixels)


def image_files(paths: Iterable[Path]) -> tuple[ImageFile, ...]:
    """List image files and the images in zips, in order, without unpacking anything.

    Includes images of unsupported formats, so that they can be reported by name.

    Raises:
        ValueError: no images, too many, or a zip that is damaged or encrypted.
    """
    files: list[ImageFile] = []
    for path in paths:
        if path.suffix.lower() != ".zip":
            files.append(ImageFile(path))
            continue
        with archives.opened(path) as archive:
            archives.check_password(archive, path.name)
            members = archives.members(archive)
        members = [member for member in members if is_image_name(member.name, or_unsupported=True)]
        files += [ImageFile(path, member.key, member.name) for member in members]
    if not files:
        raise ImageError(message("There are no images to process; choose images, or a zip of images."))
    # Unsupported files, such as a camera's raw files beside its JPEGs, do not count.
    count = sum(member.is_supported_type for member in files)
    if count > MAX_IMAGES:
        raise ImageError(message("A batch takes at most {most} images, not {count}.", count=count, most=MAX_IMAGES))
    return tuple(files)


@dataclass(frozen=True, kw_only=True)
class Batch(Job):
    """A job for many images. `inputs` are the shared inputs only.

    Attributes:
        images: values of the input that varies.
        varies: name of that input.
        max_pixels: larger images are shrunk to this many pixels.
    """

    images: tuple[ImageFile, ...]
    varies: str
    max_pixels: int = MAX_PIXELS

    def job_of(self, number: int, config: Any) -> Job:
        """Read one of the images and return the job for it; raises ValueError with a sentence."""
        image = self.images[number].read(self.max_pixels)
        return Job(
            engine=self.engine,
            config=config,
            inputs={self.varies: image.pixels, **self.inputs},
            backbone=self.backbone,
            details=image.details,
            notices=image.notices,
            pace=self.pace,
        )


def batch_of(job: Job, images: tuple[ImageFile, ...], varies: str, max_pixels: int = MAX_PIXELS) -> Batch:
    """Create a batch from a job that lacks the input `varies`."""
    return Batch(
        engine=job.engine,
        config=job.config,
        inputs=job.inputs,
        backbone=job.backbone,
        notices=job.notices,
        pace=job.pace,
        images=images,
        varies=varies,
        max_pixels=max_pixels,
    )


class BatchExecution(JobExecution):
    """Frames of a batch: those of each image's job in turn, with steps counted over the whole batch.

    An image that cannot be read or that the engine refuses is skipped, with a notice; if all are skipped, the first
    error is raised at the end. Steering applies to the current image and all later ones.

    Attributes:
        job: the job of the current image.
        part: its execution; None before the first image and after a skipped one.
        number: index of the current image.
    """

    def __init__(self, batch: Batch, workshop: ModelCache):
        super().__init__(batch, workshop)
        self.batch = batch
        self.part: JobExecution | None = None
        self.number = -1
        self._config = batch.config
        self._done = self._finished = 0
        self._closed = False
        self._latest: JobExecution | None = None
        self._skipped: list[tuple[str, ValueError]] = []
        self._shrunk_count = 0

    @property
    def name(self) -> str:
        """Display name of the current image."""
        return self.batch.images[self.number].name

    def send(self, changed: Any | None) -> Frame:
        """The next frame; raises like `JobExecution.send`."""
        if self._closed:
            raise StopIteration
        if changed is not None:
            self._config = changed
        while True:
            part = self.part
            if part is None or (part.last is not None and part.last.step >= part.last.total):
                changed = None  # the next image starts with `self._config`
                self._advance()
                continue
            try:
                frame, steps = self._next_frame(part, changed)
            except ValueError as error:
                self._skip(error)
                continue
            self._finished += frame.step >= frame.total
            self.last, self.job, self._latest = self._batch_frame(frame, steps), part.job, part
            return self.last

    def _next_frame(self, part: JobExecution, changed: Any | None) -> tuple[Frame, int]:
        """The current image's next frame and the number of steps since the previous one; raises like `send`."""
        return part.send(changed), 1

    def _advance(self) -> None:
        """Start the next image, or skip it if it cannot be read.

        Raises:
            StopIteration: there is none.
            ValueError: there is none, and all images were skipped.
        """
        self.part = None
        if self.number + 1 >= len(self.batch.images):
            if self._skipped and not self._finished:
                self.notices = ()
                raise self._skipped[0][1]
            raise StopIteration
        self.number += 1
        try:
            self.part = self._start_part(self.number)
            self._shrunk_count += bool(self.part.job.notices)
            self._update_notices()
        except ValueError as error:
            self._skip(error)

    def _start_part(self, number: int) -> JobExecution:
        """Start the job of one image; raises ValueError if it cannot be read."""
        return start_job(self.batch.job_of(number, self._config), self._workshop)

    def _skip(self, error: ValueError) -> None:
        self.part = None
        self._skipped.append((self.name, error))
        self._update_notices()

    def _update_notices(self) -> None:
        self.notices = self.batch.notices + left_out_notices(self._skipped)
        limit = f"{self.batch.max_pixels:,}"
        if self._shrunk_count == 1:
            self.notices += (message("One image was shrunk to {most} pixels.", most=limit),)
        elif self._shrunk_count:
            self.notices += (
                message("{count} images were shrunk to {most} pixels.", count=self._shrunk_count, most=limit),
            )

    def _batch_frame(self, frame: Frame, steps: int) -> Frame:
        """Convert an image's frame, `steps` after the previous one, to a frame of the batch."""
        self._done += steps
        count = len(self.batch.images)
        remaining = count - self.number - 1
        image = message("image {number} of {count}", number=self.number + 1, count=count)
        return dataclasses.replace(
            frame,
            step=self._done,
            total=self._done + frame.total - frame.step + frame.total * remaining,
            progress=(self.number + frame.progress) / count,
            note=joined([image, frame.note]) if frame.note else "",
            yield_point=frame.step >= frame.total,
        )

    def remaining(self) -> ResumableJob | None:
        """A batch of the remaining images, including the current one unless it is done; None if there are none."""
        part = self.part
        part_ended = part is None or (part.last is not None and part.last.step >= part.last.total)
        images = self.batch.images[max(0, self.number + part_ended) :]
        rest = dataclasses.replace(self.batch, config=self._config, images=images)
        return ResumableJob(rest) if images else None

    def close(self) -> None:
        """Stop: no further step is done and no further image started."""
        self._closed = True
        if self.part is not None:
            self.part.close()

    @property
    def recipe(self) -> Recipe:
        """The recipe of the last frame's image."""
        return super().recipe if self._latest is None else self._latest.recipe


@start_job.register
def _(job: Batch, workshop: ModelCache) -> BatchExecution:
    return BatchExecution(job, workshop)
