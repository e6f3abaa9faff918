"""A page behind a proxy that has it under another name, at a path, in a browser that keeps nothing for anybody."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import gradio as gr
import pytest

from studio.page import masthead
from studio.server.listening import listen
from studio.server.serve import serve
from studio.services import Studio
from tests.browser.page import Page, Visits
from tests.studio.proxy import reverse_proxy

# Browsers know by themselves that this is the machine that they are on.
NAME = "studio.localhost"
NO_COOKIES_AND_NO_STORAGE = {"profile.default_content_setting_values.cookies": 2}


@pytest.fixture
def proxy(tmp_path) -> Iterator[SimpleNamespace]:
    """A proxy in front of a page with a button that says how often it was pressed; its `url` is of the page."""
    studio, presses = Studio(outputs=tmp_path / "outputs"), iter(range(1, 100))
    with gr.Blocks() as page:
        masthead("")
        said = gr.Textbox(elem_id="said")
        for name in ("press", "again"):
            gr.Button(name, elem_id=name).click(lambda: str(next(presses)), None, [said], api_name=name)
    listener = listen("127.0.0.1", 0)
    # As the flag does, with what is looked up before the page's scripts.
    options = {"allowed_hosts": [NAME], "root_path": "/studio", "theme": "dark"}
    serve(page, studio, host="127.0.0.1", port=0, listener=listener, block=False, **options)
    with reverse_proxy(listener.getsockname()[1], "/studio/") as proxy:
        proxy.url = f"http://{NAME}:{proxy.port}/studio/"
        yield proxy
    page.close()
    studio.close()


def test_a_page_at_a_path_works_without_storage_and_says_when_it_reaches_nobody(proxy, new_browser):
    browser = new_browser(**NO_COOKIES_AND_NO_STORAGE)
    page = Page(browser, SimpleNamespace(url=proxy.url), Visits(proxy.url))
    browser.get(proxy.url)
    with pytest.raises(Exception, match="denied"):
        browser.execute_script("localStorage.length")

    def said() -> str:
        return page.one("#said textarea").get_property("value")

    def dark() -> bool:
        return "dark" in page.one("body").get_attribute("class").split()

    page.until(lambda: page.all("#press") and page.all(".looks"), "the page")
    page.click("#press")
    page.until(lambda: said() == "1", "the server's answer")
    # Each script of the masthead runs, though what one wants to read is not to be had.
    assert dark()
    page.click(".looks")
    assert not dark()
    browser.execute_script("document.body.insertAdjacentHTML('beforeend', '<p class=cm-scroller tabindex=-1>')")
    page.until(lambda: page.one(".cm-scroller").get_attribute("tabindex") == "0", "the page to be mended")
    page.click(".keys")
    page.until(lambda: page.one("dialog.shortcuts").is_displayed(), "the list of keys")

    assert not page.one(".unreachable").is_displayed()
    proxy.away = True
    page.click("#press")
    page.until(
        lambda: "Cannot reach the studio" in page.one(".unreachable").text, "the page to say that nobody answers"
    )
    proxy.away = False
    page.until(lambda: not page.one(".unreachable").is_displayed(), "the server to be found again")
    page.click("#press")
    page.until(lambda: said() == "2", "the server's answer")

    # Pressed while the last message of the answer before is on its way.
    proxy.late = 0.4
    browser.execute_script(
        "for (const id of ['press', 'again']) setTimeout(() => document.getElementById(id).click(), "
        "id === 'again' ? 200 : 0);"
    )
    page.until(lambda: said() == "4", "the server's answer to both")
    page.visits.note(browser)
    assert all(path.startswith(("/studio/", "/favicon.ico")) for path in proxy.asked)
