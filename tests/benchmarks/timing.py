"""How benchmarks take time: medians once warm, in a process of its own, and in a real browser."""

from __future__ import annotations

import contextlib
import multiprocessing
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import psutil

from tests.browser.helpers import chrome

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")


def median_seconds(work: Callable[[], object], times: int) -> float:
    """The median seconds of some work, once warm."""
    work()
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def peak_mib() -> float:
    """The most resident memory that this process has had, in MiB."""
    told = psutil.Process().memory_info()
    if hasattr(told, "peak_wset"):  # Windows
        return told.peak_wset / (1 << 20)
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / ((1 << 20) if psutil.MACOS else 1024)  # there in bytes


def by_turns(contenders: Mapping[str, Callable[[], T]], turns: int) -> dict[str, list[T]]:
    """What each contender says, one after another, so many times: what else the machine does takes from all of them."""
    said: dict[str, list[T]] = {name: [] for name in contenders}
    for _ in range(turns):
        for name, contender in contenders.items():
            said[name].append(contender())
    return said


def in_a_fresh_process(work: Callable[..., float], *arguments: Any) -> float:
    """How many threads an operation gets is settled once a process."""
    with _process() as pool:
        return pool.submit(work, *arguments).result()


@contextlib.contextmanager
def in_processes(prepared: Mapping[str, tuple[Any, ...]]) -> Iterator[dict[str, Callable[[], float]]]:
    """Contenders, each in a process of its own, in which it is prepared once and measured whenever it is its turn.

    Args:
        prepared: for each a function that prepares it and returns what measures it, and the function's arguments.
    """
    with contextlib.ExitStack() as stack:
        pools = {name: stack.enter_context(_process(_prepare, work)) for name, work in prepared.items()}
        yield {name: lambda pool=pool: pool.submit(_measure).result() for name, pool in pools.items()}


def _process(initializer: Callable[..., None] | None = None, arguments: tuple[Any, ...] = ()) -> ProcessPoolExecutor:
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, mp_context=spawn, initializer=initializer, initargs=arguments)


_measured: Callable[[], float] | None = None


def _prepare(prepare: Callable[..., Callable[[], float]], *arguments: Any) -> None:
    global _measured
    _measured = prepare(*arguments)


def _measure() -> float:
    assert _measured is not None
    return _measured()


# Moves a slider and resolves with the milliseconds until the component that a selector names has drawn another image.
MOVE = """
const [selector, input, value, done] = arguments, faces = document.querySelector(selector);
const before = performance.now();
const observer = new MutationObserver(() => {
  observer.disconnect();
  requestAnimationFrame(() => done(performance.now() - before));
});
observer.observe(faces, { attributeFilter: ['data-drawn'] });
Object.getOwnPropertyDescriptor(Object.getPrototypeOf(input), 'value').set.call(input, value);
for (const kind of ['input', 'change']) input.dispatchEvent(new Event(kind, { bubbles: true }));
"""


def slider_milliseconds(browser: Any, slider: str, drawn: str, values: np.ndarray) -> list[float]:
    """From each move of a slider to the image in the component that counts what it has drawn; selectors of both."""
    control = browser.find_element("css selector", f"{slider} input[type=range]")
    return [browser.execute_async_script(MOVE, drawn, control, f"{value:.2f}") for value in values]


@contextlib.contextmanager
def a_page() -> Iterator[Any]:
    """The studio's page in a browser, from a server of its own that has warmed up."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "app.py", "--port", str(port), "--outputs", folder]
        server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        browser = None
        try:
            while server.poll() is None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.1)
            browser = chrome()
            browser.set_script_timeout(60)
            browser.get(f"http://127.0.0.1:{port}/")
            _until(browser, lambda: _tabs(browser, "Dream"), "the page")
            yield browser
        finally:
            if browser:
                browser.quit()
            server.terminate()
            server.wait()


def show_tab(browser: Any, title: str, part: str) -> None:
    """Choose a tab by its title, and wait until a part of it, named by a selector, can be seen and is enabled."""
    ready = f"{part}:not([disabled])"

    def shown() -> bool:
        # A page that is just being loaded may go back to its first tab.
        for tab in _tabs(browser, title):
            if tab.get_attribute("aria-selected") != "true":
                browser.execute_script("arguments[0].click()", tab)
        return any(one.is_displayed() for one in browser.find_elements("css selector", ready))

    _until(browser, shown, part)


@contextlib.contextmanager
def while_painting(browser: Any, first: float) -> Iterator[None]:
    """With the other lane painting, for so many seconds already; it is stopped in the end."""
    show_tab(browser, "Style", "#style-go")
    browser.execute_script("document.querySelector('#style-go').click()")
    _until(browser, lambda: browser.find_elements("css selector", "#style-stop:not([disabled])"), "the painting")
    time.sleep(first)
    yield
    browser.execute_script("document.querySelector('#style-stop').click()")


def _tabs(browser: Any, title: str) -> list[Any]:
    buttons = browser.find_elements("css selector", "button[role=tab]")
    return [one for one in buttons if one.text.strip() == title and one.is_displayed()]


def _until(browser: Any, condition: Callable[[], Any], what: str) -> None:
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver.support.ui import WebDriverWait

    replaced = [StaleElementReferenceException]
    WebDriverWait(browser, 120, ignored_exceptions=replaced).until(lambda _: condition(), f"waited for {what}")
