"""Test runs whose result cannot be written: they say so in a sentence and keep it to be saved later."""

from __future__ import annotations

import dataclasses
import errno
import tempfile

import numpy as np
import pytest
from PIL import Image

from engines.recipes import read_recipe
from studio.runs import manager
from studio.runs.run import Run
from tests.engines.helpers import Disk, is_one_sentence, refusal
from tests.studio.conftest import SMALL
from tests.studio.helpers import LoopEngine, MemoryResultWriter, finished


@pytest.mark.parametrize("error", [OSError("no space in /secret"), RuntimeError("/secret")])
def test_a_result_that_cannot_be_written_fails_the_run_with_a_sentence_and_the_queue_goes_on(queue, error):
    run, following = Run(LoopEngine(2), MemoryResultWriter(error)), Run(LoopEngine(2), MemoryResultWriter())
    queue.submit(run)
    queue.submit(following)
    finished(following)
    assert run.state == "failed"
    assert "secret" not in run.error
    assert "Could not save the result" in run.error
    assert run.result is None
    assert queue.position(run).before == 0


LUXURIES = ("inputs", "thumbnails", "moments")


def test_what_goes_with_a_result_may_fail_with_a_sentence_without_the_result(studio, small_job, monkeypatch):
    Disk(monkeypatch).full = lambda folder: folder.name in LUXURIES or folder.parent.name == "moments"
    run = finished(studio.runs.start(small_job))
    assert (run.state, run.error) == ("done", "")
    assert read_recipe(run.result).config == dataclasses.asdict(SMALL)
    assert len(run.notices) == 2
    for sentence, what in zip(run.notices, ("snapshot", "input image"), strict=True):
        assert is_one_sentence(sentence)
        assert what in sentence
        assert "the disk is full" in sentence
    assert run.snapshots.steps == []


def test_a_result_that_the_disk_refuses_is_written_when_there_is_room_again(studio, small_job, monkeypatch):
    disk = Disk(monkeypatch)
    disk.full = lambda folder: folder == studio.gallery.folder
    run = finished(studio.runs.start(small_job))
    assert (run.state, run.result, run.unsaved) == ("failed", None, True)
    assert is_one_sentence(run.error)
    assert run.error.startswith("Could not save the result: the disk is full; fix this")
    assert run.snapshots.steps == [], "what is only looked back at makes room for it"
    assert run.error == refusal(ValueError, run.save)
    disk.full = lambda folder: False
    run.save()
    assert (run.state, run.error, run.unsaved) == ("done", "", False)
    assert np.asarray(Image.open(run.result)).shape == small_job.inputs["image"].shape
    assert read_recipe(run.result).steering == ()
    written = run.result
    run.save()
    assert (run.result, studio.gallery.names()) == (written, [written.name])


def test_the_last_image_of_a_video_that_the_disk_refuses_is_kept(studio, small_job, monkeypatch):
    begin = tempfile.mkstemp

    def mkstemp(*arguments, **options):
        if options["suffix"] == ".mp4":
            raise OSError(errno.ENOSPC, "No space left on device")
        return begin(*arguments, **options)

    monkeypatch.setattr(tempfile, "mkstemp", mkstemp)
    video = dataclasses.replace(SMALL, pictures=2, steps=1)
    run = finished(studio.runs.start(dataclasses.replace(small_job, config=video)))
    assert (run.state, run.result.suffix) == ("failed", ".png")
    assert "the disk is full" in run.error
    assert read_recipe(run.result).config["pictures"] == 2
    assert is_one_sentence(run.error)


def test_only_a_few_runs_that_are_over_keep_an_unsaved_result_in_memory(studio, small_job, monkeypatch):
    monkeypatch.setattr(manager, "RESUMABLE_RUNS", 1)
    Disk(monkeypatch).full = lambda folder: folder == studio.gallery.folder
    runs = [finished(studio.runs.start(small_job)) for _ in range(3)]
    assert [run.unsaved for run in runs] == [False, True, True], "let go when another is begun"
