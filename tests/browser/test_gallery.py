"""The gallery in a real browser: open, bring back, send on, compare, export, delete."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from tests.browser.page import Page


def on_the_gallery(page: Page) -> None:
    """Go there from another tab, and wait until it has been listed anew."""
    if page.chosen_tab == "Gallery":
        page.go_to("Home")
    stamp = "return document.querySelector('#gallery-grid [data-shown]')?.dataset.shown || ''"
    before = page.browser.execute_script(stamp)
    page.go_to("Gallery")
    page.until(lambda: page.browser.execute_script(stamp) not in ("", before), "the results")


def open_result(page: Page, name: str) -> None:
    page.click(f'.cards [data-name="{name}"] .open')
    page.until(lambda: name in viewed(page) or page.all(".viewer[data-kind=text]"), "the result")


def viewed(page: Page) -> str:
    return page.browser.execute_script("return document.querySelector('.viewer .one')?.src || ''")


def tick(page: Page, name: str) -> None:
    page.click(f'.cards [data-name="{name}"] .tick input')


def press_way(page: Page, title: str) -> None:
    def button():
        return [one for one in page.all("[id^=gallery-way]") if one.is_displayed() and one.text.strip() == title]

    page.until(button, title)
    button()[0].click()


def test_results_are_opened_brought_back_sent_on_compared_exported_and_deleted(page, names, tmp_path, server):
    *dreams, text = names
    on_the_gallery(page)
    assert page.one(".cards li").get_attribute("data-name") in names, "the newest first"
    open_result(page, dreams[1])
    page.until(lambda: page.browser.execute_script("return document.querySelector('.viewer .one').naturalWidth"), "it")
    assert "DeepDream · " in page.one(".viewer figcaption").text
    assert "took 5 s" in page.one(".viewer figcaption").text
    saved = page.download(tmp_path / "saved", "#gallery-save")
    assert saved.read_bytes() == (server.outputs / dreams[1]).read_bytes()
    # Back with its settings.
    page.click("#gallery-restore")
    page.until(lambda: page.chosen_tab == "Dream", "the Dream tab")
    page.until(lambda: page.one("#dream-steps input[type=number]").get_property("value") == "12", "its settings")
    # On as a painting's photo.
    on_the_gallery(page)
    press_way(page, "Paint this image")
    page.until(lambda: page.chosen_tab == "Style", "the Style tab")
    page.tab = "style"
    page.until(lambda: page.dataset.get("original") == "true" and page.all("#style-photo img"), "the photo")
    # A text becomes a prompt.
    on_the_gallery(page)
    open_result(page, text)
    assert page.one(".viewer .text").text == "It was a video that nobody saw."
    press_way(page, "Continue this text")
    page.until(lambda: page.chosen_tab == "Words", "the Words tab")
    prompt = "#text-prompt textarea"
    page.until(lambda: page.one(prompt).get_property("value") == "It was a video that nobody saw.", "the prompt")
    # Two, one over the other, by keyboard.
    on_the_gallery(page)
    for name in dreams[:2]:
        tick(page, name)
    page.click("#gallery-compare")
    page.until(lambda: page.all(".viewer[data-kind=compare]"), "the comparison")
    range_ = page.one(".viewer .compare input")
    clip = "return document.querySelector('.viewer .other').style.clipPath"
    before = page.until(lambda: page.browser.execute_script(clip), "the line")
    range_.send_keys("\ue012\ue012")
    page.until(lambda: page.browser.execute_script(clip) != before, "the line to move")
    archive = page.download(tmp_path / "archive", "#gallery-export")
    with zipfile.ZipFile(archive) as whole:
        assert sorted(whole.namelist()) == sorted([*dreams[:2], *(Path(one).stem + ".json" for one in dreams[:2])])
    page.click("#gallery-remove")
    page.until(lambda: page.one("#gallery-remove").text.strip() == "Delete 2 results?", "the question")
    assert (server.outputs / dreams[0]).exists()
    page.click("#gallery-remove")
    page.until(lambda: not page.all(f'.cards [data-name="{dreams[0]}"]'), "it to be gone")
    assert not any((server.outputs / name).exists() for name in dreams[:2])
    assert (server.outputs / dreams[2]).exists()


def test_on_a_phone_the_gallery_fits(phone, names):
    page = phone
    on_the_gallery(page)
    open_result(page, names[0])
    assert page.too_wide == 0
    columns = page.browser.execute_script(
        "return getComputedStyle(document.querySelector('.cards')).gridTemplateColumns"
    )
    assert len(columns.split()) >= 2


def test_files_that_were_removed_or_damaged_by_hand_are_said_to_be(page, names, server):
    (server.outputs / names[0]).write_bytes(np.zeros(100, np.uint8).tobytes())
    on_the_gallery(page)
    page.until(lambda: "cannot be read" in page.one(f'.cards [data-name="{names[0]}"]').text, "the sentence")
    (server.outputs / names[1]).unlink()
    page.click(f'.cards [data-name="{names[1]}"] .open')
    page.until(lambda: any("no longer exists" in toast for toast in page.toasts), "the sentence")
