"""Drawn digits are centred and scaled like MNIST's."""

from __future__ import annotations

import numpy as np
import pytest

from engines.imaging.images import ImageError
from engines.vae.digit_preprocessing import as_digit
from tests.engines.helpers import refusal


def drawing(ink: int, paper: int, *, rows=slice(20, 80), columns=slice(150, 170)) -> np.ndarray:
    sheet = np.full((200, 220, 3), paper, np.uint8)
    sheet[rows, columns] = ink
    return sheet


@pytest.mark.parametrize(("ink", "paper"), [(255, 0), (0, 255), (90, 220)])
def test_a_digit_in_any_corner_and_colour_is_white_on_black_in_the_middle(ink, paper):
    digit = as_digit(drawing(ink, paper))
    assert (digit.shape, digit.dtype) == ((28, 28, 1), np.uint8)
    rows, columns = np.flatnonzero(digit.any((1, 2))), np.flatnonzero(digit.any((0, 2)))
    assert (rows[0], rows[-1]) == (4, 23), "twenty pixels tall, in the middle"
    assert columns[-1] - columns[0] <= 7, "and as narrow as it was drawn"
    assert abs(columns.mean() - 14) <= 0.75
    assert digit.max() == 255


def centre_of(digit: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[:28, :28]
    return np.array([(digit * y).sum(), (digit * x).sum()]) / digit.sum()


@pytest.mark.parametrize(("columns", "rows"), [(slice(120, 200), slice(20, 40)), (slice(150, 170), slice(60, 90))])
def test_the_centre_of_mass_is_put_where_mnist_has_it(columns, rows):
    heavy = drawing(255, 0)
    heavy[rows, columns] = 255  # like a 7: most of it is on top; or nothing of the kind
    centre = centre_of(as_digit(heavy)[..., 0].astype(float))
    assert np.abs(centre - 14).max() <= 0.5


def test_a_test_digit_that_is_drawn_again_lands_where_it_is(shared):
    from engines.data.images import digits

    images = digits(shared / "data" / "mnist.npz").test[:200]
    landed = 0
    for image in images:
        sheet = np.pad(image, 14).repeat(4, 0).repeat(4, 1)[..., None].repeat(3, -1)
        again = as_digit(sheet)[..., 0]
        landed += np.array_equal(np.argwhere(again > 50).min(0), np.argwhere(image > 50).min(0))
    assert landed >= 0.75 * len(images)


@pytest.mark.parametrize("sheet", [np.zeros((50, 50, 3), np.uint8), np.full((50, 50, 3), 255, np.uint8)])
def test_an_empty_sheet_is_refused_in_a_sentence(sheet):
    assert "draw a digit" in refusal(ImageError, as_digit, sheet)


def test_a_dot_and_a_line_are_digits_of_a_kind():
    for rows, columns in ((slice(100, 101), slice(100, 101)), (slice(100, 101), slice(0, 219))):
        assert as_digit(drawing(255, 0, rows=rows, columns=columns)).any()
