"""Sessions keep each page's own states and changed components, and no more."""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr
import pytest
from gradio.blocks import Block
from gradio_client import Client

from studio.server.sessions import Session, use_light_sessions
from tests.studio.helpers import unserved_page


@pytest.fixture(scope="module")
def counting() -> Iterator[gr.Blocks]:
    """A page that counts presses and shows the count."""

    def press(count: int):
        return count + 1, count + 1, gr.update(label=f"pressed {count + 1}", maximum=10 + count)

    with gr.Blocks() as page:
        count, said, slider = gr.State(0), gr.Number(), gr.Slider(label="never pressed")
        gr.Button().click(press, [count], [count, said, slider], api_name="press")
    page.launch(prevent_thread_lock=True, quiet=True)
    use_light_sessions(page)
    yield page
    page.close()


def slider_among(blocks: dict[int, Block]) -> gr.Slider:
    return next(block for block in blocks.values() if isinstance(block, gr.Slider))


def test_each_page_has_its_own_states_and_components(counting):
    first, second = (Client(counting.local_url, verbose=False) for _ in range(2))
    assert [first.predict(api_name="/press")[0] for _ in range(3)] == [1, 2, 3]
    assert second.predict(api_name="/press")[0] == 1
    ours, theirs = (counting.state_holder[client.session_hash] for client in (first, second))
    assert (type(ours), type(theirs)) == (Session, Session)
    ours, theirs = (slider_among(session.blocks_config.blocks) for session in (ours, theirs))
    assert (ours.label, ours.maximum) == ("pressed 3", 12)
    assert (theirs.label, theirs.maximum) == ("pressed 1", 10)
    assert slider_among(counting.blocks).label == "never pressed"


def test_a_page_that_is_opened_has_none_of_its_components_described(counting, monkeypatch):
    monkeypatch.setattr(gr.Slider, "get_config", lambda *_: pytest.fail("a component was described"))
    assert Client(counting.local_url, verbose=False).predict(api_name="/press")[0] == 1


def test_the_oldest_of_too_many_pages_is_forgotten():
    with unserved_page() as page:
        gr.State("new")
    page.state_session_capacity = 2
    page.app = type("App", (), {})()
    use_light_sessions(page)
    sessions = page.app.state_holder
    for name in ("first", "second", "first", "third"):
        assert sessions[name].blocks_config.blocks.keys() == page.blocks.keys()
    assert list(sessions.session_data) == ["first", "third"]
