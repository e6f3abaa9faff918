"""Overlapping tiles in which a ConvNet computes exactly what it would on the whole picture.

Every window has the same shape (each new shape costs memory in the libraries below) and is larger than its core by the
network's receptive radius, except at the picture's own edges, where the padding is the same as for the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engines.core.messages import message

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Span:
    """One window along one axis, in pixels: it sees [start, stop), and [core_start, core_stop) is its own."""

    start: int
    stop: int
    core_start: int
    core_stop: int


@dataclass(frozen=True)
class Window:
    """One window of a picture: its rows and its columns."""

    rows: Span
    columns: Span


def spans(length: int, tile: int, margin: int, stride: int) -> list[Span]:
    """Cut range(length) into windows of one length, at most `tile`.

    Args:
        margin: pixels that a window sees beyond its core, where the picture goes on.
        stride: where windows and cores may begin: the product of the network's poolings.

    Raises:
        ValueError: the tile has no room for a core between its margins.
    """
    if length <= tile:
        return [Span(0, length, 0, length)]
    margin = -(-margin // stride) * stride
    # The last window must end with the picture and begin on the grid.
    tile -= (tile - length) % stride
    advance = (tile - 2 * margin) // stride * stride
    if advance <= 0:
        raise ValueError(
            message("Tiles must be larger than {least} pixels with these layers.", least=2 * margin + 2 * stride)
        )
    starts = [0]
    while starts[-1] + tile < length:
        starts.append(min(starts[-1] + advance, length - tile))
    cores = [0, *(start + margin for start in starts[1:]), length]
    return [
        Span(start, start + tile, core, after) for start, core, after in zip(starts, cores[:-1], cores[1:], strict=True)
    ]


def windows(height: int, width: int, tile: int, margin: int, stride: int) -> list[Window]:
    """The windows of a picture, row by row; a single one where the picture is no larger than a tile."""
    columns = spans(width, tile, margin, stride)
    return [Window(row, column) for row in spans(height, tile, margin, stride) for column in columns]


# Above this many pixels a picture is worked on in tiles: the activations of a larger one would not fit beside others.
WHOLE_PIXELS = 1_400_000


AUTOMATIC_TILE = 768


def tile_size(pixels: int, chosen: int) -> int:
    """The tile for a picture of so many pixels: as chosen, or 0 (whole) up to what fits in memory."""
    return chosen or (AUTOMATIC_TILE if pixels > WHOLE_PIXELS else 0)
