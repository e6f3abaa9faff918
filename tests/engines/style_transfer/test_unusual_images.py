"""Images that are small, of one colour, or long and narrow: painted at a size that suits them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from engines.imaging.images import ImageError
from engines.style_transfer import stylize
from engines.style_transfer.schedule import Planner
from tests.engines.helpers import refusal
from tests.engines.style_transfer.helpers import STYLE, blobs, config, losses, painted


@pytest.mark.parametrize(
    ("content", "style"),
    [
        (blobs(16, 16, 0), blobs(16, 16, 1)),
        (blobs(64, 64, 0), np.full((40, 40, 3), 90, np.uint8)),
        (np.full((64, 64, 3), 90, np.uint8), STYLE),
        (blobs(24, 384, 0), STYLE),
        (blobs(64, 64, 0), blobs(400, 100, 0)),
        (blobs(64, 64, 0), np.zeros((64, 64, 3), np.uint8)),
    ],
    ids=["16x16", "one colour", "photo of one colour", "wide", "tall painting", "black"],
)
def test_small_and_strange_images_are_painted(content, style, studio_vgg):
    frames = painted(content, [style], config(steps=8), studio_vgg)
    assert frames[-1].image.shape == content.shape
    # The best so far is shown; the last trial of a line search may be worse.
    assert min(losses(frames)[1:]) <= losses(frames)[0]
    assert all(np.isfinite(value) for frame in frames for value in frame.metrics.values())


def test_the_size_of_a_long_and_narrow_photo_is_raised_by_itself(studio_vgg):
    frame = next(stylize(blobs(20, 160, 0), [STYLE], config(size=80), studio_vgg))
    assert frame.image.shape == (20, 160, 3), "at most to what it has itself"
    assert frame.config is not None
    assert frame.config.size == 160, "which its recipe says"
    assert next(stylize(blobs(240, 60, 0), [STYLE], config(size=60), studio_vgg)).image.shape == (192, 48, 3)


@pytest.mark.parametrize("shape", [(600, 900), (100, 1600), (400, 20_000), (50, 2400)])
def test_a_larger_size_never_paints_a_smaller_image(shape):
    plan = Planner(SimpleNamespace(content=np.empty((*shape, 3), np.uint8)), None, None, None, 0.0)
    sizes = [plan.longest_side(size) for size in range(128, 2049, 16)]
    assert sizes == sorted(sizes)
    assert plan._sizes() == sorted(set(plan._sizes()))


@pytest.mark.parametrize("shape", [(16, 256), (512, 32)])
def test_a_panorama_and_a_strip_are_painted_in_the_time_that_is_given(shape, studio_vgg):
    run = stylize(blobs(*shape, 0), [STYLE], config(seconds=1.0), studio_vgg)
    frame = next(run)
    run.close()
    assert min(frame.image.shape[:2]) >= 16
    assert frame.config.size >= 256


def test_a_photo_that_is_longer_than_any_size_is_refused_in_a_sentence(studio_vgg):
    def start() -> None:
        next(stylize(np.zeros((16, 5000, 3), np.uint8), [STYLE], config(size=300), studio_vgg))

    assert "too long and narrow" in refusal(ImageError, start)


def test_a_long_and_narrow_painting_is_learnt_from_where_it_is_wide_enough(studio_vgg):
    frames = painted(blobs(64, 64, 0), [blobs(20, 640, 1)], config(), studio_vgg)
    assert losses(frames)[-1] < losses(frames)[0]
