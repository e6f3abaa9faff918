"""Colours of a photo: against the statistics that each method promises."""

from __future__ import annotations

import numpy as np
import pytest

from engines.imaging.color import color_matched, grey_like, luminance, with_colors_of


@pytest.fixture
def photo() -> np.ndarray:
    """(40, 50, 3) float32 in mid-range, so that nothing is clipped."""
    rng = np.random.default_rng(0)
    return (rng.normal(size=(40, 50, 3)) @ rng.normal(size=(3, 3)) * 0.08 + (0.1, -0.2, 0.15)).astype(np.float32)


@pytest.fixture
def style() -> np.ndarray:
    """(30, 20, 3) float32 with other colours."""
    rng = np.random.default_rng(1)
    return (rng.normal(size=(30, 20, 3)) @ rng.normal(size=(3, 3)) * 0.1 + (-0.3, 0.2, 0.0)).astype(np.float32)


def test_luminance_is_that_of_jpeg():
    from PIL import Image

    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    grey = np.asarray(Image.fromarray(image).convert("L")).astype(float)
    assert np.abs(luminance(image.astype(np.float32)) - grey).max() < 1.01


def test_a_matched_painting_has_the_photos_mean_and_covariance(photo, style):
    matched = color_matched(style, photo)
    assert matched.shape == style.shape
    assert matched.dtype == np.float32
    pixels, wanted = matched.reshape(-1, 3), photo.reshape(-1, 3)
    np.testing.assert_allclose(pixels.mean(0), wanted.mean(0), atol=1e-4)
    np.testing.assert_allclose(np.cov(pixels.T), np.cov(wanted.T), atol=1e-4)


def test_matching_a_photo_to_itself_changes_nothing(photo):
    np.testing.assert_allclose(color_matched(photo, photo), photo, atol=1e-4)


def test_a_grey_painting_has_the_photos_mean_and_spread_of_lightness(photo, style):
    grey = grey_like(style, photo)
    assert (grey == grey[..., :1]).all()
    assert grey.mean() == pytest.approx(luminance(photo).mean(), abs=1e-4)
    assert grey[..., 0].std() == pytest.approx(luminance(photo).std(), rel=1e-3)


def test_painted_lightness_with_the_photos_colours_has_both(photo, style):
    painted = np.resize(style, photo.shape)
    kept = with_colors_of(painted, photo)
    np.testing.assert_allclose(luminance(kept), luminance(painted), atol=1e-5)
    difference = kept - photo
    np.testing.assert_allclose(difference, np.repeat(difference[..., :1], 3, axis=-1), atol=1e-5)


def chroma_of(image: np.ndarray) -> np.ndarray:
    return image - luminance(image)[..., None]


def test_a_saturated_photos_colours_are_kept_exactly_where_the_lightness_cannot_be_had():
    rng = np.random.default_rng(2)
    photo = (rng.integers(0, 256, (40, 50, 3)) / 127.5 - 1).astype(np.float32)
    photo[:2] = (1, -1, -1), (1, 1, 1), *[(-1, -1, -1)] * 48
    painted = rng.uniform(-1.5, 1.5, photo.shape).astype(np.float32)
    kept = with_colors_of(painted, photo)
    assert np.abs(kept).max() <= 1 + 1e-6, "nothing is left to be cut off"
    shown = np.rint((kept + 1) * 127.5)
    assert np.abs(chroma_of(shown / 127.5 - 1) - chroma_of(photo)).max() <= 1 / 127.5
    lighter = luminance(kept) - luminance(photo)
    wanted = luminance(painted) - luminance(photo)
    assert (lighter * wanted >= -1e-5).all(), "and as light as can be had on the way to what was painted"
    assert (np.abs(lighter) <= np.abs(wanted) + 1e-5).all()
    np.testing.assert_allclose(kept[0, 0], (1, -1, -1), atol=1e-6)


@pytest.mark.parametrize("way", [color_matched, grey_like])
def test_images_of_a_single_colour_give_finite_ones(way, photo):
    flat = np.full((16, 16, 3), 0.5, np.float32)
    for style, content in ((flat, photo), (photo, flat), (flat, -flat)):
        assert np.isfinite(way(style, content)).all()
