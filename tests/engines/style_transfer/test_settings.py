"""What the settings of a painting do, and the presets of every network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from engines.backbones.backbone import untrained_backbone
from engines.style_transfer import BOOK, LAYERS, presets, resolve
from engines.style_transfer.optimization import StyleOptimizer
from engines.style_transfer.targets import StyleInputs
from tests.engines.style_transfer.helpers import STYLE, blobs, config, difference, losses, painted, result

RED, BLUE = (blobs(64, 64, i) // 4 + np.array(color, np.uint8) for i, color in ((1, (190, 0, 0)), (2, (0, 0, 190))))


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_other_optimizers_lead_down_too(sample_image, studio_vgg, optimizer):
    rate = {"adam": 5.0, "sgd": 10_000.0}[optimizer]
    frames = painted(sample_image, [STYLE], config(optimizer=optimizer, learning_rate=rate, steps=25), studio_vgg)
    assert losses(frames)[-1] < 0.9 * losses(frames)[0]


def test_the_balance_is_the_photos_share_of_the_gradient(sample_image, studio_vgg):
    for balance in (0.1, 0.5, 0.9):
        chosen = resolve(config(balance=balance), studio_vgg)
        painting = StyleOptimizer(StyleInputs(sample_image, (STYLE,), (None,), None), chosen, studio_vgg)
        image = painting._style_targets.midpoint()
        style, content, _ = painting._weights
        pulls = [
            float(tf.norm(painting._perceptual_loss.evaluate(image, painting._targets, only, tile=16_384).gradient))
            for only in ((style, 0.0, 0.0), (0.0, content, 0.0))
        ]
        assert pulls[1] / sum(pulls) == pytest.approx(balance, abs=0.01)


def test_more_photo_is_nearer_to_the_photo(sample_image, studio_vgg):
    near, far = (
        result(sample_image, [STYLE], config(balance=balance, steps=15), studio_vgg) for balance in (0.9, 0.02)
    )
    assert difference(near, sample_image) < 0.8 * difference(far, sample_image)


def test_a_painting_of_weight_zero_is_as_if_it_were_not_there(sample_image, studio_vgg):
    alone = result(sample_image, [RED], config(steps=10), studio_vgg)
    blended = result(sample_image, [RED, BLUE], config(steps=10, blend=(1.0, 0.0)), studio_vgg)
    assert difference(alone, blended) <= 0.5
    both = result(sample_image, [RED, BLUE], config(steps=10), studio_vgg)
    assert difference(alone, both) > 2


def test_a_region_is_painted_in_its_own_style(studio_vgg):
    photo = np.full((48, 96, 3), 128, np.uint8)
    left = np.zeros((30, 40, 3), np.uint8)  # of another size and shape of pixels than the photo
    left[:, :20] = 255
    image = result(photo, [RED, BLUE], config(balance=0.02, steps=25), studio_vgg, masks=[left, None])
    redness = image[..., 0].astype(int) - image[..., 2]
    assert redness[:, :38].mean() > 15
    assert redness[:, -38:].mean() < -15


def test_it_goes_on_from_an_image_at_full_size(sample_image, studio_vgg):
    start = blobs(80, 120, 5)
    frames = painted(sample_image, [STYLE], config(size=100, scales=3, steps=2), studio_vgg, start_image=start)
    assert [frame.image.shape for frame in frames] == [(67, 100, 3)] * 2
    untouched = result(
        start, [STYLE], config(size=100, optimizer="sgd", learning_rate=0.0, steps=1), studio_vgg, start_image=start
    )
    again = result(
        sample_image,
        [STYLE],
        config(size=100, optimizer="sgd", learning_rate=0.0, steps=1),
        studio_vgg,
        start_image=start,
    )
    np.testing.assert_array_equal(again, untouched)


def test_the_photos_colours_stay(sample_image, studio_vgg):
    image = result(sample_image, [STYLE], config(color="photo", steps=10), studio_vgg)
    assert difference(image, sample_image) > 1

    def chroma(rgb: np.ndarray) -> np.ndarray:
        """What is left of a colour without its lightness (BT.601), as television sends it."""
        rgb = rgb.astype(float)
        lightness = rgb @ [0.299, 0.587, 0.114]
        return rgb - lightness[..., None]

    np.testing.assert_allclose(chroma(image), chroma(sample_image), atol=1.5)


def test_matched_colours_are_the_photos_on_the_whole(studio_vgg):
    photo = np.clip(blobs(60, 80, 0) * [0.3, 0.5, 1.0], 0, 255).astype(np.uint8)
    style = np.clip(blobs(60, 80, 7) * [1.0, 0.5, 0.2], 0, 255).astype(np.uint8)
    means = {
        color: result(photo, [style], config(color=color, steps=15, balance=0.05), studio_vgg).mean((0, 1))
        for color in ("painting", "matched")
    }
    wanted = photo.mean((0, 1))
    assert np.abs(means["matched"] - wanted).max() < np.abs(means["painting"] - wanted).max()


@pytest.fixture(scope="module")
def usual(studio_vgg) -> np.ndarray:
    """What the settings make where none is changed."""
    return result(blobs(48, 72, 0), [STYLE], config(), studio_vgg)


@pytest.mark.parametrize(
    "changes",
    [
        {"pooling": "average"},
        {"style_scale": 2.0},
        {"style_layers": {"block1_conv1": 1.0}},
        {"content_layer": "block2_conv1"},
        {"style_weight": 0.0},
        {"total_variation_weight": 1000.0},
        {"balance": 0.0},
        {"losses": "book"},
    ],
)
def test_every_setting_makes_a_difference(studio_vgg, usual, changes):
    assert difference(usual, result(blobs(48, 72, 0), [STYLE], config(**changes), studio_vgg)) > 0.1


def test_the_settings_of_the_book_are_those_of_the_listing():
    assert BOOK.style_layers == {f"block{i}_conv1": 1.0 for i in range(1, 6)}
    assert (BOOK.content_layer, BOOK.losses, BOOK.pooling) == ("block5_conv2", "book", "max")
    weights = (BOOK.style_weight, BOOK.content_weight, BOOK.total_variation_weight, BOOK.balance)
    assert weights == (1e-6, 2.5e-8, 1e-6, 0)
    assert (BOOK.optimizer, BOOK.learning_rate, BOOK.steps, BOOK.scales) == ("sgd", 100, 4000, 1)
    assert presets("vgg19")["Chollet's book"] == BOOK
    assert "Chollet's book" not in presets("studio_vgg")


@pytest.mark.parametrize("name", list(LAYERS))
def test_every_network_that_can_paint_has_the_layers_it_paints_with(name):
    for preset in presets(name).values():
        chosen = resolve(preset, untrained_backbone(name) if name == "studio_vgg" else _architecture_only(name))
        assert chosen.style_layers


class _ArchitectureOnly:
    """Just enough of a VGG to check names against, without half a gigabyte of weights."""

    def __init__(self, name: str):
        self.name = name

    def check_layers(self, names):
        blocks = {1: 2, 2: 2, 3: 4, 4: 4, 5: 4} if self.name == "vgg19" else {1: 2, 2: 2, 3: 3, 4: 3, 5: 3}
        known = {f"block{block}_conv{i}" for block, count in blocks.items() for i in range(1, count + 1)}
        assert set(names) <= known


def _architecture_only(name: str) -> Any:
    return _ArchitectureOnly(name)
