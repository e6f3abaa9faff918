"""Progress of a run for API clients."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator
from typing import Any

import gradio as gr
from gradio.context import LocalContext

from studio.components.toasts import api_error
from studio.runs.queue import RunQueue
from studio.runs.run import Run
from studio.wire_format import data_uri

MAX_UPDATES_PER_SECOND = 5
POLL_SECONDS = 0.05
PREVIEW_SECONDS = 2.0
PREVIEW_SIDE = 256
# Maximum number of unread messages. Gradio would queue any number of them for a client that does not read.
MAX_UNREAD = 2


class Caller:
    """The API client whose call is being handled.

    Args:
        page: the page that was called.

    Raises:
        gr.Error: the call bypassed Gradio's queue, so its result could not be streamed.
    """

    def __init__(self, page: gr.Blocks):
        self._queue = page._queue
        self._event = self._queue.event_ids_to_events.get(LocalContext.event_id.get(None) or "")
        if self._event is None:
            raise api_error("Call this through the queue: POST to /gradio_api/call and its name, then GET the stream.")

    @property
    def disconnected(self) -> bool:
        """True if the client has closed its stream."""
        return not self._event.alive

    @property
    def is_reading(self) -> bool:
        """True if the client keeps up with its messages."""
        unread = self._queue.pending_messages_per_session.get(self._event.session_hash)
        return unread is not None and unread.qsize() < MAX_UNREAD


async def follow_run(run: Run, queue: RunQueue, caller: Caller) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the status of a run until it is over; stop the run if the client disconnects.

    While the client does not read, nothing is yielded and the run counts as unwatched.
    """
    version, sent_at, preview_at = -1, 0.0, time.monotonic()
    try:
        while not run.over:
            if caller.disconnected:
                return
            now = time.monotonic()
            changed = run.version != version or (run.state == "waiting" and now - sent_at > 1)
            if caller.is_reading:
                run.watched()
                if changed and now - sent_at > 1 / MAX_UPDATES_PER_SECOND:
                    version, sent_at = run.version, now
                    update = run_status(run, queue)
                    if now - preview_at > PREVIEW_SECONDS and run.frame is not None and run.frame.image is not None:
                        preview_at = now
                        image = run.frame.image
                        update["preview"] = await asyncio.to_thread(data_uri, image, side=PREVIEW_SIDE)
                    yield update
            await asyncio.sleep(POLL_SECONDS)
    finally:
        # Stopping a waiting run writes its result on the calling thread.
        await asyncio.to_thread(run.stop)


def run_status(run: Run, queue: RunQueue) -> dict[str, Any]:
    """Return the status of a run as JSON-compatible values."""
    frame = run.frame
    status: dict[str, Any] = {
        "state": run.state,
        "before": queue.position(run).before if run.state == "waiting" else 0,
        "step": 0 if frame is None else frame.step,
        "total": None if frame is None else frame.total,
        "progress": 0.0 if frame is None else float(frame.progress),
        "left": run.seconds_left,
        "note": "" if frame is None else frame.note,
        "where": run.where,
        # JSON cannot represent infinity, which a loss may be.
        "metrics": {} if frame is None else {k: v if math.isfinite(v) else None for k, v in _numbers(frame.metrics)},
        "text": "" if frame is None else frame.text,
        "preview": None,
        "notices": [*filter(None, [run.stop_reason]), *run.notices],
    }
    return status


def _numbers(metrics: Any) -> list[tuple[str, float]]:
    return [(name, float(value)) for name, value in metrics.items()]
