"""What cannot be painted is refused in a sentence: images, settings, networks and losses that run away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engines.style_transfer import MAX_STYLES, stylize
from tests.engines.helpers import refusal
from tests.engines.style_transfer.helpers import STYLE, blobs, config


@pytest.mark.parametrize(
    ("content", "styles", "images", "words"),
    [
        (blobs(64, 64, 0), [], {}, "Choose a style image first"),
        (blobs(64, 64, 0), [STYLE] * 40, {}, f"There are 40 style images; use at most {MAX_STYLES}"),
        (blobs(64, 64, 0)[:15], [STYLE], {}, "16"),
        (blobs(64, 64, 0), [STYLE[:, :15]], {}, "16"),
        (blobs(64, 64, 0), [STYLE], {"start_image": STYLE[:5]}, "16"),
        (blobs(64, 64, 0).astype(np.float32), [STYLE], {}, "shape (height, width, 3)"),
        (blobs(64, 64, 0), [STYLE], {"masks": [np.zeros((64, 64, 3), np.uint8)]}, "region of style image 1 is empty"),
        (blobs(64, 64, 0), [STYLE], {"masks": [None, None]}, "2 masks for 1 style images"),
    ],
)
def test_images_that_cannot_be_used_are_refused_in_a_sentence(content, styles, images, words, studio_vgg):
    def start() -> None:
        next(stylize(content, styles, config(), studio_vgg, **images))

    assert words in refusal(ValueError, start)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: config(style_weight=0.0, content_weight=0.0, total_variation_weight=0.0), "All weights are zero"),
        (lambda: config(style_layers={"block1_conv1": 0.0}), "All style layers have weight zero"),
        (lambda: config(blend=(0.0, 0.0)), "All style images have weight zero"),
        (lambda: config(learning_rate=float("inf")), "Learning rate must be"),
        (lambda: config(balance=1.0), "More style ↔ more photo must be"),
        (lambda: config(optimizer="newton"), "Optimiser must be"),
    ],
)
def test_settings_that_make_no_painting_are_refused_in_a_sentence(make: Callable[[], Any], words):
    assert words in refusal(ValueError, make)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"blend": (1.0, 2.0, 3.0)}, "3 weights for 1 style images"),
        ({"style_layers": {"block9_conv1": 1.0}}, "block9_conv1"),
        ({"content_layer": "mixed4"}, "mixed4"),
    ],
)
def test_settings_that_do_not_suit_are_refused_in_a_sentence(sample_image, studio_vgg, changes, words):
    def start() -> None:
        next(stylize(sample_image, [STYLE], config(**changes), studio_vgg))

    assert words in refusal(ValueError, start)


def test_a_network_in_another_shape_is_refused_in_a_sentence(sample_image, studio_vgg):
    class Other:
        name = "inception_v3"
        architecture = type("Architecture", (), {"title": "InceptionV3"})()

    def start() -> None:
        next(stylize(sample_image, [STYLE], config(), Other()))  # type: ignore[arg-type]

    assert "InceptionV3 cannot be used" in refusal(ValueError, start)


def test_a_painting_that_runs_away_ends_with_a_sentence(sample_image, studio_vgg):
    def run() -> None:
        for frame in stylize(
            sample_image,
            [STYLE],
            config(optimizer="sgd", learning_rate=10_000.0, style_weight=1e9, steps=50),
            studio_vgg,
        ):
            assert frame.image.dtype == np.uint8
            assert all(np.isfinite(value) for value in frame.metrics.values())

    assert "diverged" in refusal(ValueError, run)
