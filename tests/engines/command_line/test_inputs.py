"""What the command line cannot read ends with one sentence and its own exit status."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.engines.command_line.helpers import QUICK, last_line, run
from tests.engines.helpers import as_png, files_in, is_one_sentence


def broken_input(kind: str, folder: Path, photo: Path) -> list[str]:
    """Arguments that cannot work."""
    text = folder / "text.png"
    text.write_text("no picture")
    tiny = folder / "tiny.png"
    tiny.write_bytes(as_png(np.zeros((8, 8, 3), np.uint8)))
    output = str(folder / "dream.png")
    return {
        "no such photo": [str(folder / "nowhere.png"), "-o", output],
        "no picture": [str(text), "-o", output],
        "too small": [str(tiny), "-o", output],
        "out of range": [str(photo), "-o", output, "--steps", "0"],
        "not finite": [str(photo), "-o", output, "--step-size", "nan"],
        "unknown layer": [str(photo), "-o", output, "--layer-weights", "mixed4=1"],
        "unknown channel": [str(photo), "-o", output, "--channel", "4000"],
        "unknown backbone": [str(photo), "-o", output, "--backbone", "nothing"],
        "no such recipe": [str(photo), "-o", output, "--recipe", str(folder / "nowhere.png")],
        "no recipe": [str(photo), "-o", output, "--recipe", str(photo)],
        "recipe is text": [str(photo), "-o", output, "--recipe", str(text)],
        "output is no picture": [str(photo), "-o", str(folder / "dream.jpg"), *QUICK],
        "guide is no picture": [str(photo), "-o", output, "--guide", str(text)],
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        "no such photo",
        "no picture",
        "too small",
        "out of range",
        "not finite",
        "unknown layer",
        "unknown channel",
        "unknown backbone",
        "no such recipe",
        "no recipe",
        "recipe is text",
        "output is no picture",
        "guide is no picture",
    ],
)
def test_what_cannot_work_ends_with_one_sentence_and_status_one(kind, tmp_path, photo, capsys):
    folder = tmp_path / "here"
    folder.mkdir()
    assert run(*broken_input(kind, folder, photo)) == 1
    assert is_one_sentence(last_line(capsys))
    assert files_in(folder) == ["text.png", "tiny.png"]


def test_an_option_that_cannot_be_read_ends_with_status_two_and_no_traceback(photo, results, capsys):
    with pytest.raises(SystemExit) as caught:
        run(photo, "-o", results / "dream.png", "--steps", "many")
    assert caught.value.code == 2
    assert "--steps" in last_line(capsys)


def test_a_setting_out_of_range_is_told_by_its_name_too(photo, results, capsys):
    assert run(photo, "-o", results / "dream.png", "--step-size", "-1") == 1
    assert last_line(capsys).startswith("step_size: Strength must be between")
