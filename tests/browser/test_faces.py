"""The Faces tab in a real browser: a grid, a face that follows sliders, a walk and its video, a search, a training."""

from __future__ import annotations

import time
from collections.abc import Callable

import av
import pytest
from PIL import Image
from selenium.webdriver.common.keys import Keys

from engines.recipes import read_recipe
from tests.browser.page import Page
from tests.engines.helpers import blocks, zip_of

FACE = """
const c = document.querySelector('#gan-portrait .edited canvas');
return c && !c.closest('[hidden]') ? c.toDataURL() : '';
"""


@pytest.fixture
def page(page) -> Page:
    """The Faces tab, with its grid drawn and its first face large."""
    return on_the_faces_tab(page)


def on_the_faces_tab(page: Page) -> Page:
    page.show_tab("Faces", "gan", "Generate")
    page.until(lambda: len(tiles(page)) == 40 and face(page), "the grid")
    return page


def tiles(page: Page) -> list:
    return page.all("#gan-face-grid .face-grid button")


def face(page: Page) -> str:
    return page.browser.execute_script(FACE)


def settled_face(page: Page) -> str:
    """The face that is shown, once no other is on its way."""

    def stays() -> bool:
        first = face(page)
        time.sleep(1)
        return face(page) == first

    page.until(stays, "a face that stays")
    return face(page)


def caption(page: Page) -> str:
    return page.one("#gan-portrait figcaption").get_property("textContent")


def after(page: Page, act: Callable[[], None]) -> str:
    """The face that is shown once something was done that draws one."""
    script = "return Number(document.querySelector('#gan-portrait .faces').dataset.drawn)"
    before = page.browser.execute_script(script)
    act()
    page.until(lambda: page.browser.execute_script(script) > before, "a face to be drawn")
    return face(page)


def slider(page: Page, name: str, value: float) -> None:
    page.set(page.one(f"#gan-{name} input[type=range]"), value)


def test_a_grid_is_made_a_face_chosen_edited_held_blended_and_saved(page, tmp_path):
    first = face(page)
    assert caption(page).startswith("The discriminator rates it as more realistic than")
    assert "%" in tiles(page)[3].text
    chosen = after(page, tiles(page)[3].click)
    assert tiles(page)[3].get_attribute("aria-pressed") == "true"
    second = after(page, lambda: tiles(page)[3].send_keys(Keys.ARROW_RIGHT))
    assert tiles(page)[4].get_attribute("aria-pressed") == "true"
    edited = after(page, lambda: slider(page, "d1", 4))
    lit = after(page, lambda: page.click("#gan-looking input"))
    assert len({first, chosen, second, edited, lit}) == 5
    assert after(page, lambda: page.click("#gan-looking input")) == edited
    after(page, lambda: page.click("#gan-hold"))
    assert page.one("#gan-d1 input[type=range]").get_property("value") == "0"
    page.until(lambda: any(toast.startswith("Face held") for toast in page.toasts), "a word about it")
    other = after(page, tiles(page)[7].click)
    blended = after(page, lambda: slider(page, "blend", 0.5))
    assert blended != other
    path = page.save(tmp_path / "saved", "keep")
    recipe = read_recipe(path)
    assert (recipe.engine, recipe.config["blend"], len(recipe.config["second"])) == ("dcgan", 0.5, 128)
    assert after(page, lambda: page.click("#gan-new")) != blended
    bring = page.one("input[type=file]:has(+ #gan-saved)").send_keys
    assert after(page, lambda: bring(str(path))) == blended
    assert after(page, lambda: slider(page, "truncation", 0.4)) != blended


def test_a_walk_through_chosen_faces_plays_and_is_saved_as_a_video(page, tmp_path):
    for count, tile in enumerate((2, 9), 1):
        after(page, tiles(page)[tile].click)
        page.click("#gan-add")
        page.until(lambda number=count: len(page.all("#gan-places img")) == number, "the face in the walk")
    page.set(page.one("#gan-steps input[type=range]"), 6)
    page.begin()
    page.until_over("done")
    assert not page.one("#gan-canvas .compare").is_displayed(), "a walk has no original"
    video = page.save(tmp_path / "video")
    with av.open(str(video)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 12
    page.click("#gan-clear")
    page.until(lambda: not page.all("#gan-places img"), "an empty walk")
    page.one("input[type=file]:has(+ #gan-saved)").send_keys(str(video))
    page.until(lambda: len(page.all("#gan-places img")) == 2, "the walk to come back")
    page.unfold("evolution", "make-video")
    next(label for label in page.all("#gan-evolution label") if label.text.strip() == "GIF").click()
    page.click("#gan-make-video")
    page.until(lambda: page.one("#gan-video-file").text.strip() == "Download GIF", "the video")
    with Image.open(page.save(tmp_path / "gif", "video-file")) as gif:
        assert gif.n_frames >= 10


def test_a_dropped_face_is_looked_for_and_taken_up(page, photo):
    page.click("#gan-search button")
    page.tab = "sought"
    page.drop(photo)
    page.until(lambda: "your photo as more realistic" in page.one("#sought-opinion").text, "what the critic says")
    page.set(page.one("#sought-steps input[type=range]"), 20)
    page.begin()
    page.until_over("done")
    assert "loss" in page.one("#sought-canvas .loss").text
    after(page, lambda: page.click("#sought-again"))
    assert page.one("#gan-portrait .original").is_displayed()
    page.click("#gan-nearest-fold button")
    page.until(lambda: page.all("#gan-nearest"), "what is in the fold")
    assert not page.enabled("#gan-nearest"), "this server has no training pictures"


def test_networks_are_trained_before_ones_eyes_and_draw_on_the_grid(page, tmp_path):
    before = settled_face(page)
    page.go_to_part("Train")
    page.tab = "gan-train"
    page.until(lambda: page.all("#gan-train-data input[type=file]"), "a place for the data")
    page.one("#gan-train-data input[type=file]").send_keys(str(zip_of(tmp_path / "pictures.zip", blocks(40))))
    page.until(lambda: "pictures" in page.one("#gan-train-data").text, "the data")
    page.open_more()
    page.set(page.one("#gan-train-interval input[type=range]"), 10)
    page.set(page.one("#gan-train-images input[type=range]"), 5000)
    page.set(page.one("#gan-train-batch_size input[type=range]"), 16)
    page.begin()
    page.until_images_come(1)
    page.set(page.one("#gan-train-dropout input[type=range]"), 0.3)
    page.click("#gan-train-back")
    page.until(lambda: any("Rolling back" in toast for toast in page.toasts), "a word about it")
    page.click("#gan-train-stop")
    page.until_over("stopped")
    page.click("#gan-train-canvas summary")
    assert len(page.all("#gan-train-canvas .curve polyline")) >= 4
    page.click("#gan-train-use")
    page.until(lambda: any("not finished" in toast for toast in page.toasts), "that it is not finished")
    assert face(page) == before
