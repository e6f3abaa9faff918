"""The page without a mouse: begun and stopped by keys on every tab, the focus kept, runs told of aloud now and then."""

from __future__ import annotations

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.browser.page import Page
from tests.browser.test_gallery import on_the_gallery
from tests.browser.test_latent import on_the_latent_tab

# A slider of each tab, or of its part, that runs something, and what makes its run long enough to be stopped.
TABS = {
    ("Style", "style", ""): ("Stroke size", {}),
    ("Faces", "gan", "Generate"): ("Frames per segment", {"Frames per segment": 60}),
    ("Words", "text", "Write"): ("Temperature", {"Length": 500, "Writing speed": 10}),
}
_LISTEN = """
window.told = []; window.written = 0;
const view = document.querySelector(arguments[0]), aloud = view.querySelector('.aloud');
new MutationObserver(() => window.told.push(aloud.textContent)).observe(aloud, { childList: true });
const note = view.querySelector('.note');
new MutationObserver(() => { window.written += 1; }).observe(note, { childList: true });
"""


def press(page: Page, *keys: str) -> None:
    """Press keys wherever the focus is."""
    ActionChains(page.browser).send_keys(*keys).perform()


def focus(page: Page, selector: str) -> None:
    page.browser.execute_script("document.querySelector(arguments[0]).focus()", selector)


def focused(page: Page) -> str:
    """The id of what has the focus, or its class."""
    return page.browser.execute_script("const e = document.activeElement; return e.id || e.className")


def leave_the_focus(page: Page) -> None:
    page.browser.execute_script("document.activeElement.blur()")


def begins_and_stops(page: Page) -> None:
    """Enter begins a run, wherever one is, and Escape stops it."""
    page.until(lambda: page.enabled(page.part("go")), "the button that begins")
    if page.tab == "style":
        page.until(lambda: page.all("#style-paintings img"), "a painting")  # drawn when the page first opens
    leave_the_focus(page)
    press(page, Keys.ENTER)
    page.until(lambda: page.state in ("waiting", "running") and page.enabled(page.part("stop")), "the run to begin")
    press(page, Keys.ESCAPE)
    page.until_over("stopped")


@pytest.mark.parametrize(("title", "tab", "part"), list(TABS))
def test_keys_move_a_slider_begin_and_stop_and_are_listed(page, title, tab, part):
    slider, settings = TABS[title, tab, part]
    page.show_tab(title, tab, part)
    for name, value in settings.items():
        page.until(lambda name=name: page.all(f'input[type=range][aria-label$="{name}"]'), name)
        page.set_slider(name, value)
    control = page.control(slider)
    before = float(control.get_property("value"))
    control.send_keys(Keys.ARROW_LEFT)
    assert float(control.get_property("value")) < before
    leave_the_focus(page)
    press(page, "?")
    page.until(lambda: page.one("dialog.shortcuts").is_displayed(), "the list of keys")
    press(page, Keys.ESCAPE)
    page.until(lambda: not page.one("dialog.shortcuts").is_displayed(), "it to be closed")
    begins_and_stops(page)


def test_a_walk_is_placed_on_the_map_and_begun_by_keys_alone(page):
    on_the_latent_tab(page)
    # Long enough to be stopped.
    page.set_slider("Frames per segment", 60)
    page.click("#latent-closed input")
    focus(page, "#latent-map [data-mode=walk]")
    press(page, Keys.SPACE)
    latent_map = page.one("#latent-map .explorer")
    focus(page, "#latent-map .tiles")
    for count in (1, 2):
        exact = latent_map.get_attribute("data-exact")
        press(page, Keys.ARROW_RIGHT)
        page.until(lambda exact=exact: latent_map.get_attribute("data-exact") != exact, "a step to the right")
        press(page, Keys.SPACE)
        page.until(lambda count=count: latent_map.get_attribute("data-waypoints") == str(count), "a waypoint")
    assert page.one("#latent-map .aloud").get_property("textContent") == "2 waypoints"
    begins_and_stops(page)


def test_enter_draws_another_face_and_with_ctrl_scores_what_is_typed(page):
    page.go_to("Latent")
    page.go_to_part("Portraits")
    faces = "return Number(document.querySelector('#faces-picture .faces')?.dataset.drawn)"
    page.until(lambda: page.browser.execute_script(faces), "a face")
    drawn = page.browser.execute_script(faces)
    leave_the_focus(page)
    press(page, Keys.ENTER)
    page.until(lambda: page.browser.execute_script(faces) > drawn, "another face")
    page.show_tab("Words", "text", "Write")
    page.go_to_part("Score text")
    page.until(lambda: page.one("#score-text textarea").is_displayed(), "a place for a text")
    page.one("#score-text textarea").send_keys("It was a good video.")
    ActionChains(page.browser).key_down(Keys.CONTROL).send_keys(Keys.ENTER).key_up(Keys.CONTROL).perform()
    page.until(lambda: page.all("#scored .word"), "its words")


def test_the_focus_goes_from_the_button_that_begins_to_stop_and_back(page):
    page.show_tab("Dream", "dream")
    for name, value in {"Size": 640, "Octaves": 3, "Steps per octave": 100}.items():
        page.set_slider(name, value)
    page.until(lambda: page.enabled("#dream-go"), "the button that begins")
    focus(page, "#dream-go")
    press(page, Keys.ENTER)
    page.until(lambda: focused(page) == "dream-stop", "the focus on Stop")
    press(page, Keys.ENTER)
    page.until_over("stopped")
    page.until(lambda: focused(page) == "dream-go", "the focus on Dream")


def test_a_run_is_told_of_aloud_when_it_begins_at_every_tenth_and_when_it_ends(page):
    page.show_tab("Dream", "dream")
    for name, value in {"Size": 192, "Octaves": 1, "Steps per octave": 60}.items():
        page.set_slider(name, value)
    page.browser.execute_script(_LISTEN, "#dream-canvas .run-view")
    page.begin()
    page.until_over("done")
    told, written = page.browser.execute_script("return [window.told, window.written]")
    assert told[0].startswith("starting")
    assert told[-1].startswith("done in ")
    assert 3 <= len(told) <= min(14, written)
    status = page.one("#dream-canvas .aloud")
    assert (status.get_attribute("role"), status.get_property("textContent")) == ("status", told[-1])


def test_a_result_opened_by_keys_has_the_focus_and_gives_it_back(page, names):
    on_the_gallery(page)
    card = f'.cards [data-name="{names[0]}"] .open'
    focus(page, card)
    press(page, Keys.ENTER)
    page.until(lambda: focused(page) == "viewer", "the focus on the result")
    press(page, Keys.ESCAPE)
    held = "return document.activeElement.closest('li')?.dataset.name || ''"
    page.until(lambda: page.browser.execute_script(held) == names[0], "the focus on its card again")
    press(page, Keys.ARROW_RIGHT)
    page.until(lambda: page.browser.execute_script(held) not in ("", names[0]), "the next card")


def test_light_or_dark_is_chosen_and_kept(page):
    def dark() -> bool:
        return page.browser.execute_script("return document.body.classList.contains('dark')")

    before = dark()
    page.one(".masthead .looks").send_keys(Keys.ENTER)
    assert dark() is not before
    assert page.one(".masthead .looks").get_attribute("aria-pressed") == str(dark()).lower()
    page.reload()
    page.until(lambda: dark() is not before, "the choice after a reload")
    page.until(lambda: page.all(".masthead .looks"), "the masthead")
    page.one(".masthead .looks").send_keys(Keys.ENTER)
    assert dark() is before
