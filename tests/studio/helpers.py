"""Shared helpers: fake engine, in-memory result writer, clock, waiting, and calling handlers as the page would."""

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
from studio.run_views.image_run_view import ImageRunView
from studio.run_views.stream import acknowledge
from studio.runs.run import Run
from studio.runs.snapshots import Snapshots
from studio.services import Studio
from tests.engines.helpers import as_png, is_one_sentence

LONGEST_WAIT = 60.0


@contextlib.contextmanager
def unserved_page() -> Iterator[gr.Blocks]:
    """A page that is never served. Skips building Gradio's web application, which takes half a second per page."""
    with mock.patch.object(App, "create_app"), mock.patch.object(gr.Blocks, "get_config_file"), gr.Blocks() as page:
        yield page


def eventually(condition: Callable[[], Any], what: str, seconds: float = LONGEST_WAIT) -> Any:
    """Wait until a condition holds and return its value; fail after `seconds`, naming what was awaited."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise AssertionError(f"waited {seconds:.0f} s for {what}")


def finished(run: Run) -> Run:
    """Wait until a run is over and return it."""
    eventually(lambda: run.over, "the run to be over")
    return run


class Clock:
    """Replaces the `time` module; advances only when told to."""

    def __init__(self, now: float = 100.0):
        self.now = now

    def monotonic(self) -> float:
        return self.now


class LoopEngine:
    """Replaces a JobExecution in tests of the run queue: counts steps instead of computing.

    Args:
        steps: number of frames.
        gate: if given, each step waits for one release.
        error: exception that the step after `fail_after` raises.
        image: image of every frame.
        on_step: called in each step.
        yield_every: number of steps between yield points; 0 for none.
    """

    notices: tuple[str, ...] = ()
    where = ""
    workers: tuple[int, ...] = ()
    preemptible = True
    unfinished = None
    progress_before = 0.0

    def __init__(
        self,
        steps: int = 3,
        *,
        gate: threading.Semaphore | None = None,
        error: Exception | None = None,
        fail_after: int = 0,
        image: np.ndarray | None = None,
        on_step: Callable[[], None] = lambda: None,
        yield_every: int = 0,
    ):
        self.yield_every = yield_every
        self.image = np.zeros((24, 32, 3), np.uint8) if image is None else image
        self.job = Job(engine="deep_dream", config=None, inputs={"image": self.image}, backbone="studio_vgg")
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
            image=np.full_like(self.image, (done + 1) % 256),
            metrics={"loss": float(done)},
            yield_point=bool(self.yield_every) and (done + 1) % self.yield_every == 0,
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

    def remaining(self) -> ResumableJob | None:
        return ResumableJob(self.job) if self.last is None or self.last.step < self.steps else None

    def close(self) -> None:
        self.threads.append(threading.current_thread().name)
        self.closed += 1


class MemoryResultWriter:
    """Keeps a run's frames in memory; `finish` raises `error` if that is given."""

    def __init__(self, error: Exception | None = None, snapshots: Snapshots | None = None):
        self.snapshots = snapshots or Snapshots(Path("snapshots that nobody keeps"))
        self.results: tuple[Path, ...] = ()
        self.notices: tuple[str, ...] = ()
        self._keeps_snapshots = snapshots is not None
        self.seen: list[Frame] = []
        self.finished: list[Frame | None] = []
        self.discarded = 0
        self.error = error

    def add(self, execution: Any) -> None:
        self.seen.append(execution.last)
        if self._keeps_snapshots:
            self.snapshots.add(execution.last)

    def finish(self, execution: Any) -> Path:
        if self.error is not None:
            raise self.error
        self.finished.append(execution.last)
        return Path("result.png")

    def discard(self) -> None:
        self.discarded += 1


def studio_of_its_own(folder: Path, studio_vgg: Any, drawn: Path) -> Studio:
    """Create a studio for several tests, with a network of random weights and the drawn examples."""
    studio = Studio(outputs=folder / "outputs")
    studio.workshop.keep("deep_dream", "studio_vgg", studio_vgg)
    shutil.copytree(drawn, studio.gallery.folder / "examples", copy_function=os.link)
    return studio


def forget_runs(studio: Studio) -> None:
    """Stop and forget a studio's runs, so that the next test starts without any."""
    for run in list(studio.runs._by_id.values()):
        run.stop()
        finished(run)
        run.forget()
    studio.runs._by_id.clear()


def warned(call: Callable[..., Any], *arguments: Any) -> tuple[Any, str]:
    """Return a handler's result and its one warning, which Gradio issues as a Python warning outside of requests."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        answer = call(*arguments)
    # Other warnings, such as of unclosed sockets, come from elsewhere in the process.
    (warning,) = [warning for warning in caught if warning.category is UserWarning]
    assert is_one_sentence(warning.message), str(warning.message)
    return answer, str(warning.message)


async def all_updates(updates) -> list[dict[Any, Any]]:
    """Collect a watching handler's updates, acknowledging each message as the page does."""
    taken = []
    async with asyncio.timeout(LONGEST_WAIT):
        async for update in updates:
            taken.append(update)
            for value in update.values():
                if isinstance(value, dict) and "watcher" in value:
                    acknowledge([value["watcher"], value["number"]])
    return taken


def watched(updates) -> list[dict[Any, Any]]:
    """Run `all_updates` to the end."""
    return asyncio.run(all_updates(updates))


def stage_of(studio: Studio) -> ImageRunView:
    """A run view on a page of its own."""
    view = ImageRunView(studio, "lost")
    with unserved_page():
        view.build_buttons("Dream")
        view.build_canvas(None, "Press Dream.")
        view.build_footer("")
        view.wire()
    return view


def value_in(update: Any) -> Any:
    """Return the value in an update of a component."""
    return update["value"] if isinstance(update, dict) and "value" in update else update


def values_through_the_page(controls: Sequence[Any], updates: Sequence[Any]) -> list[Any]:
    """Return the values that handlers receive after updates passed through the page."""
    values = []
    for control, update in zip(controls, updates, strict=True):
        if isinstance(update, dict):
            bounds = {name: update[name] for name in ("minimum", "maximum") if name in update}
            control = type(control)(**{"minimum": control.minimum, "maximum": control.maximum} | bounds)
        values.append(control.preprocess(control.postprocess(value_in(update))))
    return values


def through_the_page(settings: Settings, updates: Sequence[Any]) -> Any:
    """Return the config that a form reads after updates passed through the page."""
    return settings.config(values_through_the_page(settings.components, updates))


def names_of(update: dict[str, Any]) -> list[str]:
    """Return the choices in an update, without their titles."""
    return [choice if isinstance(choice, str) else choice[1] for choice in update["choices"]]


def decoded(uri: str) -> np.ndarray:
    """Decode the image in a data URI."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def png_with_text(path: Path, text: str) -> str:
    """Write an image with text in its recipe chunk; return its path."""
    chunk = PngImagePlugin.PngInfo()
    chunk.add_itxt("reverie", text)
    Image.new("RGB", (40, 30)).save(path, pnginfo=chunk)
    return str(path)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """Encode one chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_with_late_chunk(image: np.ndarray, kind: bytes, content: bytes) -> bytes:
    """Encode a PNG with a chunk after its pixels, where Pillow reads it late."""
    end = png_chunk(b"IEND", b"")
    whole = as_png(image)
    assert whole.endswith(end)
    return whole.removesuffix(end) + png_chunk(kind, content) + end


def huge_png(side: int) -> bytes:
    """Encode a PNG of a few bytes that claims `side` x `side` pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)
