"""Progress and cancellation of the work before a training's first step.

An engine can only be stopped between two frames. So this work runs on a thread of its own while frames report its
progress; when they are closed, the work ends at its next call of `raise_if_abandoned`.
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
    """The run was stopped, so this work is no longer needed."""


class _Work:
    """State shared by the preparing thread and the frames that wait for it."""

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


_current_work: contextvars.ContextVar[_Work | None] = contextvars.ContextVar("work", default=None)


def prepare(work: Callable[[], T], note: str) -> Generator[Frame, Any, tuple[T, Any]]:
    """Run `work` on a thread of its own, yielding frames with `step` 0 until it is done.

    Args:
        note: the first note; the work changes it with `set_note`.

    Returns:
        The result of `work`, and the config that was last sent meanwhile, or None.

    Raises:
        Whatever `work` raises.
    """
    state = _Work()
    state.note = note
    result: concurrent.futures.Future[T] = concurrent.futures.Future()

    def run() -> None:
        _current_work.set(state)
        try:
            result.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again by `result()`
            result.set_exception(error)

    threading.Thread(target=run, name="preparation", daemon=True).start()
    steered = None
    try:
        while not result.done() or note:
            steered = (yield Frame(step=0, total=1, note=note or state.note, keyframe=False)) or steered
            concurrent.futures.wait([result], timeout=SECONDS_BETWEEN_FRAMES)
            note = ""
        value = result.result()
        # Compiling the first step may take long.
        steered = (yield Frame(step=0, total=1, note=message("starting"), keyframe=False)) or steered
        return value, steered
    finally:
        state.abandon()


def set_note(note: str) -> None:
    """Set the note of the current preparation; raises like `raise_if_abandoned`."""
    state = _current_work.get()
    if state is not None:
        state.note = note
    raise_if_abandoned()


def raise_if_abandoned() -> None:
    """Check whether the current preparation was stopped; long work must call this often.

    Raises:
        AbandonedError: it was.
    """
    state = _current_work.get()
    if state is not None and state.abandoned.is_set():
        raise AbandonedError


@contextlib.contextmanager
def killed_if_abandoned(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Within the block, kill the process if the current preparation is stopped."""
    state = _current_work.get()
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
