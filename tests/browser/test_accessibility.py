"""Every tab as axe-core finds it: light and dark, wide and narrow, folds open, before anything is done and after."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.browser.helpers import PHONE
from tests.browser.page import Page

DESKTOP = {"width": 1440, "height": 900, "deviceScaleFactor": 1, "mobile": False}
# The way to each view, inner tabs included, and what is there once it can be looked at.
VIEWS = {
    "Home": ".home button",
    "Dream": "#dream-canvas .strip button",
    "Style": "#style-paintings img",
    "Latent/Digits": ".explorer[data-state=ready]",
    "Latent/Portraits": "#faces-picture .edited:not([hidden])",
    "Latent/Train": "#train-canvas .run-view",
    "Faces/Generate": "#gan-face-grid button",
    "Faces/Train": "#gan-train-canvas .run-view",
    "Words/Write": "#text-canvas .word.chosen",
    "Words/Score text": "#scored .run-view",
    "Words/Train": "#text-train-canvas .run-view",
    "Gallery": ".cards .open",
    "Models": ".model",
}
GRAVE, CONTRAST = ("serious", "critical"), "color-contrast"

_SETTLED = """
const done = arguments[arguments.length - 1];
let timer = 0, watcher = null;
const finish = () => { watcher.disconnect(); done(true); };
const again = () => { clearTimeout(timer); timer = setTimeout(finish, 80); };
watcher = new MutationObserver(again);
watcher.observe(document.body, { childList: true, subtree: true });
again();
"""
_UNFOLD = """
const folded = '.fold > button:not(.open), details:not([open]) > summary';
const shown = [...document.querySelectorAll(folded)].filter(one => one.offsetParent);
shown.forEach(one => one.click());
return shown.length;
"""
# Tabs that are not looked at would make every search of the page slower; they are put back where they were.
_PARK = """
const hidden = [...document.querySelectorAll('[role=tabpanel]')].filter(panel => !panel.offsetParent);
window.parked = hidden.map(panel => [document.createComment(''), panel]);
for (const [mark, panel] of window.parked) panel.replaceWith(mark);
"""
_UNPARK = "for (const [mark, panel] of window.parked) mark.replaceWith(panel);"
# The rules whose breach is grave; the others, which would be asked in vain, take as long. None that is only tried out.
_RULES = """
const grave = axe._audit.rules.filter(({ impact, enabled, tags }) =>
  arguments[0].includes(impact) && enabled && !tags.includes('experimental'));
return grave.map(({ id }) => id);
"""
_AXE = """
const done = arguments[arguments.length - 1], [rules] = arguments;
const options = { resultTypes: ['violations'], runOnly: { type: 'rule', values: rules } };
axe.run(document, options).then(found => done(found.violations.map(({ id, impact, nodes }) => ({
  rule: id, impact, nodes: nodes.map(({ target, html, failureSummary }) => [target.join(' '), html, failureSummary]),
}))), error => done(String(error)));
"""
# Which controls look the same with and without the focus, a part of them or what is around them included.
_UNSEEN = """
const look = part => {
  const style = getComputedStyle(part);
  return ['outline', 'boxShadow', 'borderColor', 'backgroundColor', 'color'].map(name => style[name]).join();
};
const around = control => [control, control.parentElement, control.parentElement.parentElement];
const looks = control => [...around(control), ...control.querySelectorAll('*')].map(look).join();
const controls = document.querySelectorAll('button, input, select, textarea, summary, a[href], [tabindex="0"]');
const before = document.activeElement, unseen = [];
for (const control of controls) {
  if (!control.offsetParent || control.disabled || control.tabIndex < 0 || control.type === 'file') continue;
  control.focus({ preventScroll: true });
  if (document.activeElement !== control) continue;
  const focused = looks(control);
  control.blur();
  if (looks(control) === focused) unseen.push(control.outerHTML.slice(0, 160));
}
before.focus?.({ preventScroll: true });
return unseen;
"""


def axe_core() -> str:
    """The script itself, which comes with a package for another driver of browsers."""
    package = importlib.util.find_spec("axe_playwright_python")
    assert package is not None, "make test installs what requirements-axe.txt names"
    assert package.origin is not None
    return (Path(package.origin).parent / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture
def still_page(page) -> Iterator[Page]:
    """The page for somebody who wants no motion: colours in the middle of a change have a contrast of their own."""
    calm = {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]}
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", calm)
    page.browser.execute_script(axe_core())
    try:
        yield page
    finally:
        page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.browser.execute_script("document.body.classList.remove('dark')")


def settle(page: Page) -> None:
    page.browser.execute_async_script(_SETTLED)


def violations(page: Page, where: str) -> list[str]:
    """What is grave, each with the element and the rule that it breaks, what is too wide, and controls that do not show
    the focus."""
    found = []
    page.browser.execute_script(_PARK)
    rules = page.browser.execute_script(_RULES, GRAVE)
    assert CONTRAST in rules
    # All but colours is the same in the dark, and they are the same on a phone.
    others = [rule for rule in rules if rule != CONTRAST]
    looks = {"wide": (DESKTOP, {"light": rules, "dark": [CONTRAST]}), "narrow": (PHONE, {"light": others})}
    for name, (window, themes) in looks.items():
        page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", window)
        settle(page)
        found += [f"{where}, {name}: {page.too_wide} pixels too wide"] if page.too_wide else []
        for theme, asked in themes.items():
            page.browser.execute_script("document.body.classList.toggle('dark', arguments[0])", theme == "dark")
            told: Any = page.browser.execute_async_script(_AXE, asked)
            assert isinstance(told, list), told
            found += [
                f"{where}, {name}, {theme}: {target} breaks {broken['rule']}: {html}\n{why}"
                for broken in told
                if broken["impact"] in GRAVE
                for target, html, why in broken["nodes"]
            ]
    page.browser.execute_script("document.body.classList.remove('dark')")
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", DESKTOP)
    # Not before somebody has used a key.
    ActionChains(page.browser).send_keys(Keys.SHIFT).perform()
    found += [f"{where}: no focus to be seen on {control}" for control in page.browser.execute_script(_UNSEEN)]
    page.browser.execute_script(_UNPARK)
    return found


def dream(page: Page, photo: Path) -> None:
    page.drop(photo)
    for name, value in {"Size": 192, "Octaves": 2, "Steps per octave": 4}.items():
        page.set_slider(name, value)
    page.begin()
    page.until_over("done")


def write_in_colours(page: Page) -> None:
    page.show_tab("Words", "text")
    page.set_slider("Length", 20)
    page.set_slider("Writing speed", 200)
    page.click("#text-coloured input")
    page.begin()
    page.until_over("done")
    page.click("#text-canvas .word:nth-of-type(4)")
    page.until(lambda: page.one("#text-token-inspector .token-inspector").is_displayed(), "the inspector")


def open_a_result(page: Page) -> None:
    page.click(".cards .open")
    page.until(lambda: page.one("#gallery-close").is_displayed(), "the result")


def say_something(page: Page) -> None:
    page.show_tab("Dream", "dream")
    page.clear_photo()
    page.click("#dream-go")
    page.until(lambda: page.toasts, "a message")


def test_no_tab_has_a_grave_fault(still_page, photo):
    page, found = still_page, []
    dream(page, photo)
    write_in_colours(page)
    for view, ready in VIEWS.items():
        for title in view.split("/"):
            page.go_to(title)
            settle(page)
        page.until(lambda ready=ready: page.all(ready), f"{view} to be drawn")
        while page.browser.execute_script(_UNFOLD):
            settle(page)
        found += violations(page, view)
        if view == "Gallery":
            open_a_result(page)
            while page.browser.execute_script(_UNFOLD):
                settle(page)
            found += violations(page, "Gallery with a result opened")
    say_something(page)
    assert page.browser.execute_script("return document.getAnimations().length") == 0, "asked for no motion"
    found += violations(page, "Dream with a message")
    page.click(".masthead .keys")
    found += violations(page, "the list of keys")
    assert not found, "\n\n".join(found)
