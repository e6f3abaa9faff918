"""The Dream tab in a real browser: drop, dream, steer, stop, come back, save, drop the result again."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from selenium.webdriver.support.ui import WebDriverWait

from engines.deep_dream import PRESETS
from engines.recipes import read_recipe
from tests.browser.page import PATIENCE, Page
from tests.engines.helpers import is_one_sentence

PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}


def photo_like(shift: int = 0) -> np.ndarray:
    """(240, 320, 3) uint8: gradients, a bright square and a little noise."""
    y, x = np.mgrid[0:240, 0:320]
    image = np.stack([x * 0.7, y * 0.9, 255 - x * 0.7], axis=-1)
    image[60 + shift : 150 + shift, 80:200] = (200, 60, 40)
    noise = np.random.default_rng(shift).integers(-12, 13, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


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


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def small_and_quick(page: Page) -> None:
    page.set_slider("Size", 256)
    page.set_slider("Octaves", 2)
    page.set_slider("Steps per octave", 8)


def long_and_slow(page: Page) -> None:
    """More steps than any test waits for."""
    page.set_slider("Size", 1280)
    page.set_slider("Octaves", 1)
    page.set_slider("Steps per octave", 100)


def test_a_dropped_picture_is_dreamt_before_ones_eyes_and_saved_with_its_recipe(page, photo, tmp_path):
    page.drop(photo)
    page.dream()
    seen = set()
    while not page.over:
        seen.add(page.canvas_hash())
    page.until_over("done")
    assert len(seen) >= 10
    moments = page.all(".stage .strip button")
    assert 5 <= len(moments) <= 10
    assert all(moment.accessible_name.startswith("Show step ") for moment in moments)
    assert page.note.startswith("done in ")
    saved = page.save(tmp_path / "saved")
    assert re.fullmatch(r"deep_dream-\d{8}-\d{6}-[0-9a-f]{12}\.png", saved.name)
    assert pixels(saved).shape == (480, 640, 3)
    recipe = read_recipe(saved)
    first = next(iter(PRESETS["studio_vgg"].values()))
    assert (recipe.engine, recipe.backbone, recipe.stopped_at) == ("deep_dream", "studio_vgg", None)
    assert recipe.config["layer_weights"] == first.layer_weights
    assert (recipe.config["octaves"], recipe.config["steps"]) == (first.octaves, first.steps)
    # A moment of the film strip goes back onto the stage, and the result returns.
    result = page.canvas_hash()
    moments[0].click()
    page.until(lambda: page.canvas_hash() != result, "an earlier moment")
    moments[0].click()
    page.until(lambda: page.canvas_hash() == result, "the result again")


def test_the_size_slider_decides_the_size_of_the_result(page, photo, tmp_path):
    page.drop(photo)
    small_and_quick(page)
    page.dream()
    page.until_over("done")
    saved = page.save(tmp_path / "saved")
    assert pixels(saved).shape == (192, 256, 3)
    assert (read_recipe(saved).config["size"], read_recipe(saved).config["steps"]) == (256, 8)


def test_moving_a_slider_steers_the_run_and_the_recipe_tells(page, photo, tmp_path):
    page.drop(photo)
    long_and_slow(page)
    page.set_slider("Size", 960)  # steps that take longer than a picture's way to the browser
    page.dream()
    page.until_pictures_come(3)
    moving = page.canvas_hash()
    page.until(lambda: page.canvas_hash() != moving, "the picture to change")
    before, answered = page.step, page.answers()
    page.set_slider("Strength", 0)
    page.until(lambda: page.answers() > answered, "the server's answer")
    after = page.step
    page.until(lambda: page.step >= after + 3, "three more steps")
    still = page.canvas_hash()
    step = page.step
    page.until(lambda: page.step >= step + 3, "three more steps")
    assert page.state == "running"
    assert page.canvas_hash() == still
    page.click("#dream-stop")
    page.until_over("stopped")
    recipe = read_recipe(page.save(tmp_path / "saved"))
    assert recipe.config["step_size"] > 0
    ((steered_at, settings),) = recipe.steering
    assert settings["step_size"] == 0
    assert before <= steered_at <= after + 2


def test_stop_keeps_the_picture_and_makes_room_for_the_next_dream(page, photo, tmp_path):
    page.drop(photo)
    long_and_slow(page)
    page.dream()
    assert not page.enabled("#dream-go")
    page.until_pictures_come()
    page.click("#dream-stop")
    page.until_over("stopped")
    assert "picture kept" in page.note
    assert page.enabled("#dream-go")
    assert not page.enabled("#dream-stop")
    assert page.enabled("#dream-again")
    recipe = read_recipe(page.save(tmp_path / "saved"))
    assert 1 <= recipe.stopped_at < 100
    small_and_quick(page)
    page.dream()
    page.until_over("done")


def test_a_dream_can_be_dreamt_on(page, photo, tmp_path):
    page.drop(photo)
    small_and_quick(page)
    page.dream()
    page.until_over("done")
    first = page.save(tmp_path / "saved")
    shown = page.shown_photo()
    page.click("#dream-again")
    page.until(lambda: page.shown_photo() not in ("", shown), "the result as the photo")
    page.dream()
    page.until_over("done")
    second = page.save(tmp_path / "saved")
    assert read_recipe(second).inputs != read_recipe(first).inputs
    assert not np.array_equal(pixels(second), pixels(first))


def test_a_reloaded_page_finds_its_run_again_and_later_its_result(page, photo, tmp_path):
    page.drop(photo)
    long_and_slow(page)
    page.dream()
    page.until_pictures_come()
    original = page.canvas_hash("before")
    page.open()
    page.until(lambda: page.state == "running" and page.drawn >= 3, "the run to be found")
    assert page.canvas_hash("before") == original
    assert page.enabled("#dream-stop")
    assert not page.enabled("#dream-go")
    page.click("#dream-stop")
    page.until_over("stopped")
    saved, result = page.save(tmp_path / "saved"), page.canvas_hash()
    page.open()
    page.until_over("stopped")
    page.until(lambda: page.canvas_hash() == result, "the result to be found")
    assert page.canvas_hash("before") == original
    assert page.save(tmp_path / "again").read_bytes() == saved.read_bytes()


def test_two_visitors_wait_for_each_other_and_see_only_their_own_runs(page, new_page, photo, other_photo):
    second = new_page()
    page.drop(photo)
    long_and_slow(page)
    page.dream()
    page.until_pictures_come()
    second.drop(other_photo)
    small_and_quick(second)
    second.dream()
    second.until(lambda: second.state == "waiting" and "1 before you" in second.note, "the place in the line")
    assert page.canvas_hash("before") != second.canvas_hash("before")
    page.until_pictures_come()
    assert second.state == "waiting"
    mine, others = (visitor.browser.execute_script("return {...localStorage}") for visitor in (page, second))
    assert mine["reverie-dream-run"] != others["reverie-dream-run"]
    page.click("#dream-stop")
    page.until_over("stopped")
    result, drawn = page.canvas_hash(), page.drawn
    second.until_over("done")
    assert second.drawn > 0
    assert (page.state, page.canvas_hash(), page.drawn) == ("stopped", result, drawn)
    assert second.canvas_hash() != result


def test_stopping_while_one_waits_does_not_stop_whoever_is_before(page, new_page, photo, other_photo):
    second = new_page()
    page.drop(photo)
    long_and_slow(page)
    page.dream()
    page.until_pictures_come()
    second.drop(other_photo)
    second.dream()
    second.until(lambda: second.state == "waiting", "the second run to wait")
    second.click("#dream-stop")
    page.until_pictures_come(3)
    assert page.state == "running"
    page.click("#dream-stop")
    page.until_over("stopped")
    second.until_over("stopped")
    assert second.drawn == 0, "it never began"


def test_a_dropped_result_restores_its_settings_and_repeats_to_the_same_pixels(page, photo, tmp_path):
    page.drop(photo)
    small_and_quick(page)
    page.open_more()
    page.set(page.one("#dream-seed input"), 7)
    page.dream()
    page.until_over("done")
    first = page.save(tmp_path / "saved")
    assert read_recipe(first).config["seed"] == 7
    page.set(page.one("#dream-seed input"), 0)
    page.set_slider("Octaves", 5)
    page.set_slider("Strength", 0.05)
    page.drop(first)
    page.until(lambda: page.value_of_slider("Octaves") == 2, "the octaves to be restored")
    assert (page.seed, page.value_of_slider("Size"), page.value_of_slider("Steps per octave")) == (7, 256, 8)
    assert page.value_of_slider("Strength") == read_recipe(first).config["step_size"]
    page.until(lambda: any("Settings restored" in toast for toast in page.toasts), "a word about it")
    page.until(lambda: read_recipe(first).inputs["image"] in page.shown_photo(), "the photo that it was made from")
    page.dream()
    page.until_over("done")
    again = page.save(tmp_path / "saved")
    assert again != first
    np.testing.assert_array_equal(pixels(again), pixels(first))
    assert read_recipe(again) == read_recipe(first)


def hostile_picture(path: Path) -> None:
    chunk = PngImagePlugin.PngInfo()
    recipe = {
        "reverie": 1,
        "engine": "deep_dream",
        "<img src=x onerror=document.title=666>": 1,
        "config": {},
        "backbone": "studio_vgg",
        "weights": "",
        "inputs": {},
        "steering": [],
        "stopped_at": None,
    }
    chunk.add_itxt("reverie", json.dumps(recipe))
    Image.fromarray(photo_like()).save(path, pnginfo=chunk)


def dropped_without_waiting(page: Page, path: Path) -> str:
    """Drop a file, and what the page then says."""
    page.until(lambda: page.all("#dream-photo button[aria-label='Remove Image']"), "the photo")
    page.click("#dream-photo button[aria-label='Remove Image']")
    page.until(lambda: page.all("#dream-photo input[type=file]"), "a place to drop a picture")
    page.one("#dream-photo input[type=file]").send_keys(str(path))
    page.until(lambda: page.toasts, "a toast")
    return page.toasts[0]


def test_a_bad_upload_is_told_in_one_sentence_and_the_studio_goes_on(page, photo, tmp_path, server):
    bad = tmp_path / "notes.png"
    bad.write_text("These are not pixels.")
    told = dropped_without_waiting(page, bad)
    assert is_one_sentence(told)
    assert "not a picture" in told
    page.until(lambda: page.shown_photo() == "", "the photo to be cleared")
    assert "Traceback" not in page.browser.page_source
    assert "Traceback" not in server.log
    page.drop(photo)
    small_and_quick(page)
    page.dream()
    page.until_over("done")


def test_dreaming_without_a_photo_is_told_in_one_sentence(page):
    page.until(lambda: page.all("#dream-photo button[aria-label='Remove Image']"), "the photo")
    page.click("#dream-photo button[aria-label='Remove Image']")
    page.until(lambda: page.shown_photo() == "", "the photo to be cleared")
    page.click("#dream-go")
    page.until(lambda: page.toasts, "a toast")
    (told,) = page.toasts
    assert is_one_sentence(told)
    assert told.startswith("Choose a photo first")
    assert page.enabled("#dream-go")
    assert not page.enabled("#dream-stop")


def test_words_from_a_file_are_shown_as_words_and_run_nothing(page, tmp_path):
    path = tmp_path / "hostile.png"
    hostile_picture(path)
    told = dropped_without_waiting(page, path)
    assert told.startswith("This recipe holds")
    assert page.browser.title == "Reverie"
    assert page.all(".toast-body img") == []


def test_the_slider_under_the_result_moves_the_edge_between_before_and_after(page, photo):
    page.drop(photo)
    small_and_quick(page)
    page.dream()
    page.until_over("done")
    original = page.one(".stage canvas.before")
    compare = page.one(".stage .compare input")
    assert compare.is_displayed()
    assert original.value_of_css_property("clip-path") == "inset(0px 100% 0px 0px)"
    page.set(compare, 40)
    page.until(lambda: original.value_of_css_property("clip-path") == "inset(0px 60% 0px 0px)", "the edge to move")
    after, divider = page.one(".stage canvas.after").rect, page.one(".stage .divider").rect
    assert divider["x"] == pytest.approx(after["x"] + 0.4 * after["width"], abs=3)
    assert original.rect == after
    page.set(compare, 100)
    page.until(lambda: "0%" in original.value_of_css_property("clip-path").replace("100%", ""), "all of the original")
    assert page.canvas_hash("before") != page.canvas_hash("after")


def nameless(page: Page) -> list[str]:
    """Every visible control that a screen reader could not name."""
    # What is hidden from screen readers needs no name: Gradio measures its tabs with such copies.
    kinds = ("button", "input:not([type=file])", "select", "textarea", "a[href]", "[role=button]", "[role=slider]")
    controls = page.all(", ".join(f"{kind}:not([aria-hidden=true] *)" for kind in kinds))
    visible = [control for control in controls if control.is_displayed()]
    assert len(visible) > 10
    return [control.get_attribute("outerHTML")[:160] for control in visible if not control.accessible_name.strip()]


def too_wide(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    return page.browser.execute_script("const d = document.documentElement; return d.scrollWidth - d.clientWidth")


@pytest.mark.parametrize("metrics", [PHONE, None], ids=["390x844", "desktop"])
def test_the_page_does_not_scroll_sideways_and_every_control_has_a_name(page, photo, metrics):
    if metrics:
        page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        page.open()
        assert page.browser.execute_script("return innerWidth") == (390 if metrics else 1280)
        assert (too_wide(page), nameless(page)) == (0, [])
        page.open_more()
        page.until(lambda: page.one("#dream-seed input").is_displayed(), "the seed to be shown")
        assert (too_wide(page), nameless(page)) == (0, [])
        page.drop(photo)
        small_and_quick(page)
        page.dream()
        page.until_over("done")
        assert (too_wide(page), nameless(page)) == (0, [])
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_nothing_was_asked_of_any_other_host_and_nobody_complained(page, photo, visits, server):
    """Last on purpose: it looks back at everything that the browsers did in this session."""
    page.drop(photo)
    small_and_quick(page)
    page.dream()
    page.until_over("done")
    WebDriverWait(page.browser, PATIENCE).until(lambda browser: browser.execute_script("return document.readyState"))
    visits.note(page.browser)
    print(visits.complaints, server.log)
    assert any(url.startswith(server.url) for url in visits.requests)
    assert visits.elsewhere == []
    assert visits.complaints == []
    assert server.trap.caught == []
    assert "Traceback" not in server.log
