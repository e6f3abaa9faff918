"""A run view runs one job at a time per page."""

from __future__ import annotations

import asyncio

import gradio as gr
import pytest

from tests.studio.helpers import stage_of


def test_of_two_presses_in_a_row_one_begins_and_the_next_counts_as_soon_as_its_run_is_over(
    studio, small_job, monkeypatch
):
    monkeypatch.setattr("studio.run_views.run_view.current_session", lambda: "this page")
    view, runs = stage_of(studio), []

    async def press() -> None:
        async for update in view.start(lambda: small_job):
            if view.run_id in update:
                runs.append(update[view.run_id])
            if update.get(view.start_button) == gr.update(interactive=True):
                # The event has not ended yet, but the button is enabled.
                if len(runs) == 1:
                    await press()
                return

    async def pressed_twice() -> None:
        await asyncio.gather(press(), press())

    asyncio.run(pressed_twice())
    assert len(runs) == 2
    assert [studio.runs.get(run).state for run in runs] == ["done", "done"]
    assert view._newest == {}


def test_a_run_that_another_could_not_take_the_place_of_gives_the_buttons_back(studio, small_job, monkeypatch):
    monkeypatch.setattr("studio.run_views.run_view.current_session", lambda: "this page")
    view, last = stage_of(studio), {}

    def refused():
        raise ValueError("There is nothing to begin.")

    async def pressed() -> None:
        async for update in view.start(lambda: small_job):
            last.update(update)
            if view.run_id in update:  # as the token inspector does
                studio.runs.get(update[view.run_id]).stop()
                with pytest.warns(UserWarning, match="nothing to begin"):
                    assert [set(one) async for one in view.start(refused)] == [{view.start_button}]

    asyncio.run(pressed())
    assert last[view.start_button]["interactive"]
    assert view._newest == {}
