"""Choose which parts of a run are prefetched on idle workers."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from engines.jobs import Job, ModelCache
from studio.cluster.subjob import Subjob, WorkerSlots

# Another part is prefetched only while the inputs and frames of all prefetched parts take at most this many bytes.
MAX_BYTES = 1 << 30
# A run counts as idle if it has not requested a frame for this long.
IDLE_SECONDS = 5.0


class Prefetcher:
    """Starts parts of a run before their turn.

    Args:
        whole: the run's job.
        count: number of parts.
        config: returns the settings that a part would be started with now.
        make_job: creates a part's own job with these settings; may raise ValueError.
        exact: see `RemoteJob`.
    """

    def __init__(
        self,
        whole: Job,
        workshop: ModelCache,
        slots: WorkerSlots,
        count: int,
        config: Callable[[int], Any],
        make_job: Callable[[int, Any], Job],
        *,
        exact: bool = False,
    ):
        self._whole, self._workshop, self._slots, self._count = whole, workshop, slots, count
        self._config, self._make_job, self._exact = config, make_job, exact
        self._parts: dict[int, Subjob] = {}
        self._next = count
        self._closed = False
        self._active, self._active_until = False, time.monotonic()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Within the block, mark the run as waiting for a frame."""
        self._active = True
        try:
            yield
        finally:
            self._active_until, self._active = time.monotonic(), False

    def _run_is_idle(self) -> bool:
        return not self._active and time.monotonic() - self._active_until > IDLE_SECONDS

    def pop(self, number: int) -> Subjob:
        """Return the part whose turn it is, prefetched or not."""
        with self._lock:
            self._next = number + 1
            self._drop_outdated()
            return self._parts.pop(number, None) or self._make(number)

    def fill(self) -> None:
        """Start prefetching parts while there are slots for them."""
        with self._lock:
            self._drop_outdated()
            held = sum(part.size for part in self._parts.values())
            for number in range(self._next, self._count):
                part = self._parts.get(number)
                if part is not None and not part.can_prefetch:
                    continue
                if self._closed or held > MAX_BYTES or not self._slots.acquire():
                    return
                part = self._parts[number] = part or self._make(number)
                held += part.size
                part.prefetch()

    def _make(self, number: int) -> Subjob:
        config = self._config(number)
        return Subjob(
            self._whole,
            self._workshop,
            config,
            lambda: self._make_job(number, config),
            self._slots,
            exact=self._exact,
            run_is_idle=self._run_is_idle,
            on_slot_free=self.fill,
        )

    def _drop_outdated(self) -> None:
        """Close parts that were started with outdated settings."""
        for number, part in list(self._parts.items()):
            if part.config != self._config(number):
                self._parts.pop(number).close()

    @property
    def workers(self) -> tuple[int, ...]:
        """The ids of the workers that prefetch."""
        return tuple(worker for part in list(self._parts.values()) for worker in part.workers)

    def close(self) -> None:
        """Close all parts, and start no more."""
        with self._lock:
            self._closed = True
            parts, self._parts = self._parts, {}
        for part in parts.values():
            part.close()
