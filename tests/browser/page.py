"""A tab of the page as a person uses it: drop, press, move, look."""

from __future__ import annotations

import contextlib
import json
import re
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.by import By

if TYPE_CHECKING:
    from tests.browser.server import Server

# Seconds until something is given up, and between two looks at whether it is there.
PATIENCE, SHORTEST_PAUSE, LONGEST_PAUSE = 60, 0.02, 0.2

_DRAWN = """
const canvas = document.querySelector(arguments[0]), text = canvas.toDataURL();
let hash = 0;
for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0;
return `${canvas.width}x${canvas.height}:${hash}`;
"""
# Notes, from now on, each different image that a canvas shows when a run's image has been drawn on it.
_WATCH = """
const [view, canvas] = arguments, seen = window.seenPictures = new Set();
const drawn = new MutationObserver(() => seen.add(document.querySelector(canvas).toDataURL()));
drawn.observe(document.querySelector(view), { attributes: true, attributeFilter: ['data-drawn'] });
"""
_DISMISS = "document.querySelectorAll('[data-testid=toast-close]').forEach(one => one.click())"
_SET = """
const [input, value] = arguments;
Object.getOwnPropertyDescriptor(Object.getPrototypeOf(input), 'value').set.call(input, value);
for (const kind of ['input', 'change', 'pointerup']) input.dispatchEvent(new Event(kind, { bubbles: true }));
"""


# What Gradio's own client says in the console of a page that is left while it is being sent something.
_GOODBYES = ("AbortError: signal is aborted", "Connection errored out")


class Visits:
    """What browsers asked for and complained about, read from their logs."""

    def __init__(self, home: str):
        self.home = home
        self.requests: list[str] = []
        self.complaints: list[str] = []

    def note(self, browser: webdriver.Chrome, *, just_left_a_page: bool = False) -> None:
        """Take over what a browser has logged since the last time."""
        for entry in browser.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
            if message["method"] == "Network.webSocketCreated":
                self.requests.append(message["params"]["url"])
        complaints = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
        if just_left_a_page:
            complaints = [text for text in complaints if not any(goodbye in text for goodbye in _GOODBYES)]
        self.complaints += complaints

    @property
    def elsewhere(self) -> list[str]:
        """Addresses of other hosts that were asked for."""
        own = urllib.parse.urlsplit(self.home).netloc
        fetched = [url for url in self.requests if urllib.parse.urlsplit(url).scheme not in ("data", "blob")]
        return [url[:200] for url in fetched if urllib.parse.urlsplit(url).netloc != own]


class Page:
    """One browser window with the page in it.

    Attributes:
        tab: the tab that is used, by what the ids of its parts begin with: "dream", "style".
    """

    def __init__(self, browser: webdriver.Chrome, server: Server, visits: Visits):
        self.browser, self.server, self.visits = browser, server, visits
        self.tab = "dream"

    def open(self) -> None:
        """Load the page, or load it again, and wait until it can be used."""
        self.visits.note(self.browser)
        self.tab = "dream"
        self.browser.get(self.server.url)
        self.until(lambda: self.all("button[role=tab][aria-selected=true]"), "the tabs")
        self.until(self.on_the_dream_tab, "the Dream tab")
        self.wait_for_the_page()
        self.visits.note(self.browser, just_left_a_page=True)

    def on_the_dream_tab(self, title: str = "Dream") -> bool:
        """Whether the Dream tab is to be seen; where it is not, it is chosen."""
        # A page that is just being loaded may still go to the tab that was looked at last.
        if self.chosen_tab != title:
            self.go_to(title)
        return bool(self.all(self.part("go"))) and self.one(self.part("go")).is_displayed()

    def reload(self) -> None:
        """Load the page again, and wait for no more than its tabs."""
        self.visits.note(self.browser)
        self.browser.refresh()
        self.until(lambda: self.all("button[role=tab][aria-selected=true]"), "the tabs")
        self.visits.note(self.browser, just_left_a_page=True)

    def open_as_a_stranger(self) -> None:
        """Load the page without anything that this browser remembers of it."""
        self.forget()
        self.open()

    def forget(self) -> None:
        """Have this browser forget what it remembers of the page."""
        here = {"origin": self.server.url.rstrip("/"), "storageTypes": "local_storage,cookies"}
        self.browser.execute_cdp_cmd("Storage.clearDataForOrigin", here)
        if not self.browser.current_url.startswith(self.server.url):
            # What this tab keeps of the page can only be reached from its origin.
            self.browser.get(f"{self.server.url}theme.css")
        # What this tab keeps, and what it would write down when it is left.
        forget = "for (const key in window.reverieRuns) delete window.reverieRuns[key]; sessionStorage.clear();"
        self.browser.execute_script(f"try {{ {forget} }} catch {{ }}")  # an empty window has no storage

    def go_on(self) -> None:
        """Use the page as it was left: without a word in its corner, with the tab still to be chosen."""
        self.tab = "dream"
        self.dismiss_toasts()

    def wait_for_the_page(self) -> None:
        self.until(lambda: self.all(self.part("go")) and self.all(self.part("canvas .run-view")), "the page")
        # The page asks for its run at once. Either it is on the view, or the answer, that there is none, has come.
        self.until(lambda: self.state_is_of_a_run or self.enabled(self.part("go")), "the page to look for its run")
        self.until(lambda: self.state, "the canvas to show something")

    def leave(self) -> None:
        """Stop what runs."""
        if self.all(self.part("stop")) and self.enabled(self.part("stop")):
            self.click(self.part("stop"))
            # The button is told last: then nothing is on its way any longer.
            self.until(lambda: self.over and self.enabled(self.part("go")), "the run to stop")

    def show_tab(self, title: str, tab: str, part: str = "") -> None:
        """Go to a tab by its title on the page, and to a part of it."""
        self.tab = tab
        self.go_to(title)
        if part:
            self.go_to_part(part)
        self.until(lambda: self.all(self.part("go")) and self.one(self.part("go")).is_displayed(), f"the tab {title}")
        self.until(lambda: self.state, "the canvas to show something")

    @property
    def chosen_tab(self) -> str:
        """The title of the tab that is looked at."""
        return self.one("button[role=tab][aria-selected=true]").text.strip()

    def go_to(self, title: str) -> None:
        """Choose a tab by its title."""
        (button,) = self._tabs(title)
        # Not by the mouse: while a page is being loaded a veil lies over it.
        self.browser.execute_script("arguments[0].click()", button)

    def _tabs(self, title: str) -> list:
        return self.browser.execute_script(
            "return [...document.querySelectorAll('button[role=tab]')]"
            ".filter(one => one.checkVisibility() && one.innerText.trim() === arguments[0])",
            title,
        )

    def go_to_part(self, title: str) -> None:
        """Choose a tab within the tab by its title, unless it is the one that is looked at."""
        (button,) = self.until(lambda: self._tabs(title), f"the tab {title}")
        if button.get_attribute("aria-selected") != "true":
            button.click()

    # Waiting and finding

    def part(self, name: str) -> str:
        """The selector of a part of this tab: "go", "canvas .run-view"."""
        return f"#{self.tab}-{name}"

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait for a condition and return it."""
        deadline, pause = time.monotonic() + PATIENCE, SHORTEST_PAUSE
        while time.monotonic() < deadline:
            # What is looked at may not be there yet, or be replaced at any moment.
            with contextlib.suppress(NoSuchElementException, StaleElementReferenceException):
                if met := condition():
                    return met
            # Most waits are short, and to look takes the time of what is waited for: ever less often.
            time.sleep(pause)
            pause = min(1.5 * pause, LONGEST_PAUSE)
        raise AssertionError(f"waited for {what}; view: {self.dataset}, toasts: {self.toasts}")

    def all(self, selector: str) -> list:
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def click(self, selector: str) -> None:
        # Found and clicked in one: what a list shows may be replaced at any moment.
        self.browser.execute_script("document.querySelector(arguments[0]).click()", selector)

    def enabled(self, selector: str) -> bool:
        return self.one(selector).is_enabled()

    # The controls

    def drop(self, path: Path, part: str = "photo") -> None:
        """Give an input a file and wait until the page shows that it has it."""
        selector = self.part(f"{part} input[type=file]")
        if not self.all(selector):
            self.clear_photo(part)
        self.until(lambda: self.all(selector), "a place to drop a picture")
        self.one(selector).send_keys(str(path))
        self.until(lambda: self.shown_photo(part), "the dropped picture")

    def clear_photo(self, part: str = "photo") -> None:
        """Take the photo, or another image, away."""
        remove = self.part(f"{part} button[aria-label='Remove Image']")
        self.until(lambda: self.all(remove), "the photo")
        self.click(remove)
        self.until(lambda: self.shown_photo(part) == "", "the photo to be cleared")

    def drop_without_waiting(self, path: Path) -> str:
        """Drop a file as the photo, and what the page then says."""
        self.clear_photo()
        self.until(lambda: self.all(self.part("photo input[type=file]")), "a place to drop a picture")
        self.one(self.part("photo input[type=file]")).send_keys(str(path))
        self.until(lambda: self.toasts, "a toast")
        return self.toasts[0]

    def shown_photo(self, part: str = "photo") -> str:
        """The address of the image in a photo input, or nothing."""
        images = self.all(self.part(f"{part} img"))
        return images[0].get_attribute("src") or "" if images else ""

    def control(self, name: str):
        """The input of a slider, by its label."""
        there = self.all(f'input[type=range][aria-label$="{name}"]')
        (control,) = [one for one in there if self.of_this_tab(one)]
        return control

    def of_this_tab(self, element) -> bool:
        return self.browser.execute_script(
            "return arguments[0].closest('[role=tabpanel]') === document.querySelector(arguments[1])"
            ".closest('[role=tabpanel]')",
            element,
            self.part("canvas"),
        )

    def set(self, control, value: float) -> None:
        self.browser.execute_script(_SET, control, str(value))

    def set_slider(self, name: str, value: float) -> None:
        self.set(self.control(name), value)

    def value_of_slider(self, name: str) -> float:
        return float(self.control(name).get_property("value"))

    def choose(self, part: str, text: str) -> None:
        """Click one of several chips."""
        chips = [label for label in self.all(self.part(f"{part} label")) if label.text.strip() == text]
        assert len(chips) == 1, text
        chips[0].click()

    def open_more(self) -> None:
        """Open the accordion with the seed in it."""
        self.unfold("more", "seed input")

    def unfold(self, fold: str, content: str) -> None:
        """Open an accordion, unless what is in it is there to be seen."""
        if not any(one.is_displayed() for one in self.all(self.part(content))):
            self.click(self.part(f"{fold} button"))
        self.until(lambda: any(one.is_displayed() for one in self.all(self.part(content))), f"what is in {fold}")

    @property
    def seed(self) -> float:
        return float(self.one(self.part("seed input")).get_property("value"))

    # The view

    @property
    def dataset(self) -> dict[str, str]:
        return self.browser.execute_script(
            "const s = document.querySelector(arguments[0]); return s ? {...s.dataset} : {};",
            self.part("canvas .run-view"),
        )

    @property
    def state(self) -> str:
        return self.dataset.get("state", "")

    @property
    def state_is_of_a_run(self) -> bool:
        return self.state in ("waiting", "running", "done", "stopped", "failed")

    @property
    def over(self) -> bool:
        return self.state in ("done", "stopped", "failed")

    @property
    def drawn(self) -> int:
        return int(self.dataset.get("drawn", 0))

    @property
    def note(self) -> str:
        return self.one(self.part("canvas .note")).text

    @property
    def toasts(self) -> list[str]:
        """What the page says in its corner."""
        toasts = self.all("[data-testid=toast-text]")
        # Not `text`, which is empty while a toast fades in.
        return [toast.get_property("textContent").strip() for toast in toasts]

    def dismiss_toasts(self) -> None:
        """Close what the page says in its corner, so that only what it says from now on is there."""

        def gone() -> bool:
            self.browser.execute_script(_DISMISS)
            return not self.toasts

        self.until(gone, "the toasts to be gone")

    def watch_the_images(self) -> None:
        """Note from now on which images of runs are shown; `images_seen` counts those that differ."""
        self.browser.execute_script(_WATCH, self.part("canvas .run-view"), self.part("canvas canvas.after"))

    @property
    def images_seen(self) -> int:
        return self.browser.execute_script("return window.seenPictures.size")

    def canvas_hash(self, which: str = "after") -> str:
        """A hash of what a canvas shows, pixels and size."""
        return self.browser.execute_script(_DRAWN, self.part(f"canvas canvas.{which}"))

    def begin(self, button: str = "go") -> None:
        """Press the button that begins, or another that does, and wait until a run is on the view."""
        self.until(lambda: self.enabled(self.part(button)), "the button that begins")
        # A short run may be over before one looks, and what was there before may look like it.
        self.browser.execute_script(
            "document.querySelector(arguments[0]).dataset.state = 'asked'", self.part("canvas .run-view")
        )
        self.click(self.part(button))
        self.until(lambda: self.state != "asked", "the run to begin")

    def until_images_come(self, count: int = 2) -> None:
        before = self.drawn
        self.until(lambda: self.state == "running" and self.drawn >= before + count, f"{count} pictures of the run")

    def until_over(self, state: str) -> None:
        self.until(lambda: self.over, "the run to be over")
        self.until(lambda: self.enabled(self.part("go")), "the button that begins")
        assert self.state == state, (self.note, self.toasts)

    def save(self, folder: Path, button: str = "save") -> Path:
        """Press Save, or another button with a file behind it, and wait for the file."""
        self.until(lambda: self.enabled(self.part(button)), f"the button {button}")
        return self.download(folder, self.part(button))

    def download(self, folder: Path, selector: str) -> Path:
        """Press what has a file behind it, and wait for the file."""
        folder.mkdir(exist_ok=True)
        there = set(folder.iterdir())
        self.browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})
        self.click(selector)

        def fetched() -> list[Path]:
            kinds = (".png", ".mp4", ".gif", ".webp", ".txt", ".json", ".zip")
            new = [path for path in folder.iterdir() if path not in there and path.suffix in kinds]
            # A browser keeps a name with an empty file until all of it is there.
            return [path for path in new if path.stat().st_size]

        return self.until(fetched, "the saved file")[0]

    @property
    def step(self) -> int:
        """The step that is shown, counted from the run's first; 0 where none is."""
        match = re.search(r"octave (\d+) of \d+ · step (\d+) of (\d+)", self.note)
        return (int(match[1]) - 1) * int(match[3]) + int(match[2]) if match else 0

    def answers(self) -> int:
        """How many of the page's events the server has answered so far, drawn images not counted."""
        return self.asked("(run|queue).(predict|join)")

    def asked(self, pattern: str) -> int:
        """How many requests of Gradio's whose address matches are over."""
        return self.browser.execute_script(
            "const pattern = new RegExp('gradio_api.' + arguments[0]);"
            "return performance.getEntriesByType('resource').filter(entry => pattern.test(entry.name)).length;",
            pattern,
        )

    # What everybody should be able to use

    @property
    def too_wide(self) -> int:
        """By how many pixels the page is wider than its window."""
        return self.browser.execute_script("const d = document.documentElement; return d.scrollWidth - d.clientWidth")
