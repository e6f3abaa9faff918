"""The Words tab in a real browser: a text that is written, stopped, gone on with and rewritten from a word; a score; a
training."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.keys import Keys

from engines.recipes import read_recipe
from tests.browser.page import Page

TEXTS = "return [...document.querySelectorAll(arguments[0] + ' .text')].map(text => text.textContent)"


@pytest.fixture
def page(page) -> Page:
    """The Words tab."""
    return on_the_words_tab(page)


def on_the_words_tab(page: Page) -> Page:
    page.show_tab("Words", "text", "Write")
    return page


def texts(page: Page, canvas: str = "#text-canvas") -> list[str]:
    return page.browser.execute_script(TEXTS, canvas)


def words(page: Page, canvas: str = "#text-canvas") -> list:
    return page.all(f"{canvas} .word")


def length(page: Page, tokens: int) -> None:
    page.set(page.one("#text-tokens input[type=range]"), tokens)


def prompt(page: Page, text: str) -> None:
    page.set(page.one("#text-prompt textarea"), text)


def inspected(page: Page, index: int) -> list:
    """Choose a word, and the ten likeliest at its place."""
    drawn = "return Number(document.querySelector('#text-token-inspector .token-inspector').dataset.drawn)"
    before = page.browser.execute_script(drawn)
    page.browser.execute_script("arguments[0].click()", words(page)[index])
    page.until(lambda: page.browser.execute_script(drawn) > before, "the inspector")
    return page.all("#text-token-inspector .bars button")


def test_a_text_is_written_stopped_gone_on_with_and_rewritten_from_a_word(page, tmp_path):
    prompt(page, "The best film of the year")
    length(page, 400)
    page.begin()
    page.until(lambda: len(words(page)) >= 8, "some words")
    page.click("#text-stop")
    page.until_over("stopped")
    stopped = texts(page)[0]
    assert stopped.startswith("The best film of the year")
    count = len(words(page))
    length(page, 10)
    page.click("#text-continue")
    page.until(lambda: len(words(page)) >= count + 5, "more words")
    page.until_over("done")
    assert texts(page)[0].startswith(stopped)

    alternatives = inspected(page, 3)
    assert len(alternatives) == 10
    assert "Entropy" in page.one("#text-token-inspector .entropy").text
    kept = "".join(one.get_property("textContent") for one in words(page)[:3])
    other = next(
        one for one in alternatives if one.get_attribute("aria-pressed") == "false" and "(end)" not in one.text
    )
    token = int(other.get_attribute("data-token"))
    page.browser.execute_script("arguments[0].click()", other)
    page.until(lambda: not page.one("#text-token-inspector .token-inspector").is_displayed(), "another run")
    page.until_over("done")
    assert texts(page)[0].startswith("The best film of the year" + kept)

    text = page.save(tmp_path / "text")
    assert text.read_text(encoding="utf-8") == texts(page)[0].replace("\u200b", "")
    recipe_file = page.save(tmp_path / "recipe", "recipe")
    recipe = read_recipe(recipe_file)
    assert (recipe.config["prompt"], recipe.config["begun"][3]) == ("The best film of the year", token)

    before = texts(page)
    prompt(page, "something else")
    page.one("input[type=file]:has(+ #text-saved)").send_keys(str(recipe_file))
    page.until(lambda: any("Settings restored" in toast for toast in page.toasts), "the settings")
    page.begin()
    page.until_over("done")
    assert texts(page) == before


def test_five_temperatures_are_written_side_by_side_and_part(page):
    prompt(page, "This movie")
    page.choose("mode", "Five temperatures")
    length(page, 30)
    page.begin()
    page.until_over("done")
    assert [one.text for one in page.all("#text-canvas h4")] == [f"Temperature {t}" for t in (0.2, 0.5, 0.7, 1, 1.5)]
    assert len(set(texts(page))) >= 3
    parted = page.all("#text-canvas .word.parts")
    assert 1 <= len(parted) <= 4
    page.choose("mode", "Greedy vs sampling")
    page.begin()
    page.until(lambda: len(texts(page)) == 2, "two texts")
    page.until_over("done")
    assert page.all("#text-canvas h4")[0].text == "Greedy"
    page.choose("mode", "Single text")


def test_words_are_coloured_reached_by_the_keyboard_and_there_after_a_reload(page):
    prompt(page, "This movie")
    length(page, 20)
    page.begin()
    page.until_over("done")
    page.click("#text-coloured input")
    colours = (
        "return [...document.querySelectorAll('#text-canvas .word')].map(w => getComputedStyle(w).backgroundColor)"
    )
    page.until(lambda: len(set(page.browser.execute_script(colours))) > 1, "colours")
    page.click("#text-coloured input")
    first = words(page)[0]
    page.browser.execute_script("arguments[0].focus()", first)
    first.send_keys(Keys.ARROW_RIGHT)
    second = page.browser.switch_to.active_element
    assert second.get_attribute("data-index") == "1"
    second.send_keys(Keys.ENTER)
    page.until(lambda: page.all("#text-token-inspector .bars button"), "the inspector")
    chosen = page.one("#text-canvas .word.chosen")
    assert chosen.get_attribute("data-index") == "1"
    page.begin("again")
    page.until_over("done")
    before = texts(page)
    page.reload()
    on_the_words_tab(page)
    page.until(lambda: texts(page) == before, "the text")


def test_a_text_is_scored_word_by_word(page):
    page.go_to_part("Score text")
    page.until(lambda: page.all("#score-go") and page.one("#score-go").is_displayed(), "the place for a text")
    page.set(page.one("#score-text textarea"), "A wonderful film with a zebra in it.")
    page.click("#score-go")
    page.until(lambda: "Perplexity" in page.one("#score-said").text, "the score")
    assert texts(page, "#scored") == ["A wonderful film with a zebra in it."]
    page.browser.execute_script("arguments[0].click()", words(page, "#scored")[2])
    page.until(lambda: len(page.all("#score-token-inspector .bars button")) == 10, "the inspector")
    assert not page.all("#score-token-inspector .bars button")[0].is_enabled(), "there is nothing to write on from"


def test_a_model_is_trained_before_ones_eyes_and_writes(page, tmp_path):
    path = tmp_path / "melody.txt"
    path.write_text("do re mi fa so la ti do. " * 400, encoding="utf-8")
    page.go_to_part("Train")
    page.tab = "text-train"
    page.until(lambda: page.all("#text-train-data input[type=file]"), "a place for the data")
    page.one("#text-train-data input[type=file]").send_keys(str(path))
    page.until(lambda: "melody" in page.one("#text-train-data").text, "the data")
    page.open_more()
    for name, value in (("block_size", 32), ("embed_dim", 32), ("num_layers", 1), ("interval", 5), ("tokens", 20_000)):
        page.set(page.one(f"#text-train-{name} input[type=range]"), value)
    page.begin()
    page.until(lambda: len(texts(page, "#text-train-canvas")) == 5, "samples")
    page.until_over("done")
    page.click("#text-train-canvas summary")
    assert len(page.all("#text-train-canvas .curve polyline")) >= 2
    page.click("#text-train-use")
    page.until(lambda: any("model is ready" in toast for toast in page.toasts), "that it writes")
    page.go_to_part("Write")
    page.tab = "text"
    prompt(page, "do re mi")
    length(page, 20)
    page.begin()
    page.until_over("done")
    assert texts(page)[0].startswith("do re mi")
