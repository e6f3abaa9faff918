"""Copies of checkpoints that are half as large, to move a training between computers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from engines.core.files import UNREADABLE, written_atomically


def compact(source: Path, target: Path) -> None:
    """Write a compact copy of a checkpoint, about half as large: compressed, with numbers rounded to bfloat16.

    Training resumes from it as from the original, but not bit for bit.

    Raises:
        ValueError: the checkpoint cannot be read.
    """
    try:
        with np.load(source, allow_pickle=False) as arrays:
            values: dict[str, Any] = {
                name: _rounded(arrays[name]) for name in ["header", *sorted(set(arrays.files) - {"header"})]
            }
    except (FileNotFoundError, *UNREADABLE) as error:
        raise ValueError(f"{source} cannot be read as a checkpoint; choose a file written by training.") from error
    with written_atomically(target) as file:
        np.savez_compressed(file, **values)


def _rounded(values: np.ndarray) -> np.ndarray:
    """float32 rounded to the nearest bfloat16, in float32; anything else as it is."""
    if values.dtype != np.float32:
        return values
    bits = np.ascontiguousarray(values).view(np.uint32)
    # The lower 16 bits become zero, which compresses to almost nothing.
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return rounded.view(np.float32).reshape(values.shape)
