"""Runs that go on until they are stopped, or for as long as a test lets them."""

from __future__ import annotations

import dataclasses
import threading

from tests.studio.conftest import SMALL
from tests.studio.helpers import LoopEngine

LONG = dataclasses.replace(SMALL, steps=1000)


def gated(steps: int = 50, **options) -> tuple[LoopEngine, threading.Semaphore]:
    gate = threading.Semaphore(0)
    return LoopEngine(steps, gate=gate, **options), gate


def open_for_good(gate: threading.Semaphore) -> None:
    gate.release(10_000)
