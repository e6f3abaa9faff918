"""Moments: so many pictures of a run and no more, evenly over it; what is looked back at, and the films they make."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from engines.core.frames import Frame
from engines.imaging.video import GIF_SIDE, KINDS, FilmConfig, read_comment
from studio.runs import snapshots as moments_module
from studio.runs.snapshots import MOST, SECONDS_APART, Snapshots
from tests.engines.helpers import files_in
from tests.studio.helpers import Clock

COMMENT = '{"reverie": 1, "of": "Wörter, “quoted”"}'
RATE = FilmConfig().speed
HELD = round(RATE * FilmConfig().hold)


@pytest.fixture
def clock(monkeypatch) -> Clock:
    """The time by which moments are kept."""
    clock = Clock()
    monkeypatch.setattr(moments_module, "time", clock)
    return clock


@pytest.fixture
def moments(tmp_path) -> Snapshots:
    """Moments of a run that has not begun."""
    return Snapshots(tmp_path / "moments")


def grey(step: int, shape: tuple[int, int] = (16, 24)) -> np.ndarray:
    """A picture that shows its step by its brightness, while there are few."""
    return np.full((*shape, 3), step * 20 % 256, np.uint8)


def seen(
    moments: Snapshots, clock: Clock, steps: int, *, total: int | None = None, shape: tuple[int, int] = (16, 24)
) -> Snapshots:
    """Moments after so many frames, each long enough after the one before."""
    for step in range(1, steps + 1):
        clock.now += 2 * SECONDS_APART
        moments.see(Frame(step=step, total=total or steps, image=grey(step, shape)))
    return moments


def steps_in(folder: Path) -> list[int]:
    """The steps whose pictures are on disk."""
    return [int(Path(name).stem) for name in files_in(folder)]


def film_frames(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as film:
        return [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]


def damage(path: Path, how: str) -> None:
    """Make a kept picture one that cannot be read."""
    if how == "missing":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "cut short":
        path.write_bytes(path.read_bytes()[:-200])
    else:
        path.write_bytes(b"These are not pixels.")


# Keeping


def test_every_picture_of_a_short_run_is_kept(moments, clock):
    seen(moments, clock, MOST)
    assert moments.steps == list(range(1, MOST + 1)) == steps_in(moments.folder)


@pytest.mark.parametrize("steps", [MOST + 1, 2 * MOST, 2 * MOST + 3, 1000])
def test_a_long_run_keeps_no_more_than_the_most_evenly_with_its_first_and_its_last(moments, clock, steps):
    seen(moments, clock, steps)
    kept = moments.steps
    assert MOST // 3 <= len(kept) <= MOST
    assert (kept[0], kept[-1]) == (1, steps)
    gaps = np.diff(kept)
    assert min(gaps) >= 1
    assert max(gaps) <= 2 * np.median(gaps)


def test_the_pictures_that_were_thinned_away_are_no_longer_on_disk(moments, clock):
    seen(moments, clock, 3 * MOST)
    assert steps_in(moments.folder) == moments.steps


def test_never_are_there_more_than_the_most(moments, clock):
    total = 5 * MOST
    for step in range(1, total + 1):
        clock.now += 1
        moments.see(Frame(step=step, total=total, image=grey(step, (1, 1))))
        assert len(moments.steps) <= MOST
        assert moments.steps[0] == 1


def test_pictures_that_come_close_together_are_left_out_but_never_the_last(moments, clock):
    for step in range(1, 10):
        moments.see(Frame(step=step, total=10, image=grey(step)))
    assert moments.steps == [1]
    clock.now += SECONDS_APART
    moments.see(Frame(step=9, total=10, image=grey(9)))
    moments.see(Frame(step=10, total=10, image=grey(10)))
    assert moments.steps == [1, 9, 10]


def test_frames_without_a_picture_leave_nothing(moments, clock):
    moments.see(Frame(step=1, total=1))
    assert moments.steps == []
    assert not moments.folder.exists()


# Looking back


@pytest.mark.parametrize(("asked", "found"), [(-3, 1), (0, 1), (1, 1), (4, 4), (5, 5), (7, 5), (10**9, 5)])
def test_the_moment_nearest_to_a_step_is_given_with_its_own_step(moments, clock, asked, found):
    seen(moments, clock, 5)
    step, image = moments.at(asked)
    assert step == found
    assert image.dtype == np.uint8
    assert image.shape == (16, 24, 3)
    assert np.abs(image.astype(int) - grey(found)).max() <= 2


def test_a_run_without_pictures_has_no_moment(moments):
    assert moments.at(1) is None


def test_a_moment_whose_picture_is_gone_is_not_what_is_looked_back_at(moments, clock):
    seen(moments, clock, 5)
    damage(moments.folder / "000003.jpg", "missing")
    step, image = moments.at(3)
    assert step in (2, 4)
    assert np.abs(image.astype(int) - grey(step)).max() <= 2


def test_a_kept_picture_looks_as_it_was(moments, picture):
    moments.see(Frame(step=1, total=1, image=picture))
    _, image = moments.at(1)
    assert np.abs(image.astype(int) - picture).mean() < 4


# Films


def test_an_mp4_has_every_picture_in_its_order_the_last_held_and_the_comment(moments, clock):
    seen(moments, clock, 6, shape=(48, 64))
    path = moments.film(FilmConfig(kind="mp4"), COMMENT)
    assert path.suffix == ".mp4"
    frames = film_frames(path)
    assert len(frames) == 6 + HELD
    assert {frame.shape for frame in frames} == {(48, 64, 3)}
    shown = [frame.mean() for frame in frames]
    assert np.allclose(shown, [*(20 * step for step in range(1, 7)), *[120] * HELD], atol=6)
    assert read_comment(path) == COMMENT


def test_a_gif_has_every_picture_the_last_held_and_the_comment(moments, clock):
    seen(moments, clock, 6)
    path = moments.film(FilmConfig(kind="gif"), COMMENT)
    with Image.open(path) as film:
        assert film.format == "GIF"
        assert film.n_frames == 6
        assert film.info["loop"] == 0
        assert film.info["comment"].decode() == COMMENT
        durations = []
        for number in range(6):
            film.seek(number)
            durations.append(film.info["duration"])
            assert abs(np.asarray(film.convert("RGB")).mean() - 20 * (number + 1)) < 6
    # GIF counts in hundredths of a second.
    assert np.allclose(durations[:-1], 1000 / RATE, atol=10)
    assert durations[-1] == pytest.approx(1000 * (HELD + 1) / RATE, abs=20)


def test_a_gif_is_no_larger_than_such_files_may_be_and_keeps_its_shape(moments):
    moments.see(Frame(step=1, total=1, image=grey(3, (300, 900))))
    with Image.open(moments.film(FilmConfig(kind="gif"), COMMENT)) as film:
        assert film.size == (GIF_SIDE, GIF_SIDE // 3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_of_one_picture_makes_a_film_too(moments, clock, kind):
    seen(moments, clock, 1)
    path = moments.film(FilmConfig(kind=kind), COMMENT)
    if kind == "mp4":
        assert len(film_frames(path)) == 1 + HELD
    else:
        with Image.open(path) as film:
            assert film.size == (24, 16)


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_that_grew_on_the_way_make_a_film_of_the_last_ones_size(moments, clock, kind):
    for step, shape in enumerate([(16, 24), (32, 48), (49, 73)], 1):
        clock.now += 1
        moments.see(Frame(step=step, total=3, image=grey(step, shape)))
    path = moments.film(FilmConfig(kind=kind), COMMENT)
    if kind == "mp4":
        assert {frame.shape for frame in film_frames(path)} == {(48, 72, 3)}
    else:
        with Image.open(path) as film:
            assert (film.size, film.n_frames) == ((73, 49), 3)


@pytest.mark.parametrize("kind", KINDS)
def test_without_pictures_there_is_no_film(moments, kind):
    assert moments.film(FilmConfig(kind=kind), COMMENT) is None
    assert not moments.folder.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_film_that_is_made_again_takes_the_place_of_the_first_and_leaves_no_draft(moments, clock, kind):
    for steps in (3, 5):
        path = seen(Snapshots(moments.folder), clock, steps).film(FilmConfig(kind=kind), COMMENT)
    assert files_in(moments.folder) == [*(f"{step:06d}.jpg" for step in range(1, 6)), f"evolution.{kind}"]
    if kind == "mp4":
        assert len(film_frames(path)) == 5 + HELD


@pytest.mark.parametrize("how", ["missing", "empty", "cut short", "no picture"])
@pytest.mark.parametrize("step", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_a_film_is_made_without_a_picture_that_cannot_be_read(moments, clock, kind, step, how):
    seen(moments, clock, 5, shape=(48, 64))
    damage(moments.folder / f"{step:06d}.jpg", how)
    path = moments.film(FilmConfig(kind=kind), COMMENT)
    if kind == "mp4":
        assert len(film_frames(path)) == 4 + HELD
    else:
        with Image.open(path) as film:
            assert film.n_frames == 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_film_whose_last_picture_cannot_be_read_ends_with_the_one_before(moments, clock, kind):
    seen(moments, clock, 3, shape=(48, 64))
    damage(moments.folder / "000003.jpg", "missing")
    path = moments.film(FilmConfig(kind=kind), COMMENT)
    if kind == "mp4":
        assert abs(film_frames(path)[-1].mean() - 40) < 6
    else:
        with Image.open(path) as film:
            assert film.n_frames == 2


# Forgetting


def test_forgetting_deletes_pictures_and_films_and_nothing_else(moments, clock, tmp_path):
    (tmp_path / "other.txt").write_text("not theirs")
    seen(moments, clock, 3).film(FilmConfig(kind="gif"), COMMENT)
    moments.forget()
    assert files_in(tmp_path) == ["other.txt"]


def test_moments_that_were_never_kept_can_be_forgotten(moments, tmp_path):
    moments.forget()
    assert files_in(tmp_path) == []
