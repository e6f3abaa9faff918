"""Session state kept by the server."""

from __future__ import annotations

from types import SimpleNamespace

import gradio as gr
from gradio.state_holder import SessionState, StateHolder

# Of those that were open, too: a page that is asked of after so many others begins as a new one.
SESSIONS_KEPT = 2000


class Session(SessionState):
    """The states of an open page, and its components as events have changed them.

    Gradio's own also describes all components at once, for links into the middle of a page, of which this one has none:
    for every page that is opened, and for as long as the server runs, 2 MB and a tenth of a second in which nobody else
    is served.
    """

    def __init__(self, page: gr.Blocks):
        super().__init__(SimpleNamespace(default_config=page.default_config, blocks={}))
        self.blocks_config.config_for_block = lambda *_: {}


class Sessions(StateHolder):
    """The sessions of a page that is served."""

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            self.session_data[session_id] = Session(self.blocks)
        return super().__getitem__(session_id)


def use_light_sessions(page: gr.Blocks) -> None:
    """Have a page that is served remember no more than it needs."""
    sessions = Sessions()
    sessions.set_blocks(page)
    page.app.state_holder = sessions
