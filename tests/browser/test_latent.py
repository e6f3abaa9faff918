"""The Latent tab in a real browser: the map under the pointer, a drawn digit, a walk as a video, faces by sliders."""

from __future__ import annotations

import av
import numpy as np
import pytest
from PIL import Image
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys

from engines.recipes import read_recipe
from tests.browser.page import Page

LATENT_MAP = "const e = document.querySelector('.explorer'); return e ? {...e.dataset} : {}"


@pytest.fixture
def page(page) -> Page:
    """The Latent tab, with its map drawn."""
    return on_the_latent_tab(page)


def on_the_latent_tab(page: Page) -> Page:
    page.show_tab("Latent", "latent", "Digits")
    page.until(lambda: latent_map(page).get("state") == "ready", "the map")
    return page


def latent_map(page: Page) -> dict[str, str]:
    return page.browser.execute_script(LATENT_MAP)


def drawn(page: Page) -> int:
    return int(latent_map(page)["drawn"])


def exact(page: Page) -> int:
    return int(latent_map(page)["exact"])


def the_map(page: Page):
    map_ = page.one("#latent-map .tiles")
    page.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", map_)
    return map_


def test_the_pointer_morphs_the_image_without_asking_the_server(page):
    assert int(latent_map(page)["dots"]) == 2000
    assert len(page.all("#latent-map .classes li")) == 10
    map_, before, asked = the_map(page), drawn(page), page.asked("")
    seen = set()
    for i in range(8):
        ActionChains(page.browser, duration=20).move_to_element_with_offset(map_, 12 * i - 60, 9 * i - 40).perform()
        page.until(lambda count=i: drawn(page) > before + count, "the picture to follow")
        seen.add(page.browser.execute_script("return document.querySelector('.explorer .big').toDataURL()"))
    assert len(seen) == 8
    assert "interpolated" in page.one(".explorer .how").text
    assert page.asked("") == asked


def test_a_click_decodes_exactly_and_the_sliders_and_arrows_walk_on(page):
    map_, count = the_map(page), exact(page)
    ActionChains(page.browser).move_to_element_with_offset(map_, 90, -70).click().perform()
    page.until(lambda: exact(page) > count, "the exact picture")
    page.until(lambda: page.value_of_slider("z[0]") > 0, "the slider to follow")
    assert page.value_of_slider("z[1]") > 0
    count, z = exact(page), page.value_of_slider("z[0]")
    map_.send_keys(Keys.ARROW_RIGHT)
    page.until(lambda: exact(page) > count, "a step to the right")
    page.until(lambda: page.value_of_slider("z[0]") == pytest.approx(z + 0.05, abs=0.011), "the slider to follow")
    count = exact(page)
    page.set_slider("z[1]", -1.5)
    page.until(lambda: exact(page) > count, "the place that the slider says")
    assert "−1.50" in page.one(".explorer .place").text


def test_a_map_comes_back_as_it_was_drawn_last(page):
    def tiles() -> str:
        return page.browser.execute_script("return document.querySelector('#latent-map .tiles').toDataURL()")

    first = tiles()
    page.unfold("grid", "figure")
    page.set_slider("Tiles per side", 8)
    page.until(lambda: tiles() != first, "larger tiles")
    coarse = tiles()
    page.reload()
    on_the_latent_tab(page)
    page.unfold("grid", "figure")
    page.until(lambda: page.value_of_slider("Tiles per side") == 8, "what was used last")
    assert tiles() == coarse


def test_a_drawn_digit_is_found_on_the_map(page):
    page.unfold("draw", "sheet canvas")
    sheet = page.one("#latent-sheet canvas")
    page.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", sheet)
    count = exact(page)
    stroke = ActionChains(page.browser, duration=60).move_to_element_with_offset(sheet, -50, -70).click_and_hold()
    for step in ((50, 0), (50, 0), (-25, 60), (-25, 60)):
        stroke = stroke.move_by_offset(*step)
    stroke.release().perform()
    page.until(lambda: exact(page) > count, "the reconstruction")
    page.until(lambda: len(page.all("#latent-reconstructions img")) == 10, "the reconstruction and eight samples")
    assert page.toasts == []


def test_a_walk_needs_waypoints_and_through_them_plays_and_is_saved_as_a_video(page, tmp_path):
    page.until(lambda: page.enabled("#latent-go"), "the button")
    page.click("#latent-go")
    page.until(lambda: page.toasts, "a toast")
    assert page.toasts[0].startswith("A walk needs at least two waypoints")
    page.click("#latent-map [data-mode=walk]")
    map_ = the_map(page)
    for count, (x, y) in enumerate(((-120, -80), (0, 100), (130, -60)), 1):
        ActionChains(page.browser).move_to_element_with_offset(map_, x, y).click().perform()
        page.until(lambda number=count: latent_map(page)["waypoints"] == str(number), "the waypoint")
    page.begin()
    page.until_over("done")
    video = page.save(tmp_path / "video")
    with av.open(str(video)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 2 * 24 + 1
    recipe = read_recipe(video)
    assert (recipe.engine, len(recipe.config["waypoints"])) == ("vae", 6)
    page.click("#latent-map [data-clear]")
    page.until(lambda: latent_map(page)["waypoints"] == "0", "no waypoints")
    page.one("#latent-saved input[type=file], #latent-walk input[type=file]").send_keys(str(video))
    page.until(lambda: latent_map(page)["waypoints"] == "3", "the walk to come back")
    page.unfold("evolution", "make-video")
    gif = next(label for label in page.all("#latent-evolution label") if label.text.strip() == "GIF")
    gif.click()
    page.click("#latent-make-video")
    page.until(lambda: page.one("#latent-video-file").text.strip() == "Download GIF", "the video")
    with Image.open(page.save(tmp_path / "gif", "video-file")) as video:
        assert video.n_frames >= 40


def test_faces_follow_the_sliders(page):
    page.go_to_part("Portraits")

    def image() -> str:
        script = "const c = document.querySelector('#faces-picture .edited canvas');"
        return page.browser.execute_script(f"{script} return c && !c.closest('[hidden]') ? c.toDataURL() : ''")

    page.until(image, "a face")
    page.until(lambda: page.all("#faces-0 input[type=range]"), "the sliders")
    before = image()
    page.set(page.one("#faces-0 input[type=range]"), 2.5)
    page.until(lambda: image() != before, "the smile")
    smiling = image()
    page.set(page.one("#faces-d1 input[type=range]"), -2)
    page.until(lambda: image() != smiling, "the first direction")
    turned = image()
    page.click("#faces-reset")
    page.until(lambda: image() == before, "the face as it was")
    page.click("#faces-random")
    page.until(lambda: image() not in (before, turned), "another face")
    assert page.one("#faces-0 input[type=range]").get_property("value") == "0"


def test_a_network_is_trained_before_ones_eyes_and_used_on_the_map(page, tmp_path):
    images = np.zeros((256, 28, 28), np.uint8)
    for i, image in enumerate(images):
        image[4 + i % 12 : 12 + i % 12, 8:20] = 255
    data = tmp_path / "mnist.npz"
    labels = (np.arange(256) % 10).astype(np.uint8)
    np.savez(data, x_train=images, y_train=labels, x_test=images[:64], y_test=labels[:64])
    page.go_to_part("Train")
    page.tab = "train"
    page.until(lambda: page.all("#train-data input[type=file]"), "a place for the data")
    page.one("#train-data input[type=file]").send_keys(str(data))
    page.until(lambda: "mnist" in page.one("#train-data").text, "the data")
    page.open_more()
    page.set_slider("Steps between images", 10)
    page.set_slider("Epochs", 10)
    page.begin()
    page.until_over("done")
    page.click("#train-canvas summary")
    assert len(page.all("#train-canvas .curve polyline")) >= 3
    page.click("#train-use")
    page.until(lambda: any("uses your model" in toast for toast in page.toasts), "a word about it")
    page.go_to_part("Digits")
    page.until(lambda: latent_map(page)["dots"] == "64", "its map")
