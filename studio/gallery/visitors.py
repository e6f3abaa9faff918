"""Visitors: a separate gallery for each, on a shared server.

The browser keeps a secret and shows it as the page loads; from then on a visitor is known by the session that Gradio
gives the page. Whoever shows none, as a program that calls the endpoints, is known by that session alone.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict

from gradio.context import LocalContext

# Pages that are open at once on the busiest of days, many times over.
SESSIONS_KNOWN = 10_000
LONGEST_SECRET = 100


class Visitors:
    """Visitors by the sessions of their pages."""

    def __init__(self) -> None:
        self._secrets: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def register(self, secret: str | None) -> str:
        """Note what a page has shown as it loaded, and return the secret for its browser to keep: the same, or a new
        one."""
        kept = secret if isinstance(secret, str) and 16 <= len(secret) <= LONGEST_SECRET else secrets.token_hex(16)
        session = current_session()
        if session:
            with self._lock:
                self._secrets[session] = kept
                self._secrets.move_to_end(session)
                while len(self._secrets) > SESSIONS_KNOWN:
                    self._secrets.popitem(last=False)
        return kept

    def current(self) -> str:
        """A name for the visitor whose event is being handled, which gives no secret away; "" where nobody asks."""
        session = current_session()
        with self._lock:
            secret = self._secrets.get(session, session)
        return hashlib.sha256(secret.encode()).hexdigest()[:32] if secret else ""


def current_session() -> str:
    """The session of the page whose event is being handled; "" outside of any."""
    request = LocalContext.request.get(None)
    return str(getattr(request, "session_hash", "") or "")
