"""The Style tab in a real browser: paint, steer, scrub, go on from a moment, make a video, blend, keep to regions."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver import ActionChains

from engines.recipes import read_recipe
from tests.browser.helpers import pixels
from tests.browser.page import Page
from tests.engines.helpers import is_one_sentence

BALANCE = "More style ↔ more photo"


@pytest.fixture
def page(page) -> Page:
    """The Style tab, with one painting hung."""
    page.show_tab("Style", "style")
    page.until(lambda: page.all("#style-paintings img"), "a painting")
    page.until(lambda: len(page.all("#style-examples button")) >= 6, "the example paintings")
    if len(page.all("#style-paintings img")) > 1:
        hang(page, 0)
    return page


def hang(page: Page, number: int) -> None:
    """Have an example painting instead of what hangs, or of none."""
    if page.one("#style-several input").is_selected():
        page.click("#style-several input")
    page.all("#style-examples button")[number].click()
    page.until(lambda: len(page.all("#style-paintings img")) == 1, "one painting")


def by_steps(page: Page, *, size: int, scales: int, steps: int) -> None:
    page.choose("seconds", "By steps")
    page.open_more()
    page.set_slider("Size", size)
    page.set_slider("Number of scales", scales)
    page.set_slider("Steps at full size", steps)


def small_and_quick(page: Page) -> None:
    by_steps(page, size=160, scales=2, steps=5)


def long_and_slow(page: Page) -> None:
    """More steps than any test waits for."""
    by_steps(page, size=320, scales=1, steps=500)


def add_a_painting(page: Page, number: int) -> None:
    """Blend an example painting with those that hang already."""
    before = len(page.all("#style-paintings img"))
    if not page.one("#style-several input").is_selected():
        page.click("#style-several input")
    page.all("#style-examples button")[number].click()
    page.until(lambda: len(page.all("#style-paintings img")) == before + 1, "another painting")


def video_of(page: Page, kind: str, folder: Path) -> Path:
    """Have a video of the run made, and download it."""
    page.unfold("evolution", "make-video")
    page.set_slider("Frames per second", 20)
    page.set_slider("Hold last frame", 2)
    page.choose("evolution", kind)
    page.click("#style-make-video")
    page.until(lambda: page.one("#style-video-file").text.strip() == f"Download {kind}", "the video")
    return page.save(folder, "video-file")


def test_a_dropped_photo_becomes_a_painting_and_is_saved_with_its_recipe(page, photo, tmp_path):
    page.drop(photo)
    by_steps(page, size=192, scales=2, steps=20)
    page.watch_the_images()
    page.begin()
    page.until_over("done")
    assert page.images_seen >= 5
    assert page.note.startswith("done in ")
    assert page.canvas_hash() != page.canvas_hash("before")
    original = page.one("#style-canvas canvas.before")
    page.set(page.one("#style-canvas .compare input"), 40)
    page.until(lambda: original.value_of_css_property("clip-path") == "inset(0px 60% 0px 0px)", "the photo beside it")
    saved = page.save(tmp_path / "saved")
    assert re.fullmatch(r"style_transfer-\d{8}-\d{6}-[0-9a-f]{12}\.png", saved.name)
    recipe = read_recipe(saved)
    assert (recipe.engine, recipe.backbone, recipe.stopped_at) == ("style_transfer", "studio_vgg", None)
    assert set(recipe.inputs) == {"content_image", "style_images_1"}
    assert max(pixels(saved).shape) == recipe.config["size"]
    page.click("#style-canvas summary")
    assert len(page.all("#style-canvas .curve polyline")) == 4
    words = " ".join(item.text for item in page.all("#style-canvas .legend li"))
    for name in ("loss: from", "style loss: from", "content loss: from", "total variation loss: from"):
        assert name in words


def test_a_tab_that_is_opened_only_after_a_reload_shows_all_of_its_run(page, photo):
    page.drop(photo)
    long_and_slow(page)
    page.begin()
    page.until_images_come()
    original = page.canvas_hash("before")
    page.reload()
    page.show_tab("Style", "style")
    page.until(lambda: page.state == "running" and page.drawn >= 2, "the run to be found")
    assert page.canvas_hash("before") == original
    page.click("#style-stop")
    page.until_over("stopped")


def test_moving_a_slider_steers_the_painting_and_stop_keeps_it(page, photo, tmp_path):
    page.drop(photo)
    long_and_slow(page)
    page.set_slider(BALANCE, 0.15)
    page.begin()
    page.until_images_come(3)
    answered = page.answers()
    page.set_slider(BALANCE, 0.9)
    page.until(lambda: page.answers() > answered, "the server's answer")
    page.until_images_come(3)
    page.click("#style-stop")
    page.until_over("stopped")
    assert "image kept" in page.note
    recipe = read_recipe(page.save(tmp_path / "saved"))
    assert recipe.config["balance"] == 0.15
    ((step, settings),) = recipe.steering
    assert settings["balance"] == 0.9
    assert 1 <= step < recipe.stopped_at < 500


def video_ends_with(result: np.ndarray, path: Path) -> None:
    """Check a video that goes at 20 a second and holds its last image for two seconds more."""
    assert read_recipe(path).engine == "style_transfer"
    frames = []
    with Image.open(path) as video:
        for number in range(video.n_frames):
            video.seek(number)
            frames.append(np.asarray(video.convert("RGB")).astype(float))
        assert video.info["duration"] == 2050
    assert {frame.shape for frame in frames} == {result.shape}
    assert len(frames) >= 4
    first, last = (np.abs(frame - result).mean() for frame in (frames[0], frames[-1]))
    assert last < 8
    assert first > 1.5 * last


def test_a_run_is_looked_back_at_exported_as_a_video_and_painted_on_from_a_moment(page, photo, tmp_path):
    page.drop(photo)
    by_steps(page, size=192, scales=2, steps=12)
    page.begin()
    page.until_over("done")
    video_ends_with(pixels(page.save(tmp_path / "saved")), video_of(page, "WebP", tmp_path / "video"))
    result = page.canvas_hash()
    scrub = page.one("#style-canvas .scrub input")
    page.set(scrub, 1)
    page.until(lambda: page.canvas_hash() != result, "an earlier moment")
    page.until(lambda: page.one("#style-save").text.startswith("Save step "), "Save to be about the moment")
    step = int(page.one("#style-save").text.removeprefix("Save step "))
    moment = page.save(tmp_path / "saved")
    assert read_recipe(moment).stopped_at == step
    assert pixels(moment).shape == (82, 110, 3), "an early moment is of the first size"
    page.click("#style-again")
    page.until(lambda: page.shown_photo("start-image"), "the moment to go on from")
    page.set(scrub, scrub.get_property("max"))
    page.until(lambda: page.canvas_hash() == result, "the result again")
    page.until(lambda: page.one("#style-save").text == "Save", "Save to be about the result")
    small_and_quick(page)
    page.begin()
    page.until_over("done")
    saved = page.save(tmp_path / "saved")
    recipe = read_recipe(saved)
    assert set(recipe.inputs) == {"content_image", "style_images_1", "start_image"}
    assert pixels(saved).shape == (120, 160, 3)
    page.clear_photo("start-image")


def test_two_paintings_are_blended_by_their_weights_and_a_region_painted_on_the_photo_is_a_mask(page, photo, tmp_path):
    page.drop(photo)
    small_and_quick(page)
    add_a_painting(page, 3)
    page.until(lambda: page.all('input[type=range][aria-label$="Style image 2"]'), "a weight for each")
    page.set_slider("Style image 1", 0.25)
    page.unfold("regions-fold", "regions canvas")
    page.until(lambda: len(page.all("#style-regions .pens button")) == 4, "two pens, Erase and Clear")
    canvas = page.one("#style-regions canvas")
    page.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    drawing = ActionChains(page.browser).move_to_element_with_offset(canvas, -80, -20).click_and_hold()
    drawing.move_by_offset(40, 10).move_by_offset(20, 20).release().perform()
    page.until(lambda: page.one("#style-regions .regions").get_attribute("data-painted") == "true", "a region")
    page.begin()
    page.until_over("done")
    recipe = read_recipe(page.save(tmp_path / "saved"))
    assert recipe.config["blend"] == [0.25, 1]
    assert set(recipe.inputs) == {"content_image", "style_images_1", "style_images_2", "masks_1"}
    page.click("#style-regions .pens button:last-child")
    page.until(lambda: page.one("#style-regions .regions").get_attribute("data-painted") == "false", "no region")
    page.begin()
    page.until_over("done")
    again = read_recipe(page.save(tmp_path / "saved"))
    assert set(again.inputs) == {"content_image", "style_images_1", "style_images_2"}


def test_a_bad_file_is_told_in_one_sentence_as_photo_and_as_painting(page, tmp_path, server):
    bad = tmp_path / "notes.png"
    bad.write_text("These are not pixels.")
    told = page.drop_without_waiting(bad)
    assert is_one_sentence(told)
    assert "not an image" in told
    page.until(lambda: page.shown_photo() == "", "the photo to be cleared")
    hung = [image.get_attribute("src") for image in page.all("#style-paintings img")]
    heard = len(page.toasts)
    page.one("input[type=file]:has(+ #style-upload)").send_keys(str(bad))
    page.until(lambda: len(page.toasts) > heard, "a word about the painting")
    assert all(is_one_sentence(toast) for toast in page.toasts)
    assert [image.get_attribute("src") for image in page.all("#style-paintings img")] == hung
    assert "Traceback" not in server.log


def test_a_painting_that_is_taken_away_while_it_is_painted_from_changes_nothing_until_the_next_run(page, photo):
    page.drop(photo)
    long_and_slow(page)
    page.begin()
    page.until_images_come()
    page.click("#style-paintings button[aria-label=Clear]")
    page.until(lambda: not page.all("#style-paintings img"), "the paintings to be gone")
    page.set_slider(BALANCE, 0.4)
    page.until_images_come(3)
    assert page.toasts == []
    page.click("#style-stop")
    page.until_over("stopped")
    page.click("#style-go")
    page.until(lambda: page.toasts, "a toast")
    (told,) = page.toasts
    assert is_one_sentence(told)
    assert told.startswith("Choose a style image first")
    hang(page, 0)


def test_a_dropped_painting_restores_its_settings_and_repeats_to_the_same_pixels(page, photo, tmp_path):
    page.drop(photo)
    small_and_quick(page)
    page.set_slider(BALANCE, 0.3)
    add_a_painting(page, 2)
    page.begin()
    page.until_over("done")
    first = page.save(tmp_path / "saved")
    page.set_slider(BALANCE, 0.7)
    page.set_slider("Steps at full size", 40)
    hang(page, 4)
    page.drop(first)
    page.until(lambda: any("style images restored" in toast for toast in page.toasts), "a word about it")
    page.until(lambda: page.value_of_slider(BALANCE) == 0.3, "the balance to be restored")
    page.until(lambda: len(page.all("#style-paintings img")) == 2, "the paintings to be restored")
    page.until(lambda: read_recipe(first).inputs["content_image"] in page.shown_photo(), "the photo")
    page.begin()
    page.until_over("done")
    again = page.save(tmp_path / "saved")
    np.testing.assert_array_equal(pixels(again), pixels(first))
    assert read_recipe(again) == read_recipe(first)
