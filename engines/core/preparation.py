"""Progress and cancellation of the work before a training's first step.

An engine is stopped between two of its frames. So this work is done on a thread of its own, while frames say what is
being done; when they are closed, it ends at the next `check`.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import contextvars
import subprocess
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

from engines.core.frames import Frame
from engines.core.messages import message

T = TypeVar("T")

SECONDS_BETWEEN_FRAMES = 0.2


class AbandonedError(Exception):
    """Nobody waits for this work any more."""


class _Work:
    """What a thread that prepares something and whoever waits for it know of each other."""

    def __init__(self) -> None:
        self.note = ""
        self.abandoned = threading.Event()
        self.process: subprocess.Popen[bytes] | None = None
        self.lock = threading.Lock()

    def abandon(self) -> None:
        with self.lock:
            self.abandoned.set()
            if self.process is not None:
                self.process.kill()


_work: contextvars.ContextVar[_Work | None] = contextvars.ContextVar("work", default=None)


def prepared(work: Callable[[], T], note: str) -> Generator[Frame, Any, tuple[T, Any]]:
    """Do `work` on a thread of its own, yielding frames with `step` 0 until it is done.

    Args:
        note: what is done first; `say` tells what is done next.

    Returns:
        What `work` returned, and what was sent last meanwhile, None where nothing was.

    Raises:
        Whatever `work` raises.
    """
    state = _Work()
    state.note = note
    result: concurrent.futures.Future[T] = concurrent.futures.Future()

    def run() -> None:
        _work.set(state)
        try:
            result.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is for whoever waits
            result.set_exception(error)

    threading.Thread(target=run, name="preparation", daemon=True).start()
    sent = None
    try:
        while not result.done() or note:
            sent = (yield Frame(step=0, total=1, note=note or state.note, keyframe=False)) or sent
            concurrent.futures.wait([result], timeout=SECONDS_BETWEEN_FRAMES)
            note = ""
        found = result.result()
        # The first steps may take long, as they are compiled.
        sent = (yield Frame(step=0, total=1, note=message("starting"), keyframe=False)) or sent
        return found, sent
    finally:
        state.abandon()


def say(note: str) -> None:
    """What the thread that calls this does from here on, in words; raises as `check`."""
    state = _work.get()
    if state is not None:
        state.note = note
    check()


def check() -> None:
    """End the work that calls this if nobody waits for it; called often by whatever may take long.

    Raises:
        AbandonedError: nobody does.
    """
    state = _work.get()
    if state is not None and state.abandoned.is_set():
        raise AbandonedError


@contextlib.contextmanager
def killed_if_abandoned(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Inside of the block a process that does a part of the work is killed when nobody waits for it."""
    state = _work.get()
    if state is None:
        yield
        return
    with state.lock:
        state.process = process
        if state.abandoned.is_set():
            process.kill()
    try:
        yield
    finally:
        with state.lock:
            state.process = None
