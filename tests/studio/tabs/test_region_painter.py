"""Regions: the painter's value, and the masks made from what the browser sends."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engines.style_transfer import MAX_STYLES
from studio.tabs.style_transfer.region_painter import COLORS, SIDE, blank, masks_of, region_painter
from tests.engines.helpers import as_png, encoded, refusal
from tests.studio.helpers import decoded, huge_png, png_with_late_chunk, unserved_page

UNREADABLE = "did not upload completely"


def color(number: int) -> tuple[int, int, int, int]:
    """Return the opaque RGBA colour of a painting, counted from 0."""
    red, green, blue = bytes.fromhex(COLORS[number][1:])
    return red, green, blue, 255


def clear(height: int = 20, width: int = 30) -> np.ndarray:
    """Return an empty canvas."""
    return np.zeros((height, width, 4), np.uint8)


def sent(png: bytes | np.ndarray, **more: Any) -> dict[str, Any]:
    """Return the browser's value for a PNG, or for RGBA pixels."""
    png = png if isinstance(png, bytes) else as_png(png)
    return {"painted": "data:image/png;base64," + base64.b64encode(png).decode(), **more}


# Value of the painter


def test_there_is_a_colour_for_every_painting_and_no_two_are_alike():
    assert len(COLORS) == MAX_STYLES == len(set(COLORS))
    values = np.array([color(number)[:3] for number in range(MAX_STYLES)], int)
    distances = np.abs(values[:, None] - values[None]).sum(-1)
    assert distances[~np.eye(MAX_STYLES, dtype=bool)].min() > 60


def test_at_first_nothing_is_painted_on_the_photo(sample_image):
    value = blank(sample_image, 3)
    assert (value["count"], value["painted"], value["colors"]) == (3, "", list(COLORS))
    assert np.abs(decoded(value["photo"]).astype(int) - sample_image).mean() < 12
    assert masks_of(value, 3) == [None] * 3


@pytest.mark.parametrize("shape", [(1200, 900), (900, 1200), (2000, 16)])
def test_the_painter_gets_a_small_copy_of_a_large_photo_in_its_shape(shape):
    photo = decoded(blank(np.zeros((*shape, 3), np.uint8), 1)["photo"])
    assert max(photo.shape[:2]) == SIDE
    assert abs(photo.shape[0] * shape[1] - photo.shape[1] * shape[0]) <= max(shape)


def test_without_a_photo_there_is_none_to_paint_on_and_always_a_painting_to_paint():
    value = blank(None, 0)
    assert "photo" not in value
    assert value["count"] == 1


def test_the_component_begins_blank(sample_image):
    with unserved_page():
        painter = region_painter("regions", sample_image)
    assert painter.value == blank(sample_image, 1)
    assert painter.elem_id == "regions"


# Masks


@pytest.mark.parametrize("value", [None, "", [], 5, {}, {"painted": ""}, {"painted": None}, {"count": 2}])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_where_nothing_is_painted_no_painting_has_a_mask(value, count):
    assert masks_of(value, count) == [None] * count


def test_a_canvas_that_was_cleared_gives_no_masks():
    assert masks_of(sent(clear()), 2) == [None, None]


def test_two_colours_become_the_masks_of_their_paintings():
    canvas = clear()
    canvas[:, :10] = color(0)
    canvas[5:, 20:] = color(1)
    masks = masks_of(sent(canvas), 3)
    assert masks[2] is None
    for mask in masks[:2]:
        assert (mask.dtype, mask.shape) == (np.uint8, (20, 30, 3))
        assert set(np.unique(mask)) == {0, 255}
        assert (mask == mask[..., :1]).all()
    left, right = np.zeros((2, 20, 30), bool)
    left[:, :10], right[5:, 20:] = True, True
    np.testing.assert_array_equal(masks[0][..., 0] > 0, left)
    np.testing.assert_array_equal(masks[1][..., 0] > 0, right)


def test_every_paintings_own_colour_gives_the_mask_of_that_painting_alone():
    canvas = clear(8, MAX_STYLES)
    for number in range(MAX_STYLES):
        canvas[:, number] = color(number)
    for number, mask in enumerate(masks_of(sent(canvas), MAX_STYLES)):
        assert list(np.flatnonzero(mask[0, :, 0])) == [number]


def test_a_shade_of_a_colour_counts_as_it():
    canvas = clear()
    canvas[:] = np.array(color(1)) - (6, 6, 6, 0)
    assert [mask is not None for mask in masks_of(sent(canvas), 3)] == [False, True, False]


def test_the_transparent_edge_of_a_stroke_does_not_count():
    canvas = clear()
    canvas[:, :10] = color(0)
    canvas[:, 10:15] = (*color(0)[:3], 100)
    (mask,) = masks_of(sent(canvas), 1)
    assert mask[:, :10].all()
    assert not mask[:, 10:].any()


def test_the_colour_of_a_painting_that_is_no_longer_there_is_left_out():
    canvas = clear()
    canvas[:, :10] = color(0)
    canvas[:, 10:] = color(4)
    masks = masks_of(sent(canvas), 2)
    assert masks[0].any()
    assert masks[1] is None


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "1", "I;16"])
def test_a_png_of_another_kind_gives_masks_of_the_same_shape_or_none(mode):
    png = encoded(Image.new(mode, (30, 20), 1), "PNG")
    for mask in masks_of(sent(png), 2):
        assert mask is None or mask.shape == (20, 30, 3)


def test_a_canvas_of_an_extreme_shape_keeps_it():
    canvas = clear(1, SIDE)
    canvas[:] = color(0)
    assert masks_of(sent(canvas), 1)[0].shape == (1, SIDE, 3)


# Malformed values

SMALL = np.zeros((8, 8, 3), np.uint8)
SENT_BY_NO_PAINTER = {
    "a JPEG": sent(encoded(Image.new("RGB", (30, 20)), "JPEG")),
    "a GIF": sent(encoded(Image.new("RGB", (30, 20)), "GIF")),
    "no picture": sent(b"These are not pixels."),
    "nothing": sent(b""),
    "half a PNG": sent(as_png(clear())[:60]),
    "too wide": sent(as_png(clear(4, 2 * SIDE + 1))),
    "too high": sent(as_png(clear(2 * SIDE + 1, 4))),
    "millions of pixels": sent(huge_png(9_000)),
    "hundreds of millions of pixels": sent(huge_png(30_000)),
    "a damaged profile": sent(png_with_late_chunk(SMALL, b"iCCP", b"a")),
    "damaged colours": sent(png_with_late_chunk(SMALL, b"cHRM", b"12345")),
    "a damaged size": sent(png_with_late_chunk(SMALL, b"pHYs", b"1")),
    "no base64": {"painted": "data:image/png;base64,***"},
    "no ASCII": {"painted": "data:image/png;base64,ö"},
    "another kind": {"painted": "data:image/jpeg;base64,AAAA"},
    "an address": {"painted": "https://example.com/picture.png"},
    "a path": {"painted": "/etc/passwd"},
    "a number": {"painted": 5},
    "true": {"painted": True},
    "a list": {"painted": ["data:image/png;base64,AAAA"]},
    "a file": {"painted": {"path": "/etc/passwd"}},
}


@pytest.mark.parametrize("what", list(SENT_BY_NO_PAINTER))
def test_what_no_painter_sends_is_refused_with_one_sentence(what):
    assert UNREADABLE in refusal(ValueError, masks_of, SENT_BY_NO_PAINTER[what], 2)
