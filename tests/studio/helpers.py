"""What the tests of the page layer share: an engine made of a loop, a keeper that remembers, a clock, waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from engines.frames import Frame
from engines.jobs import Job

LONGEST_WAIT = 60.0


def eventually(condition: Callable[[], Any], what: str, seconds: float = LONGEST_WAIT) -> Any:
    """Wait until something holds and return it; fail, saying what did not come, when it never does."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise AssertionError(f"waited {seconds:.0f} s for {what}")


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
    """

    def __init__(
        self,
        steps: int = 3,
        *,
        gate: threading.Semaphore | None = None,
        error: Exception | None = None,
        fail_after: int = 0,
        picture: np.ndarray | None = None,
        on_step: Callable[[], None] = lambda: None,
    ):
        self.picture = np.zeros((24, 32, 3), np.uint8) if picture is None else picture
        self.job = Job(engine="deep_dream", config=None, inputs={"image": self.picture}, backbone="studio_vgg")
        self.last: Frame | None = None
        self.steps, self.gate, self.error, self.fail_after, self.on_step = steps, gate, error, fail_after, on_step
        self.sent: list[tuple[int, Any]] = []
        self.threads: list[str] = []
        self.closed = 0

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
        )
        return self.last

    def resolve(self, config: Any) -> Any:
        if config == "does not fit":
            raise ValueError("This does not fit.")
        return config

    def close(self) -> None:
        self.threads.append(threading.current_thread().name)
        self.closed += 1


class MemoryKeeper:
    """Keeps a run's frames in memory; `error` is what finishing raises."""

    def __init__(self, error: Exception | None = None):
        self.seen: list[Frame] = []
        self.finished: list[Frame | None] = []
        self.discarded = 0
        self.error = error

    def see(self, frame: Frame) -> None:
        self.seen.append(frame)

    def finish(self, started: Any) -> Path:
        if self.error is not None:
            raise self.error
        self.finished.append(started.last)
        return Path("result.png")

    def discard(self) -> None:
        self.discarded += 1
