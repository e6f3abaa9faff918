"""Choose the page's language from the request."""

from __future__ import annotations

import json
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from studio.i18n.catalog import ENGLISH, LANGUAGES, Language

# Query parameter of an explicit choice, and the cookie that remembers it.
CHOSEN = "language"
COOKIE = "reverie-language"
YEAR = 365 * 24 * 60 * 60
_BY_CODE = {language.code: language for language in LANGUAGES}
_HTML_TAG = b'<html\n\tlang="en"'
# Gradio's own texts follow `navigator.language`.
_LANGUAGE_SCRIPT = "<head><script>Object.defineProperty(navigator, 'language', {{ get: () => {code} }});</script>"
# The only URL of the page that ignores a proxy's path prefix.
_ABSOLUTE_MANIFEST, _RELATIVE_MANIFEST = b'href="/manifest.json"', b'href="./manifest.json"'


def preferred_language(header: str) -> Language:
    """Return the supported language that an Accept-Language header prefers; English by default."""
    preferences = []
    for position, entry in enumerate(header.split(",")):
        name, _, weight = entry.partition(";")
        try:
            quality = float(weight.replace(" ", "").removeprefix("q=") or 1)
        except ValueError:
            continue
        preferences.append((-quality, position, name.strip().lower().partition("-")[0]))
    supported = (code for order, _, code in sorted(preferences) if order < 0 and code in _BY_CODE)
    return _BY_CODE.get(next(supported, ""), ENGLISH)


def language_from_cookie(cookies: str) -> Language | None:
    """Return the language stored in the cookie, or None."""
    try:
        cookie = SimpleCookie(cookies).get(COOKIE)
    except CookieError:
        return None
    return _BY_CODE.get(cookie.value) if cookie is not None else None


class LocaleMiddleware:
    """Redirect the start page to the visitor's language, and set the language of each page.

    The language is the explicit choice, that of the cookie, or the browser's preference, in this order. Plain ASGI,
    because event streams pass through.
    """

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        language = self._page(scope)
        if language is None:
            await self.app(scope, receive, send)
            return
        headers, query = Headers(scope=scope), scope["query_string"].decode("latin-1")
        chosen = _BY_CODE.get(dict(parse_qsl(query)).get(CHOSEN, ""))
        wanted = (
            chosen
            or language_from_cookie(headers.get("cookie", ""))
            or preferred_language(headers.get("accept-language", ""))
        )
        if language is ENGLISH and wanted is not ENGLISH and "text/html" in headers.get("accept", ""):
            await _redirect(send, f"./{wanted.path}" + (f"?{query}" if query else ""))
            return
        await self.app(scope, receive, _LanguageMarker(send, language, chosen))

    def _page(self, scope: Scope) -> Language | None:
        """Return the language whose page is requested; None for other requests."""
        if scope["type"] != "http" or scope["method"] != "GET":
            return None
        path = scope["path"].removeprefix(scope.get("root_path", "")).strip("/")
        return next((language for language in LANGUAGES if language.path == path), None)


async def _redirect(send: Send, address: str) -> None:
    """Redirect to a relative URL, since only the browser knows a proxy's path prefix."""
    headers = [
        (b"location", address.encode("latin-1")),
        (b"cache-control", b"no-store"),
        (b"vary", b"Accept-Language, Cookie"),
        (b"content-length", b"0"),
    ]
    await send({"type": "http.response.start", "status": 302, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


class _LanguageMarker:
    """Wraps `send`: sets the page's language, and a cookie after an explicit choice."""

    def __init__(self, send: Send, language: Language, chosen: Language | None):
        self._send, self._language, self._chosen = send, language, chosen
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=list(message["headers"]))
            headers.add_vary_header("Accept-Language, Cookie")
            if self._chosen is not None:
                cookie = f"{COOKIE}={self._chosen.code}; Max-Age={YEAR}; Path=/; SameSite=Lax"
                headers.append("set-cookie", cookie)
            message = {**message, "headers": headers.raw}
            if headers.get("content-type", "").startswith("text/html"):
                self._start = message
                return
        elif self._start is not None:
            self._body += message.get("body", b"")
            if message.get("more_body"):
                return
            page = mark_language(self._body, self._language)
            headers = MutableHeaders(raw=self._start["headers"])
            headers["content-length"] = str(len(page))
            await self._send({**self._start, "headers": headers.raw})
            message = {"type": "http.response.body", "body": page}
        await self._send(message)


def mark_language(page: bytes, language: Language) -> bytes:
    """Set the language of Gradio's HTML page, for screen readers and for Gradio's own texts."""
    code = json.dumps(language.code)
    page = page.replace(_ABSOLUTE_MANIFEST, _RELATIVE_MANIFEST, 1)
    page = page.replace(_HTML_TAG, _HTML_TAG.replace(b'"en"', code.encode()), 1)
    return page.replace(b"<head>", _LANGUAGE_SCRIPT.format(code=code).encode(), 1)


def language_links() -> Iterable[tuple[Language, str]]:
    """Return each language with the link that selects it, valid on every page."""
    return [(language, f"./{language.path}?{CHOSEN}={language.code}") for language in LANGUAGES]
