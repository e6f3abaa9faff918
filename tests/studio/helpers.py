"""What the tests of the page layer share: an engine made of a loop, a keeper that remembers, a clock, waiting, and how
to call a tab's handlers as the page would."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import os
import shutil
import struct
import threading
import time
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import gradio as gr
import numpy as np
from gradio.routes import App
from PIL import Image, PngImagePlugin

from engines.core.frames import Frame
from engines.jobs import Job, ResumableJob
from engines.recipes import Recipe
from studio.components.config_form import Settings
from studio.run_views.image_run_view import PictureStage
from studio.run_views.stream import acknowledge
from studio.runs.run import Run
from studio.runs.snapshots import Snapshots
from studio.services import Studio
from tests.engines.helpers import as_png, is_one_sentence

LONGEST_WAIT = 60.0


@contextlib.contextmanager
def unserved_page() -> Iterator[gr.Blocks]:
    """A page that nobody serves: Gradio makes a web application of each twice before it is served, in half a second."""
    with mock.patch.object(App, "create_app"), mock.patch.object(gr.Blocks, "get_config_file"), gr.Blocks() as page:
        yield page


def eventually(condition: Callable[[], Any], what: str, seconds: float = LONGEST_WAIT) -> Any:
    """Wait until something holds and return it; fail, saying what did not come, when it never does."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise AssertionError(f"waited {seconds:.0f} s for {what}")


def finished(run: Run) -> Run:
    """A run once it is over."""
    eventually(lambda: run.over, "the run to be over")
    return run


class Clock:
    """Stands in for the `time` module: seconds that pass only when they are told to."""

    def __init__(self, now: float = 100.0):
        self.now = now

    def monotonic(self) -> float:
        return self.now


class LoopEngine:
    """Stands in for a StartedJob where only what a lane does with it is tested: counts steps instead of dreaming.

    Args:
        steps: how many frames there are.
        gate: if given, each step waits until it is released once.
        error: what the step after `fail_after` raises.
        picture: what every frame shows.
        on_step: called in each step.
        seams: after how many steps a part of the run ends, again and again; 0 for never.
    """

    notices: tuple[str, ...] = ()
    where = ""
    workers: tuple[int, ...] = ()
    can_give_way = True
    unfinished = None
    progress_before = 0.0

    def __init__(
        self,
        steps: int = 3,
        *,
        gate: threading.Semaphore | None = None,
        error: Exception | None = None,
        fail_after: int = 0,
        picture: np.ndarray | None = None,
        on_step: Callable[[], None] = lambda: None,
        seams: int = 0,
    ):
        self.seams = seams
        self.picture = np.zeros((24, 32, 3), np.uint8) if picture is None else picture
        self.job = Job(engine="deep_dream", config=None, inputs={"image": self.picture}, backbone="studio_vgg")
        self.last: Frame | None = None
        self.steps, self.gate, self.error, self.fail_after, self.on_step = steps, gate, error, fail_after, on_step
        self.sent: list[tuple[int, Any]] = []
        self._steered: Any = None
        self.threads: list[str] = []
        self.closed = 0

    def steer(self, config: Any) -> None:
        self._steered = self.resolve(config)

    def __next__(self) -> Frame:
        config, self._steered = self._steered, None
        return self.send(config)

    def send(self, changed: Any | None) -> Frame:
        self.threads.append(threading.current_thread().name)
        done = self.last.step if self.last else 0
        if changed is not None:
            self.sent.append((done, changed))
        if self.gate is not None and not self.gate.acquire(timeout=LONGEST_WAIT):
            raise AssertionError("nobody released this engine's next step")
        self.on_step()
        if self.error is not None and done >= self.fail_after:
            raise self.error
        if done >= self.steps:
            raise StopIteration
        self.last = Frame(
            step=done + 1,
            total=self.steps,
            image=np.full_like(self.picture, (done + 1) % 256),
            metrics={"loss": float(done)},
            seam=bool(self.seams) and (done + 1) % self.seams == 0,
        )
        return self.last

    def resolve(self, config: Any) -> Any:
        if config == "does not fit":
            raise ValueError("This does not fit.")
        return config

    @property
    def recipe(self) -> Recipe:
        assert self.last is not None
        return Recipe(
            engine="deep_dream",
            config={},
            backbone="studio_vgg",
            weights="",
            inputs={},
            steering=tuple((step, {"sent": changed}) for step, changed in self.sent),
            stopped_at=self.last.step if self.last.step < self.last.total else None,
        )

    def left(self) -> ResumableJob | None:
        return ResumableJob(self.job) if self.last is None or self.last.step < self.steps else None

    def close(self) -> None:
        self.threads.append(threading.current_thread().name)
        self.closed += 1


class MemoryKeeper:
    """Keeps a run's frames in memory; `error` is what finishing raises. It has moments only where it is given some."""

    def __init__(self, error: Exception | None = None, moments: Snapshots | None = None):
        self.moments = moments or Snapshots(Path("moments that nobody keeps"))
        self.results: tuple[Path, ...] = ()
        self.notices: tuple[str, ...] = ()
        self._keeps_moments = moments is not None
        self.seen: list[Frame] = []
        self.finished: list[Frame | None] = []
        self.discarded = 0
        self.error = error

    def see(self, started: Any) -> None:
        self.seen.append(started.last)
        if self._keeps_moments:
            self.moments.see(started.last)

    def finish(self, started: Any) -> Path:
        if self.error is not None:
            raise self.error
        self.finished.append(started.last)
        return Path("result.png")

    def discard(self) -> None:
        self.discarded += 1


def studio_of_its_own(folder: Path, studio_vgg: Any, drawn: Path) -> Studio:
    """A studio that several tests share, with a network of random weights and the examples drawn."""
    studio = Studio(outputs=folder / "outputs")
    studio.workshop.keep("deep_dream", "studio_vgg", studio_vgg)
    shutil.copytree(drawn, studio.gallery.folder / "examples", copy_function=os.link)
    return studio


def forget_runs(studio: Studio) -> None:
    """Stop a studio's runs and forget them, so that the next test finds none."""
    for run in list(studio.runs._by_id.values()):
        run.stop()
        finished(run)
        run.forget()
    studio.runs._by_id.clear()


def warned(call: Callable[..., Any], *arguments: Any) -> tuple[Any, str]:
    """What a handler returns and the one sentence that it warns with: outside a request Gradio hands it to Python."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        answer = call(*arguments)
    # Others, of unclosed sockets and the like, come from whatever else the interpreter tidies up meanwhile.
    (warning,) = [warning for warning in caught if warning.category is UserWarning]
    assert is_one_sentence(warning.message), str(warning.message)
    return answer, str(warning.message)


async def all_updates(updates) -> list[dict[Any, Any]]:
    """Everything that a watching handler yields, acknowledging every message as the page does."""
    taken = []
    async with asyncio.timeout(LONGEST_WAIT):
        async for update in updates:
            taken.append(update)
            for value in update.values():
                if isinstance(value, dict) and "watcher" in value:
                    acknowledge([value["watcher"], value["number"]])
    return taken


def watched(updates) -> list[dict[Any, Any]]:
    """The same, to the end."""
    return asyncio.run(all_updates(updates))


def stage_of(studio: Studio) -> PictureStage:
    """A stage, laid out in a page of its own."""
    stage = PictureStage(studio, "lost")
    with unserved_page():
        stage.build_buttons("Dream")
        stage.build_canvas(None, "Press Dream.")
        stage.build_footer("")
        stage.wire()
    return stage


def value_in(update: Any) -> Any:
    """The value that an update puts into its control."""
    return update["value"] if isinstance(update, dict) and "value" in update else update


def values_through_the_page(controls: Sequence[Any], updates: Sequence[Any]) -> list[Any]:
    """What handlers get after a trip through the page: updates into the controls, and what these accept back out."""
    values = []
    for control, update in zip(controls, updates, strict=True):
        if isinstance(update, dict):
            bounds = {name: update[name] for name in ("minimum", "maximum") if name in update}
            control = type(control)(**{"minimum": control.minimum, "maximum": control.maximum} | bounds)
        values.append(control.preprocess(control.postprocess(value_in(update))))
    return values


def through_the_page(settings: Settings, updates: Sequence[Any]) -> Any:
    """The config after a trip through the page."""
    return settings.config(values_through_the_page(settings.components, updates))


def names_of(update: dict[str, Any]) -> list[str]:
    """The choices that an update offers, with or without titles of their own."""
    return [choice if isinstance(choice, str) else choice[1] for choice in update["choices"]]


def decoded(uri: str) -> np.ndarray:
    """The picture in a data URI."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def png_with_text(path: Path, text: str) -> str:
    """The path of a picture that says it has a recipe."""
    chunk = PngImagePlugin.PngInfo()
    chunk.add_itxt("reverie", text)
    Image.new("RGB", (40, 30)).save(path, pnginfo=chunk)
    return str(path)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_with_late_chunk(image: np.ndarray, kind: bytes, content: bytes) -> bytes:
    """A PNG with a chunk of one's choice after its pixels, where Pillow reads it when the pixels are there already."""
    end = png_chunk(b"IEND", b"")
    whole = as_png(image)
    assert whole.endswith(end)
    return whole.removesuffix(end) + png_chunk(kind, content) + end


def huge_png(side: int) -> bytes:
    """A PNG of few bytes that says it has so many pixels a side."""
    header = struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)
