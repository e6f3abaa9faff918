"""Paintings that would not fit in memory: made in tiles or smaller, and they say so."""

from __future__ import annotations

import pytest

from engines.style_transfer import resolve
from engines.style_transfer import schedule as painting_plan
from engines.style_transfer.optimization import StyleOptimizer
from engines.style_transfer.targets import StyleInputs
from tests.engines.style_transfer.helpers import STYLE, blobs, config, difference, painted


def with_free(monkeypatch, free: int) -> None:
    monkeypatch.setattr(painting_plan, "free_bytes", lambda: free)


def test_a_painting_that_would_not_fit_is_made_in_tiles_and_says_so(studio_vgg, monkeypatch):
    monkeypatch.setattr(painting_plan, "TILES", (384, 96))
    photo = blobs(80, 135, 0)
    # Layers that see little around them, so that tiles are small.
    shallow = config(steps=1, style_layers={"block1_conv2": 1.0}, content_layer="block2_conv1")
    whole = painted(photo, [STYLE], shallow, studio_vgg)
    each = StyleOptimizer(
        StyleInputs(photo, (STYLE,), (None,), None), resolve(shallow, studio_vgg), studio_vgg
    )._perceptual_loss.bytes_per_pixel
    with_free(monkeypatch, int(2.2 * 96**2 * each))
    tiled = painted(photo, [STYLE], shallow, studio_vgg)
    assert "tiles" in tiled[-1].note
    assert tiled[0].config is not None
    assert tiled[0].config.tile_size == 96
    assert tiled[-1].image.shape == photo.shape
    assert "tiles" not in whole[-1].note
    assert tiled[0].metrics["loss"] == pytest.approx(whole[0].metrics["loss"], rel=1e-4)
    assert difference(tiled[-1].image, whole[-1].image) < 0.5


def test_a_painting_too_large_even_for_tiles_is_made_smaller_and_says_so(studio_vgg, monkeypatch):
    with_free(monkeypatch, 1 << 20)
    frames = painted(blobs(300, 400, 0), [STYLE], config(steps=1), studio_vgg)
    assert max(frames[-1].image.shape) == 192
    assert "longest side reduced to 192 pixels, to fit in memory" in frames[-1].note
