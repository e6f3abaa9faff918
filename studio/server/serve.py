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
from studio.server.theme import STATIC
from studio.server.theme import theme as studio_theme
from studio.services import Studio

STYLE = STATIC / "studio.css"
# Not in the style, whose media queries Gradio keeps from its own messages and from what is drawn before and after.
_STILL = (
    "<style>@media (prefers-reduced-motion: reduce) { *, *::before, *::after { scroll-behavior: auto !important; "
    "transition: none !important; animation: none !important; } }</style>"
)
# The page may fetch from its own server only. Gradio evaluates component scripts, hence 'unsafe-eval'.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; "
    "frame-ancestors 'self' https://huggingface.co"
)


class SecurityHeaders:
    """Adds headers to every answer. Plain ASGI, as Starlette's base class would buffer streamed answers."""

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
    """Serve the page until interrupted; `ready` is called once it answers.

    Args:
        listener: what listens there already; None to begin to.
        allowed_hosts: by which names the server may be called besides this machine's own; where there are none, by any
            name on an address that others can reach.
        root_path: what stands before the page's address where a proxy takes it away: "/studio", or a whole URL.
        mcp: whether the programming interface is served as tools for language models too (Model Context Protocol).

    Raises:
        AddressError: nobody can be served there.
        ToolsError: the tools cannot be served.
    """
    if mcp:
        check_installed()
    listener = listener or listen(host, port)
    # Gradio asks for the page by the address that a name stands for.
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
    # Watching a run takes no thread (it is a coroutine), so Gradio's limit of one event a function is lifted there.
    page.queue(max_size=200)
    with use_listener(listener):
        page.launch(
            share=share,
            auth=tuple(auth.split(":", 1)) if auth else None,
            theme=studio_theme(),
            css=STYLE.read_text(encoding="utf-8"),
            js=asset(STATIC / "theme.js").replace("DARK", str(theme == "dark").lower()) if theme != "system" else None,
            head=_STILL,
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
            # Else it asks for the page once, and gives up where that takes more than three seconds.
            _frontend=False,
        )
    use_light_sessions(page)
    if mcp:
        try:
            check_served(page)
        except ToolsError:
            page.close()
            raise
    print(f"Reverie is at {url_of(listener)} until you press Ctrl-C.", flush=True)
    ready()
    if not block:
        return
    try:
        while True:  # a wait without an end cannot be interrupted on Windows
            time.sleep(3600)
    except KeyboardInterrupt:
        pass
    finally:
        studio.runs.close()
        page.close()
