"""Which language's page a browser receives, and how the page states its language."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from studio.i18n.catalog import ENGLISH, KOREAN
from studio.i18n.middleware import LocaleMiddleware, language_links, preferred_language

PAGE = '<!doctype html>\n<html\n\tlang="en"\n>\n<head></head><body>한국어</body></html>'
HTML = {"accept": "text/html,application/xhtml+xml"}
KOREAN_BROWSER = HTML | {"accept-language": "ko-KR,ko;q=0.9,en;q=0.8"}


@pytest.fixture
def visitor() -> TestClient:
    """A visitor of a page behind the middleware."""

    async def page(_) -> Response:
        return HTMLResponse(PAGE)

    async def said(request) -> Response:
        return PlainTextResponse(PAGE if request.method == "GET" else "posted")

    routes = [Route("/", page), Route("/ko", page), Route("/info", said), Route("/run", said, methods=["POST"])]
    app = Starlette(routes=routes, middleware=[Middleware(LocaleMiddleware)])
    return TestClient(app, follow_redirects=False)


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", ENGLISH),
        ("en-US,en;q=0.9", ENGLISH),
        ("ko", KOREAN),
        ("ko-KR,ko;q=0.9,en;q=0.8", KOREAN),
        ("en;q=0.5, ko;q=0.6", KOREAN),
        ("fr, ko;q=0.5, en;q=0.7", ENGLISH),
        ("fr-FR,fr;q=0.9", ENGLISH),
        ("ko;q=0", ENGLISH),
        ("ko;q=much, en", ENGLISH),
        (";;,,q=1", ENGLISH),
    ],
)
def test_the_language_that_a_browser_prefers(header, language):
    assert preferred_language(header) is language


def test_a_browser_is_led_to_its_language_with_what_else_its_address_says(visitor):
    answer = visitor.get("/?__theme=dark", headers=KOREAN_BROWSER)
    assert (answer.status_code, answer.headers["location"]) == (302, "./ko?__theme=dark")
    assert visitor.get("/", headers=KOREAN_BROWSER).headers["location"] == "./ko"
    assert visitor.get("/", headers=HTML | {"accept-language": "en"}).status_code == 200


def test_behind_a_proxy_too(visitor):
    client = TestClient(visitor.app, root_path="/space", follow_redirects=False)
    assert client.get("/space/", headers=KOREAN_BROWSER).headers["location"] == "./ko"


def test_what_a_person_chooses_counts_more_and_is_remembered(visitor):
    chosen = visitor.get("/?language=en", headers=KOREAN_BROWSER)
    assert chosen.status_code == 200
    assert "reverie-language=en" in chosen.headers["set-cookie"]
    assert visitor.get("/", headers=KOREAN_BROWSER).status_code == 200
    assert "set-cookie" not in visitor.get("/", headers=KOREAN_BROWSER).headers
    visitor.get("/ko?language=ko", headers=HTML)
    assert visitor.get("/", headers=HTML | {"accept-language": "en"}).headers["location"] == "./ko"


@pytest.mark.parametrize("nonsense", ["reverie-language=xx", "reverie-language", "=;=", 'reverie-language="\\'])
def test_a_cookie_of_nonsense_says_nothing(visitor, nonsense):
    assert visitor.get("/", headers=KOREAN_BROWSER | {"cookie": nonsense}).status_code == 302
    assert visitor.get("/", headers=HTML | {"cookie": nonsense}).status_code == 200


def test_programs_are_left_alone(visitor):
    assert visitor.get("/", headers={"accept-language": "ko", "accept": "*/*"}).status_code == 200
    assert visitor.get("/info", headers=KOREAN_BROWSER).text == PAGE
    assert visitor.post("/run", headers=KOREAN_BROWSER).text == "posted"


@pytest.mark.parametrize("language", [ENGLISH, KOREAN])
def test_a_page_says_which_language_it_is_in(visitor, language):
    answer = visitor.get(f"/{language.path}", headers=HTML)
    assert f'<html\n\tlang="{language.code}"' in answer.text
    assert (
        f"<head><script>Object.defineProperty(navigator, 'language', {{ get: () => \"{language.code}\" }})"
        in answer.text
    )
    assert answer.text.endswith("한국어</body></html>")
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert "Accept-Language" in answer.headers["vary"]


def test_the_links_lead_to_each_page_from_any():
    assert list(language_links()) == [(ENGLISH, "./?language=en"), (KOREAN, "./ko?language=ko")]
