"""Session state kept by the server."""

from __future__ import annotations

from types import SimpleNamespace

import gradio as gr
from gradio.state_holder import SessionState, StateHolder

# Includes closed pages. A page that comes back after so many others starts a new session.
SESSIONS_KEPT = 2000


class Session(SessionState):
    """State of one open page, without Gradio's description of all components.

    Gradio keeps that description for deep links into a page, which this page does not have. It takes 2 MB per page load
    for as long as the server runs, and blocks the server for a tenth of a second.
    """

    def __init__(self, page: gr.Blocks):
        super().__init__(SimpleNamespace(default_config=page.default_config, blocks={}))
        self.blocks_config.config_for_block = lambda *_: {}


class Sessions(StateHolder):
    """Sessions of a served page."""

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            self.session_data[session_id] = Session(self.blocks)
        return super().__getitem__(session_id)


def use_light_sessions(page: gr.Blocks) -> None:
    """Make a served page create `Session` objects."""
    sessions = Sessions()
    sessions.set_blocks(page)
    page.app.state_holder = sessions
