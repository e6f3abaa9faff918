"""The frames of a painting: their sizes, their losses, and that it repeats to the same pixels."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from engines.style_transfer import stylize
from tests.engines.style_transfer.helpers import STYLE, blobs, config, difference, losses, painted, result


def test_the_frames_climb_the_sizes_and_tell_what_is_done(studio_vgg):
    photo = blobs(120, 180, 0)
    frames = painted(photo, [STYLE], config(scales=2, steps=5), studio_vgg)
    shapes = [frame.image.shape for frame in frames]
    assert shapes == [(69, 103, 3)] * 7 + [(120, 180, 3)] * 5, "seven smaller steps, 1.4 times as many as at full size"
    assert [frame.step for frame in frames] == list(range(1, 13))
    assert {frame.total for frame in frames} == {12}
    progress = [frame.progress for frame in frames]
    assert progress == sorted(progress)
    assert progress[-1] == 1
    assert frames[0].note == "scale 1 of 2, 103 × 69 · step 1 of 7"
    assert frames[-1].note == "scale 2 of 2, 180 × 120 · step 5 of 5"
    assert all(frame.image.dtype == np.uint8 for frame in frames)


def test_the_losses_are_the_parts_of_the_loss_and_it_falls(sample_image, studio_vgg):
    frames = painted(sample_image, [STYLE], config(steps=20), studio_vgg)
    for frame in frames:
        parts = [frame.metrics[f"{name}_loss"] for name in ("style", "content", "total_variation")]
        assert frame.metrics["loss"] == pytest.approx(sum(parts), rel=1e-5)
    assert losses(frames)[-1] < 0.5 * losses(frames)[0]
    assert difference(frames[-1].image, sample_image) > 5


@pytest.mark.parametrize("size", [200, 32])
def test_the_size_is_the_longest_side(sample_image, studio_vgg, size):
    assert max(result(sample_image, [STYLE], config(size=size, steps=1), studio_vgg).shape) == size


def test_a_painting_repeats_to_the_same_pixels(sample_image, studio_vgg):
    chosen = config(start="noise", seed=3)
    again = result(sample_image, [STYLE], chosen, studio_vgg)
    np.testing.assert_array_equal(result(sample_image, [STYLE], chosen, studio_vgg), again)
    other = result(sample_image, [STYLE], dataclasses.replace(chosen, seed=4), studio_vgg)
    assert difference(other, again) > 1


def test_a_painting_in_a_given_time_says_by_which_steps_it_can_be_repeated(sample_image, studio_vgg):
    frames = painted(sample_image, [STYLE], config(seconds=0.6), studio_vgg)
    chosen = frames[0].config
    assert chosen is not None
    assert chosen.seconds == 0
    steering = {frame.step: frame.config for frame in frames[1:] if frame.config is not None}
    # As `engines.jobs` repeats a recipe: each change is sent after the step that it was made at.
    replay = stylize(sample_image, [STYLE], chosen, studio_vgg)
    frame = next(replay)
    while frame.step < frames[-1].step:
        # A correction is told with the first frame that it holds for.
        frame = replay.send(steering.get(frame.step + 1))
    np.testing.assert_array_equal(frame.image, frames[-1].image)
    with pytest.raises(StopIteration):
        next(replay)
