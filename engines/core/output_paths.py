"""Checks that an output can be written before the work starts."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from engines.core.files import unfinished_neighbour, why_unwritten


class OutputError(ValueError):
    """A place where nothing can be written; the message is a sentence for a person."""


def check_output(path: Path, suffixes: Sequence[str], inputs: Iterable[Path] = ()) -> None:
    """Refuse a file that could not be written at the end. Nothing is left behind, and no folder made.

    Args:
        path: the file; it and its folders may be there or not.
        suffixes: those that it may have, each with its dot, in lower case.
        inputs: files that are read, which it must not replace, by whatever path or link it is named.

    Raises:
        OutputError: it has another suffix, is a folder or an input, its name is too long for its disk, or its folder
            cannot be made or written in.
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
    """Refuse a folder that could not be made or written in.

    Raises:
        OutputError: it is a file, or nothing can be written there.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder} is a file; name a folder.")
        _check_writable(folder / "picture")
    except OSError as error:
        raise OutputError(f"Nothing can be written in {_short(folder)}: {why_unwritten(error)}.") from error


def _check_writable(path: Path) -> None:
    """Raise the OSError that writing a file would end with, as far as can be known before."""
    missing = [path]
    # A drive that is not there is its own parent.
    while not os.path.lexists(missing[-1].parent) and missing[-1].parent != missing[-1]:
        missing.append(missing[-1].parent)
    folder = missing[-1].parent
    for part in missing:
        with contextlib.suppress(FileNotFoundError):
            os.lstat(folder / part.name)  # a name that is too long is noticed only in a folder that is there
    handle, probe = unfinished_neighbour(folder / path.name)
    os.close(handle)
    probe.unlink()


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # what is wrong with it is said by whoever tries to write
        return False


def _same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:  # one of them is not there
        return False


def _short(path: Path) -> str:
    """A path as a sentence can hold it."""
    text = str(path)
    return text if len(text) <= 120 else f"…{text[-100:]}"
