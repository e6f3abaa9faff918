"""Windows of an image: every pixel belongs to one core, and every core has its margins."""

from __future__ import annotations

import numpy as np
import pytest

from engines.imaging.tiling import spans, windows
from tests.engines.helpers import refusal

CASES = [
    (length, tile, margin, stride)
    for length in (37, 64, 100, 127, 128, 129, 500, 1001)
    for tile in (64, 90, 128)
    for margin, stride in ((0, 1), (5, 1), (9, 4), (16, 8), (12, 8))
]


@pytest.mark.parametrize(("length", "tile", "margin", "stride"), CASES)
def test_cores_cover_a_line_once_and_every_window_sees_its_margins(length, tile, margin, stride):
    cut = spans(length, tile, margin, stride)
    covered = [pixel for span in cut for pixel in range(span.core_start, span.core_stop)]
    assert covered == list(range(length))
    assert len({span.stop - span.start for span in cut}) == 1, "windows of one length"
    for span in cut:
        assert 0 <= span.start <= span.core_start < span.core_stop <= span.stop <= length
        assert span.stop - span.start <= tile
        assert span.start % stride == span.core_start % stride == 0
        assert span.start == 0 or span.core_start - span.start >= margin
        assert span.stop == length or span.stop - span.core_stop >= margin


def test_what_fits_into_a_tile_is_one_window():
    (span,) = spans(64, 64, 30, 16)
    assert (span.start, span.stop, span.core_start, span.core_stop) == (0, 64, 0, 64)


def test_a_tile_with_no_room_between_its_margins_is_refused():
    assert "larger than 80" in refusal(ValueError, spans, 500, 64, 30, 8)


def test_the_windows_of_an_image_are_those_of_its_rows_by_those_of_its_columns():
    count = np.zeros((100, 150), int)
    for window in windows(100, 150, 64, 8, 4):
        rows, columns = window.rows, window.columns
        count[rows.core_start : rows.core_stop, columns.core_start : columns.core_stop] += 1
    assert (count == 1).all()
