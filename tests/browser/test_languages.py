"""The page in Korean: led there, switched to while a run is going, and all that can be read on it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from studio.i18n.catalog import KOREAN
from studio.page import TABS
from tests.browser.page import Page

# What is the same in every language: names, units, formats, what a person has written.
ALIKE = re.compile(
    r"Reverie|English|bfloat16|Studio VGG|InceptionV3|VGG1[69]|Xception|ResNet50|MP4|GIF|WebP|L-BFGS|Adam|SGD|RMSprop|"
    r"Top-k|Top-p|Min-p|MD5|SHA-256|MB|CC BY[-A-Z .0-9]*|This movie.*|weights/[\w.]+|Ctrl|Enter|Escape|"
    r"[\d.,]+ ?MB|\w+\.(npz|zip|jpg|jpeg|png|webp|txt|md|jsonl|gz|h5|json)"
)
# The texts that can be seen, with everything unfolded; not what is a command, an address or a hash.
_UNFOLD = """
for (const fold of document.querySelectorAll('.label-wrap:not(.open)')) if (fold.checkVisibility()) fold.click();
for (const details of document.querySelectorAll('details')) details.open = true;
return !document.querySelector('.label-wrap:not(.open)')?.checkVisibility();
"""
_READ = """
const texts = new Set(), walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const within = walker.currentNode.parentElement, shown = { visibilityProperty: true, opacityProperty: true };
  const ours = !within.closest('script, style, code, a[href^=http], .toast-title, .home .words, #gallery-grid .words');
  if (ours && within.checkVisibility(shown)) texts.add(walker.currentNode.data.trim());
}
return [...texts].filter(Boolean);
"""


@pytest.fixture
def korean(server, visits, shared_browser, opened) -> Iterator[Page]:
    """A browser that prefers Korean and was never here, not on any page yet."""
    opened.clear()
    page, override = Page(shared_browser, server, visits), "Network.setUserAgentOverride"
    agent = shared_browser.execute_script("return navigator.userAgent")
    page.forget()
    shared_browser.execute_cdp_cmd(override, {"userAgent": agent, "acceptLanguage": "ko-KR,ko"})
    try:
        yield page
        page.leave()
    finally:
        shared_browser.execute_cdp_cmd(override, {"userAgent": agent, "acceptLanguage": "en-US,en"})


def leave_for(page: Page, go: Callable[[], object], address: str) -> None:
    """Have the browser go to another page, and wait until that can be used."""
    page.visits.note(page.browser)
    go()
    page.until(lambda: page.browser.current_url == page.server.url + address, f"the page {address!r}")
    page.until(lambda: page.all("button[role=tab][aria-selected=true]"), "the tabs")
    page.visits.note(page.browser, just_left_a_page=True)


def switch(page: Page, code: str, address: str) -> None:
    """Choose a language in the masthead."""
    leave_for(page, lambda: page.click(f".languages a[lang={code}]"), address)
    assert page.browser.execute_script("return document.documentElement.lang") == code
    assert page.browser.title == "Reverie"


def english_on(page: Page) -> list[str]:
    """What can be read on the tab and is not Korean, though it could be."""
    texts = page.browser.execute_script(_READ)
    assert any(re.search("[가-힣]", text) for text in texts)
    return [text for text in texts if re.search("[A-Za-z]{2,}", ALIKE.sub("", text)) and not re.search("[가-힣]", text)]


def test_a_browser_is_led_to_korean_all_is_said_in_it_and_a_run_goes_on_in_another_language(korean, photo):
    page = korean
    leave_for(page, lambda: page.browser.get(f"{page.server.url}?__theme=light"), "ko?__theme=light")
    page.until(lambda: page.on_the_dream_tab(KOREAN.translate("Dream")), "the Dream tab")
    page.wait_for_the_page()
    page.clear_photo()
    page.click(page.part("go"))
    page.until(
        lambda: "먼저 사진을 선택해 주세요. 사진을 끌어다 놓거나 예시를 클릭하면 돼요." in page.toasts,
        "a toast in Korean",
    )

    left = {}
    for title in (tab.title for tab in TABS):
        page.go_to(KOREAN.translate(title))
        page.until(lambda title=title: page.chosen_tab == KOREAN.translate(title), title)
        page.until(lambda: len(page.browser.execute_script(_READ)) > 8, "what is on the tab")
        page.until(lambda: page.browser.execute_script(_UNFOLD), "what is folded")
        left |= {title: found} if (found := english_on(page)) else {}
    assert left == {}

    page.go_to(KOREAN.translate("Dream"))
    page.drop(photo)
    # More steps than are waited for, another page in between.
    for name, value in {"size": 640, "octaves": 3, "steps": 100}.items():
        page.set(page.one(f"#dream-{name} input[type=range]"), value)
    page.begin()
    page.until_images_come()
    page.until(lambda: "옥타브" in page.note, "a note in Korean")
    page.click(page.part("stop"))
    page.until_over("stopped")
    assert re.search(r".+ 뒤 정지했어요\. 이미지는 남겨 뒀어요", page.note)
    page.begin()
    page.until_images_come()

    switch(page, "en", "?__theme=light&language=en")
    page.until(lambda: page.chosen_tab == "Dream", "the tab looked at last")
    page.until(lambda: page.state == "running" and page.drawn, "the run")
    page.until(lambda: page.note.startswith("octave"), "a note in English")
    page.until(lambda: page.enabled(page.part("stop")), "the button that stops")
    page.leave()
    # What a person chooses counts more than what their browser prefers, then and later.
    leave_for(page, lambda: page.browser.get(page.server.url), "")
