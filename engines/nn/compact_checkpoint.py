"""Make a checkpoint half as large: python -m engines.nn.compact_checkpoint CHECKPOINT COPY.

The copy's numbers are rounded to bfloat16, and the file is compressed. Training resumes from it as from the original,
but not bit for bit.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from engines.core.files import UNREADABLE, why_unwritten, written_atomically


def compact(source: Path, target: Path) -> None:
    """Write a compact copy of a checkpoint, about half as large.

    Raises:
        ValueError: the checkpoint cannot be read.
    """
    try:
        with np.load(source, allow_pickle=False) as arrays:
            values = {name: _rounded(arrays[name]) for name in ["header", *sorted(set(arrays.files) - {"header"})]}
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


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Make a checkpoint half as large.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("copy", type=Path)
    options = parser.parse_args(arguments)
    try:
        compact(options.checkpoint, options.copy)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{options.copy}: {why_unwritten(error)}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
