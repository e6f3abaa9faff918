"""Serve the page: theme, styles and security headers."""

from __future__ import annotations

import socket
import time
import urllib.parse
from collections.abc import Callable, Sequence

import gradio as gr
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from studio.api.mcp import ToolsError, check_installed, check_served
from studio.components.html_component import asset
from studio.i18n.middleware import LocaleMiddleware
from studio.server.calls import CallValidation
from studio.server.event_streams import EventStreams
from studio.server.listening import allowed_names, bypass_proxy, listen, url_of, use_listener
from studio.server.sessions import SESSIONS_KEPT, use_light_sessions
from studio.server.theme import STATIC, stylesheet
from studio.server.theme import theme as studio_theme
from studio.services import Studio

# Not in the stylesheet, whose media queries Gradio does not apply to its own messages and loading screen.
_REDUCED_MOTION = (
    "<style>@media (prefers-reduced-motion: reduce) { *, *::before, *::after { scroll-behavior: auto !important; "
    "transition: none !important; animation: none !important; } }</style>"
)
# The page may only connect to its own server. Gradio evaluates component scripts, hence 'unsafe-eval'.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; "
    "frame-ancestors 'self' https://huggingface.co"
)


class SecurityHeaders:
    """Middleware that adds security headers. Plain ASGI, as Starlette's base class would buffer streamed answers."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", []),
                    (b"content-security-policy", _POLICY.encode()),
                    (b"x-content-type-options", b"nosniff"),
                    (b"referrer-policy", b"no-referrer"),
                ]
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


def serve(
    page: gr.Blocks,
    studio: Studio,
    *,
    host: str,
    port: int,
    listener: socket.socket | None = None,
    allowed_hosts: Sequence[str] = (),
    root_path: str = "",
    share: bool = False,
    auth: str | None = None,
    theme: str = "system",
    mcp: bool = False,
    ready: Callable[[], object] = lambda: None,
    block: bool = True,
) -> None:
    """Serve the page until interrupted.

    Args:
        page: the built page.
        studio: its services, closed at the end.
        host: address or name to listen on.
        port: port to listen on.
        listener: an open socket to use instead; None to open one.
        allowed_hosts: names by which the server may be called besides this machine's own. If empty, an address that
            others can reach accepts any name.
        root_path: path or URL that a proxy strips from requests, such as "/studio".
        share: open a public link through Gradio's relay.
        auth: "USER:PASSWORD" that visitors must enter; None for open access.
        theme: "system", "light" or "dark".
        mcp: also serve the API as tools for language models (Model Context Protocol).
        ready: called once the page answers.
        block: return only when interrupted.

    Raises:
        AddressError: the address or port cannot be used.
        ToolsError: the tools cannot be served.
    """
    if mcp:
        check_installed()
    listener = listener or listen(host, port)
    # Gradio fetches the page by the resolved address.
    address = urllib.parse.urlsplit(url_of(listener)).hostname or host
    bypass_proxy(host, address)
    middleware = [
        Middleware(
            TrustedHostMiddleware, allowed_hosts=allowed_names(host, allowed_hosts, share, address), www_redirect=False
        ),
        Middleware(SecurityHeaders),
        Middleware(EventStreams),
        Middleware(LocaleMiddleware),
        Middleware(CallValidation, page=page),
    ]
    # Watching a run is a coroutine and takes no thread, so handlers lift Gradio's limit of one event per function.
    page.queue(max_size=200)
    with use_listener(listener):
        page.launch(
            share=share,
            auth=tuple(auth.split(":", 1)) if auth else None,
            theme=studio_theme(),
            css=stylesheet(),
            js=asset(STATIC / "theme.js").replace("DARK", str(theme == "dark").lower()) if theme != "system" else None,
            head=_REDUCED_MOTION,
            root_path=root_path or None,
            app_kwargs={"middleware": middleware},
            allowed_paths=[str(studio.outputs)],
            max_file_size="100mb",
            state_session_capacity=SESSIONS_KEPT,
            ssr_mode=False,
            enable_monitoring=False,
            run_history=False,
            footer_links=[],
            show_error=False,
            quiet=True,
            mcp_server=mcp,
            prevent_thread_lock=True,
            # Otherwise Gradio fetches the page once and gives up after three seconds.
            _frontend=False,
        )
    use_light_sessions(page)
    if mcp:
        try:
            check_served(page)
        except ToolsError:
            page.close()
            raise
    print(f"Reverie is running at {url_of(listener)}; press Ctrl-C to stop.", flush=True)
    ready()
    if not block:
        return
    try:
        while True:  # an endless wait cannot be interrupted on Windows
            time.sleep(3600)
    except KeyboardInterrupt:
        pass
    finally:
        studio.runs.close()
        page.close()
