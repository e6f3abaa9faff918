"""Ctrl-C at the command line keeps the image or video so far."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.jobs import JobExecution
from engines.recipes import read_recipe
from tests.engines.command_line.helpers import last_line, run
from tests.engines.helpers import files_in

ROOT = Path(__file__).resolve().parents[3]


def interrupted(photo: Path, output: Path) -> tuple[int, str]:
    """Exit status and terminal output of a long dream in its own process that receives Ctrl-C."""
    command = [sys.executable, "-m", "engines", "deep_dream", str(photo), "-o", str(output)]
    command += ["--size", "160", "--octaves", "1", "--steps", "1000"]
    terminal, its_end = pty.openpty()
    termios.tcsetwinsize(its_end, (24, 80))
    seen, under_way = b"", False
    with subprocess.Popen(command, cwd=ROOT, stderr=its_end, stdout=subprocess.DEVNULL) as process:
        os.close(its_end)
        # Reading fails once the other end is closed.
        with contextlib.suppress(OSError):
            while piece := os.read(terminal, 4096):
                seen += piece
                # At "12/1000" there is an image, and a video has started.
                if not under_way and re.search(rb"\b[1-9]\d+/1000 ", seen):
                    under_way = True
                    process.send_signal(signal.SIGINT)
    os.close(terminal)
    return process.returncode, seen.decode()


@pytest.fixture
def _not_deaf() -> Iterator[None]:
    """Background processes of a shell ignore Ctrl-C, and so do their children, unless they restore the handler."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def assert_stopped_with_an_image(status: int, line: str, result: Path) -> None:
    assert status == 130
    assert line.startswith("Stopped; the image so far is")
    assert files_in(result.parent) == [result.name]
    recipe = read_recipe(result)
    assert 1 <= recipe.stopped_at < 1000
    assert recipe.config["steps"] == 1000


@pytest.mark.usefixtures("_not_deaf")
def test_ctrl_c_writes_the_image_so_far_with_a_recipe_that_says_where(photo, results):
    status, said = interrupted(photo, results / "dream.png")
    assert not re.search("absl|oneDNN", said), "TensorFlow's notes are no news to a person"
    assert_stopped_with_an_image(status, said.splitlines()[-1], results / "dream.png")


@pytest.mark.usefixtures("_not_deaf")
def test_ctrl_c_writes_the_video_so_far_with_a_recipe_that_says_where(photo, results, monkeypatch, capsys):
    def next_frame(started: JobExecution):
        frame = started.send(None)
        if frame.step == 3:
            signal.raise_signal(signal.SIGINT)
        return frame

    monkeypatch.setattr(JobExecution, "__next__", next_frame)
    status = run(photo, "-o", results / "dream.mp4", "--size", "64", "--octaves", "1", "--steps", "1000")
    assert_stopped_with_an_image(status, last_line(capsys), results / "dream.mp4")
    assert read_recipe(results / "dream.mp4").stopped_at == 3
