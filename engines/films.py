"""Frames -> MP4 (H.264), written while they pass, and GIF."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np
from PIL import Image

from engines.parts.files import written_atomically

GIF_SIDE = 420


class Film:
    """An MP4 in the making.

    Frames are encoded as they come, so memory does not grow with the film. The file appears at `path` only when
    `finish` is called, with `comment` (a recipe) in it; `discard` leaves nothing behind. Pictures of another size
    than the first are resized to it.

    Args:
        path: where the film goes; its folder must exist.
        size: (width, height) of the film; odd sides lose a pixel, as H.264 needs even ones.
        rate: pictures a second.
    """

    def __init__(self, path: Path, size: tuple[int, int], rate: int = 12):
        self.path = path
        self._size = (size[0] - size[0] % 2, size[1] - size[1] % 2)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.stem}-", suffix=".mp4", delete=False) as file:
            self._draft = Path(file.name)
        self._container = av.open(str(self._draft), "w")
        self._stream = self._container.add_stream("libx264", rate=rate)
        self._stream.width, self._stream.height = self._size
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {"crf": "17", "preset": "fast"}
        self.count = 0

    def add(self, image: np.ndarray) -> None:
        """Append (H, W, 3) uint8 RGB."""
        width, height = self._size
        if image.shape[0] - image.shape[0] % 2 != height or image.shape[1] - image.shape[1] % 2 != width:
            image = np.asarray(Image.fromarray(image).resize(self._size, Image.Resampling.LANCZOS))
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), format="rgb24")
        for packet in self._stream.encode(frame):
            self._container.mux(packet)
        self.count += 1

    def finish(self, comment: str) -> Path:
        """Close the film, put `comment` into it and move it to its place."""
        for packet in self._stream.encode():
            self._container.mux(packet)
        self._container.close()
        whole = self._draft.with_name(self._draft.stem + "-whole.mp4")
        try:
            # What the recipe says is known only now, and an MP4's header is written first: copy the packets.
            with (
                av.open(str(self._draft)) as source,
                av.open(str(whole), "w", options={"movflags": "faststart"}) as copy,
            ):
                copy.metadata["comment"] = comment
                stream = copy.add_stream_from_template(source.streams.video[0])
                for packet in source.demux(video=0):
                    if packet.dts is not None:
                        packet.stream = stream
                        copy.mux(packet)
            whole.replace(self.path)
        finally:
            whole.unlink(missing_ok=True)
            self._draft.unlink(missing_ok=True)
        return self.path

    def discard(self) -> None:
        """Give the film up."""
        with contextlib.suppress(Exception):  # a film without pictures cannot be closed, and need not be
            self._container.close()
        self._draft.unlink(missing_ok=True)


def write_gif(
    path: Path, images: Iterable[np.ndarray], shape: tuple[int, int], *, rate: int, held: int, comment: str
) -> Path:
    """Write pictures, (H, W, 3) uint8 RGB, as an endless GIF, atomically.

    Args:
        shape: (height, width) of the film; made smaller to GIF_SIDE, as GIF files grow fast.
        rate: pictures a second.
        held: for how many pictures' time the last one is shown.
        comment: goes into the file.
    """
    scale = min(1.0, GIF_SIDE / max(shape))
    size = (round(shape[1] * scale), round(shape[0] * scale))
    frames = []
    for image in images:
        resized = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)
        frames.append(resized.quantize(128, dither=Image.Dither.FLOYDSTEINBERG))
    durations = [round(1000 / rate)] * len(frames)
    durations[-1] *= held + 1
    with written_atomically(path) as file:
        frames[0].save(
            file,
            "GIF",
            save_all=True,
            append_images=frames[1:],
            duration=durations,
            loop=0,
            comment=comment.encode(),
        )
    return path


def read_comment(path: Path) -> str | None:
    """The comment in an MP4, or None where there is none or the file is no film."""
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            return container.metadata.get("comment")
    except (av.error.FFmpegError, OSError):
        return None


def middle_picture(path: Path) -> np.ndarray | None:
    """A picture from the middle of an MP4, (H, W, 3) uint8 RGB; None where the file is no film."""
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


def film_size(path: Path) -> tuple[int, int] | None:
    """(width, height) of an MP4; None where the file is no film."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            return stream.width, stream.height
    except (av.error.FFmpegError, OSError, IndexError):
        return None
