"""What the browsers of all these tests asked for and complained about. The last file by its name, and on purpose."""

from __future__ import annotations

from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.page import PATIENCE


def test_nothing_was_asked_of_any_other_host_and_nobody_complained(page, photo, visits, server):
    page.drop(photo)
    page.set_slider("Size", 256)
    page.set_slider("Steps per octave", 4)
    page.begin()
    page.until_over("done")
    WebDriverWait(page.browser, PATIENCE).until(lambda browser: browser.execute_script("return document.readyState"))
    visits.note(page.browser)
    print(visits.complaints, server.log)
    assert any(url.startswith(server.url) for url in visits.requests)
    assert visits.elsewhere == []
    assert visits.complaints == []
    assert server.trap.caught == []
    assert list((server.outputs / "uploads").rglob("*.png")), "uploads have a folder of the studio's own"
    assert "Traceback" not in server.log
