"""The real server in a process of its own, and real browsers that look at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from selenium import webdriver

from engines.recipes import Recipe, write_png, write_text
from studio.gallery.gallery import Gallery
from tests.browser.helpers import PHONE, chrome, photo_like
from tests.browser.page import Page, Visits
from tests.browser.server import Server, running

HERE = Path(__file__).resolve().parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run last of these tests the one that looks at what the browsers of all of them asked for."""
    places = [place for place, item in enumerate(items) if item.path.parent == HERE]
    ours = sorted((items[place] for place in places), key=lambda item: item.path.name == "test_visits.py")
    for place, item in zip(places, ours, strict=True):
        items[place] = item


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="session")
def visits(server) -> Visits:
    """What all browsers of this session asked for and complained about."""
    return Visits(server.url)


@pytest.fixture(scope="session")
def new_browser() -> Iterator[Callable[[], webdriver.Chrome]]:
    """Starts a browser with a profile of its own; all are closed at the end."""
    started: list[webdriver.Chrome] = []

    def start(**preferences: object) -> webdriver.Chrome:
        browser = chrome(preferences, **{"goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}})
        browser.set_script_timeout(60)
        started.append(browser)
        return browser

    yield start
    for browser in started:
        browser.quit()


@pytest.fixture(scope="session")
def shared_browser(new_browser) -> webdriver.Chrome:
    """The browser that most tests use, one after another."""
    return new_browser()


@pytest.fixture(scope="session")
def second_browser(new_browser) -> webdriver.Chrome:
    """Another, for whoever must not share what the first one keeps."""
    return new_browser()


@pytest.fixture
def another_visitor(server, visits, second_browser) -> Iterator[Page]:
    """The page in another browser, as somebody finds it who was never here."""
    page = Page(second_browser, server, visits)
    page.open_as_a_stranger()
    yield page
    page.leave()
    visits.note(second_browser)


@pytest.fixture(scope="session")
def opened() -> list[Page]:
    """The page that most tests share, once one of them has opened it and until one fails or leaves it."""
    return []


@pytest.fixture
def page(opened, server, visits, shared_browser, request) -> Iterator[Page]:
    """The page in the shared browser, which tests use one after another: loading it takes as long as many of them. The
    first, and whichever follows one that failed, finds it as somebody does who was never here; the others as it was
    left, with nothing running. So each sets what it relies on, and undoes what the others cannot bear."""
    failed_before = request.session.testsfailed
    if opened:
        page = opened.pop()
        page.go_on()
    else:
        page = Page(shared_browser, server, visits)
        page.open_as_a_stranger()
    yield page
    page.leave()
    if request.session.testsfailed == failed_before:
        opened.append(page)


@pytest.fixture
def phone(page) -> Iterator[Page]:
    """The page in a phone's window."""
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    try:
        yield page
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.fixture
def photo(tmp_path) -> Path:
    """A photo to drop."""
    path = tmp_path / "photo.png"
    Image.fromarray(photo_like()).save(path)
    return path


@pytest.fixture
def other_photo(tmp_path) -> Path:
    """A photo that looks different."""
    path = tmp_path / "other.png"
    Image.fromarray(photo_like(80)[:, ::-1]).save(path)
    return path


@pytest.fixture
def names(server) -> list[str]:
    """Three dreams and a text that are the newest results."""
    gallery = Gallery(server.outputs)
    paths = [gallery.new_path("deep_dream", ".png") for _ in range(3)]
    for i, path in enumerate(paths):
        config = {"octaves": 2, "steps": 11 + i, "layer_weights": {"block3_conv1": 1.0}}
        recipe = Recipe(engine="deep_dream", config=config, backbone="studio_vgg", weights="", inputs={}, seconds=5)
        write_png(path, photo_like(i), recipe)
    text = gallery.new_path("language_model", ".txt")
    recipe = Recipe(engine="language_model", config={"tokens": 10}, backbone="ours", weights="", inputs={})
    write_text(text, "It was a video that nobody saw.", recipe)
    return [path.name for path in [*paths, text]]
