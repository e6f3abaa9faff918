"""MP4 (H.264), GIF and WebP videos, written frame by frame, with the recipe inside."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from engines.core.configs import setting, validate
from engines.core.files import create_temporary, written_atomically
from engines.core.messages import message
from engines.imaging.animation import (
    HUNDREDTHS,
    THOUSANDTHS,
    read_animation_comment,
    with_durations,
    write_gif,
    write_webp,
)
from engines.imaging.images import DAMAGED, resize

KINDS = ("mp4", "gif", "webp")
# Maximum longer sides; these formats compress less well than MP4.
GIF_SIDE, WEBP_SIDE = 420, 720


class VideoError(ValueError):
    """A video that cannot be made; the message is for the user."""


@dataclass(frozen=True, kw_only=True)
class VideoConfig:
    """Settings for a video."""

    kind: str = setting("mp4", "MP4 video, or animated GIF or WebP.", label="Format", choices=KINDS)
    speed: int = setting(12, "Frames per second.", label="Frames per second", low=4, high=30)
    hold: float = setting(1.5, "Seconds to hold the last frame.", label="Hold last frame", low=0.0, high=5.0)

    def __post_init__(self):
        validate(self)


class VideoWriter:
    """Writes an MP4 frame by frame, in constant memory.

    The file appears at `path` when `finish` is called; `discard` leaves nothing behind.

    Args:
        path: the file; its folder must exist.
        size: (width, height) of the video, to which images are resized; odd sides lose a pixel, as H.264 needs even
            ones.
        rate: images per second.

    Raises:
        OSError: also from `add` and `finish`: the file cannot be written.
    """

    def __init__(self, path: Path, size: tuple[int, int], rate: int = 12):
        self.path = path
        self._size = (size[0] - size[0] % 2, size[1] - size[1] % 2)
        handle, self._draft = create_temporary(path.with_suffix(".mp4"))
        os.close(handle)
        self._container = av.open(str(self._draft), "w")
        self._stream = self._container.add_stream("libx264", rate=rate)
        self._stream.width, self._stream.height = self._size
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {"crf": "17", "preset": "fast"}
        self.count = 0

    def add(self, image: np.ndarray) -> None:
        """Append an image, (H, W, 3) uint8 RGB."""
        width, height = self._size
        if image.shape[0] - image.shape[0] % 2 != height or image.shape[1] - image.shape[1] % 2 != width:
            image = resize(image, (height, width))
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), format="rgb24")
        for packet in self._stream.encode(frame):
            self._container.mux(packet)
        self.count += 1

    def finish(self, comment: str) -> Path:
        """Close the video, store `comment` (a recipe) in it, and move it to `path`."""
        finished = self._draft.with_name(self._draft.stem + "-whole.mp4")
        try:
            for packet in self._stream.encode():
                self._container.mux(packet)
            self._container.close()
            # An MP4's header comes first, but the recipe is known only now: copy the packets to a new file.
            with (
                av.open(str(self._draft)) as source,
                av.open(str(finished), "w", options={"movflags": "faststart"}) as copy,
            ):
                copy.metadata["comment"] = comment
                stream = copy.add_stream_from_template(source.streams.video[0])
                for packet in source.demux(video=0):
                    if packet.dts is not None:
                        packet.stream = stream
                        copy.mux(packet)
            with finished.open("rb+") as file:
                os.fsync(file.fileno())
            finished.replace(self.path)
        finally:
            finished.unlink(missing_ok=True)
            self._draft.unlink(missing_ok=True)
        return self.path

    def discard(self) -> None:
        """Delete the unfinished video."""
        with contextlib.suppress(Exception):  # closing a video without images fails
            self._container.close()
        self._draft.unlink(missing_ok=True)


# Scripts that earlier versions saved import it under this name.
Film = VideoWriter


def write_video(
    path: Path, images: Iterable[np.ndarray], shape: tuple[int, int], config: VideoConfig, comment: str
) -> Path:
    """Write images, (H, W, 3) uint8 RGB, as a video, atomically and in constant memory. GIF and WebP loop.

    Args:
        shape: (height, width) of the video; a GIF is shrunk to GIF_SIDE, a WebP to WEBP_SIDE.
        comment: stored in the file.

    Raises:
        VideoError: there are no images.
    """
    frames = iter(images)
    first = next(frames, None)
    if first is None:
        raise VideoError(message("There are no images to make a video from."))
    frames = itertools.chain([first], frames)
    height, width = shape
    if config.kind == "mp4":
        return _write_mp4(VideoWriter(path, (width, height), rate=config.speed), frames, config, comment)
    write, max_side, units = _ANIMATIONS[config.kind]
    scale = min(1.0, max_side / max(shape))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    with written_atomically(path) as file:
        write(file, with_durations(frames, config.speed, config.hold, units), size, comment)
    return path


_ANIMATIONS = {"gif": (write_gif, GIF_SIDE, HUNDREDTHS), "webp": (write_webp, WEBP_SIDE, THOUSANDTHS)}


def _write_mp4(video: VideoWriter, images: Iterable[np.ndarray], config: VideoConfig, comment: str) -> Path:
    try:
        for image in images:
            video.add(image)
        for _ in range(round(config.hold * config.speed)):
            video.add(image)
        return video.finish(comment)
    except Exception:
        video.discard()
        raise


def read_comment(path: Path) -> str | None:
    """The comment in an MP4, GIF or WebP file; None if there is none or the file is not a video."""
    kind = path.suffix.lower().removeprefix(".")
    try:
        if kind in _ANIMATIONS:
            return read_animation_comment(path, kind)
        with av.open(str(path), metadata_errors="replace") as container:
            return container.metadata.get("comment")
    except (av.error.FFmpegError, *DAMAGED):
        return None


def middle_image(path: Path) -> np.ndarray | None:
    """An image from the middle of an MP4, (H, W, 3) uint8 RGB; None if the file is not a video."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            if stream.duration:
                container.seek(stream.duration // 2, stream=stream)
            for frame in container.decode(stream):
                return frame.to_ndarray(format="rgb24")
    except (av.error.FFmpegError, OSError, IndexError):
        pass
    return None


def video_size(path: Path) -> tuple[int, int] | None:
    """(width, height) of an MP4; None if the file is not a video."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            return stream.width, stream.height
    except (av.error.FFmpegError, OSError, IndexError):
        return None
