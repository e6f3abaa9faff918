"""What the command line cannot write is refused beforehand, or written elsewhere, and no draft is left."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from engines.jobs import Workshop
from engines.recipes import read_recipe
from tests.engines.command_line.helpers import QUICK, last_line, pixels, run
from tests.engines.helpers import Disk, files_in, is_one_sentence


def bad_output(kind: str, photo: Path, results: Path) -> Path:
    """An output where nothing can be written, or nothing should be."""
    (results / "file").write_text("a file where a folder should be")
    (results / "link.png").symlink_to(photo)
    os.link(photo, results / "twin.png")
    return {
        "a folder": results,
        "a folder with a suffix": Path(results / "made.png"),
        "in a file": results / "file" / "dream.png",
        "a name of 256 bytes": results / ("n" * 252 + ".png"),
        "a long name in a folder to be made": results / "new" / ("n" * 252 + ".png"),
        "a long folder": results / ("n" * 256) / "dream.png",
        "a JPEG": results / "dream.jpg",
        "nothing behind the dot": results / "dream.",
        "the input": photo,
        "the input by another path": photo.parent / ".." / photo.parent.name / photo.name,
        "a link to the input": results / "link.png",
        "another name of the input": results / "twin.png",
        "where nobody may write": Path("/proc/dream.png"),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("a folder", "is a folder"),
        ("a folder with a suffix", "is a folder"),
        ("in a file", "a file has the same name as the folder"),
        ("a name of 256 bytes", "too long"),
        ("a long name in a folder to be made", "too long"),
        ("a long folder", "too long"),
        ("a JPEG", ".png or a .mp4"),
        ("nothing behind the dot", ".png or a .mp4"),
        ("the input", "is what is read"),
        ("the input by another path", "is what is read"),
        ("a link to the input", "is what is read"),
        ("another name of the input", "is what is read"),
        pytest.param(
            "where nobody may write",
            "cannot be written",
            marks=pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="there is no /proc here"),
        ),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_anything_is_computed(
    kind, part, photo, results, capsys, monkeypatch
):
    monkeypatch.setattr(Workshop, "start", lambda *_: pytest.fail("the run was begun"))
    (results / "made.png").mkdir()
    output, pixels_before = bad_output(kind, photo, results), photo.read_bytes()
    before = files_in(results)
    assert run(photo, "-o", output, *QUICK) == 1
    said = last_line(capsys)
    assert is_one_sentence(said)
    assert part in said
    assert files_in(results) == before
    assert photo.read_bytes() == pixels_before


def test_an_output_may_have_the_longest_name_that_there_is(photo, results):
    name = "ß" * 125 + "n.png"
    assert len(name.encode()) == 255
    assert run(photo, "-o", results / name, *QUICK) == 0
    assert run(photo, "-o", results / ("n" * 251 + ".mp4"), *QUICK, "--pictures", "2") == 0
    assert files_in(results) == ["n" * 251 + ".mp4", name]


def test_the_recipe_that_is_repeated_is_not_overwritten(photo, results, capsys):
    assert run(photo, "-o", results / "dream.png", *QUICK) == 0
    assert run(photo, "-o", results / "dream.png", "--recipe", results / "dream.png") == 1
    assert "is what is read" in last_line(capsys)


@pytest.mark.parametrize("name", ["dream.png", "dream.mp4"])
def test_what_does_not_fit_on_the_disk_in_the_end_is_written_elsewhere(
    photo, results, tmp_path, capsys, monkeypatch, name
):
    disk, begin = Disk(monkeypatch), Workshop.start

    def started(*arguments):
        disk.full = lambda folder: folder == results
        return begin(*arguments)

    monkeypatch.setattr(Workshop, "start", started)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert run(photo, "-o", results / name, *QUICK) == 1
    said = last_line(capsys)
    assert is_one_sentence(said)
    assert "the disk is full" in said
    (rescued,) = tmp_path.glob("reverie-*/result.png")
    assert str(rescued) in said
    assert read_recipe(rescued).config["steps"] == 2
    assert pixels(rescued).shape == (43, 64, 3)
    assert files_in(results) == []


def weights_that_run_away(folder: Path, backbone) -> Path:
    """A folder of weights with a finite loss at the first step and an infinite one at the second."""
    arrays = {}
    for name in backbone.layers:
        kernel, bias = backbone.network.get_layer(name).get_weights()
        arrays[f"{name}/kernel"], arrays[f"{name}/bias"] = kernel * (1e17 if name == "block2_conv2" else 1), bias
    folder.mkdir()
    np.savez(folder / "studio_vgg.npz", **arrays)
    return folder


RUNAWAY = ("--step-size", "1000", "--layer-weights", "block2_conv2=1")


@pytest.mark.parametrize("name", ["dream.png", "dream.mp4"])
def test_a_dream_that_runs_away_leaves_no_image_and_no_draft_behind(photo, results, tmp_path, studio_vgg, capsys, name):
    weights = weights_that_run_away(tmp_path / "weights", studio_vgg)
    assert run(photo, "-o", results / name, "--weights", weights, *QUICK, *RUNAWAY) == 1
    assert "no longer finite" in last_line(capsys)
    assert files_in(results) == []
