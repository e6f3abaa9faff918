"""Test snapshots: a bounded number of images spread evenly over a run, found by step, and made into videos."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from engines.core.frames import Frame
from engines.imaging.video import GIF_SIDE, KINDS, VideoConfig, read_comment
from studio.runs import snapshots as snapshots_module
from studio.runs.snapshots import MAX_SNAPSHOTS, SECONDS_APART, Snapshots
from tests.engines.helpers import files_in
from tests.studio.helpers import Clock

COMMENT = '{"reverie": 1, "of": "Wörter, “quoted”"}'
RATE = VideoConfig().speed
HELD = round(RATE * VideoConfig().hold)


@pytest.fixture
def clock(monkeypatch) -> Clock:
    """The clock that snapshots are kept by."""
    clock = Clock()
    monkeypatch.setattr(snapshots_module, "time", clock)
    return clock


@pytest.fixture
def snapshots(tmp_path) -> Snapshots:
    """Snapshots of a run that has not started."""
    return Snapshots(tmp_path / "snapshots")


def grey(step: int, shape: tuple[int, int] = (16, 24)) -> np.ndarray:
    """An image whose brightness is its step, for small steps."""
    return np.full((*shape, 3), step * 20 % 256, np.uint8)


def seen(
    snapshots: Snapshots, clock: Clock, steps: int, *, total: int | None = None, shape: tuple[int, int] = (16, 24)
) -> Snapshots:
    """Add so many frames, each long enough after the one before."""
    for step in range(1, steps + 1):
        clock.now += 2 * SECONDS_APART
        snapshots.add(Frame(step=step, total=total or steps, image=grey(step, shape)))
    return snapshots


def steps_in(folder: Path) -> list[int]:
    """The steps whose images are on disk."""
    return [int(Path(name).stem) for name in files_in(folder)]


def video_frames(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as video:
        return [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]


def damage(path: Path, how: str) -> None:
    """Make an image's file unreadable."""
    if how == "missing":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "cut short":
        path.write_bytes(path.read_bytes()[:-200])
    else:
        path.write_bytes(b"These are not pixels.")


# Keeping


def test_every_image_of_a_short_run_is_kept(snapshots, clock):
    seen(snapshots, clock, MAX_SNAPSHOTS)
    assert snapshots.steps == list(range(1, MAX_SNAPSHOTS + 1)) == steps_in(snapshots.folder)


@pytest.mark.parametrize("steps", [MAX_SNAPSHOTS + 1, 2 * MAX_SNAPSHOTS, 2 * MAX_SNAPSHOTS + 3, 1000])
def test_a_long_run_keeps_evenly_spread_images_with_the_first_and_the_last(snapshots, clock, steps):
    seen(snapshots, clock, steps)
    kept = snapshots.steps
    assert MAX_SNAPSHOTS // 3 <= len(kept) <= MAX_SNAPSHOTS
    assert (kept[0], kept[-1]) == (1, steps)
    gaps = np.diff(kept)
    assert min(gaps) >= 1
    assert max(gaps) <= 2 * np.median(gaps)


def test_images_that_were_dropped_are_no_longer_on_disk(snapshots, clock):
    seen(snapshots, clock, 3 * MAX_SNAPSHOTS)
    assert steps_in(snapshots.folder) == snapshots.steps


def test_there_are_never_more_images_than_allowed(snapshots, clock):
    total = 5 * MAX_SNAPSHOTS
    for step in range(1, total + 1):
        clock.now += 1
        snapshots.add(Frame(step=step, total=total, image=grey(step, (1, 1))))
        assert len(snapshots.steps) <= MAX_SNAPSHOTS
        assert snapshots.steps[0] == 1


def test_images_that_come_close_together_are_left_out_but_never_the_last(snapshots, clock):
    for step in range(1, 10):
        snapshots.add(Frame(step=step, total=10, image=grey(step)))
    assert snapshots.steps == [1]
    clock.now += SECONDS_APART
    snapshots.add(Frame(step=9, total=10, image=grey(9)))
    snapshots.add(Frame(step=10, total=10, image=grey(10)))
    assert snapshots.steps == [1, 9, 10]


def test_frames_without_an_image_leave_nothing(snapshots, clock):
    snapshots.add(Frame(step=1, total=1))
    assert snapshots.steps == []
    assert not snapshots.folder.exists()


# Looking back


@pytest.mark.parametrize(("asked", "found"), [(-3, 1), (0, 1), (1, 1), (4, 4), (5, 5), (7, 5), (10**9, 5)])
def test_the_snapshot_nearest_to_a_step_is_returned_with_its_own_step(snapshots, clock, asked, found):
    seen(snapshots, clock, 5)
    step, image = snapshots.at(asked)
    assert step == found
    assert image.dtype == np.uint8
    assert image.shape == (16, 24, 3)
    assert np.abs(image.astype(int) - grey(found)).max() <= 2


def test_a_run_without_images_has_no_snapshot(snapshots):
    assert snapshots.at(1) is None


def test_a_snapshot_whose_file_is_gone_is_skipped(snapshots, clock):
    seen(snapshots, clock, 5)
    damage(snapshots.folder / "000003.jpg", "missing")
    step, image = snapshots.at(3)
    assert step in (2, 4)
    assert np.abs(image.astype(int) - grey(step)).max() <= 2


def test_a_kept_image_looks_as_it_was(snapshots, sample_image):
    snapshots.add(Frame(step=1, total=1, image=sample_image))
    _, image = snapshots.at(1)
    assert np.abs(image.astype(int) - sample_image).mean() < 4


# Videos


def test_an_mp4_has_every_image_in_its_order_the_last_held_and_the_comment(snapshots, clock):
    seen(snapshots, clock, 6, shape=(48, 64))
    path = snapshots.video(VideoConfig(kind="mp4"), COMMENT)
    assert path.suffix == ".mp4"
    frames = video_frames(path)
    assert len(frames) == 6 + HELD
    assert {frame.shape for frame in frames} == {(48, 64, 3)}
    shown = [frame.mean() for frame in frames]
    assert np.allclose(shown, [*(20 * step for step in range(1, 7)), *[120] * HELD], atol=6)
    assert read_comment(path) == COMMENT


def test_a_gif_has_every_image_the_last_held_and_the_comment(snapshots, clock):
    seen(snapshots, clock, 6)
    path = snapshots.video(VideoConfig(kind="gif"), COMMENT)
    with Image.open(path) as video:
        assert video.format == "GIF"
        assert video.n_frames == 6
        assert video.info["loop"] == 0
        assert video.info["comment"].decode() == COMMENT
        durations = []
        for number in range(6):
            video.seek(number)
            durations.append(video.info["duration"])
            assert abs(np.asarray(video.convert("RGB")).mean() - 20 * (number + 1)) < 6
    # GIF counts in hundredths of a second.
    assert np.allclose(durations[:-1], 1000 / RATE, atol=10)
    assert durations[-1] == pytest.approx(1000 * (HELD + 1) / RATE, abs=20)


def test_a_gif_is_no_larger_than_such_files_may_be_and_keeps_its_shape(snapshots):
    snapshots.add(Frame(step=1, total=1, image=grey(3, (300, 900))))
    with Image.open(snapshots.video(VideoConfig(kind="gif"), COMMENT)) as video:
        assert video.size == (GIF_SIDE, GIF_SIDE // 3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_of_one_image_makes_a_video_too(snapshots, clock, kind):
    seen(snapshots, clock, 1)
    path = snapshots.video(VideoConfig(kind=kind), COMMENT)
    if kind == "mp4":
        assert len(video_frames(path)) == 1 + HELD
    else:
        with Image.open(path) as video:
            assert video.size == (24, 16)


@pytest.mark.parametrize("kind", KINDS)
def test_images_that_grew_on_the_way_make_a_video_of_the_last_ones_size(snapshots, clock, kind):
    for step, shape in enumerate([(16, 24), (32, 48), (49, 73)], 1):
        clock.now += 1
        snapshots.add(Frame(step=step, total=3, image=grey(step, shape)))
    path = snapshots.video(VideoConfig(kind=kind), COMMENT)
    if kind == "mp4":
        assert {frame.shape for frame in video_frames(path)} == {(48, 72, 3)}
    else:
        with Image.open(path) as video:
            assert (video.size, video.n_frames) == ((73, 49), 3)


@pytest.mark.parametrize("kind", KINDS)
def test_without_images_there_is_no_video(snapshots, kind):
    assert snapshots.video(VideoConfig(kind=kind), COMMENT) is None
    assert not snapshots.folder.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_video_that_is_made_again_replaces_the_first_and_leaves_no_draft(snapshots, clock, kind):
    for steps in (3, 5):
        path = seen(Snapshots(snapshots.folder), clock, steps).video(VideoConfig(kind=kind), COMMENT)
    assert files_in(snapshots.folder) == [*(f"{step:06d}.jpg" for step in range(1, 6)), f"evolution.{kind}"]
    if kind == "mp4":
        assert len(video_frames(path)) == 5 + HELD


@pytest.mark.parametrize("how", ["missing", "empty", "cut short", "no picture"])
@pytest.mark.parametrize("step", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_a_video_is_made_without_an_image_that_cannot_be_read(snapshots, clock, kind, step, how):
    seen(snapshots, clock, 5, shape=(48, 64))
    damage(snapshots.folder / f"{step:06d}.jpg", how)
    path = snapshots.video(VideoConfig(kind=kind), COMMENT)
    if kind == "mp4":
        assert len(video_frames(path)) == 4 + HELD
    else:
        with Image.open(path) as video:
            assert video.n_frames == 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_video_whose_last_image_cannot_be_read_ends_with_the_one_before(snapshots, clock, kind):
    seen(snapshots, clock, 3, shape=(48, 64))
    damage(snapshots.folder / "000003.jpg", "missing")
    path = snapshots.video(VideoConfig(kind=kind), COMMENT)
    if kind == "mp4":
        assert abs(video_frames(path)[-1].mean() - 40) < 6
    else:
        with Image.open(path) as video:
            assert video.n_frames == 2


# Deleting


def test_deleting_removes_images_and_videos_and_nothing_else(snapshots, clock, tmp_path):
    (tmp_path / "other.txt").write_text("not theirs")
    seen(snapshots, clock, 3).video(VideoConfig(kind="gif"), COMMENT)
    snapshots.delete()
    assert files_in(tmp_path) == ["other.txt"]


def test_snapshots_that_were_never_written_can_be_deleted(snapshots, tmp_path):
    snapshots.delete()
    assert files_in(tmp_path) == []
