"""DeepDream: its objective, its octaves and its step against other computations; steering, stopping, videos."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from engines.backbones.backbone import untrained_backbone
from engines.deep_dream import DreamConfig, dream, resolve
from engines.deep_dream.engine import GUIDE_SIDE, octave_shapes, zoomed
from engines.deep_dream.gradient_ascent import GradientAscent
from engines.imaging.images import ImageError, resized, to_float, to_uint8
from engines.imaging.tiling import WHOLE_PIXELS, tile_size
from tests.engines.dreams import features_of, large_image, without_border
from tests.engines.helpers import is_one_sentence, refusal

LAYERS = {"block2_conv2": 1.0, "block3_conv2": 2.0}


def config(**changes) -> DreamConfig:
    """A short dream without jitter at the photo's own size."""
    settings = {"size": 0, "octaves": 1, "steps": 3, "jitter": 0, "step_size": 0.05, "layer_weights": LAYERS}
    return DreamConfig(**settings | changes)


def difference(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.abs(a.astype(int) - b.astype(int)).max())


def books_dream(image: np.ndarray, chosen: DreamConfig, backbone, *, as_printed: bool = False) -> np.ndarray:
    """The book's listing, written anew with nothing of the engine's but the extractor.

    Args:
        as_printed: with the misspelt variable of the printed listing, by which the shrunken original stays the first.
    """
    extract = backbone.extractor(tuple(chosen.layer_weights))

    def compute_loss(seen):
        loss = 0.0
        for weight, activation in zip(chosen.layer_weights.values(), extract(seen), strict=True):
            loss += weight * tf.reduce_mean(tf.square(activation[:, 2:-2, 2:-2, :]))
        return loss

    original = tf.constant(image[None].astype(np.float32) / 127.5 - 1)
    height, width = image.shape[:2]
    scales = reversed(range(chosen.octaves))
    shapes = [(int(height / chosen.octave_scale**i), int(width / chosen.octave_scale**i)) for i in scales]
    shrunk = tf.image.resize(original, shapes[0])
    dreamt = original
    for shape in shapes:
        dreamt = tf.image.resize(dreamt, shape)
        for _ in range(chosen.steps):
            with tf.GradientTape() as tape:
                tape.watch(dreamt)
                loss = compute_loss(dreamt)
            dreamt += chosen.step_size * tf.math.l2_normalize(tape.gradient(loss, dreamt))
        same_size = tf.image.resize(original, shape)
        dreamt += same_size - tf.image.resize(shrunk, shape)
        if not as_printed:
            shrunk = same_size
    return np.clip(((dreamt.numpy()[0] + 1) * 127.5).round(), 0, 255).astype(np.uint8)


def test_the_image_is_that_of_the_books_algorithm_with_its_misprint_corrected(sample_image, studio_vgg):
    chosen = config(octaves=3, octave_scale=1.3, steps=3, normalization="l2", step_size=5.0)
    *_, last = dream(sample_image, chosen, studio_vgg)
    expected = books_dream(sample_image, chosen, studio_vgg)
    assert difference(expected, sample_image) > 20, "the dream must do something for this to say something"
    assert difference(last.image, expected) <= 2, "sums in another order round differently"
    assert difference(last.image, books_dream(sample_image, chosen, studio_vgg, as_printed=True)) > 5


def test_the_loss_rises_and_the_last_frame_is_the_last_step_at_full_size(sample_image, studio_vgg):
    frames = list(dream(sample_image, config(), studio_vgg))
    losses = [frame.metrics["loss"] for frame in frames]
    assert losses == sorted(losses)
    assert losses[-1] > losses[0]
    assert [frame.step for frame in frames] == [1, 2, 3]
    assert {frame.total for frame in frames} == {3}
    assert frames[-1].progress == 1
    assert frames[-1].image.shape == sample_image.shape
    assert frames[-1].image.dtype == np.uint8


def test_a_negative_weight_makes_the_loss_of_its_layer_fall(sample_image, studio_vgg):
    frames = list(dream(sample_image, config(layer_weights={"block3_conv2": -1.0}), studio_vgg))
    assert abs(frames[-1].metrics["loss"]) < abs(frames[0].metrics["loss"])


def test_octaves_have_the_books_sizes(sample_image, studio_vgg):
    expected = [(int(48 / 1.4**i), int(72 / 1.4**i)) for i in (2, 1, 0)]
    assert octave_shapes((48, 72), 3, 1.4) == expected
    frames = list(dream(sample_image, config(octaves=3, octave_scale=1.4, steps=2), studio_vgg))
    assert [frame.image.shape[:2] for frame in frames] == [shape for shape in expected for _ in range(2)]
    assert [frame.step for frame in frames] == list(range(1, 7))
    assert {frame.total for frame in frames} == {6}
    assert frames[2].note == "octave 2 of 3 · step 1 of 2"


def test_progress_rises_to_one_in_proportion_to_the_pixels(sample_image, studio_vgg):
    progress = [
        frame.progress for frame in dream(sample_image, config(octaves=2, octave_scale=2.0, steps=2), studio_vgg)
    ]
    # A quarter of the pixels is a quarter of the cost: the first octave is a fifth of the work.
    assert progress == pytest.approx([0.1, 0.2, 0.6, 1.0])


def test_the_photo_is_first_resized_to_the_size_asked_for(sample_image, studio_vgg):
    *_, last = dream(sample_image, config(size=48, steps=1), studio_vgg)
    assert last.image.shape == (32, 48, 3)


def test_the_same_seed_gives_the_same_pixels_and_another_seed_others(sample_image, studio_vgg):
    def last(seed):
        return list(dream(sample_image, config(jitter=8, step_size=0.2, seed=seed), studio_vgg))[-1].image

    first = last(0)
    np.testing.assert_array_equal(first, last(0))
    assert difference(first, last(1)) > 2


def test_a_step_of_size_zero_leaves_the_image_as_it_is(sample_image, studio_vgg):
    for frame in dream(sample_image, config(octaves=1, step_size=0.0, jitter=4), studio_vgg):
        np.testing.assert_array_equal(frame.image, sample_image)


def test_the_first_octaves_alone_leave_all_detail_in_place(sample_image, studio_vgg):
    *_, last = dream(sample_image, config(octaves=3, octave_scale=1.3, steps=1, step_size=0.0), studio_vgg)
    assert difference(last.image, sample_image) <= 1


# A guide


def test_a_guide_changes_what_is_dreamt_of(sample_image, studio_vgg):
    def last(guide):
        return list(dream(sample_image, config(step_size=0.1), studio_vgg, guide))[-1].image

    assert difference(last(None), last(sample_image[::-1, ::-1])) > 5
    assert GUIDE_SIDE < 300  # a guide is made smaller than this first, so large ones cost no more
    big = np.repeat(np.repeat(sample_image, 7, axis=0), 7, axis=1)
    np.testing.assert_array_equal(last(big), last(resized(big, GUIDE_SIDE)))


# Tiles


@pytest.mark.usefixtures("narrow_margins")
def test_a_dream_in_tiles_leaves_no_part_of_the_image_out(studio_vgg):
    photo = large_image()
    *_, last = dream(photo, config(steps=1, tile_size=128, step_size=0.1, jitter=16), studio_vgg)
    moved = np.abs(last.image.astype(int) - photo).max(axis=2) > 0
    blocks = moved.reshape(30, 8, 35, 8).mean(axis=(1, 3))
    assert (blocks > 0.2).all()


def test_tiles_are_used_where_asked_for_or_where_the_whole_would_not_fit():
    assert tile_size(100, 0) == 0
    assert tile_size(WHOLE_PIXELS, 0) == 0
    assert 128 <= tile_size(WHOLE_PIXELS + 1, 0) <= 1024
    assert tile_size(100, 256) == 256
    assert tile_size(WHOLE_PIXELS + 1, 256) == 256


# Steering and stopping


def counted_steps(monkeypatch) -> list[int]:
    """Counts the real steps of the ascent without changing them."""
    calls: list[int] = []
    real = GradientAscent.step

    def step(self, *arguments, **options):
        calls.append(1)
        return real(self, *arguments, **options)

    monkeypatch.setattr(GradientAscent, "step", step)
    return calls


def test_closing_a_dream_ends_it_without_another_step(sample_image, studio_vgg, monkeypatch):
    calls = counted_steps(monkeypatch)
    frames = dream(sample_image, config(steps=50), studio_vgg)
    next(frames)
    next(frames)
    frames.close()
    assert len(calls) == 2
    assert next(frames, None) is None
    assert len(calls) == 2


def test_nothing_is_done_before_a_frame_is_asked_for(sample_image, studio_vgg, monkeypatch):
    calls = counted_steps(monkeypatch)
    dream(sample_image, config(), studio_vgg)
    assert calls == []


def test_steering_takes_effect_at_the_very_next_step(sample_image, studio_vgg):
    frames = dream(sample_image, config(steps=4), studio_vgg)
    before = next(frames)
    still = frames.send(config(steps=4, step_size=0.0))
    np.testing.assert_array_equal(still.image, before.image)
    assert still.step == 2
    moved = frames.send(config(steps=4, step_size=0.3))
    assert difference(moved.image, still.image) > 10


def test_steering_to_another_layer_makes_its_loss_the_loss(sample_image, studio_vgg):
    frames = dream(sample_image, config(step_size=0.0), studio_vgg)
    next(frames)
    weights = {"block1_conv2": 3.0}
    steered = frames.send(config(step_size=0.0, layer_weights=weights))
    (features,) = features_of(studio_vgg, to_float(sample_image), weights)
    assert steered.metrics["loss"] == pytest.approx(3 * np.mean(without_border(features) ** 2), rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "steps_in_all"),
    [
        ({"steps": 5}, 10),  # two octaves of five
        ({"steps": 1}, 3),  # the step under way closes its octave, then one at full size
        ({"octaves": 1}, 6),  # the size that it is in goes on to its end, then the full size
        ({"octaves": 4, "octave_scale": 1.1}, 15),  # all four octaves of the new ladder lie above the size it is in
    ],
    ids=str,
)
def test_steering_plans_the_run_anew_and_the_last_step_is_still_the_total(
    sample_image, studio_vgg, changes, steps_in_all
):
    start = config(octaves=2, octave_scale=2.0, steps=3)
    frames = dream(sample_image, start, studio_vgg)
    first = next(frames)
    assert first.total == 6
    seen = [first, frames.send(dataclasses.replace(start, **changes)), *frames]
    assert [frame.step for frame in seen] == list(range(1, len(seen) + 1))
    assert seen[-1].step == seen[-1].total == steps_in_all
    assert len({frame.total for frame in seen[1:]}) == 1
    assert seen[-1].image.shape == sample_image.shape
    progress = [frame.progress for frame in seen[1:]]
    assert progress == sorted(progress)
    assert progress[-1] == 1


def test_size_and_seed_and_length_cannot_be_steered(sample_image, studio_vgg):
    start = config(jitter=8, step_size=0.2, steps=3)
    unsteered = [frame.image for frame in dream(sample_image, start, studio_vgg)]
    frames = dream(sample_image, start, studio_vgg)
    next(frames)
    steered = [frames.send(dataclasses.replace(start, size=32, seed=9, pictures=5)), *frames]
    assert len(steered) == 2
    np.testing.assert_array_equal(steered[-1].image, unsteered[-1])


def test_a_layer_that_the_backbone_does_not_have_is_refused_before_the_run(sample_image, studio_vgg):
    wrong = config(layer_weights={"mixed4": 1.0})
    assert "mixed4" in refusal(ValueError, resolve, wrong, studio_vgg)
    assert "mixed4" in refusal(ValueError, next, dream(sample_image, wrong, studio_vgg))


def test_a_channel_that_the_layers_do_not_have_is_refused_before_the_run(studio_vgg):
    assert "0 to 63" in refusal(ValueError, resolve, config(channel=64), studio_vgg)
    assert resolve(config(channel=63), studio_vgg).channel == 63
    # A layer of weight zero is not in use and so sets no bound.
    assert resolve(config(channel=127, layer_weights={"block1_conv1": 0, "block3_conv1": 1}), studio_vgg)


def test_a_dream_without_layers_takes_those_of_its_backbone(studio_vgg):
    assert resolve(config(layer_weights={}), studio_vgg).layer_weights == studio_vgg.architecture.default_layers


def test_a_dream_leaves_its_size_after_the_step_that_crosses_the_greatest_loss(sample_image, studio_vgg):
    whole = list(dream(sample_image, config(steps=4), studio_vgg))
    losses = [frame.metrics["loss"] for frame in whole]
    limit = (losses[0] + losses[1]) / 2
    cut = list(dream(sample_image, config(steps=4, max_loss=limit), studio_vgg))
    assert [frame.metrics["loss"] for frame in cut] == losses[:2]
    np.testing.assert_array_equal(cut[-1].image, whole[1].image)
    assert cut[-1].step == cut[-1].total == 2
    assert cut[-1].progress == 1


def test_each_octave_is_left_for_itself_when_the_loss_is_too_great(sample_image, studio_vgg):
    frames = list(dream(sample_image, config(octaves=3, octave_scale=1.2, steps=5, max_loss=1e-9), studio_vgg))
    assert [frame.image.shape[:2] for frame in frames] == octave_shapes((48, 72), 3, 1.2)
    assert [frame.total for frame in frames] == [11, 7, 3]


# Videos


def test_a_zoom_video_has_one_keyframe_an_image_all_of_full_size(sample_image, studio_vgg):
    chosen = config(pictures=3, octaves=2, octave_scale=1.4, steps=2, zoom=1.2, turn=5.0)
    frames = list(dream(sample_image, chosen, studio_vgg))
    keyframes = [frame for frame in frames if frame.keyframe]
    assert [frame.step for frame in keyframes] == [4, 8, 12]
    assert [frame.step for frame in frames if frame.yield_point] == [4, 8, 12], (
        "another run may come between two pictures"
    )
    assert {frame.image.shape for frame in keyframes} == {sample_image.shape}
    assert frames[-1].step == frames[-1].total == 12
    assert frames[-1].note.startswith("image 3 of 3 · ")
    progress = [frame.progress for frame in frames]
    assert progress == sorted(progress)
    assert progress[-1] == 1
    assert difference(keyframes[0].image, keyframes[1].image) > 20


def test_each_image_of_a_video_begins_with_the_one_before_zoomed(sample_image, studio_vgg):
    still = config(pictures=2, steps=1, step_size=0.0, zoom=1.5)
    first, second = (frame.image for frame in dream(sample_image, still, studio_vgg))
    np.testing.assert_array_equal(first, sample_image)
    assert difference(second, to_uint8(zoomed(tf.constant(to_float(sample_image)), 1.5, 0.0))) <= 1


def smooth_image(height: int = 40, width: int = 60) -> np.ndarray:
    """(1, H, W, 3) float32 in [-1, 1], without edges, so that interpolation cannot matter much."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / 9.0), np.cos(y / 7.0), np.sin((x + 2 * y) / 13.0)]
    return 0.9 * np.stack(waves, axis=-1)[None].astype(np.float32)


def test_zooming_by_one_without_a_turn_changes_nothing():
    image = smooth_image()
    np.testing.assert_allclose(zoomed(tf.constant(image), 1.0, 0.0), image, atol=1e-5)


def test_half_a_turn_is_the_image_upside_down():
    image = smooth_image()
    np.testing.assert_allclose(zoomed(tf.constant(image), 1.0, 180.0), image[:, ::-1, ::-1], atol=1e-3)


def test_two_quarter_turns_are_half_a_turn_and_a_quarter_is_none():
    image = smooth_image(40, 40)
    quarter = zoomed(tf.constant(image), 1.0, 90.0)
    turned = [np.abs(quarter - np.rot90(image, k, axes=(1, 2))).max() < 1e-3 for k in range(4)]
    assert turned in ([False, True, False, False], [False, False, False, True])
    np.testing.assert_allclose(zoomed(tf.constant(quarter), 1.0, 90.0), image[:, ::-1, ::-1], atol=2e-3)


def test_zooming_by_two_shows_the_middle_twice_as_large():
    image = smooth_image()
    expected = tf.image.resize(image[:, 10:30, 15:45], (40, 60)).numpy()
    inside = np.s_[:, 3:-3, 3:-3]
    assert np.abs(zoomed(tf.constant(image), 2.0, 0.0)[inside] - expected[inside]).max() < 0.06


def test_zooming_out_mirrors_the_image_beyond_its_edge():
    image = smooth_image()
    out = zoomed(tf.constant(image), 0.5, 0.0)
    assert np.isfinite(out).all()
    middle = out[:, 10:30, 15:45]
    assert np.abs(middle - tf.image.resize(image, (20, 30)).numpy()).max() < 0.2
    # One image's height above the middle the same rows come again, mirrored.
    assert np.abs(out[:, 0:9] - out[:, 19:10:-1]).max() < 0.2


def test_zooming_keeps_values_in_range():
    image = smooth_image() * 50
    assert np.abs(zoomed(tf.constant(image), 1.3, 10.0)).max() <= 1.0


# What cannot be


def test_the_largest_step_never_gives_pixels_that_are_no_numbers(sample_image, studio_vgg):
    frames = list(dream(sample_image, config(step_size=1000.0, octaves=2, jitter=4), studio_vgg))
    assert all(math.isfinite(frame.metrics["loss"]) for frame in frames)
    assert (frames[-1].image.min(), frames[-1].image.max()) == (0, 255)


def backbone_that_runs_away(gain: float):
    """A network whose features are `gain` times too strong."""
    backbone = untrained_backbone("studio_vgg")
    layer = backbone.network.get_layer("block2_conv2")
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel * gain, bias])
    return backbone


@pytest.mark.parametrize(("gain", "steps_before"), [(1e20, 0), (1e17, 1)])
def test_a_dream_that_runs_away_ends_with_one_sentence(sample_image, gain, steps_before):
    runaway = config(step_size=1000.0, layer_weights={"block2_conv2": 1.0})
    frames = dream(sample_image, runaway, backbone_that_runs_away(gain))
    for _ in range(steps_before):
        assert math.isfinite(next(frames).metrics["loss"])
    assert "smaller step size" in refusal(ValueError, next, frames)
    assert next(frames, None) is None


@pytest.mark.parametrize("shape", [(1, 1), (15, 200)])
def test_an_image_that_is_too_small_is_refused_with_one_sentence(studio_vgg, shape):
    small = np.zeros((*shape, 3), np.uint8)
    refusal(ImageError, next, dream(small, config(), studio_vgg))
    refusal(ImageError, next, dream(np.zeros((32, 32, 3), np.uint8), config(), studio_vgg, small))


@pytest.mark.parametrize(
    "changes", [{"octaves": 4, "octave_scale": 1.5}, {"octaves": 12, "octave_scale": 4.0}], ids=str
)
def test_octaves_too_small_for_the_backbone_are_left_out(sample_image, studio_vgg, changes):
    frames = list(dream(sample_image, config(steps=1, **changes), studio_vgg))
    ladder = octave_shapes(sample_image.shape[:2], changes["octaves"], changes["octave_scale"])
    assert [frame.image.shape[:2] for frame in frames] == [shape for shape in ladder if min(shape) >= 16]
    assert len(frames) < changes["octaves"]
    assert frames[-1].step == frames[-1].total


def test_a_size_too_small_for_the_backbone_is_raised_by_itself(sample_image, studio_vgg):
    first, *_, last = dream(sample_image, config(size=12), studio_vgg)
    assert (first.config.size, last.config) == (24, None), "which its recipe says"
    assert last.image.shape == (16, 24, 3)
    panorama = np.random.default_rng(0).integers(0, 256, (20, 1000, 3)).astype(np.uint8)
    frame = next(dream(panorama, config(size=640, steps=1), studio_vgg))
    assert frame.image.shape == (16, 800, 3)
    usual = next(dream(sample_image, config(size=48, steps=1), studio_vgg))
    assert (usual.image.shape, usual.config) == ((32, 48, 3), None)


def test_an_image_that_is_longer_than_any_size_is_refused_with_one_sentence(studio_vgg):
    line = np.zeros((16, 9000, 3), np.uint8)
    assert "too long and narrow" in refusal(ImageError, next, dream(line, config(size=640), studio_vgg))


def test_a_long_thin_guide_is_used_or_refused_with_one_sentence(sample_image, studio_vgg):
    thin = np.random.default_rng(0).integers(0, 256, (16, 2000, 3)).astype(np.uint8)
    try:
        frames = list(dream(sample_image, config(steps=1, layer_weights={"block4_conv2": 1.0}), studio_vgg, thin))
    except ValueError as error:
        frames, sentence = [], str(error)
    assert len(frames) == 1 or is_one_sentence(sentence)


def test_an_image_too_small_for_inception_is_refused_with_one_sentence():
    # At 32 pixels TensorFlow would divide by zero in native code and take the process with it.
    backbone = untrained_backbone("inception_v3")
    for side, layer in ((40, "mixed7"), (64, "mixed10"), (32, "mixed7")):
        image = np.random.default_rng(0).integers(0, 256, (side, side, 3)).astype(np.uint8)
        refusal(ValueError, next, dream(image, config(layer_weights={layer: 1.0}), backbone))
