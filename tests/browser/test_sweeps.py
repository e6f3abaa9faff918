"""Sweeps and batches in a real browser: begun, watched, saved, and a sheet brought back by dropping it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from engines.recipes import read_recipe
from tests.browser.helpers import pixels
from tests.browser.page import Page


@pytest.fixture
def page(page) -> Page:
    """The Dream tab, with settings for tiny dreams."""
    page.show_tab("Dream", "dream")
    page.set_slider("Size", 96)
    page.set_slider("Octaves", 1)
    page.set_slider("Steps per octave", 1)
    return page


def write(page: Page, part: str, text: str) -> None:
    """Put a text into a box."""
    box = page.one(page.part(f"{part} textarea, {page.part(part)} input"))
    page.browser.execute_script("arguments[0].select()", box)
    box.send_keys(text)


def said(page: Page, part: str) -> str:
    return page.one(page.part(f"{part} textarea, {page.part(part)} input")).get_property("value")


def test_a_sweep_fills_a_sheet_which_is_saved_and_comes_back_by_dropping_it(page, photo, tmp_path):
    page.drop(photo)
    page.unfold("sweep", "sweep-begin")
    write(page, "sweep-column-values", "0.02, 0.08")
    page.begin("sweep-begin")
    page.until_over("done")
    width, height = (page.one("#dream-canvas canvas.after").get_property(side) for side in ("width", "height"))
    assert width > 2 * height, "two pictures side by side"
    saved = page.save(tmp_path / "saved")
    assert saved.name.startswith("deep_dream_sweep-")
    recipe = read_recipe(saved)
    assert recipe.config["column_values"] == [0.02, 0.08]
    assert (recipe.config["settings"]["size"], recipe.config["settings"]["steps"]) == (96, 1)
    write(page, "sweep-column-values", "0.5")
    page.set_slider("Size", 128)
    page.drop(saved)
    page.until(lambda: said(page, "sweep-column-values") == "0.02, 0.08", "the sweep to come back")
    assert page.value_of_slider("Size") == 96
    page.begin("sweep-begin")
    page.until_over("done")
    assert (pixels(page.save(tmp_path / "again")) == pixels(saved)).all()


def test_a_batch_shows_its_results_as_they_come_says_what_it_left_out_and_is_saved_as_a_zip(
    page, photo, other_photo, tmp_path
):
    notes = tmp_path / "notes.png"
    notes.write_text("no pixels")
    page.unfold("batch", "batch-begin")
    files = "\n".join(map(str, (photo, notes, other_photo)))
    page.one("#dream-batch-files input[type=file]").send_keys(files)
    page.until(lambda: len(page.all("#dream-batch-files .file")) == 3, "the files")
    page.begin("batch-begin")
    page.until_over("done")
    links = page.until(lambda: two_links(page), "both results")
    page.until(lambda: any(toast.startswith("notes was skipped: ") for toast in page.toasts), "the toast")
    assert page.dataset["original"] == "true", "the last picture can be compared with what it was"
    assert page.one("#dream-save").text.strip() == "Save all"
    assert all(link.accessible_name for link in links)
    saved = page.save(tmp_path / "saved")
    with zipfile.ZipFile(saved) as archive:
        assert sorted(archive.namelist()) == ["other.json", "other.png", "photo.json", "photo.png"]
        assert json.loads(archive.read("photo.json"))["config"]["size"] == 96
        archive.extract("photo.png", tmp_path / "unpacked")
    assert pixels(Path(tmp_path / "unpacked" / "photo.png")).shape == (72, 96, 3)


def two_links(page: Page) -> list:
    """The links to the finished results, once there are two whose images are there."""
    images = page.all("#dream-finished a img")
    drawn = [one for one in images if page.browser.execute_script("return arguments[0].naturalWidth", one)]
    return page.all("#dream-finished a") if len(drawn) == 2 else []
