"""The outputs folder is locked, checked for write access, and cleaned of partial files."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from engines.core.files import written_atomically
from engines.imaging.video import VideoWriter
from studio.gallery.outputs_folder import LOCK, OutputsError, check_writable, remove_leftovers
from studio.services import Studio
from tests.engines.helpers import is_one_sentence

RESULT = "deep_dream-20260102-030405-0123456789ab"


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def half_written(path: Path) -> Path:
    """Create the files that a process leaves behind if it is killed while writing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = set(path.parent.iterdir())
    writing = written_atomically(path)
    writing.__enter__().write(b"x")
    (left,) = set(path.parent.iterdir()) - before
    copy = left.read_bytes()
    writing.__exit__(None, None, None)
    path.unlink()
    left.write_bytes(copy)
    return left


def test_a_second_studio_on_a_folder_is_told_so_and_touches_nothing(tmp_path):
    first = Studio(outputs=tmp_path)
    moment, note = put(tmp_path / "moments" / "run" / "000001.jpg"), put(tmp_path / "going" / f"{'0' * 64}.json")
    half = half_written(tmp_path / f"{RESULT}.png")
    with pytest.raises(OutputsError, match="Another Reverie is already using the outputs folder") as refused:
        Studio(outputs=tmp_path)
    assert is_one_sentence(refused.value)
    assert moment.exists()
    assert note.exists()
    assert half.exists()
    first.close()
    Studio(outputs=tmp_path).close()
    assert not moment.exists()
    assert not half.exists()


def test_the_same_folder_by_another_name_is_the_same_folder(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "outputs")
    studio = Studio(outputs=tmp_path / "outputs")
    with pytest.raises(OutputsError, match="Another Reverie"):
        Studio(outputs=tmp_path / "link")
    studio.close()


def a_file(folder: Path) -> Path:
    return put(folder / "file")


def below_a_file(folder: Path) -> Path:
    return put(folder / "file") / "outputs"


def a_link_to_itself(folder: Path) -> Path:
    (folder / "link").symlink_to(folder / "link")
    return folder / "link"


def too_long(folder: Path) -> Path:
    return folder / ("x" * 300)


def without_room_for_a_lock(folder: Path) -> Path:
    (folder / LOCK).mkdir()
    return folder


@pytest.mark.parametrize("unusable", [a_file, below_a_file, a_link_to_itself, too_long, without_room_for_a_lock])
def test_a_folder_that_results_cannot_go_to_is_refused_in_a_sentence(unusable, tmp_path):
    with pytest.raises(OutputsError, match=r"^--outputs: ") as refused:
        Studio(outputs=unusable(tmp_path))
    assert is_one_sentence(refused.value)


def test_a_folder_whose_files_cannot_be_locked_is_refused_and_says_so(monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("studio.gallery.outputs_folder.FileLock.acquire", refuse)  # as some network drives do
    with pytest.raises(OutputsError, match="cannot be locked") as refused:
        Studio(outputs=tmp_path)
    assert is_one_sentence(refused.value)


def test_a_folder_that_is_there_but_takes_no_files_is_refused(monkeypatch, tmp_path):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("studio.gallery.outputs_folder.tempfile.TemporaryFile", refuse)  # root may write anywhere
    with pytest.raises(OutputsError, match=r"^GRADIO_TEMP_DIR: .*Permission denied") as refused:
        check_writable(tmp_path, "GRADIO_TEMP_DIR")
    assert is_one_sentence(refused.value)


def test_what_killed_runs_have_half_written_goes_and_what_is_a_persons_own_stays(tmp_path):
    visitor = tmp_path / "visitors" / ("a" * 32)
    left = [
        half_written(path)
        for path in (
            tmp_path / f"{RESULT}.png",
            visitor / f"{RESULT}.txt",
            tmp_path / "trainings" / "0123456789abcdef01234567-checkpoint.npz",
            tmp_path / "inputs" / f"{'0' * 64}.png",
            tmp_path / "examples" / "paintings" / "harbour.png",
            tmp_path / "archives" / "reverie-dream-settings.json",
        )
    ]
    video = VideoWriter(tmp_path / f"{RESULT}.mp4", (32, 32))  # and nothing is logged any more
    kept = [
        put(path)
        for path in (
            tmp_path / ".app-settings.json",
            tmp_path / ".DS_Store",
            tmp_path / "mine" / ".deep_dream-settings.json",
            tmp_path / "paper" / "figures" / ".plot-original.png",
            tmp_path / "visitors" / "me" / "photos" / f".{RESULT}-abcdefgh.png",
            tmp_path / f"{RESULT}.png",
            tmp_path / "trainings" / "0123456789abcdef01234567-digits.npz",
            tmp_path / "uploads" / "abc" / f".{RESULT}-abcdefgh.png",
        )
    ]
    (tmp_path / "uploads" / "empty").mkdir()
    assert remove_leftovers(tmp_path) == len(left) + 1
    assert not (tmp_path / "uploads" / "empty").exists()
    assert not video._draft.exists()
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == set(kept)
