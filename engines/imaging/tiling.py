"""Overlapping tiles on which a ConvNet computes exactly the same as on the whole image.

All windows have the same shape, as each new shape costs memory in TensorFlow. A window extends beyond its core by the
network's receptive radius, except at the image's edges, where the padding is the same as for the whole.
"""

from __future__ import annotations

from dataclasses import dataclass

from engines.core.messages import message


@dataclass(frozen=True)
class Span:
    """A window along one axis, in pixels: it covers [start, stop), and its core is [core_start, core_stop)."""

    start: int
    stop: int
    core_start: int
    core_stop: int


@dataclass(frozen=True)
class Window:
    """A window of an image."""

    rows: Span
    columns: Span


def spans(length: int, tile: int, margin: int, stride: int) -> list[Span]:
    """Split range(length) into windows of equal length, at most `tile`.

    Args:
        margin: pixels around a core, except at the image's edges.
        stride: windows and cores start at multiples of this: the product of the network's pooling strides.

    Raises:
        ValueError: the tile is too small for a core between its margins.
    """
    if length <= tile:
        return [Span(0, length, 0, length)]
    margin = -(-margin // stride) * stride
    # The last window must end with the image and start at a multiple of the stride.
    tile -= (tile - length) % stride
    advance = (tile - 2 * margin) // stride * stride
    if advance <= 0:
        raise ValueError(
            message("With these layers, tiles must be larger than {least} pixels.", least=2 * margin + 2 * stride)
        )
    starts = [0]
    while starts[-1] + tile < length:
        starts.append(min(starts[-1] + advance, length - tile))
    cores = [0, *(start + margin for start in starts[1:]), length]
    return [
        Span(start, start + tile, core, after) for start, core, after in zip(starts, cores[:-1], cores[1:], strict=True)
    ]


def windows(height: int, width: int, tile: int, margin: int, stride: int) -> list[Window]:
    """The windows of an image, row by row; a single one if the image is no larger than a tile."""
    columns = spans(width, tile, margin, stride)
    return [Window(row, column) for row in spans(height, tile, margin, stride) for column in columns]


# Images with more pixels are processed in tiles, as their activations need too much memory.
WHOLE_PIXELS = 1_400_000


AUTOMATIC_TILE = 768


def tile_size(pixels: int, chosen: int) -> int:
    """The tile size for an image with this many pixels: `chosen`, or if that is 0 automatic; 0 means no tiles."""
    return chosen or (AUTOMATIC_TILE if pixels > WHOLE_PIXELS else 0)
