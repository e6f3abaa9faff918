"""Stream a run to the browser at the browser's pace.

Images are sent as JPEG in the canvas component's value, texts as tokens. The browser acknowledges each message that it
has drawn, and at most WINDOW are unacknowledged, so a slow connection skips images instead of falling behind.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from engines.core.messages import message
from studio.i18n.catalog import translate
from studio.runs.queue import RunQueue
from studio.runs.run import Run
from studio.wire_format import data_uri, prompt_tail, written_rows

WINDOW = 2
MAX_IMAGES_PER_SECOND = 10
POLL_SECONDS = 0.02
# An acknowledgement may be lost, so after this time another message is sent.
SILENCE_SECONDS = 3.0
# Sent while a long step runs, so that the page can tell that the server is alive.
HEARTBEAT_SECONDS = 10.0
# Titles of metrics whose names do not read well; the others are named in words.
METRICS = {
    "kl_loss": message("KL loss"),
    "d_loss": message("discriminator loss"),
    "g_loss": message("generator loss"),
    "real_accuracy": message("accuracy on real images"),
    "fake_accuracy": message("accuracy on generated images"),
}

_watchers: dict[str, Watcher] = {}


def acknowledge(data: list[Any]) -> None:
    """Handle an acknowledgement from the browser.

    Args:
        data: [watcher id, message number]; 0 if the page has missed all messages so far.
    """
    try:
        watcher, number = _watchers.get(str(data[0])), int(data[1])
    except (TypeError, ValueError, IndexError, KeyError, OverflowError):
        return
    if watcher:
        watcher.acknowledged(number)


class Watcher:
    """Streams one run to one page."""

    def __init__(self, run: Run, queue: RunQueue):
        self.id = uuid.uuid4().hex
        self._run, self._queue = run, queue
        self._sent = self._seen = 0
        self._sent_at = 0.0
        self._version = -1
        self._begun = False
        self._missed = False
        self._drawn: Any = None
        self._original: Any = None

    def acknowledged(self, number: int) -> None:
        """Record that the browser has drawn a message; 0 requests a full one."""
        self._missed = self._missed or number == 0
        self._seen = min(self._sent, max(self._seen, number))
        self._run.watched()

    async def messages(self) -> AsyncIterator[dict[str, Any] | None]:
        """Yield messages until the run is over, and None when nothing is new, so that a closed page is noticed."""
        _watchers[self.id] = self
        self._run.watched()
        quiet = time.monotonic()
        try:
            yield await self._message(first=True)
            while True:
                over = self._run.over
                if over or self._ready():
                    yield await self._message(first=self._missed)
                    quiet = time.monotonic()
                    if over:
                        return
                elif time.monotonic() - quiet > 1:
                    yield None
                    quiet = time.monotonic()
                await asyncio.sleep(POLL_SECONDS)
        finally:
            _watchers.pop(self.id, None)

    async def full_message(self) -> dict[str, Any]:
        """Return a message with the complete state of the run."""
        return await self._message(first=True)

    def _ready(self) -> bool:
        now = time.monotonic()
        waited = now - self._sent_at
        if self._missed:
            return True
        if self._run.state == "waiting":
            return waited > 1
        if self._run.version == self._version:
            return waited > HEARTBEAT_SECONDS
        if not self._begun and self._run.frame is not None:
            return True  # show the first frame without delay
        if waited < 1 / MAX_IMAGES_PER_SECOND:
            return False
        return self._sent - self._seen < WINDOW or waited > SILENCE_SECONDS

    async def _message(self, *, first: bool) -> dict[str, Any]:
        run = self._run
        self._version, self._sent_at = run.version, time.monotonic()
        self._sent += 1
        self._missed = False
        frame, state = run.frame, run.state
        message: dict[str, Any] = {
            "run": run.id[:8],
            "watcher": self.id,
            "number": self._sent,
            "state": state,
            "error": translate(run.error),
            "why": translate(run.stop_reason),
            "left": run.seconds_left,
            "where": translate(run.where),
            "seconds": run.seconds,
            "first": first,
        }
        if state == "waiting":
            place = self._queue.position(run)
            message |= {"before": place.before, "left": place.seconds}
        if run.original is not None and (first or run.original is not self._original):
            self._original = run.original
            message["original"] = await asyncio.to_thread(data_uri, run.original)
        if frame is not None:
            self._begun = True
            message |= {
                "step": frame.step,
                "total": frame.total,
                "progress": frame.progress,
                "note": translate(frame.note),
                "alarm": frame.note.startswith("warning"),
                "metrics": dict(frame.metrics),
                "curves": {
                    metric_title(name): [float(f"{x:.4g}") for x in values] for name, values in run.curves.items()
                },
            }
            if frame.written:
                prompt = getattr(run.job.config, "prompt", "")
                message |= {"prompt": prompt_tail(prompt), "written": written_rows(frame.written)}
            if frame.image is not None and (first or frame is not self._drawn or run.over):
                self._drawn = frame
                message["picture"] = await asyncio.to_thread(data_uri, frame.image, 92 if run.over else 82)
        return message


def metric_title(metric: str) -> str:
    """Return the display name of a metric."""
    return translate(METRICS.get(metric) or metric.replace("_", " "))
