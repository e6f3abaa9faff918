"""Contact sheets: every image in its cell under its value, whatever its shape."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import ndimage

from engines.imaging.contact_sheet import EMPTY, MAX_CELL, PAPER, SHEET_SIDE, ContactSheet, Heading

PHOTO = (48, 72)


def heading(count: int, title: str = "Strength") -> Heading:
    return Heading(title, tuple(str(i) for i in range(count)))


def sheet_of(columns: int, rows: int = 0, shape: tuple[int, int] = PHOTO) -> ContactSheet:
    """A sheet of plain images of different colours."""
    sheet = ContactSheet(heading(columns), heading(rows, "Jitter") if rows else None, shape)
    for index in range(columns * max(1, rows)):
        sheet.put(index, plain(index))
    return sheet


def plain(index: int, shape: tuple[int, int] = (8, 8)) -> np.ndarray:
    return np.full((*shape, 3), (0, 255 - index, 90), np.uint8)


def boxes(image: np.ndarray, count: int) -> list[tuple[int, int, int, int]]:
    """The bounds of the plain images: top, left, bottom, right; each must be complete."""
    numbers = np.where(image[:, :, 0] == 0, 256 - image[:, :, 1].astype(int), 0)  # nothing else is without red
    found = ndimage.find_objects(numbers, max_label=count)
    assert None not in found, "a picture is not on the sheet"
    for number, place in enumerate(found, 1):
        assert (numbers[place] == number).all(), "a picture is covered or torn"
    return [(down.start, right.start, down.stop, right.stop) for down, right in found]


def written(image: np.ndarray, top: int, bottom: int, left: int, right: int) -> bool:
    """Whether anything is drawn."""
    return bool((image[max(0, top) : bottom, max(0, left) : right] != PAPER).any())


def test_a_few_images_stand_in_one_line_from_left_to_right():
    image = sheet_of(3).image
    places = boxes(image, 3)
    assert len({top for top, *_ in places}) == 1
    assert [left for _, left, *_ in places] == sorted(left for _, left, *_ in places)
    gaps = {second[1] - first[3] for first, second in itertools.pairwise(places)}
    assert len(gaps) == 1
    assert gaps.pop() > 0


@pytest.mark.parametrize(("count", "lines"), [(4, 1), (5, 2), (7, 2), (12, 3), (36, 5)])
def test_a_longer_series_is_broken_into_lines_of_much_the_same_length(count, lines):
    places = boxes(sheet_of(count).image, count)
    tops = [top for top, *_ in places]
    lengths = [tops.count(top) for top in sorted(set(tops))]
    assert len(lengths) == lines
    assert set(lengths[:-1]) <= {max(lengths)}
    assert tops == sorted(tops), "counted line by line"


def test_a_table_has_a_line_for_each_value_of_its_rows():
    places = boxes(sheet_of(3, 2).image, 6)
    assert [place[0] for place in places] == [places[0][0]] * 3 + [places[3][0]] * 3
    assert [place[1] for place in places[:3]] == [place[1] for place in places[3:]]
    assert places[3][0] >= places[0][2]


@pytest.mark.parametrize("rows", [0, 2])
def test_titles_and_values_are_written_where_they_belong(rows):
    image = sheet_of(3, rows).image
    places = boxes(image, 3 * max(1, rows))
    first_top = places[0][0]
    line = first_top // 2
    assert written(image, 0, line, 0, image.shape[1]), "the title, above all"
    for top, left, _, right in places[:3]:
        assert written(image, top - line + 4, top, left, right), "a value, above its picture"
    if rows:
        edge = places[0][1]
        for top, _, bottom, _ in (places[0], places[3]):
            assert written(image, top, bottom, edge // 2, edge), "a value, beside its line"
        assert written(image, first_top, image.shape[0], 0, edge // 2), "the title of the rows"


def test_in_a_series_every_line_has_its_values_written_above_its_images():
    image = sheet_of(7).image
    for top, left, _, right in boxes(image, 7):
        assert written(image, top - 14, top - 1, left, right)


def test_other_words_make_another_sheet():
    def drawn(title: str, value: str) -> np.ndarray:
        return ContactSheet(Heading(title, (value, "2")), None, PHOTO).image

    assert not np.array_equal(drawn("Size", "1"), drawn("Seed", "1"))
    assert not np.array_equal(drawn("Size", "1"), drawn("Size", "7"))
    np.testing.assert_array_equal(drawn("Size", "1"), drawn("Size", "1"))
    # Letters that a font lacks are all drawn as the same box.
    assert not np.array_equal(drawn("↔", "1"), drawn("α", "1"))


def test_a_cell_is_empty_until_its_image_comes_and_may_be_drawn_anew():
    sheet = ContactSheet(heading(2), None, PHOTO)
    empty = sheet.image
    assert (empty == EMPTY).all(axis=-1).any()
    sheet.put(1, plain(0))
    once = sheet.image
    (place,) = boxes(once, 1)
    outside = np.ones(once.shape[:2], bool)
    outside[place[0] : place[2], place[1] : place[3]] = False
    np.testing.assert_array_equal(once[outside], empty[outside])
    sheet.put(1, np.full((8, 8, 3), 200, np.uint8))
    assert (sheet.image[~outside] == 200).all()
    np.testing.assert_array_equal(sheet.image[outside], empty[outside])
    assert boxes(once, 1) == [place], "what was handed out before is a copy"


def test_images_of_any_size_fill_their_cell():
    sheet = ContactSheet(heading(2), None, PHOTO)
    sheet.put(0, plain(0, (480, 720)))
    sheet.put(1, plain(1, (24, 36)))
    first, second = boxes(sheet.image, 2)
    assert (first[2] - first[0], first[3] - first[1]) == (second[2] - second[0], second[3] - second[1])


@pytest.mark.parametrize("shape", [PHOTO, (720, 480), (20, 400), (400, 20)])
@pytest.mark.parametrize(("columns", "rows"), [(1, 0), (36, 0), (36, 1), (1, 36), (6, 6)])
def test_sheets_stay_within_bounds_and_images_keep_their_shape(shape, columns, rows):
    image = sheet_of(columns, rows, shape).image
    # Plus the minimum cell size and the labels.
    assert max(image.shape) < 2 * SHEET_SIDE
    places = boxes(image, columns * max(1, rows))
    height, width = places[0][2] - places[0][0], places[0][3] - places[0][1]
    assert max(height, width) <= MAX_CELL
    assert abs(height - width * shape[0] / shape[1]) <= 1 + max(shape[0] / shape[1], 1)
    assert {(bottom - top, right - left) for top, left, bottom, right in places} == {(height, width)}
    assert all(bottom < image.shape[0] and right < image.shape[1] for _, _, bottom, right in places)


@pytest.mark.parametrize(("rows", "narrow"), [(0, (400, 20)), (2, (400, 20)), (2, (20, 400))])
def test_words_that_are_wider_than_a_narrow_image_are_neither_cut_off_nor_covered(rows, narrow):
    values = ("0.00000123", "0.00000456")
    side = Heading("Size of the brush strokes", values)

    def ink(shape: tuple[int, int]) -> int:
        image = ContactSheet(side, side if rows else None, shape).image
        assert all((edge == PAPER).all() for edge in (image[:3], image[-3:], image[:, :3], image[:, -3:]))
        return int((image.max(axis=-1) < 120).sum())

    assert ink(narrow) == pytest.approx(ink((400, 400)), rel=0.1)
