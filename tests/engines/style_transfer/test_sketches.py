"""Paintings on a sketch by the bundled network."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from engines.backbones.backbone import Backbone, untrained_backbone
from engines.style_transfer import resolve, stylize
from engines.style_transfer import schedule as painting_plan
from engines.style_transfer.schedule import Level
from tests.engines.style_transfer.helpers import STYLE, blobs, config, difference, painted


@pytest.fixture
def slower(studio_vgg, monkeypatch) -> Backbone:
    """Another network than the bundled one, which sketches for it."""
    monkeypatch.setattr("engines.backbones.backbone.bundled_backbone", lambda: studio_vgg)
    return Backbone("vgg16", untrained_backbone("studio_vgg").network)


PHOTO = blobs(120, 200, 3)
SKETCHED = config(start="sketch", scales=2, steps=3, size=200)


def test_a_painting_on_a_sketch_begins_where_the_bundled_network_has_ended(studio_vgg, slower, monkeypatch):
    monkeypatch.setattr(painting_plan, "SKETCH_STEPS", 4)
    frames = painted(PHOTO, [STYLE], SKETCHED, slower)
    notes = [frame.note.split(" · step")[0] for frame in frames]
    assert notes == [
        *["sketch, scale 1 of 2, 114 × 69"] * 6,
        *["sketch, scale 2 of 2, 200 × 120"] * 4,
        *["scale 1 of 1, 200 × 120"] * 3,
    ]
    assert [frame.step for frame in frames] == list(range(1, 14))
    assert {frame.total for frame in frames} == {13}
    shares = [frame.progress for frame in frames]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    # The bundled network alone, with a sketch's settings, paints the same so far.
    alone = Level((120, 200), studio_vgg, True, 0).config(SKETCHED)
    alone = dataclasses.replace(alone, seconds=0.0, size=200, scales=2, steps=4)
    np.testing.assert_array_equal(painted(PHOTO, [STYLE], alone, studio_vgg)[9].image, frames[9].image)
    np.testing.assert_array_equal(frames[10].image, frames[9].image)
    assert difference(frames[12].image, frames[9].image) > 0


def test_the_bundled_network_sketches_nothing_for_itself(studio_vgg):
    assert resolve(SKETCHED, studio_vgg).start == "content"
    assert "sketch" not in painted(PHOTO, [STYLE], dataclasses.replace(SKETCHED, scales=1), studio_vgg)[0].note


def test_a_sketch_is_steered_and_goes_on_after_a_loss(slower, monkeypatch):
    monkeypatch.setattr(painting_plan, "SKETCH_STEPS", 4)
    run = stylize(PHOTO, [STYLE], SKETCHED, slower)
    next(run)
    changed = run.send(dataclasses.replace(SKETCHED, balance=0.8, optimizer="adam"))
    assert changed.config.balance == 0.8
    *_, last = run
    assert last.step == last.total == 13
    frames = painted(PHOTO, [STYLE], SKETCHED, slower)
    for number in (2, 8, 11):
        rest = painted(PHOTO, [STYLE], frames[0].config, slower, after=frames[number])
        assert [frame.note for frame in rest] == [frame.note for frame in frames[number + 1 :]]
        assert difference(rest[0].image, frames[number].image) < 0.1


def test_a_sketch_in_a_given_time_leaves_time_to_paint_on_it(slower, monkeypatch):
    """That both come to their ends; how long they take is no test's matter."""
    monkeypatch.setattr(painting_plan, "SIZES", (96, 128, 200))
    frames = painted(PHOTO, [STYLE], dataclasses.replace(SKETCHED, seconds=1.5), slower)
    assert frames[-1].note.startswith("scale 1 of 1")
    assert frames[-1].step == frames[-1].total
