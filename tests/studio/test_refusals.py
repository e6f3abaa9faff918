"""What handlers did not expect reaches whoever asked as a sentence, and the log as it is."""

from __future__ import annotations

import asyncio
import errno

import gradio as gr
import pytest

from studio.refusals import BROKEN, speak_up
from tests.engines.helpers import is_one_sentence
from tests.studio.helpers import unserved_page


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (KeyError("/secret/path"), BROKEN),
        (gr.Error("Its own sentence."), "Its own sentence."),
    ],
    ids=["a full disk", "a bug", "an error of ours"],
)
def test_a_handler_that_fails_says_so_in_a_sentence_without_its_details(error, told):
    def broken() -> None:
        raise error

    with unserved_page() as page:
        button = gr.Button()
        button.click(broken)
    speak_up(page)
    (event,) = page.fns.values()
    with pytest.raises(gr.Error) as caught:
        asyncio.run(page.call_function(event, []))
    assert told in caught.value.message
    assert is_one_sentence(caught.value.message)
    assert "secret" not in caught.value.message
