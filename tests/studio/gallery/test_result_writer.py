"""Results of a batch: each is written as it finishes, all are zipped under their names, and failed images leave
nothing."""

from __future__ import annotations

import dataclasses
import json
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engines.deep_dream import engine as deep_dream
from engines.jobs import Job
from engines.jobs.batch import Batch, BatchExecution, batch_of, image_files
from engines.recipes import read_recipe
from studio.gallery.gallery import Gallery
from studio.gallery.result_writer import BatchResultWriter, JobResultWriter, result_writer_for
from tests.engines.helpers import files_in
from tests.engines.jobs.test_batch import random_images, running_away
from tests.studio.conftest import SMALL
from tests.studio.helpers import LONGEST_WAIT, finished

QUICK = dataclasses.replace(SMALL, steps=2, jitter=0)


def batch(folder: Path, *names: str, config=QUICK) -> Batch:
    """A batch of images with these names; files whose names begin with "bad" are not images."""
    paths = []
    for i, (name, image) in enumerate(zip(names, random_images(len(names)), strict=True)):
        paths.append(folder / f"{i}" / f"{name}.png")
        paths[-1].parent.mkdir()
        Image.fromarray(image).save(paths[-1])
        if name.startswith("bad"):
            paths[-1].write_bytes(b"no pixels")
    job = Job(engine="deep_dream", config=config, inputs={}, backbone="studio_vgg")
    return batch_of(job, image_files(paths), "image")


def followed(started: BatchExecution, writer: BatchResultWriter, steps: int = 10**9) -> None:
    """Pass a batch's frames to its writer: all, or the first `steps`."""
    for frame in started:
        writer.add(started)
        if frame.step == steps:
            break


def kept(gallery: Gallery) -> list[Path]:
    """List the gallery's results, oldest first."""
    return sorted((gallery.folder / name for name in gallery.names()), key=lambda path: path.stat().st_mtime_ns)


def in_zip(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return archive.namelist()


def test_each_job_has_its_writer(studio, small_job, tmp_path):
    assert isinstance(result_writer_for(studio.gallery, batch(tmp_path, "a")), BatchResultWriter)
    assert isinstance(result_writer_for(studio.gallery, small_job), JobResultWriter)


def test_results_are_in_the_gallery_as_they_come_each_as_by_a_run_of_its_own(studio, tmp_path):
    job = batch(tmp_path, "sea", "forest")
    writer, started = studio.result_writer(job), studio.workshop.start(job)
    counts = []
    for _ in started:
        writer.add(started)
        counts.append(len(writer.results))
    assert counts == [0, 1, 1, 2]
    assert kept(studio.gallery) == list(writer.results)
    for path, image in zip(writer.results, random_images(2), strict=True):
        one = Job(engine="deep_dream", config=QUICK, inputs={"image": image}, backbone="studio_vgg")
        run = finished(studio.runs.start(one))
        np.testing.assert_array_equal(np.asarray(Image.open(path)), np.asarray(Image.open(run.result)))
        assert read_recipe(path) == read_recipe(run.result)
        assert studio.gallery.find_input(read_recipe(path).inputs["image"])
        assert studio.gallery.thumbnail(studio.gallery.find(path.name)).is_file()


def test_all_are_packed_in_the_end_by_the_names_of_their_images_with_their_recipes(studio, tmp_path):
    run = finished(studio.runs.start(batch(tmp_path, "At the sea", "forest")))
    assert (run.state, run.error, run.notices) == ("done", "", ())
    assert in_zip(run.result) == ["At the sea.png", "At the sea.json", "forest.png", "forest.json"]
    with zipfile.ZipFile(run.result) as archive:
        assert archive.read("forest.png") == run.results[1].read_bytes()
        assert json.loads(archive.read("forest.json"))["engine"] == "deep_dream"
    assert len(run.results) == 2


def test_images_of_the_same_name_are_told_apart_whatever_the_case(studio, tmp_path):
    run = finished(studio.runs.start(batch(tmp_path, "sea", "Sea", "sea-2", "sea")))
    names = [name for name in in_zip(run.result) if name.endswith(".png")]
    assert names == ["sea.png", "Sea-2.png", "sea-2-2.png", "sea-3.png"]
    assert len({name.lower() for name in names}) == 4


def test_a_batch_of_videos_is_kept_as_videos(studio, tmp_path):
    videos = dataclasses.replace(QUICK, steps=1, pictures=2)
    run = finished(studio.runs.start(batch(tmp_path, "sea", "forest", config=videos)))
    assert [path.suffix for path in run.results] == [".mp4", ".mp4"]
    assert in_zip(run.result) == ["sea.mp4", "sea.json", "forest.mp4", "forest.json"]
    assert all(read_recipe(path).config["pictures"] == 2 for path in run.results)


def test_a_stopped_batch_keeps_the_image_that_it_was_stopped_in(studio, tmp_path):
    job = batch(tmp_path, "sea", "forest", "city")
    writer, started = studio.result_writer(job), studio.workshop.start(job)
    followed(started, writer, steps=3)
    started.close()
    path = writer.finish(started)
    assert [name for name in in_zip(path) if name.endswith(".png")] == ["sea.png", "forest.png"]
    assert [read_recipe(path).stopped_at for path in writer.results] == [None, 1]


def test_a_batch_that_is_stopped_between_two_images_keeps_the_finished_ones(studio, tmp_path):
    job = batch(tmp_path, "sea", "forest")
    writer, started = studio.result_writer(job), studio.workshop.start(job)
    followed(started, writer, steps=2)
    started.close()
    assert in_zip(writer.finish(started)) == ["sea.png", "sea.json"]


@pytest.mark.parametrize("at", [2, 3], ids=["in the middle", "the last"])
@pytest.mark.parametrize("videos", [False, True], ids=["pictures", "videos"])
def test_an_image_that_runs_away_leaves_nothing(studio, tmp_path, monkeypatch, at, videos):
    # Each video has two images; the second diverges.
    config = dataclasses.replace(QUICK, pictures=2, steps=1) if videos else QUICK
    running_away(monkeypatch, at=2 * at if videos else at, step=1 if videos else 2)
    names = ["one", "two", "three"]
    run = finished(studio.runs.start(batch(tmp_path, *names, config=config)))
    assert run.state == "done"
    left = [name for i, name in enumerate(names, 1) if i != at]
    assert [Path(name).stem for name in in_zip(run.result) if not name.endswith(".json")] == left
    assert len(kept(studio.gallery)) == 2
    assert [name for name in files_in(studio.gallery.folder) if name.startswith(".")] == [], "no draft is left"
    assert run.notices == (f"{names[at - 1]} was skipped: The dream has run away to infinity.",)


def test_where_the_only_image_runs_away_the_run_fails_with_its_sentence(studio, tmp_path, monkeypatch, caplog):
    running_away(monkeypatch, at=1)
    run = finished(studio.runs.start(batch(tmp_path, "sea")))
    assert (run.state, run.error) == ("failed", "The dream has run away to infinity.")
    assert (run.result, run.results, run.notices) == (None, (), ())
    assert kept(studio.gallery) == []
    assert caplog.records == []


def test_where_no_image_can_be_used_the_run_fails_with_the_first_refusal(studio, tmp_path):
    run = finished(studio.runs.start(batch(tmp_path, "bad", "bad too")))
    assert run.state == "failed"
    assert "not an image" in run.error
    assert (run.result, run.notices) == (None, ())
    assert files_in(studio.gallery.folder) == []


def test_what_is_left_out_is_told_when_the_run_is_over(studio, tmp_path):
    run = finished(studio.runs.start(batch(tmp_path, "bad", "sea", "bad too")))
    assert run.state == "done"
    assert [notice.partition(":")[0] for notice in run.notices] == ["bad was skipped", "bad too was skipped"]
    assert in_zip(run.result) == ["sea.png", "sea.json"]


def test_a_result_that_was_deleted_meanwhile_is_not_packed(studio, tmp_path):
    job = batch(tmp_path, "sea", "forest")
    writer, started = studio.result_writer(job), studio.workshop.start(job)
    followed(started, writer, steps=2)
    studio.gallery.remove(studio.gallery.names())
    followed(started, writer)
    assert in_zip(writer.finish(started)) == ["forest.png", "forest.json"]
    studio.gallery.remove(studio.gallery.names())
    assert writer.finish(started) is None


def test_a_batch_has_no_moments_to_look_back_at(studio, tmp_path):
    run = finished(studio.runs.start(batch(tmp_path, "sea")))
    assert run.snapshots.steps == []


def test_a_batch_gives_way_between_two_images(studio, tmp_path, small_job, monkeypatch):
    other_waits = threading.Event()
    real = deep_dream.OctavePyramid.step

    def step(self):
        assert other_waits.wait(LONGEST_WAIT)
        return real(self)

    monkeypatch.setattr(deep_dream.OctavePyramid, "step", step)
    run = studio.runs.start(batch(tmp_path, "sea", "forest"))
    other = studio.runs.start(small_job)
    other_waits.set()
    finished(run)
    assert other.state == "done"
    assert other.result.stat().st_mtime_ns < run.results[1].stat().st_mtime_ns
    assert other.result.stat().st_mtime_ns > run.results[0].stat().st_mtime_ns
