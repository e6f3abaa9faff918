"""Dreams at the command line, and what it says and writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from engines.__main__ import main

QUICK = ("--size", "64", "--octaves", "1", "--steps", "2")


def run(*arguments) -> int:
    return main(["deep_dream", *map(str, arguments)])


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def last_line(capsys) -> str:
    """The last line of output; there is no progress bar, as this is not a terminal."""
    written = capsys.readouterr()
    assert written.out == ""
    assert "Traceback" not in written.err
    assert "%|" not in written.err
    return written.err.splitlines()[-1]
