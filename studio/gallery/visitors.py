"""Visitors: a separate gallery for each, on a shared server.

The browser stores a secret and sends it on page load; from then on the page's Gradio session identifies the visitor.
API clients send no secret and are identified by their session.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict

from gradio.context import LocalContext

# Far more than the pages that are ever open at once.
SESSIONS_KNOWN = 10_000
LONGEST_SECRET = 100


class Visitors:
    """Maps sessions to visitors."""

    def __init__(self) -> None:
        self._secrets: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def register(self, secret: str | None) -> str:
        """Register the session of a page that has loaded.

        Args:
            secret: the secret from the browser, if it has one.

        Returns:
            The secret for the browser to store; a new one if `secret` is not valid.
        """
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
        """Return a public name of the visitor whose event is being handled; "" outside of events."""
        session = current_session()
        with self._lock:
            secret = self._secrets.get(session, session)
        return hashlib.sha256(secret.encode()).hexdigest()[:32] if secret else ""


def current_session() -> str:
    """Return the session whose event is being handled; "" outside of events."""
    request = LocalContext.request.get(None)
    return str(getattr(request, "session_hash", "") or "")
