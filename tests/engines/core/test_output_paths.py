"""Outputs of trainings are checked before they start, and failures to save do not end them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines import train
from engines.core.frames import Frame
from engines.nn.training_loop import alarm_if_unwritten
from tests.engines.helpers import Disk, files_in, is_one_sentence

NAMES = ("backbone", "distillation", "vae", "dcgan", "language_model")


@pytest.fixture
def data(tmp_path) -> Path:
    (tmp_path / "data.npz").write_bytes(b"the data")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    return tmp_path / "data.npz"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--output", "folder"], "is a folder"),
        (["--output", "weights.h5"], ".npz"),
        (["--output", "file/weights.npz"], "a file has the same name as the folder"),
        (["--output", 252 * "n" + ".npz"], "too long"),
        (["--output", "data.npz"], "is what is read"),
        (["--checkpoint", "folder"], "is a folder"),
        (["--checkpoint", "data.npz"], "is what is read"),
        (["--checkpoint", "new/a.npz", "--output", "new/a.npz"], "both"),
        (["--pictures", "file"], "is a file"),
        (["--pictures", "file/new"], "a file has the same name as the folder"),
    ],
)
def test_a_training_whose_files_cannot_be_written_is_refused_at_once(name, arguments, part, data, monkeypatch, capsys):
    monkeypatch.chdir(data.parent)
    for work in ("_backbone", "_distillation", "_network"):
        monkeypatch.setattr(train, work, lambda *_: pytest.fail("the training was begun"))
    before = files_in(data.parent)
    assert train.main([name, "--data", str(data), *arguments]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert is_one_sentence(said)
    assert part in said
    assert files_in(data.parent) == before


def test_an_image_that_cannot_be_written_ends_no_training(data, monkeypatch, capsys):
    frames = [Frame(step=step, total=2, image=np.zeros((8, 8, 3), np.uint8)) for step in (1, 2)]
    monkeypatch.setattr(train, "_network", lambda *_: train.Work(lambda: iter(frames), dict))
    disk, images = Disk(monkeypatch), data.parent / "pictures"
    monkeypatch.setattr(train, "check_outputs", lambda _: setattr(disk, "full", lambda folder: folder == images))
    assert train.main(["vae", "--data", str(data), "--pictures", str(images)]) == 0
    assert capsys.readouterr().out.count("the disk is full") == 2
    assert files_in(images) == []


def test_only_what_the_disk_refuses_is_borne():
    with pytest.raises(ZeroDivisionError):
        alarm_if_unwritten(lambda: 1 // 0)
