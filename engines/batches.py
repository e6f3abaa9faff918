"""Batches: many pictures, one after another, through one engine with the same settings."""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from engines.frames import Frame
from engines.jobs import Job, StartedJob, Unfinished, Workshop
from engines.parts.files import UNREADABLE
from engines.parts.pictures import MAX_PIXELS, PictureError, read_picture
from engines.recipes import Recipe

MOST_PICTURES = 200
# How many pictures that were left out are told of one by one.
MOST_NOTICES = 3
# Of a picture in a zip, unpacked: a header may lie about it.
MOST_BYTES = 100 << 20
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"}


@dataclass(frozen=True)
class PictureFile:
    """A picture that is read when its turn comes.

    Attributes:
        path: its file, or the zip that it is in.
        member: its name in the zip; "" where there is none.
    """

    path: Path
    member: str = ""

    @property
    def name(self) -> str:
        """What a person calls it: its file's name without folders and suffix."""
        # Some zips are packed with the other kind of stroke.
        return PurePosixPath((self.member or self.path.name).replace("\\", "/")).stem

    def read(self, max_pixels: int = MAX_PIXELS) -> np.ndarray:
        """(H, W, 3) uint8 RGB; raises PictureError with a sentence."""
        if not self.member:
            return read_picture(self.path, max_pixels=max_pixels)
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as file:
                data = file.read(MOST_BYTES + 1)
        except UNREADABLE as error:
            raise PictureError("This picture cannot be unpacked; the zip is damaged or has a password.") from error
        if len(data) > MOST_BYTES:
            raise PictureError(f"This picture is larger than {MOST_BYTES >> 20} MB; make it smaller first.")
        return read_picture(data, max_pixels=max_pixels)


def picture_files(paths: Iterable[Path]) -> tuple[PictureFile, ...]:
    """The pictures among files, and those in zips, in their order; nothing is unpacked yet.

    Raises:
        ValueError: there are none or too many, or a zip is damaged.
    """
    found: list[PictureFile] = []
    for path in paths:
        if path.suffix.lower() != ".zip":
            found.append(PictureFile(path))
            continue
        try:
            with zipfile.ZipFile(path) as archive:
                names = sorted(archive.namelist())
        except UNREADABLE as error:
            raise PictureError(f"{path.name[:60]} is not a zip file, or is damaged; make it anew.") from error
        found += [PictureFile(path, name) for name in names if _is_picture(name)]
    if not found:
        raise PictureError("There are no pictures to work on; choose some, or a zip of them.")
    if len(found) > MOST_PICTURES:
        raise PictureError(f"These are {len(found)} pictures; a batch takes at most {MOST_PICTURES}.")
    return tuple(found)


def _is_picture(name: str) -> bool:
    """Whether what has this name in a zip is one of the pictures that a person has packed."""
    path = PurePosixPath(name)
    # Beside each file a Mac packs one of its own, in a folder of that name and with a dot before it.
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return path.suffix.lower() in _SUFFIXES and not hidden and not name.endswith("/")


@dataclass(frozen=True, kw_only=True)
class Batch(Job):
    """A job for many pictures. Its `inputs` are those that all share; the one that differs is not among them.

    Attributes:
        pictures: one after another the input `varies`.
        varies: that input, by the engine's name for it.
        max_pixels: largest picture that is accepted.
    """

    pictures: tuple[PictureFile, ...]
    varies: str
    max_pixels: int = MAX_PIXELS

    def started(self, workshop: Workshop) -> StartedBatch:
        """The batch begun, see `Workshop.start`."""
        return StartedBatch(self, workshop)

    def job_of(self, number: int, config: Any) -> Job:
        """The job for one of the pictures, which is read now; raises PictureError with a sentence."""
        inputs = {self.varies: self.pictures[number].read(self.max_pixels), **self.inputs}
        return Job(engine=self.engine, config=config, inputs=inputs, backbone=self.backbone, pace=self.pace)


def batch_of(job: Job, pictures: tuple[PictureFile, ...], varies: str, max_pixels: int = MAX_PIXELS) -> Batch:
    """A job without the input that `varies`, for many pictures."""
    return Batch(
        engine=job.engine,
        config=job.config,
        inputs=job.inputs,
        backbone=job.backbone,
        pace=job.pace,
        pictures=pictures,
        varies=varies,
        max_pixels=max_pixels,
    )


class StartedBatch(StartedJob):
    """A batch's frames: those of each picture's own job, counted through.

    A picture that cannot be read, or that the engine refuses, is left out and told of in `notices`; where every one
    is, the first refusal is raised at the end. What is sent to steer holds for the picture at work and all after it.

    Attributes:
        job: that of the picture at work.
        part: its run, which knows its recipe; None where none is at work: before the first picture, and after one that
            was left out.
        number: which of the pictures it is, counted from 0.
    """

    def __init__(self, batch: Batch, workshop: Workshop):
        super().__init__(batch, workshop)
        self.batch = batch
        self.part: StartedJob | None = None
        self.number = -1
        self._config = batch.config
        self._done = self._finished = 0
        self._closed = False
        self._latest: StartedJob | None = None
        self._refused: list[tuple[str, ValueError]] = []

    @property
    def name(self) -> str:
        """What a person calls the picture at work."""
        return self.batch.pictures[self.number].name

    def send(self, changed: Any | None) -> Frame:
        """The next frame of whichever picture's turn it is; raises as `StartedJob.send`."""
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

    def _pulled(self, part: StartedJob, changed: Any | None) -> tuple[Frame, int]:
        """The next frame of the picture at work, and for how many steps it stands; raises as `StartedJob.send`."""
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
        except ValueError as error:
            self._refuse(error)

    def _begun(self, number: int) -> StartedJob:
        """A picture's own run, begun; raises PictureError where it cannot be read."""
        return self._workshop.start(self.batch.job_of(number, self._config))

    def _refuse(self, error: ValueError) -> None:
        self.part = None
        self._refused.append((self.name, error))
        told, rest = self._refused[:MOST_NOTICES], len(self._refused) - MOST_NOTICES
        self.notices = tuple(f"{name[:60]} was left out: {error}" for name, error in told)
        if rest > 0:
            others = "another picture was" if rest == 1 else f"{rest} other pictures were"
            self.notices += (f"Besides, {others} left out.",)

    def _counted(self, frame: Frame, steps: int) -> Frame:
        """A picture's frame, which stands for so many steps, as one of the batch."""
        self._done += steps
        count = len(self.batch.pictures)
        left = count - self.number - 1
        return dataclasses.replace(
            frame,
            step=self._done,
            total=self._done + frame.total - frame.step + frame.total * left,
            progress=(self.number + frame.progress) / count,
            note=f"picture {self.number + 1} of {count} · {frame.note}" if frame.note else "",
            seam=frame.step >= frame.total,
        )

    def left(self) -> Unfinished | None:
        """A batch of the pictures that are left, the one at work among them; None where there are none."""
        part = self.part
        ended = part is None or (part.last is not None and part.last.step >= part.last.total)
        pictures = self.batch.pictures[max(0, self.number + ended) :]
        rest = dataclasses.replace(self.batch, config=self._config, pictures=pictures)
        return Unfinished(rest) if pictures else None

    def close(self) -> None:
        """Stop: no further step is done, no further picture begun."""
        self._closed = True
        if self.part is not None:
            self.part.close()

    @property
    def recipe(self) -> Recipe:
        """What made the last frame: the recipe of its picture."""
        return super().recipe if self._latest is None else self._latest.recipe
