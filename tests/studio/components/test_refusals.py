"""Unexpected failures of handlers reach the caller as one sentence, and the log in full."""

from __future__ import annotations

import asyncio
import errno

import gradio as gr
import pytest

from studio.components.refusals import BROKEN, install_error_messages
from studio.i18n.catalog import KOREAN
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
    install_error_messages(page)
    (event,) = page.fns.values()
    with pytest.raises(gr.Error) as caught:
        asyncio.run(page.call_function(event, []))
    assert told in caught.value.message
    assert is_one_sentence(caught.value.message)
    assert "secret" not in caught.value.message


def test_a_page_is_told_in_its_own_language():
    def broken() -> None:
        raise KeyError("a bug")

    with unserved_page() as page:
        pass
    with page.route(KOREAN.title, KOREAN.path):
        gr.Button().click(broken)
    install_error_messages(page)
    (event,) = [event for event in page.fns.values() if event.page == KOREAN.path]
    with pytest.raises(gr.Error) as caught:
        asyncio.run(page.call_function(event, []))
    assert caught.value.message == KOREAN.translate(BROKEN) != BROKEN


@pytest.mark.parametrize("others", [0, 1])
def test_an_answer_whose_file_finds_no_room_comes_without_it(monkeypatch, tmp_path, others):
    """For one output and for several; skipped outputs stay skipped."""
    (tmp_path / "video.mp4").write_bytes(b"video")
    with unserved_page() as page:
        outputs = [gr.DownloadButton("Download"), *[gr.DownloadButton("Other") for _ in range(others)]]
        gr.Button().click(lambda: None, None, outputs)
    install_error_messages(page)
    (event,) = page.fns.values()

    def full(_, value):
        if value:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(gr.DownloadButton, "postprocess", full)
    update = gr.update(value=str(tmp_path / "video.mp4"), interactive=True)
    answer = [update, *[gr.skip() for _ in range(others)]] if others else update

    async def after() -> list:
        return await page.postprocess_data(event, answer, None)

    with pytest.warns(UserWarning, match="full"):
        first, *rest = asyncio.run(after())
    assert (first["value"], first["interactive"]) == (None, True)
    assert all("value" not in one for one in rest)


def test_a_handler_that_answers_nothing_is_answered_for():
    with unserved_page() as page:
        gr.Button().click(lambda: None)
    install_error_messages(page)
    (event,) = page.fns.values()

    async def after() -> list:
        return await page.postprocess_data(event, None, None)

    assert asyncio.run(after()) == []
