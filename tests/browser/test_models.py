"""The Models tab in a real browser: rows that unfold, a download that is cancelled and gone on with, a removal, and
what the cluster does.

Its page is served from here, as what it fetches is another server of ours instead of Keras's."""

from __future__ import annotations

import dataclasses
import threading
import zipfile
from collections.abc import Iterator
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from selenium.webdriver.common.keys import Keys

from engines.weights.keras_applications import OFFICIAL_FILES
from engines.weights.store import WeightsStore
from studio.cluster.client import Cluster, ClusterOptions, Machine, Status
from studio.panels.network_picker import NetworkPicker
from studio.server.serve import serve
from studio.services import Studio
from studio.tabs.models.tab import ModelsTab
from tests.browser.page import Page, Visits
from tests.browser.server import free_port
from tests.engines.servers import FileServer, md5_hex, server

PAYLOAD = np.random.default_rng(0).bytes(2_000_000)
VGG19 = "#models-list [data-name=vgg19]"
# What the page lets pass before it asks again what the cluster does, two seconds, in a hundredth of that.
_HURRY = """
const real = window.setTimeout;
window.setTimeout = (act, after, ...rest) => real(act, after === 2000 ? 20 : after, ...rest);
"""
_TEN_INTERVALS = """
const done = arguments[0];
let left = 10;
(function again() { left-- ? setTimeout(again, 2000) : done(); })();
"""


@pytest.fixture(scope="module")
def gate() -> threading.Semaphore:
    """How many pieces the server may send."""
    return threading.Semaphore(0)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> WeightsStore:
    return WeightsStore(cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    """A cluster that nobody has joined: a test says what is known of it."""
    return Cluster(ClusterOptions())


@pytest.fixture(scope="module")
def address(tmp_path_factory, store, gate, cluster) -> Iterator[str]:
    """A page with the tab, and beside it a choice of networks."""
    studio = Studio(outputs=tmp_path_factory.mktemp("outputs"), cluster=cluster)
    studio.workshop.store = store
    with gr.Blocks() as page, gr.Tabs():
        with gr.Tab("Dream"):
            NetworkPicker(studio, ("studio_vgg", "vgg19"), "dream").wire()
        with gr.Tab("Models") as shown:
            tab = ModelsTab(studio)
            tab.build()
        tab.on_visit(page, shown)
    official = OFFICIAL_FILES["vgg19"]
    port = free_port()
    with server(FileServer(PAYLOAD, gate=gate).answer) as url:
        OFFICIAL_FILES["vgg19"] = dataclasses.replace(official, url=url, md5=md5_hex(PAYLOAD))
        serve(page, studio, host="127.0.0.1", port=port, block=False)
        try:
            yield f"http://127.0.0.1:{port}/"
        finally:
            gate.release(1000)
            page.close()
            studio.runs.close()
            OFFICIAL_FILES["vgg19"] = official


@pytest.fixture(scope="module")
def loaded(second_browser, address) -> Iterator[Page]:
    """The page, which all these tests use."""
    page = Page(second_browser, SimpleNamespace(url=address), Visits(address))
    second_browser.get(address)
    yield page
    # What is asked of this server is no concern of the other tests.
    page.visits.note(second_browser)


@pytest.fixture
def page(loaded) -> Page:
    """The tab."""
    loaded.go_on()
    loaded.tab = "models"
    show(loaded, "Models")
    loaded.until(lambda: loaded.all(VGG19), "the list")
    return loaded


def show(page: Page, title: str) -> None:
    def tabs() -> list:
        return [one for one in page.all("button[role=tab]") if one.text.strip() == title and one.is_displayed()]

    page.until(tabs, f"the tab {title}")[0].click()


def press(page: Page, act: str) -> None:
    """Press a button of VGG19's row, by the keyboard."""
    page.until(lambda: page.all(f"{VGG19} .{act}:enabled"), f"the button {act}")
    page.one(f"{VGG19} .{act}").send_keys(Keys.ENTER)


def told(page: Page) -> str:
    return page.one("#models-list .aloud").get_property("textContent")


def test_a_row_unfolds_by_the_keyboard_and_shows_what_is_known(page, store):
    summary = page.one("#models-list [data-name=studio_vgg] summary")
    page.browser.execute_script("arguments[0].focus()", summary)
    summary.send_keys(Keys.ENTER)
    details = page.one("#models-list [data-name=studio_vgg] dl")
    page.until(details.is_displayed, "the details")
    for text in store.manifest()["studio_vgg.npz"]["sha256"], "python -m engines.train backbone", "Apache-2.0":
        assert text in details.text
    page.click(f"{VGG19} summary")
    page.until(lambda: OFFICIAL_FILES["vgg19"].md5 in page.one(VGG19).text, "the details of VGG19")
    buttons = page.all("#models-list button")
    assert len({button.accessible_name for button in buttons}) == len(buttons)
    assert len(buttons) == len(OFFICIAL_FILES) + len(store.manifest())
    assert page.too_wide == 0


def test_a_bundled_network_is_downloaded_as_a_file_for_keras(page, tmp_path):
    with zipfile.ZipFile(page.download(tmp_path / "saved", "#models-list [data-name=vae_digits_notes] .keras")) as both:
        assert both.namelist() == ["vae_digits_notes_encoder.keras", "vae_digits_notes_decoder.keras"]


def test_a_download_is_cancelled_gone_on_with_and_removed_after_being_asked_twice(page, store, gate):
    press(page, "get")
    gate.release(10)
    page.until(lambda: "of 2 MB" in page.one(f"{VGG19} .download").text, "the download")
    assert page.browser.switch_to.active_element.accessible_name == "Cancel the download of VGG19"
    assert not page.enabled("#models-list [data-name=vgg16] .get")
    press(page, "cancel")
    page.until(lambda: "Cancelling" in page.one(VGG19).text, "the page to say that it cancels")
    gate.release(10)
    page.until(lambda: "partial download is kept" in told(page), "the download to end")
    assert 0 < store.downloaded_bytes("vgg19") < len(PAYLOAD)
    gate.release(1000)
    press(page, "rest")
    page.until(lambda: "verified" in told(page), "the download")
    assert store.verified("vgg19").source == "cache"

    show(page, "Dream")
    page.until(lambda: page.one("#dream-backbone").is_displayed(), "the choice of networks")
    page.one("#dream-backbone input").click()
    shown = "VGG19 · downloaded"
    page.until(lambda: any(shown in one.text for one in page.all("[role=option]")), shown)

    show(page, "Models")
    press(page, "remove")
    page.until(lambda: "from Keras's cache?" in page.one(VGG19).text, "the question")
    assert page.browser.switch_to.active_element.accessible_name == "Keep VGG19"
    assert store.find("vgg19")
    press(page, "no")
    press(page, "remove")
    press(page, "yes")
    page.until(lambda: "removed" in told(page), "the removal")
    assert store.find("vgg19") is None
    while gate.acquire(blocking=False):
        pass


def test_a_file_that_only_has_the_name_is_refused_in_one_sentence(page, tmp_path):
    impostor = tmp_path / OFFICIAL_FILES["vgg16"].name
    impostor.write_bytes(b"not what Keras publishes")
    page.one("#models-file input[type=file]").send_keys(str(impostor))
    page.until(lambda: any("not the file that Keras publishes" in toast for toast in page.toasts), "the refusal")
    page.until(lambda: page.all("#models-file input[type=file]"), "a place for another file")


def test_what_the_cluster_does_is_asked_for_again_and_again_but_only_while_it_is_looked_at(page, cluster):
    def told() -> str:
        return page.one("#models-cluster").text

    def asked() -> int:
        return page.asked("component_server")

    page.browser.execute_script(_HURRY)
    cluster.status = Status(
        connected=True,
        address="10.0.0.1:6379",
        room=1,
        capacity=1,
        machines=(Machine("10.0.0.2", 2, 0, 2, (), 1, ""), Machine("10.0.0.3", 4, 0, 4, (), 0, "It is <b>odd</b>.")),
    )
    page.until(lambda: "2 cores" in told(), "the machines")
    assert "It is <b>odd</b>." in told()
    assert page.too_wide == 0
    cluster.status = Status(address="10.0.0.1:6379", message="No Ray cluster found at 10.0.0.1:6379.")
    page.until(
        lambda: "The cluster cannot be reached." in told() and "2 cores" not in told(),
        "the page to say that it is away",
    )
    before = asked()
    page.until(lambda: asked() >= before + 3, "the page to ask again and again")
    show(page, "Dream")
    page.until(lambda: not page.one("#models-cluster").is_displayed(), "the other tab")
    before = asked()
    page.browser.execute_async_script(_TEN_INTERVALS)
    assert asked() <= before + 1
    show(page, "Models")
    page.until(lambda: asked() > before + 1, "the page to ask again")
