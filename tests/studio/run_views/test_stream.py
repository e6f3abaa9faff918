"""Streaming a run: the window of unacknowledged messages, acknowledgements, and the messages' content."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from studio.run_views import stream as streaming
from studio.run_views.stream import WINDOW, Watcher, acknowledge, metric_title
from studio.runs.run import Run
from studio.wire_format import PREVIEW_SIDE, data_uri, preview
from tests.studio.helpers import LONGEST_WAIT, LoopEngine, MemoryResultWriter, eventually

NEVER = 1e9


class Stream:
    """One watcher's messages, taken one by one."""

    def __init__(self, run: Run, queue):
        self.watcher = Watcher(run, queue)
        self._messages: AsyncIterator[Any] = self.watcher.messages()
        self.got: list[dict[str, Any]] = []

    async def next(self) -> dict[str, Any] | None:
        """Return the next message, or None for a heartbeat."""
        async with asyncio.timeout(LONGEST_WAIT):
            message = await anext(self._messages)
        if message is not None:
            self.got.append(message)
        return message

    async def until(self, wanted: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """Acknowledge messages until one fulfils a condition; return that without acknowledging it."""
        while True:
            message = await self.next()
            if message is not None and wanted(message):
                return message
            if message is not None:
                self.acknowledge(message)

    async def nothing_more(self, run: Run) -> None:
        """Fail unless only heartbeats arrive while the engine goes on."""
        step = run.frame.step
        for _ in range(2):
            assert await self.next() is None
        assert run.frame.step > step + WINDOW, "the engine must have gone on for this to mean anything"

    async def to_the_end(self) -> dict[str, Any]:
        """Return the last message without acknowledging any."""
        async with asyncio.timeout(LONGEST_WAIT):
            async for message in self._messages:
                if message is not None:
                    self.got.append(message)
        return self.got[-1]

    def acknowledge(self, message: dict[str, Any]) -> None:
        acknowledge([message["watcher"], message["number"]])

    async def close(self) -> None:
        await self._messages.aclose()


@pytest.fixture(autouse=True)
def no_watcher_is_left():
    """Forget a test's watchers at its end."""
    yield
    assert streaming._watchers == {}


@pytest.fixture
def never_impatient(monkeypatch):
    """Disable resending after silence, so that only the window decides."""
    monkeypatch.setattr(streaming, "SILENCE_SECONDS", NEVER)


@pytest.fixture
def going(queue):
    """A run with many quick steps and different images."""
    run = Run(LoopEngine(10**9), MemoryResultWriter())
    queue.submit(run)
    eventually(lambda: run.frame, "the first frame")
    yield run
    run.stop()


def image_of(message: dict[str, Any]) -> np.ndarray:
    kind, _, content = message["picture"].partition(",")
    assert kind == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content, validate=True))))


def test_a_stage_that_comes_to_be_late_is_sent_all_that_it_has_missed(going, queue, never_impatient):
    async def check():
        stream = Stream(going, queue)
        for _ in range(WINDOW):
            assert (await stream.next())["first"] == (len(stream.got) == 1)
        acknowledge([stream.watcher.id, 0])
        message = await stream.next()
        assert message["first"]
        assert "picture" in message
        acknowledge([stream.watcher.id, message["number"]])
        assert not (await stream.next())["first"]
        await stream.close()

    asyncio.run(check())


def test_no_more_messages_are_on_their_way_than_the_window_holds(going, queue, never_impatient):
    async def check():
        stream = Stream(going, queue)
        while await stream.next() is not None:
            assert len(stream.got) <= WINDOW
        await stream.nothing_more(going)
        assert len(stream.got) == WINDOW
        assert all("picture" in message for message in stream.got)
        await stream.close()

    asyncio.run(check())


def test_each_acknowledgement_lets_one_message_more_through(going, queue, never_impatient):
    async def check():
        stream = Stream(going, queue)
        for _ in range(WINDOW):
            await stream.next()
        for i in range(5):
            stream.acknowledge(stream.got[i])
            message = await stream.next()
            assert message["number"] == WINDOW + i + 1
            assert message["step"] > stream.got[-2]["step"], "a newer frame, never an older one"
        await stream.nothing_more(going)
        await stream.close()

    asyncio.run(check())


def test_a_page_whose_acknowledgement_was_lost_is_sent_a_message_more_after_a_silence(going, queue, monkeypatch):
    monkeypatch.setattr(streaming, "SILENCE_SECONDS", 0.1)

    async def check():
        stream = Stream(going, queue)
        while len(stream.got) < WINDOW + 2:
            await stream.next()
        await stream.close()

    asyncio.run(check())


@pytest.mark.parametrize("how", ["done", "stopped", "failed"])
def test_the_last_frame_is_always_sent_and_its_state_is_over(queue, never_impatient, how):
    gate = threading.Semaphore(0)
    error = ValueError("Too bright.") if how == "failed" else None
    engine = LoopEngine(40, gate=gate, error=error, fail_after=30)
    run = Run(engine, MemoryResultWriter())
    queue.submit(run)

    async def check():
        stream = Stream(run, queue)
        gate.release(WINDOW)
        for _ in range(WINDOW):
            await stream.next()
        gate.release(20)
        await asyncio.to_thread(eventually, lambda: run.frame and run.frame.step == WINDOW + 20, "22 steps")
        if how == "stopped":
            run.stop()
        gate.release(1000)
        last = await stream.to_the_end()
        assert last["state"] == how
        assert last["step"] == run.frame.step >= WINDOW + 20
        assert abs(image_of(last).astype(int) - run.frame.image).max() <= 2
        assert last["error"] == ("Too bright." if how == "failed" else "")
        assert len(stream.got) == WINDOW + 1

    asyncio.run(check())


def test_a_page_that_comes_after_the_end_gets_original_and_result(studio, small_job):
    run = studio.runs.start(small_job)
    eventually(lambda: run.over, "the run to be over")

    async def check():
        stream = Stream(run, studio.runs.queue)
        last = await stream.to_the_end()
        assert "original" in stream.got[0]
        assert (last["state"], last["progress"]) == ("done", 1)
        assert image_of(last).shape == run.frame.image.shape

    asyncio.run(check())


def test_the_first_message_carries_the_original_and_no_other_does(studio, small_job, sample_image):
    run = studio.runs.start(small_job)

    async def check():
        stream = Stream(run, studio.runs.queue)
        await stream.until(lambda message: message["state"] == "done")
        first, *others = stream.got
        assert first["first"]
        assert first["number"] == 1
        original = image_of({"picture": first["original"]})
        assert abs(original.astype(int) - sample_image).mean() < 12
        assert not any("original" in message or message["first"] for message in others)

    asyncio.run(check())


def test_messages_are_plain_json_and_tell_step_note_loss_and_time(studio, small_job):
    run = studio.runs.start(small_job)

    async def check():
        stream = Stream(run, studio.runs.queue)
        last = await stream.until(lambda message: message["state"] == "done")
        assert json.loads(json.dumps(stream.got, allow_nan=False)) == stream.got
        assert [message["number"] for message in stream.got] == list(range(1, len(stream.got) + 1))
        assert (last["step"], last["total"], last["left"]) == (3, 3, None)
        assert last["note"] == "octave 1 of 1 · step 3 of 3"
        assert len(last["curves"]["loss"]) == 3
        assert last["metrics"]["loss"] == pytest.approx(last["curves"]["loss"][-1], rel=1e-3)
        assert run.id not in json.dumps(stream.got), "a run's secret goes to its own page only, by another way"

    asyncio.run(check())


def test_an_image_is_not_sent_twice_while_it_is_the_newest(queue, never_impatient):
    gate = threading.Semaphore(0)
    run = Run(LoopEngine(3, gate=gate), MemoryResultWriter())
    queue.submit(run)

    async def check():
        stream = Stream(run, queue)
        gate.release()
        message = await stream.until(lambda message: "picture" in message)
        stream.acknowledge(message)
        run._changed()  # a new version without a new frame
        message = await stream.next()
        assert "picture" not in message
        await stream.close()

    asyncio.run(check())
    run.stop()
    gate.release(10)


def test_the_very_first_image_does_not_wait_its_turn(queue, never_impatient, monkeypatch):
    monkeypatch.setattr(streaming, "MAX_IMAGES_PER_SECOND", 1 / NEVER)
    gate = threading.Semaphore(0)
    run = Run(LoopEngine(10, gate=gate), MemoryResultWriter())
    queue.submit(run)

    async def check():
        stream = Stream(run, queue)
        assert "step" not in await stream.next()
        gate.release()
        assert (await stream.until(lambda message: "step" in message))["step"] == 1
        gate.release()
        eventually(lambda: run.frame.step == 2, "another frame")
        assert await stream.next() is None, "the second waits"
        await stream.close()
        run.stop()
        gate.release(10)

    asyncio.run(check())


def test_a_waiting_page_is_told_its_place(queue):
    gate = threading.Semaphore(0)
    first, second = Run(LoopEngine(1, gate=gate), MemoryResultWriter()), Run(LoopEngine(1), MemoryResultWriter())
    queue.submit(first)
    queue.submit(second)

    async def check():
        stream = Stream(second, queue)
        message = await stream.next()
        assert (message["state"], message["before"], message["left"]) == ("waiting", 1, None)
        assert "original" in message
        assert "picture" not in message
        gate.release(10)
        assert (await stream.to_the_end())["state"] == "done"

    asyncio.run(check())


def test_bogus_acknowledgements_are_ignored(going, queue, never_impatient):
    async def check():
        stream = Stream(going, queue)
        for _ in range(WINDOW):
            await stream.next()
        mine = stream.watcher.id
        for nothing in (None, 5, "", {}, {"0": mine, "1": 2}, [], [mine]):
            acknowledge(nothing)
        for number in (None, "two", "", [2], {}, -7, float("nan"), float("inf"), float("-inf")):
            acknowledge([mine, number])
        for watcher in ("no such watcher", None, [mine], {"a": mine}, 7):
            acknowledge([watcher, 2])
        assert await stream.next() is None, "the window is still closed"
        stream.acknowledge(stream.got[-1])
        assert await stream.next() is not None, "and a true one still opens it"
        await stream.close()

    asyncio.run(check())


def test_acknowledging_what_was_never_sent_does_not_open_the_window_any_wider(going, queue, never_impatient):
    async def check():
        stream = Stream(going, queue)
        for _ in range(WINDOW):
            await stream.next()
        for number in (10**9, 10**30, "1000000"):
            acknowledge([stream.watcher.id, number])
        for _ in range(WINDOW):
            await stream.next()
        await stream.nothing_more(going)
        assert len(stream.got) <= 2 * WINDOW
        await stream.close()

    asyncio.run(check())


def test_an_old_acknowledgement_that_comes_late_does_not_close_the_window(going, queue, never_impatient):
    async def check():
        stream = Stream(going, queue)
        for _ in range(WINDOW):
            await stream.next()
        stream.acknowledge(stream.got[1])
        stream.acknowledge(stream.got[0])
        for _ in range(WINDOW):
            assert await stream.next() is not None
        await stream.close()

    asyncio.run(check())


def test_an_acknowledgement_counts_for_its_own_page_only(going, queue, never_impatient):
    async def check():
        mine, other = Stream(going, queue), Stream(going, queue)
        for _ in range(WINDOW):
            await mine.next()
            await other.next()
        other.acknowledge(other.got[-1])
        assert await mine.next() is None
        assert await other.next() is not None
        await mine.close()
        await other.close()

    asyncio.run(check())


def test_only_acknowledged_messages_count_as_being_watched(going, queue, never_impatient):
    async def check():
        stream = Stream(going, queue)
        await stream.next()
        before = going._watched
        await stream.next()
        assert going._watched == before
        stream.acknowledge(stream.got[0])
        assert going._watched > before
        await stream.close()

    asyncio.run(check())


@pytest.mark.parametrize("how", ["closed", "cancelled", "run to the end"])
def test_a_watcher_that_ends_is_forgotten(queue, how):
    run = Run(LoopEngine(10**9 if how != "run to the end" else 3), MemoryResultWriter())
    queue.submit(run)

    async def check():
        stream = Stream(run, queue)
        await stream.next()
        assert streaming._watchers == {stream.watcher.id: stream.watcher}
        if how == "closed":
            await stream.close()
        elif how == "run to the end":
            await stream.to_the_end()
        else:
            task = asyncio.create_task(stream.to_the_end())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert streaming._watchers == {}
        acknowledge([stream.watcher.id, 1])

    asyncio.run(check())
    run.stop()


@pytest.mark.parametrize(
    ("shape", "shown"),
    [
        ((30, 40), (30, 40)),
        ((1280, 16), (1280, 16)),
        ((1281, 100), (PREVIEW_SIDE, 100)),
        ((300, 5000), (77, PREVIEW_SIDE)),
        ((4, 9000), (1, PREVIEW_SIDE)),
    ],
)
def test_images_travel_as_jpeg_no_larger_than_a_screen_needs(shape, shown):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    kind, _, content = data_uri(image).partition(",")
    assert kind == "data:image/jpeg;base64"
    sent = Image.open(io.BytesIO(base64.b64decode(content, validate=True)))
    assert (sent.format, sent.mode) == ("JPEG", "RGB")
    assert max(sent.size) <= PREVIEW_SIDE
    assert sent.size == shown[::-1]


def test_a_preview_of_a_small_image_is_that_image():
    image = np.zeros((20, 30, 3), np.uint8)
    assert preview(image) is image


@pytest.mark.parametrize(
    ("metric", "title"),
    [
        ("kl_loss", "KL loss"),
        ("d_loss", "discriminator loss"),
        ("fake_accuracy", "accuracy on generated images"),
        ("style_loss", "style loss"),
    ],
)
def test_a_curve_is_named_in_words(metric, title):
    assert metric_title(metric) == title
