"""Test runs whose engine fails: with its sentence or a plain one, and the queue goes on."""

from __future__ import annotations

import dataclasses
import logging

import pytest

from studio.runs.run import Run
from tests.engines.helpers import files_in, is_one_sentence
from tests.studio.conftest import SMALL
from tests.studio.helpers import LoopEngine, MemoryResultWriter, finished


def test_a_value_error_fails_the_run_with_exactly_its_sentence(studio, small_job):
    misfit = dataclasses.replace(SMALL, layer_weights={"mixed4": 1.0})
    with pytest.raises(ValueError, match="no layer") as caught:
        studio.workshop.network("deep_dream", "studio_vgg").check_layers(["mixed4"])
    run = finished(studio.runs.start(dataclasses.replace(small_job, config=misfit)))
    assert (run.state, run.error) == ("failed", str(caught.value))
    assert is_one_sentence(run.error)
    assert run.result is None
    assert [name for name in files_in(studio.gallery.folder) if (studio.gallery.folder / name).is_file()] == []
    assert finished(studio.runs.start(small_job)).state == "done"


def test_a_value_error_after_some_frames_fails_the_run_with_its_sentence_too(queue):
    run = Run(LoopEngine(error=ValueError("The dream has run away."), fail_after=2), MemoryResultWriter())
    queue.submit(run)
    finished(run)
    assert (run.state, run.error, run.frame.step) == ("failed", "The dream has run away.", 2)


@pytest.mark.parametrize("fail_after", [0, 2])
def test_any_other_exception_is_logged_and_the_run_fails_with_a_plain_sentence(queue, caplog, fail_after):
    broken = LoopEngine(error=KeyError("/secret/path"), fail_after=fail_after)
    run, following = Run(broken, MemoryResultWriter()), Run(LoopEngine(2), MemoryResultWriter())
    with caplog.at_level(logging.ERROR, "studio.runs.run"):
        queue.submit(run)
        queue.submit(following)
        finished(run)
        finished(following)
    assert run.state == "failed"
    assert "secret" not in run.error
    assert "server log" in run.error
    (record,) = caplog.records
    assert record.exc_info[0] is KeyError
    assert broken.closed == 1
    assert following.state == "done"


def test_an_engine_that_fails_before_its_first_frame_leaves_nothing(queue):
    writer = MemoryResultWriter()
    run = Run(LoopEngine(error=ValueError("No.")), writer)
    queue.submit(run)
    finished(run)
    assert (writer.discarded, writer.finished, run.result) == (1, [], None)
