"""Checks that an output can be written before the work starts."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from engines.core.files import create_temporary, why_unwritten


class OutputError(ValueError):
    """An output that cannot be written; the message is for the user."""


def check_output(path: Path, suffixes: Sequence[str], inputs: Iterable[Path] = ()) -> None:
    """Check that a file can be written later. Leaves no file and no folder behind.

    Args:
        path: the file; it and its folders need not exist.
        suffixes: allowed suffixes in lower case, with the dot.
        inputs: files that it must not overwrite, even through another path or link.

    Raises:
        OutputError: wrong suffix, a folder, an input, a name that is too long, or a folder that cannot be created or
            written to.
    """
    if _is_folder(path):
        raise OutputError(f"{path} is a folder; name a file in it, as in {path / ('result' + suffixes[0])}.")
    if path.suffix.lower() not in suffixes:
        raise OutputError(f"The output must be a {' or a '.join(suffixes)} file, not {path.name[:60]!r}.")
    for other in inputs:
        if _same(path, other):
            raise OutputError(f"{path} is what is read; give the output another name, so that it is not overwritten.")
    try:
        _check_writable(path)
    except OSError as error:
        raise OutputError(f"{_short(path)} cannot be written: {why_unwritten(error)}.") from error


def check_folder(folder: Path) -> None:
    """Check that a folder can be created or written to later.

    Raises:
        OutputError: it is a file, or not writable.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder} is a file; name a folder.")
        _check_writable(folder / "picture")
    except OSError as error:
        raise OutputError(f"Nothing can be written in {_short(folder)}: {why_unwritten(error)}.") from error


def _check_writable(path: Path) -> None:
    """Raise the OSError that writing the file would raise, as far as that can be known in advance."""
    missing = [path]
    # The root of a missing drive is its own parent.
    while not os.path.lexists(missing[-1].parent) and missing[-1].parent != missing[-1]:
        missing.append(missing[-1].parent)
    folder = missing[-1].parent
    for part in missing:
        with contextlib.suppress(FileNotFoundError):
            os.lstat(folder / part.name)  # a name that is too long is only detected in an existing folder
    handle, probe = create_temporary(folder / path.name)
    os.close(handle)
    probe.unlink()


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # `_check_writable` reports what is wrong
        return False


def _same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:  # one of them does not exist
        return False


def _short(path: Path) -> str:
    """A path, shortened to fit into a sentence."""
    text = str(path)
    return text if len(text) <= 120 else f"…{text[-100:]}"
