"""Contact sheets: small labelled images in a grid."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# Longest side of a sheet in pixels, without its labels.
SHEET_SIDE = 2400
MIN_CELL, MAX_CELL = 96, 640
PAPER, EMPTY, INK = (250, 248, 244), (236, 231, 222), (43, 38, 34)
GAP = 12


@dataclass(frozen=True)
class Heading:
    """Labels along one side of a sheet.

    Attributes:
        title: what is varied.
        values: each value, as text.
    """

    title: str
    values: tuple[str, ...]


class ContactSheet:
    """A sheet that is filled image by image.

    With `rows` it is a table, with the values of `columns` along the top and those of `rows` along the left. Without
    `rows` it is a series, wrapped into lines of similar length, with each value above its image.

    Args:
        shape: expected (height, width) of the images; others are resized to the same cell.
    """

    def __init__(self, columns: Heading, rows: Heading | None, shape: tuple[int, int]):
        self._columns, self._rows = columns, rows
        count = len(columns.values)
        self._across = count if rows else _line_length(count)
        self._down = len(rows.values) if rows else math.ceil(count / self._across)
        room = SHEET_SIDE / max(self._across * shape[1], self._down * shape[0])
        scale = min(room, MAX_CELL / max(shape))
        scale = max(scale, MIN_CELL / max(shape))
        self._cell = max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))
        self._size = max(13, min(26, round(max(self._cell) / 18)))
        self._image = self._blank()

    @property
    def image(self) -> np.ndarray:
        """A copy of the sheet, (H, W, 3) uint8 RGB."""
        return self._image.copy()

    def put(self, index: int, image: np.ndarray) -> None:
        """Put an image, (H, W, 3) uint8 RGB, into a cell; cells are counted row by row."""
        height, width = self._cell
        top, left = self._corner(index)
        small = Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)
        self._image[top : top + height, left : left + width] = np.asarray(small)

    # Layout

    @property
    def _line(self) -> int:
        """Height of a line of text with spacing."""
        return round(self._size * 1.7)

    def _widest(self, texts: Iterable[str]) -> int:
        return math.ceil(max(_font(self._size).getlength(text) for text in texts))

    @property
    def _left(self) -> int:
        if self._rows is None:
            return GAP
        return GAP + self._line + self._widest(self._rows.values) + GAP

    @property
    def _top(self) -> int:
        """Top of the first slot."""
        return GAP + 2 * self._line

    @property
    def _slot(self) -> tuple[int, int]:
        """Height and width of a slot, which holds a cell; labels may make it larger than the cell."""
        heading = math.ceil(self._widest([self._columns.title]) / self._across)
        width = max(self._cell[1], self._widest(self._columns.values), heading)
        if self._rows is None:
            return self._cell[0], width
        return max(self._cell[0], self._line, math.ceil(self._widest([self._rows.title]) / self._down)), width

    @property
    def _pitch(self) -> tuple[int, int]:
        """Distance between adjacent slots, vertical and horizontal."""
        written = 0 if self._rows else self._line
        height, width = self._slot
        return height + GAP + written, width + GAP

    def _corner(self, index: int) -> tuple[int, int]:
        """Top and left of a cell, centred in its slot."""
        slot, pitch = self._slot, self._pitch
        line, column = divmod(index, self._across)
        top, left = self._top + line * pitch[0], self._left + column * pitch[1]
        return top + (slot[0] - self._cell[0]) // 2, left + (slot[1] - self._cell[1]) // 2

    def _blank(self) -> np.ndarray:
        slot, pitch = self._slot, self._pitch
        height = self._top + (self._down - 1) * pitch[0] + slot[0] + GAP
        width = self._left + (self._across - 1) * pitch[1] + slot[1] + GAP
        sheet = Image.new("RGB", (width, height), PAPER)
        draw = ImageDraw.Draw(sheet)
        cells = len(self._columns.values) * (len(self._rows.values) if self._rows else 1)
        for index in range(cells):
            top, left = self._corner(index)
            draw.rectangle((left, top, left + self._cell[1] - 1, top + self._cell[0] - 1), fill=EMPTY)
        self._write(sheet, draw)
        return np.array(sheet)

    def _write(self, sheet: Image.Image, draw: ImageDraw.ImageDraw) -> None:
        font, middle = _font(self._size), (self._left + sheet.width - GAP) / 2
        slot, pitch = self._slot, self._pitch
        draw.text((middle, GAP + self._line / 2), self._columns.title, INK, font, anchor="mm")
        for index, value in enumerate(self._columns.values):
            line, column = divmod(index, self._across)
            left, above = self._left + column * pitch[1], self._top + line * pitch[0] - self._line / 2
            draw.text((left + slot[1] / 2, above), value, INK, font, anchor="mm")
        if self._rows is None:
            return
        for line, value in enumerate(self._rows.values):
            beside = self._left - GAP, self._top + line * pitch[0] + slot[0] / 2
            draw.text(beside, value, INK, font, anchor="rm")
        along = Image.new("RGB", (sheet.height - self._top - GAP, self._line), PAPER)
        place_along = along.width / 2, self._line / 2
        ImageDraw.Draw(along).text(place_along, self._rows.title, INK, font, anchor="mm")
        sheet.paste(along.rotate(90, expand=True), (GAP, self._top))


def _line_length(count: int) -> int:
    """Images per line of a series: all if they are few, else so that lines have similar lengths."""
    if count <= 4:
        return count
    lines = max(2, round(math.sqrt(count / 1.5)))
    return math.ceil(count / lines)


@lru_cache(maxsize=16)
def _font(size: int) -> ImageFont.FreeTypeFont:
    import matplotlib

    # Pillow's default font lacks Greek letters and arrows, which titles of settings contain.
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)
