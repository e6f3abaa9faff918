"""Host, port and allowed host names."""

from __future__ import annotations

import contextlib
import errno
import functools
import ipaddress
import os
import re
import socket
import threading
import urllib.request
from collections.abc import Iterator, Sequence

import uvicorn
from gradio import http_server
from starlette.types import ASGIApp

# In the form of a Host header.
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_NAME = re.compile(r"\*|(\*\.)?[\w-]+(\.[\w-]+)*\.?|\[[0-9a-fA-F:.]+\]", re.ASCII)
# Connections that may wait until the page is ready.
_BACKLOG = 2048


class AddressError(ValueError):
    """An address that cannot be served; the message is for the user."""


def strip_brackets(host: str) -> str:
    """Strip the brackets of an IPv6 address in URL form."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def is_loopback(host: str) -> bool:
    """True if only this machine can reach a server on that host."""
    try:
        return ipaddress.ip_address(strip_brackets(host)).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_name(name: str) -> bool:
    """True if a Host header can hold this name, without a port; `*.example.com` covers all subdomains."""
    return bool(_NAME.fullmatch(name))


def allowed_names(host: str, allowed: Sequence[str], share: bool, address: str = "") -> list[str]:
    """List the names, in the form of a Host header, by which a server on `host` may be called; "*" allows any.

    A foreign name on a loopback address means DNS rebinding: another site's page that poses as this one.

    Args:
        host: address or name to listen on.
        allowed: further names that the user allows.
        share: True if Gradio's public link is open.
        address: the address that `host` resolves to.
    """
    if share or not (allowed or is_loopback(host)):
        return ["*"]
    own = [_bracketed(one) for one in (strip_brackets(host), address) if one]
    return [*LOOPBACK, *own, *allowed]


def listen(host: str, port: int) -> socket.socket:
    """Open a listening socket; browsers that connect early wait until the page is ready.

    Raises:
        AddressError: the address or port cannot be used; the message says why.
    """
    host = strip_brackets(host)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # Prefer IPv4 where a name has both, since proxies and users expect it.
        family = min((one[0] for one in found), key=lambda one: one != socket.AF_INET)
        both = host == "::" and socket.has_dualstack_ipv6()
        return socket.create_server((host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=both)
    except (socket.gaierror, UnicodeError) as error:
        raise AddressError(f"{host} is not an address of this machine; choose another --host.") from error
    except OSError as error:
        raise AddressError(_listen_error(host, port, error)) from error


def _listen_error(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is already in use; choose another with --port."
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"No permission to listen on port {port}; choose one above 1023 with --port."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"This machine has no address {host}; choose one of its own with --host, or 0.0.0.0 for all."
    why = error.strerror or error
    return f"Cannot listen on {host}, port {port} ({why}); choose others with --host and --port."


def url_of(listener: socket.socket) -> str:
    """Return the listener's URL as seen from this machine, with a trailing slash."""
    host, port = listener.getsockname()[:2]
    return f"http://{_bracketed(_EVERYWHERE.get(host, host))}:{port}/"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def bypass_proxy(*hosts: str) -> None:
    """Exclude this machine's addresses from the proxy settings of this process and its children.

    Gradio sends requests to its own server for its first page and for its tools. Does nothing without a proxy.
    """
    proxies = urllib.request.getproxies()
    if not {"http", "https", "all"} & set(proxies):
        return
    if not urllib.request.getproxies_environment():
        # Once a proxy variable is set, urllib ignores the system's proxy settings, so copy them.
        for scheme in {"http", "https"} & set(proxies):
            os.environ[f"{scheme}_proxy"] = proxies[scheme]
    before = [name.strip() for name in proxies.get("no", "").split(",") if name.strip()]
    ours = [strip_brackets(name) for name in (*LOOPBACK, *hosts)]
    # Programs differ in which spelling they read.
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(dict.fromkeys([*before, *ours]))


class _Server(http_server.Server):
    """Gradio's server on an open socket; waits for startup without a timeout."""

    def __init__(self, app: ASGIApp, listener: socket.socket):
        super().__init__(uvicorn.Config(app, log_level="warning"))
        self._listener = listener

    def run_in_thread(self) -> None:
        self.thread = threading.Thread(target=self.run, args=([self._listener],), name="server", daemon=True)
        self.thread.start()
        while not self.started:
            self.thread.join(0.01)
            if not self.thread.is_alive():
                raise AddressError("The server stopped during startup; see the lines above.")


def _start(listener: socket.socket, app: ASGIApp, **_) -> tuple[str, int, str, http_server.Server]:
    """Replace `gradio.http_server.start_server` by a server on an open socket."""
    server = _Server(app, listener)
    server.run_in_thread()
    host, port = listener.getsockname()[:2]
    return host, port, url_of(listener), server


@contextlib.contextmanager
def use_listener(listener: socket.socket) -> Iterator[None]:
    """Make Gradio serve on an open socket while the context is active.

    By itself Gradio picks its own port, supports IPv4 only, and allows five seconds for startup.
    """
    before = http_server.start_server
    http_server.start_server = functools.partial(_start, listener)
    try:
        yield
    finally:
        http_server.start_server = before
