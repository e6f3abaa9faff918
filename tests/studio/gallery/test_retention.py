"""Retention keeps the outputs folder within its limits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from studio.gallery.outputs_folder import LOCK, UPLOADS
from studio.gallery.retention import FETCHED_WITHIN, UPLOADED_WITHIN, Bounds, delete_old

NOW = 1_800_000_000.0
HOUR = 3600.0
KILOBYTE = b"x" * 1024


def put(path: Path, age: float, size: int = 1, now: float = NOW) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(KILOBYTE * size)
    os.utime(path, (now - age, now - age))
    return path


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_what_is_too_old_goes_from_every_gallery_and_empty_ones_go_too(tmp_path):
    mine, gone = tmp_path / "visitors" / "me", tmp_path / "visitors" / "gone"
    old = [
        put(path, 25 * HOUR)
        for path in (tmp_path / "a.png", mine / "b.png", gone / "inputs" / "c.png", tmp_path / "trainings" / "d.npz")
    ]
    young = [put(path, 23 * HOUR) for path in (tmp_path / "e.png", mine / "f.txt", mine / "inputs" / "g.png")]
    assert delete_old(tmp_path, Bounds(seconds=24 * HOUR), NOW, tmp_path / UPLOADS) == 3 * 1024
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in young)
    assert not gone.exists()


def test_the_oldest_go_first_when_there_is_too_much(tmp_path):
    paths = [put(tmp_path / f"{i}.png", age=i, size=10) for i in range(10)]
    assert delete_old(tmp_path, Bounds(size=45 * 1024), NOW, tmp_path / UPLOADS) == 40 * 1024
    assert [path.exists() for path in paths] == [True] * 4 + [False] * 6


def test_examples_and_the_moments_of_runs_are_left_alone(tmp_path):
    kept = [put(tmp_path / folder / "a.png", age=1e9, size=100) for folder in ("examples", "moments/run")]
    assert delete_old(tmp_path, Bounds(seconds=1, size=1), NOW, tmp_path / UPLOADS) == 0
    assert all(path.exists() for path in kept)


@pytest.mark.parametrize("folder", ["archives", "figures", "visitors/me/archives"])
def test_what_is_there_to_be_fetched_goes_within_the_hour_even_without_bounds(tmp_path, folder):
    old, young = put(tmp_path / folder / "old", FETCHED_WITHIN + 1), put(tmp_path / folder / "young", 60)
    result = put(tmp_path / "result.png", 1e9)
    delete_old(tmp_path, Bounds(), NOW, tmp_path / UPLOADS)
    assert (old.exists(), young.exists(), result.exists()) == (False, True, True)


def test_without_bounds_nothing_else_is_deleted(tmp_path):
    put(tmp_path / "a.png", age=1e9)
    assert delete_old(tmp_path, Bounds(), NOW, tmp_path / UPLOADS) == 1024
    assert not Bounds().any


def test_a_day_of_fifty_visitors_grows_no_further_than_the_bound(tmp_path):
    bounds = Bounds(seconds=6 * HOUR, size=2000 * 1024)
    sizes = []
    for minute in range(0, 24 * 60, 10):
        now = NOW + 60 * minute
        for visitor in range(5):
            folder = tmp_path / "visitors" / f"{(minute + visitor) % 50:032x}"
            put(folder / f"{minute}-{visitor}.png", 0, size=12, now=now)
            put(folder / "inputs" / f"{minute}-{visitor}.png", 0, size=8, now=now)
        delete_old(tmp_path, bounds, now, tmp_path / UPLOADS)
        sizes.append(size_of(tmp_path))
    assert max(sizes) <= bounds.size
    assert sizes[-1] > bounds.size / 2, "what is young and fits is kept"
    assert len(list((tmp_path / "visitors").iterdir())) <= 50


def test_uploads_go_after_a_day_by_when_they_came_and_the_lock_never(tmp_path):
    upload, lock = put(tmp_path / "uploads" / "hash" / "photo.png", age=1e9), put(tmp_path / LOCK, age=1e9)
    came = upload.stat().st_ctime
    delete_old(tmp_path, Bounds(), came + UPLOADED_WITHIN - 60, tmp_path / UPLOADS)
    assert upload.exists(), "its date is that of what was copied"
    delete_old(tmp_path, Bounds(seconds=1, size=1), came + UPLOADED_WITHIN + 60, tmp_path / UPLOADS)
    assert not upload.exists()
    assert lock.exists(), "whoever holds it would hold a file that nobody else finds"
