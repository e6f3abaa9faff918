"""The Dream tab in a real browser: drop, dream, steer, stop, come back, save, drop the result again."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from selenium.webdriver.common.keys import Keys

from engines.deep_dream import PRESETS
from engines.recipes import read_recipe
from tests.browser.helpers import photo_like, pixels
from tests.browser.page import Page
from tests.engines.helpers import is_one_sentence


@pytest.fixture
def page(page) -> Page:
    """The Dream tab."""
    page.show_tab("Dream", "dream")
    return page


def by_steps(page: Page, *, size: int, octaves: int, steps: int) -> None:
    for name, value in {"Size": size, "Octaves": octaves, "Steps per octave": steps, "Strength": 0.02}.items():
        page.set_slider(name, value)


def small_and_quick(page: Page) -> None:
    by_steps(page, size=192, octaves=2, steps=4)


def long_and_slow(page: Page) -> None:
    """More steps than any test waits for."""
    by_steps(page, size=640, octaves=3, steps=100)


def test_a_dropped_image_is_dreamt_before_ones_eyes_and_saved_with_its_recipe(page, photo, tmp_path):
    page.open_as_a_stranger()
    page.drop(photo)
    page.set_slider("Size", 256)
    page.watch_the_images()
    page.begin()
    page.until_over("done")
    assert page.images_seen >= 5
    moments = page.all("#dream-canvas .strip button")
    assert 5 <= len(moments) <= 10
    assert all(moment.accessible_name.startswith("Show step ") for moment in moments)
    assert page.note.startswith("done in ")
    saved = page.save(tmp_path / "saved")
    assert re.fullmatch(r"deep_dream-\d{8}-\d{6}-[0-9a-f]{12}\.png", saved.name)
    assert pixels(saved).shape == (192, 256, 3)
    recipe = read_recipe(saved)
    first = next(iter(PRESETS["studio_vgg"].values()))
    assert (recipe.engine, recipe.backbone, recipe.stopped_at) == ("deep_dream", "studio_vgg", None)
    assert recipe.config["layer_weights"] == first.layer_weights
    assert (recipe.config["octaves"], recipe.config["steps"]) == (first.octaves, first.steps)
    # A moment of the video strip goes back onto the view, and the result returns.
    result = page.canvas_hash()
    moments[0].click()
    page.until(lambda: page.canvas_hash() != result, "an earlier moment")
    moments[0].click()
    page.until(lambda: page.canvas_hash() == result, "the result again")


def test_a_reloaded_page_has_its_result_the_settings_used_last_and_those_saved_by_name(page, photo, tmp_path):
    steps = "#dream-steps input[type=number]"

    def said() -> str:
        return page.one(steps).get_property("value")

    page.drop(photo)
    small_and_quick(page)
    page.begin()
    page.until_over("done")
    result, original, saved = page.canvas_hash(), page.canvas_hash("before"), page.save(tmp_path / "saved")
    page.set_slider("Steps per octave", 8)
    page.unfold("own", "own-name")
    page.one("#dream-own-name input, #dream-own-name textarea").send_keys("eight")
    page.click("#dream-own-save")
    page.until(lambda: page.one("#dream-own-choice input").get_property("value") == "eight", "it to be saved")
    exported = page.download(tmp_path / "exported", "#dream-own-export")
    assert list(json.loads(exported.read_text())["settings"]) == ["eight"]
    page.open()
    page.until_over("done")
    page.until(lambda: page.canvas_hash() == result, "the result to be found")
    assert page.canvas_hash("before") == original
    assert page.save(tmp_path / "again").read_bytes() == saved.read_bytes()
    page.until(lambda: said() == "4", f"the settings used last, not {said()}")
    page.unfold("own", "own-choice")
    page.one("#dream-own-choice input").click()
    page.until(lambda: page.all("#dream-own-choice [role=option]"), "what is saved")
    (option,) = page.all("#dream-own-choice [role=option]")
    option.click()
    page.until(lambda: said() == "8", "the saved settings")


def test_moving_a_slider_steers_the_run_and_the_recipe_tells(page, photo, tmp_path):
    page.drop(photo)
    # Steps that take longer than an image's way to the browser.
    by_steps(page, size=800, octaves=1, steps=100)
    page.begin()
    page.until_images_come(3)
    moving = page.canvas_hash()
    page.until(lambda: page.canvas_hash() != moving, "the picture to change")
    before, answered = page.step, page.answers()
    page.set_slider("Strength", 0)
    page.until(lambda: page.answers() > answered, "the server's answer")
    after = page.step
    page.until(lambda: page.step >= after + 3, "three more steps")
    still = page.canvas_hash()
    step = page.step
    page.until(lambda: page.step >= step + 2, "two more steps")
    assert page.state == "running"
    assert page.canvas_hash() == still
    page.click("#dream-stop")
    page.until_over("stopped")
    recipe = read_recipe(page.save(tmp_path / "saved"))
    assert recipe.config["step_size"] > 0
    ((steered_at, settings),) = recipe.steering
    assert settings["step_size"] == 0
    assert before <= steered_at <= after + 2


def test_a_dream_is_begun_and_stopped_by_keyboard_alone_and_the_keys_are_listed(page, photo):
    page.drop(photo)
    long_and_slow(page)
    body = page.one("body")
    body.send_keys("?")
    page.until(lambda: page.one("dialog.shortcuts").is_displayed(), "the list of keys")
    assert "Stop the run" in page.one("dialog.shortcuts").text
    page.one("dialog.shortcuts").send_keys(Keys.ESCAPE)
    page.until(lambda: not page.one("dialog.shortcuts").is_displayed(), "it to be closed")
    slider = page.one("#dream-step_size input[type=range]")
    before = slider.get_property("value")
    slider.send_keys(Keys.ARROW_RIGHT)
    page.until(lambda: slider.get_property("value") != before, "the slider to move")
    slider.send_keys(Keys.ENTER)
    page.until_images_come()
    page.one("body").send_keys(Keys.ESCAPE)
    page.until_over("stopped")


def test_stop_keeps_the_image_and_makes_room_for_the_next_dream(page, photo, tmp_path):
    page.drop(photo)
    long_and_slow(page)
    page.begin()
    page.until(lambda: not page.enabled("#dream-go"), "its button to be disabled")
    page.until_images_come()
    page.click("#dream-stop")
    page.until_over("stopped")
    assert "image kept" in page.note
    assert page.enabled("#dream-go")
    assert not page.enabled("#dream-stop")
    assert page.enabled("#dream-again")
    recipe = read_recipe(page.save(tmp_path / "saved"))
    assert 1 <= recipe.stopped_at < 300
    small_and_quick(page)
    page.begin()
    page.until_over("done")


def test_a_dream_is_compared_with_its_photo_by_the_slider_under_it_and_dreamt_on(page, photo, tmp_path):
    page.drop(photo)
    small_and_quick(page)
    page.begin()
    page.until_over("done")
    original = page.one("#dream-canvas canvas.before")
    compare = page.one("#dream-canvas .compare input")
    assert compare.is_displayed()
    assert original.value_of_css_property("clip-path") == "inset(0px 100% 0px 0px)"
    page.set(compare, 40)
    page.until(lambda: original.value_of_css_property("clip-path") == "inset(0px 60% 0px 0px)", "the edge to move")
    after, divider = page.one("#dream-canvas canvas.after").rect, page.one("#dream-canvas .divider").rect
    assert divider["x"] == pytest.approx(after["x"] + 0.4 * after["width"], abs=3)
    assert original.rect == after
    page.set(compare, 100)
    page.until(lambda: "0%" in original.value_of_css_property("clip-path").replace("100%", ""), "all of the original")
    assert page.canvas_hash("before") != page.canvas_hash("after")
    first = page.save(tmp_path / "saved")
    shown = page.shown_photo()
    page.click("#dream-again")
    page.until(lambda: page.shown_photo() not in ("", shown), "the result as the photo")
    page.begin()
    page.until_over("done")
    second = page.save(tmp_path / "saved")
    assert read_recipe(second).inputs != read_recipe(first).inputs
    assert not np.array_equal(pixels(second), pixels(first))


def test_a_reloaded_page_finds_its_run_again(page, photo):
    page.drop(photo)
    long_and_slow(page)
    page.begin()
    page.until_images_come()
    original = page.canvas_hash("before")
    page.open()
    page.until(lambda: page.state == "running" and page.drawn >= 3, "the run to be found")
    assert page.canvas_hash("before") == original
    assert page.enabled("#dream-stop")
    assert not page.enabled("#dream-go")
    # Another tab has no run, not even one that a browser has given a copy of what this one keeps.
    first, command = page.browser.current_window_handle, f"window.open({page.server.url!r})"
    for open_tab in (lambda: page.browser.switch_to.new_window("tab"), lambda: page.browser.execute_script(command)):
        open_tab()
        page.browser.switch_to.window(page.browser.window_handles[-1])
        page.open()
        page.until(lambda: page.enabled("#dream-go"), "a tab that may begin a run")
        assert page.state not in ("running", "waiting")
        page.browser.close()
        page.browser.switch_to.window(first)
    assert page.state == "running"
    page.click("#dream-stop")
    page.until_over("stopped")


def test_two_visitors_wait_for_each_other_and_see_only_their_own_runs(page, another_visitor, photo, other_photo):
    second = another_visitor
    page.drop(photo)
    long_and_slow(page)
    page.begin()
    page.until_images_come()
    second.drop(other_photo)
    small_and_quick(second)
    second.begin()
    second.until(lambda: second.state == "waiting" and "1 ahead of you" in second.note, "the place in the line")
    assert page.canvas_hash("before") != second.canvas_hash("before")
    page.until_images_come()
    assert second.state == "waiting"
    mine, others = (visitor.browser.execute_script("return {...reverieRuns}") for visitor in (page, second))
    assert mine["reverie-dream-run"] != others["reverie-dream-run"]
    # Whoever stops while waiting stops nobody else, and may wait again.
    second.click("#dream-stop")
    second.until_over("stopped")
    page.until_images_come()
    assert (page.state, second.drawn) == ("running", 0), "it never began"
    second.begin()
    second.until(lambda: second.state == "waiting", "the second run to wait again")
    page.click("#dream-stop")
    page.until_over("stopped")
    result, drawn = page.canvas_hash(), page.drawn
    second.until_over("done")
    assert second.drawn > 0
    assert (page.state, page.canvas_hash(), page.drawn) == ("stopped", result, drawn)
    assert second.canvas_hash() != result


def test_a_dropped_result_restores_its_settings_and_repeats_to_the_same_pixels(page, photo, tmp_path):
    page.drop(photo)
    small_and_quick(page)
    page.open_more()
    page.set(page.one("#dream-seed input"), 7)
    page.begin()
    page.until_over("done")
    first = page.save(tmp_path / "saved")
    assert read_recipe(first).config["seed"] == 7
    page.set(page.one("#dream-seed input"), 0)
    by_steps(page, size=256, octaves=5, steps=9)
    page.set_slider("Strength", 0.05)
    page.drop(first)
    page.until(lambda: page.value_of_slider("Octaves") == 2, "the octaves to be restored")
    assert (page.seed, page.value_of_slider("Size"), page.value_of_slider("Steps per octave")) == (7, 192, 4)
    assert page.value_of_slider("Strength") == read_recipe(first).config["step_size"]
    page.until(lambda: any("photo restored" in toast for toast in page.toasts), "a word about it")
    page.until(lambda: read_recipe(first).inputs["image"] in page.shown_photo(), "the photo that it was made from")
    page.begin()
    page.until_over("done")
    again = page.save(tmp_path / "saved")
    assert again != first
    np.testing.assert_array_equal(pixels(again), pixels(first))
    assert read_recipe(again) == read_recipe(first)


def hostile_image(path: Path) -> None:
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


def test_what_is_refused_is_told_in_one_sentence_and_as_words_and_the_studio_goes_on(page, photo, tmp_path, server):
    bad, hostile = tmp_path / "notes.png", tmp_path / "hostile.png"
    bad.write_text("These are not pixels.")
    told = page.drop_without_waiting(bad)
    assert is_one_sentence(told)
    assert "not an image" in told
    page.until(lambda: page.shown_photo() == "", "the photo to be cleared")
    page.dismiss_toasts()
    page.click("#dream-go")
    page.until(lambda: page.toasts, "a toast")
    (told,) = page.toasts
    assert is_one_sentence(told)
    assert told.startswith("Choose a photo first")
    assert page.enabled("#dream-go")
    assert not page.enabled("#dream-stop")
    page.dismiss_toasts()
    hostile_image(hostile)
    page.drop(hostile)
    page.until(lambda: page.toasts, "a toast")
    assert page.toasts[0].startswith("This recipe contains")
    assert page.browser.title == "Reverie", "what the recipe holds is run"
    assert page.all(".toast-body img") == []
    assert "Traceback" not in page.browser.page_source
    assert "Traceback" not in server.log
    page.drop(photo)
    small_and_quick(page)
    page.begin()
    page.until_over("done")
