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
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np


def median_seconds(work: Callable[[], object], times: int) -> float:
    """The median seconds of some work, once warm."""
    work()
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def in_a_fresh_process(work: Callable[..., float], *arguments: Any) -> float:
    """How many threads an operation gets is settled once a process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


# Moves a slider and resolves with the milliseconds until the component that a selector names has drawn another picture.
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
    """From each move of a slider to the picture in the component that counts what it has drawn; selectors of both."""
    control = browser.find_element("css selector", f"{slider} input[type=range]")
    return [browser.execute_async_script(MOVE, drawn, control, f"{value:.2f}") for value in values]


@contextlib.contextmanager
def a_page() -> Iterator[Any]:
    """The studio's page in a browser, from a server of its own."""
    from selenium import webdriver
    from selenium.webdriver.support.ui import WebDriverWait

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    options = webdriver.ChromeOptions()
    for option in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(option)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "app.py", "--port", str(port), "--outputs", folder]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        browser = None
        try:
            while server.poll() is None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.1)
            browser = webdriver.Chrome(options=options)
            browser.set_script_timeout(30)
            browser.get(f"http://127.0.0.1:{port}/")
            WebDriverWait(browser, 120).until(lambda b: b.find_elements("css selector", "#dream-go:not([disabled])"))
            yield browser
        finally:
            if browser:
                browser.quit()
            server.terminate()
            server.wait()


def show_tab(browser: Any, title: str) -> None:
    buttons = browser.find_elements("css selector", "button[role=tab]")
    next(one for one in buttons if one.text.strip() == title and one.is_displayed()).click()
    time.sleep(2)
