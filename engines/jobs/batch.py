"""Batches: many pictures through one engine with the same settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from engines.core.frames import Frame
from engines.core.messages import joined, message
from engines.data import archives
from engines.data.archives import told_of
from engines.imaging.formats import LIKE_PICTURES, SUFFIXES
from engines.imaging.images import MAX_PIXELS, Picture, PictureError, load_picture
from engines.jobs.job import Job
from engines.jobs.model_cache import ModelCache
from engines.jobs.running import JobExecution, ResumableJob, begun
from engines.recipes import Recipe

MOST_PICTURES = 200
# Of a picture in a zip, unpacked: a header may lie about it.
MOST_BYTES = 100 << 20


@dataclass(frozen=True)
class PictureFile:
    """A picture that is read when its turn comes.

    Attributes:
        path: its file, or the zip that it is in.
        member: its name in the zip, by which it is found there; "" where there is none.
        title: the same as a person reads it.
    """

    path: Path
    member: str = ""
    title: str = ""

    @property
    def name(self) -> str:
        """What a person calls it: its file's name without folders and suffix."""
        # Some zips are packed with the other kind of stroke.
        return PurePosixPath((self.title or self.member or self.path.name).replace("\\", "/")).stem

    @property
    def of_known_kind(self) -> bool:
        """Whether it was chosen by itself, or in a zip has a name of the kinds that can be read."""
        return not self.member or PurePosixPath(self.title).suffix.lower() in SUFFIXES

    def read(self, max_pixels: int = MAX_PIXELS) -> Picture:
        """The picture; raises ValueError with a sentence."""
        if not self.member:
            return load_picture(self.path, max_pixels=max_pixels)
        with archives.opened(self.path) as archive:
            data = archives.read_member(archive, self.member, MOST_BYTES)
        return load_picture(data, max_pixels=max_pixels)


def picture_files(paths: Iterable[Path]) -> tuple[PictureFile, ...]:
    """The pictures among files, and those in zips, in their order; nothing is unpacked yet.

    Those of kinds that cannot be read are among them, so that they are told of by name.

    Raises:
        ValueError: there are none or too many, or a zip is damaged or has a password.
    """
    found: list[PictureFile] = []
    for path in paths:
        if path.suffix.lower() != ".zip":
            found.append(PictureFile(path))
            continue
        with archives.opened(path) as archive:
            archives.check_password(archive, path.name)
            inside = archives.members(archive)
        found += [PictureFile(path, one.key, one.name) for one in inside if _is_picture(one.name)]
    if not found:
        raise PictureError(message("There are no pictures to work on; choose some, or a zip of them."))
    # A camera's own files lie beside its pictures.
    count = sum(one.of_known_kind for one in found)
    if count > MOST_PICTURES:
        raise PictureError(
            message("These are {count} pictures; a batch takes at most {most}.", count=count, most=MOST_PICTURES)
        )
    return tuple(found)


def _is_picture(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES | LIKE_PICTURES


@dataclass(frozen=True, kw_only=True)
class Batch(Job):
    """A job for many pictures. Its `inputs` are those that all share; the one that differs is not among them.

    Attributes:
        pictures: one after another the input `varies`.
        varies: that input, by the engine's name for it.
        max_pixels: what is larger is shrunk to so many pixels.
    """

    pictures: tuple[PictureFile, ...]
    varies: str
    max_pixels: int = MAX_PIXELS

    def job_of(self, number: int, config: Any) -> Job:
        """The job for one of the pictures, which is read now; raises ValueError with a sentence."""
        picture = self.pictures[number].read(self.max_pixels)
        return Job(
            engine=self.engine,
            config=config,
            inputs={self.varies: picture.pixels, **self.inputs},
            backbone=self.backbone,
            details=picture.details,
            notices=picture.notices,
            pace=self.pace,
        )


def batch_of(job: Job, pictures: tuple[PictureFile, ...], varies: str, max_pixels: int = MAX_PIXELS) -> Batch:
    """A job without the input that `varies`, for many pictures."""
    return Batch(
        engine=job.engine,
        config=job.config,
        inputs=job.inputs,
        backbone=job.backbone,
        notices=job.notices,
        pace=job.pace,
        pictures=pictures,
        varies=varies,
        max_pixels=max_pixels,
    )


class BatchExecution(JobExecution):
    """A batch's frames: those of each picture's own job, counted through.

    A picture that cannot be read, or that the engine refuses, is left out and told of in `notices`; where every one
    is, the first refusal is raised at the end. What is sent to steer holds for the picture at work and all after it.

    Attributes:
        job: that of the picture at work.
        part: its run, which knows its recipe; None where none is at work: before the first picture, and after one that
            was left out.
        number: which of the pictures it is, counted from 0.
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
        self._refused: list[tuple[str, ValueError]] = []
        self._shrunk = 0

    @property
    def name(self) -> str:
        """What a person calls the picture at work."""
        return self.batch.pictures[self.number].name

    def send(self, changed: Any | None) -> Frame:
        """The next frame of whichever picture's turn it is; raises as `JobExecution.send`."""
        if self._closed:
            raise StopIteration
        if changed is not None:
            self._config = changed
        while True:
            part = self.part
            if part is None or (part.last is not None and part.last.step >= part.last.total):
                changed = None  # what was sent is in the next picture's own config
                self._turn_to_next()
                continue
            try:
                frame, steps = self._pulled(part, changed)
            except ValueError as error:
                self._refuse(error)
                continue
            self._finished += frame.step >= frame.total
            self.last, self.job, self._latest = self._counted(frame, steps), part.job, part
            return self.last

    def _pulled(self, part: JobExecution, changed: Any | None) -> tuple[Frame, int]:
        """The next frame of the picture at work, and for how many steps it stands; raises as `JobExecution.send`."""
        return part.send(changed), 1

    def _turn_to_next(self) -> None:
        """Turn to the next picture, if it can be read.

        Raises:
            StopIteration: there is none.
            ValueError: nor was there any that could be used.
        """
        self.part = None
        if self.number + 1 >= len(self.batch.pictures):
            if self._refused and not self._finished:
                self.notices = ()
                raise self._refused[0][1]
            raise StopIteration
        self.number += 1
        try:
            self.part = self._begun(self.number)
            self._shrunk += bool(self.part.job.notices)
            self._tell()
        except ValueError as error:
            self._refuse(error)

    def _begun(self, number: int) -> JobExecution:
        """A picture's own run, begun; raises ValueError where it cannot be read."""
        return begun(self.batch.job_of(number, self._config), self._workshop)

    def _refuse(self, error: ValueError) -> None:
        self.part = None
        self._refused.append((self.name, error))
        self._tell()

    def _tell(self) -> None:
        self.notices = self.batch.notices + told_of(self._refused)
        most = f"{self.batch.max_pixels:,}"
        if self._shrunk == 1:
            self.notices += (message("One picture was shrunk to {most} pixels.", most=most),)
        elif self._shrunk:
            self.notices += (message("{count} pictures were shrunk to {most} pixels.", count=self._shrunk, most=most),)

    def _counted(self, frame: Frame, steps: int) -> Frame:
        """A picture's frame, which stands for so many steps, as one of the batch."""
        self._done += steps
        count = len(self.batch.pictures)
        left = count - self.number - 1
        picture = message("picture {number} of {count}", number=self.number + 1, count=count)
        return dataclasses.replace(
            frame,
            step=self._done,
            total=self._done + frame.total - frame.step + frame.total * left,
            progress=(self.number + frame.progress) / count,
            note=joined([picture, frame.note]) if frame.note else "",
            seam=frame.step >= frame.total,
        )

    def left(self) -> ResumableJob | None:
        """A batch of the pictures that are left, the one at work among them; None where there are none."""
        part = self.part
        ended = part is None or (part.last is not None and part.last.step >= part.last.total)
        pictures = self.batch.pictures[max(0, self.number + ended) :]
        rest = dataclasses.replace(self.batch, config=self._config, pictures=pictures)
        return ResumableJob(rest) if pictures else None

    def close(self) -> None:
        """Stop: no further step is done, no further picture begun."""
        self._closed = True
        if self.part is not None:
            self.part.close()

    @property
    def recipe(self) -> Recipe:
        """What made the last frame: the recipe of its picture."""
        return super().recipe if self._latest is None else self._latest.recipe


@begun.register
def _(job: Batch, workshop: ModelCache) -> BatchExecution:
    return BatchExecution(job, workshop)
