"""Test runs that were lost with their machine, which can be resumed, or with the studio, which their page is told."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import gradio as gr
import pytest

from engines.jobs import ENGINES, ResumableJob
from studio.run_views.engine_titles import TITLES
from studio.run_views.run_view import interrupted_message
from studio.runs.journal import RunJournal
from studio.runs.queue import QueueFullError
from studio.runs.run import NOBODY_WATCHED, Run
from studio.services import Studio
from tests.engines.helpers import Disk, files_in, is_one_sentence
from tests.studio.helpers import LoopEngine, MemoryResultWriter, finished, forget_runs, stage_of, warned, watched

ROOT = Path(__file__).resolve().parents[3]
# A studio that is killed while its only run is running.
KILLED = """
import sys, time
from pathlib import Path
import numpy as np
from engines.deep_dream.engine import DreamConfig
from engines.jobs import Job
from studio.services import Studio

studio = Studio(outputs=Path(sys.argv[1]))
picture = np.zeros((24, 32, 3), np.uint8)
job = Job(engine="deep_dream", config=DreamConfig(size=0), inputs={"image": picture}, backbone="studio_vgg")
print(studio.runs.start(job).id, flush=True)
time.sleep(600)
"""


def records(studio: Studio) -> list[str]:
    folder = studio.outputs / "going"
    return files_in(folder) if folder.is_dir() else []


def is_enabled(update, button: gr.Button) -> bool:
    return update[button]["interactive"]


# Lost with their machine


@pytest.fixture
def studio_with_cluster(tmp_path, studio_vgg) -> Iterator[Studio]:
    """A studio whose cluster is never joined, so that it does all work itself."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-cluster.txt")
    from studio.cluster.client import Cluster, ClusterOptions

    studio = Studio(outputs=tmp_path / "outputs", cluster=Cluster(ClusterOptions()))
    studio.workshop.keep("deep_dream", "studio_vgg", studio_vgg)
    yield studio
    studio.runs.close()


@pytest.fixture
def lost(studio_with_cluster, small_job) -> Run:
    """A run whose machine was lost for the second time after its first step."""
    from studio.cluster.remote_job import LostTwiceError

    sentence = "This run lost its worker for the second time; press Resume to resume."
    engine = LoopEngine(error=LostTwiceError(sentence), fail_after=1)
    engine.unfinished = ResumableJob(small_job)
    return finished(studio_with_cluster.runs._submit(engine, small_job))


def test_a_lost_run_is_resumed_and_watched(studio_with_cluster, lost):
    view = stage_of(studio_with_cluster)
    updates, sentence = warned(lambda: watched(view.watch(lost)))
    assert sentence == lost.error
    assert not is_enabled(updates[0], view.resume_button)
    assert is_enabled(updates[-1], view.resume_button)
    first, *_, last = watched(view.start_remainder(lost.id))
    assert first[view.run_id] == first[view.remembered] != lost.id
    assert is_enabled(first, view.stop_button)
    assert not is_enabled(first, view.resume_button)
    assert not is_enabled(last, view.resume_button)
    assert studio_with_cluster.runs.get(first[view.run_id]).state == "done"
    assert last[view.save]["value"]


def test_a_lost_run_is_resumed_once(studio_with_cluster, lost):
    view = stage_of(studio_with_cluster)
    watched(view.start_remainder(lost.id))
    updates, sentence = warned(lambda: watched(view.start_remainder(lost.id)))
    assert "start a new one" in sentence
    assert all(view.run_id not in update for update in updates)


def test_a_run_that_nobody_watched_says_why_on_its_page_and_is_resumed(studio, small_job):
    run = studio.runs._submit(LoopEngine(), small_job)
    finished(run)
    run.state, run.stop_reason, run.unfinished = "stopped", NOBODY_WATCHED, ResumableJob(small_job)
    view = stage_of(studio)
    updates, sentence = warned(lambda: watched(view.watch(run)))
    assert sentence == NOBODY_WATCHED == updates[-2][view.canvas]["why"]
    assert is_enabled(updates[-1], view.resume_button)
    *_, last = watched(view.start_remainder(run.id))
    assert last[view.save]["value"]


def test_save_is_enabled_while_a_result_is_not_written_and_writes_it(studio, small_job, monkeypatch):
    disk, view = Disk(monkeypatch), stage_of(studio)
    disk.full = lambda folder: folder == studio.gallery.folder
    run = finished(studio.runs.start(small_job))
    with pytest.warns(UserWarning, match="press Save|deleted") as told:
        updates = watched(view.watch(run))
    unwritten, deleted = [str(one.message) for one in told if one.category is UserWarning]
    assert "press Save" in unwritten
    assert "deleted to make room" in deleted
    assert updates[-1][view.save] == gr.update(value=None, interactive=True, label="Save")

    def saved() -> dict:
        return asyncio.run(view.retry_save(run.id))

    answer, sentence = warned(saved)
    assert (answer, "the disk is full" in sentence) == ({view.save: gr.skip()}, True)
    disk.full = lambda folder: False
    answer = saved()
    assert answer[view.save]["value"] == str(run.result)
    assert answer[view.canvas]["state"] == run.state == "done"
    assert answer[view.canvas]["error"] == ""
    assert run.result.is_file()
    assert saved() == {view.save: gr.skip()}
    run.result.unlink()
    assert not view.save_update(run)["interactive"], "there is nothing to fetch any more"
    forget_runs(studio)
    answer, sentence = warned(saved)
    assert (answer, "no longer available" in sentence) == ({view.save: gr.update(interactive=False)}, True)


@pytest.mark.parametrize("shared", [False, True])
def test_a_run_whose_page_was_closed_is_found_by_the_next_one_on_ones_own_machine(tmp_path, small_job, shared):
    studio, gate = Studio(outputs=tmp_path, shared=shared), threading.Semaphore(0)
    view = stage_of(studio)
    run = studio.runs._submit(LoopEngine(1, gate=gate), small_job)
    run.tab = "lost"
    assert studio.runs.unwatched_run("lost") is None, "it is watched"
    run._watched -= 1000
    assert studio.runs.unwatched_run("other") is None
    gate.release(9)

    async def first() -> dict[Any, Any]:
        async for update in view.resume(""):
            return update
        raise AssertionError("no answer")

    with mock.patch.object(studio.runs, "unwatched_run", return_value=run):
        assert asyncio.run(first())[view.run_id] == ("" if shared else run.id)
    studio.runs.close()


@pytest.mark.parametrize("run_id", ["", None, "no such run"])
def test_where_there_is_no_lost_run_there_is_nothing_to_go_on_with(studio, run_id):
    _, sentence = warned(lambda: watched(stage_of(studio).start_remainder(run_id)))
    assert "start a new one" in sentence


def test_a_run_that_was_not_lost_cannot_be_resumed(studio, small_job):
    view = stage_of(studio)
    run = finished(studio.runs.start(small_job))
    assert not is_enabled(watched(view.watch(run))[-1], view.resume_button)
    with pytest.raises(ValueError, match="start a new one"):
        studio.runs.resume(run)


# Lost with the studio


def test_the_journal_has_a_run_by_the_hash_of_its_id_until_it_is_over(studio, small_job):
    run = studio.runs.start(small_job)
    (record,) = records(studio)
    assert run.id not in record
    assert run.id not in (studio.outputs / "going" / record).read_text()
    finished(run)
    assert records(studio) == []


@pytest.mark.parametrize("how", ["fails", "is stopped while it waits"])
def test_the_journal_no_longer_has_a_run_that(studio, small_job, how):
    gate = None
    if how == "fails":
        run = studio.runs._submit(LoopEngine(error=ValueError("No.")), small_job)
    else:
        gate = threading.Semaphore(0)
        first = studio.runs._submit(LoopEngine(1, gate=gate), small_job)
        run = studio.runs._submit(LoopEngine(1), small_job)
        assert len(records(studio)) == 2
        run.stop()
        gate.release(9)
        finished(first)
    finished(run)
    assert records(studio) == []


def test_the_journal_does_not_have_a_run_that_the_queue_refused(tmp_path, small_job):
    studio, gate = Studio(outputs=tmp_path, max_waiting=1), threading.Semaphore(0)
    for _ in range(2):
        studio.runs._submit(LoopEngine(1, gate=gate), small_job)
    with pytest.raises(QueueFullError):
        studio.runs._submit(LoopEngine(1), small_job)
    assert len(records(studio)) == 2
    gate.release(9)
    studio.runs.close()
    assert records(studio) == []


def test_the_next_studio_tells_the_page_once_that_its_run_was_killed(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        run_id = process.stdout.readline().strip()
        process.kill()
    assert run_id
    studio = Studio(outputs=tmp_path)
    assert records(studio) == []
    view = stage_of(studio)
    updates, sentence = warned(lambda: watched(view.resume(run_id)))
    assert sentence == interrupted_message("deep_dream")
    assert [update[view.run_id] for update in updates] == [""]
    assert is_enabled(updates[-1], view.start_button)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        watched(view.resume(run_id))
        watched(view.resume("no such run"))
    studio.runs.close()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_lost_run_of_any_kind_has_one_sentence_that_says_what_to_do(engine):
    assert engine in TITLES
    said = interrupted_message(engine)
    assert is_one_sentence(said)
    assert ("press Train" in said) == engine.endswith("training")


def test_files_that_are_no_records_are_deleted_and_reported_to_no_page(tmp_path):
    folder = tmp_path / "going"
    folder.mkdir()
    for name, content in {"0" * 64 + ".json": "{", "1" * 64 + ".json": "[]", "2" * 64 + ".json": "{}"}.items():
        (folder / name).write_text(content)
    (folder / "notes.txt").write_text("something else")
    (folder / "folder").mkdir()
    assert RunJournal(folder)._interrupted == {}
    assert [path.name for path in folder.iterdir()] == ["folder"]


def test_a_journal_that_cannot_be_written_stops_no_run(tmp_path, small_job):
    (tmp_path / "a file").write_text("")
    journal = RunJournal(tmp_path / "a file")
    run = Run(LoopEngine(1), MemoryResultWriter())
    journal.add(run)
    journal.remove(run)
    assert journal.interrupted(run.id) == ""
