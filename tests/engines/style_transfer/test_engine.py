"""Style transfer: its frames, its recipes, what it does with steering and with bad input, and SciPy for comparison."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.optimize as scipy_optimize
import tensorflow as tf

from engines.backbones.backbone import Backbone, untrained_backbone
from engines.core.frames import Frame
from engines.imaging.images import PictureError
from engines.style_transfer import BOOK, LAYERS, MOST_STYLES, StyleConfig, presets, resolve, stylize
from engines.style_transfer import schedule as painting_plan
from engines.style_transfer.first_order import FirstOrder
from engines.style_transfer.lbfgs import LBFGS
from engines.style_transfer.optimization import StyleOptimizer
from engines.style_transfer.schedule import Level, Planner
from engines.style_transfer.targets import StyleInputs
from tests.engines.helpers import refusal


def blobs(height: int, width: int, seed: int) -> np.ndarray:
    """(height, width, 3) uint8: smooth blobs of colour."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (height // 8 + 2, width // 8 + 2, 3))
    return tf.image.resize(coarse, (height, width), method="bicubic").numpy().clip(0, 255).astype(np.uint8)


STYLE = blobs(60, 50, 1)
RED, BLUE = (blobs(64, 64, i) // 4 + np.array(color, np.uint8) for i, color in ((1, (190, 0, 0)), (2, (0, 0, 190))))


def config(**changes) -> StyleConfig:
    """A short painting at the photo's own size, by steps."""
    return StyleConfig(**{"seconds": 0.0, "size": 0, "scales": 1, "steps": 6} | changes)


def painted(content, styles, chosen, backbone, **pictures) -> list[Frame]:
    return list(stylize(content, styles, chosen, backbone, **pictures))


def result(*arguments, **pictures) -> np.ndarray:
    return painted(*arguments, **pictures)[-1].image


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Mean difference in grey levels."""
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


def losses(frames: list[Frame]) -> list[float]:
    return [frame.metrics["loss"] for frame in frames]


# Frames


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
    assert frames[0].note == "scale 1 of 2, 103 x 69 · step 1 of 7"
    assert frames[-1].note == "scale 2 of 2, 180 x 120 · step 5 of 5"
    assert all(frame.image.dtype == np.uint8 for frame in frames)


def test_the_losses_are_the_parts_of_the_loss_and_it_falls(picture, studio_vgg):
    frames = painted(picture, [STYLE], config(steps=20), studio_vgg)
    for frame in frames:
        parts = [frame.metrics[f"{name}_loss"] for name in ("style", "content", "total_variation")]
        assert frame.metrics["loss"] == pytest.approx(sum(parts), rel=1e-5)
    assert losses(frames)[-1] < 0.5 * losses(frames)[0]
    assert difference(frames[-1].image, picture) > 5


@pytest.mark.parametrize("size", [200, 32])
def test_the_size_is_the_longest_side(picture, studio_vgg, size):
    assert max(result(picture, [STYLE], config(size=size, steps=1), studio_vgg).shape) == size


def test_a_painting_repeats_to_the_same_pixels(picture, studio_vgg):
    chosen = config(start="noise", seed=3)
    again = result(picture, [STYLE], chosen, studio_vgg)
    np.testing.assert_array_equal(result(picture, [STYLE], chosen, studio_vgg), again)
    other = result(picture, [STYLE], dataclasses.replace(chosen, seed=4), studio_vgg)
    assert difference(other, again) > 1


def test_a_painting_in_a_given_time_says_by_which_steps_it_can_be_repeated(picture, studio_vgg):
    frames = painted(picture, [STYLE], config(seconds=0.6), studio_vgg)
    chosen = frames[0].config
    assert chosen is not None
    assert chosen.seconds == 0
    steering = {frame.step: frame.config for frame in frames[1:] if frame.config is not None}
    # As `engines.jobs` repeats a recipe: each change is sent after the step that it was made at.
    replay = stylize(picture, [STYLE], chosen, studio_vgg)
    frame = next(replay)
    while frame.step < frames[-1].step:
        # A correction is told with the first frame that it holds for.
        frame = replay.send(steering.get(frame.step + 1))
    np.testing.assert_array_equal(frame.image, frames[-1].image)
    with pytest.raises(StopIteration):
        next(replay)


# What the settings do


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_other_optimizers_lead_down_too(picture, studio_vgg, optimizer):
    rate = {"adam": 5.0, "sgd": 1000.0}[optimizer]
    frames = painted(picture, [STYLE], config(optimizer=optimizer, learning_rate=rate, steps=25), studio_vgg)
    assert losses(frames)[-1] < 0.9 * losses(frames)[0]


def test_the_balance_is_the_photos_share_of_the_gradient(picture, studio_vgg):
    for balance in (0.1, 0.5, 0.9):
        chosen = resolve(config(balance=balance), studio_vgg)
        painting = StyleOptimizer(StyleInputs(picture, (STYLE,), (None,), None), chosen, studio_vgg)
        image = painting._style_targets.midpoint()
        style, content, _ = painting._weights
        pulls = [
            float(tf.norm(painting._perceptual_loss.evaluate(image, painting._targets, only, tile=16_384).gradient))
            for only in ((style, 0.0, 0.0), (0.0, content, 0.0))
        ]
        assert pulls[1] / sum(pulls) == pytest.approx(balance, abs=0.01)


def test_more_photo_is_nearer_to_the_photo(picture, studio_vgg):
    near, far = (result(picture, [STYLE], config(balance=balance, steps=15), studio_vgg) for balance in (0.9, 0.02))
    assert difference(near, picture) < 0.8 * difference(far, picture)


def test_a_painting_of_weight_zero_is_as_if_it_were_not_there(picture, studio_vgg):
    alone = result(picture, [RED], config(steps=10), studio_vgg)
    blended = result(picture, [RED, BLUE], config(steps=10, blend=(1.0, 0.0)), studio_vgg)
    assert difference(alone, blended) <= 0.5
    both = result(picture, [RED, BLUE], config(steps=10), studio_vgg)
    assert difference(alone, both) > 2


def test_a_region_is_painted_in_its_own_style(studio_vgg):
    photo = np.full((48, 96, 3), 128, np.uint8)
    left = np.zeros((30, 40, 3), np.uint8)  # of another size and shape of pixels than the photo
    left[:, :20] = 255
    image = result(photo, [RED, BLUE], config(balance=0.02, steps=25), studio_vgg, masks=[left, None])
    redness = image[..., 0].astype(int) - image[..., 2]
    assert redness[:, :38].mean() > 15
    assert redness[:, -38:].mean() < -15


def test_it_goes_on_from_a_picture_at_full_size(picture, studio_vgg):
    start = blobs(80, 120, 5)
    frames = painted(picture, [STYLE], config(size=100, scales=3, steps=2), studio_vgg, start_image=start)
    assert [frame.image.shape for frame in frames] == [(67, 100, 3)] * 2
    untouched = result(
        start, [STYLE], config(size=100, optimizer="sgd", learning_rate=0.0, steps=1), studio_vgg, start_image=start
    )
    again = result(
        picture, [STYLE], config(size=100, optimizer="sgd", learning_rate=0.0, steps=1), studio_vgg, start_image=start
    )
    np.testing.assert_array_equal(again, untouched)


def test_the_photos_colours_stay(picture, studio_vgg):
    image = result(picture, [STYLE], config(color="photo", steps=10), studio_vgg)
    assert difference(image, picture) > 1

    def chroma(rgb: np.ndarray) -> np.ndarray:
        """What is left of a colour without its lightness (BT.601), as television sends it."""
        rgb = rgb.astype(float)
        lightness = rgb @ [0.299, 0.587, 0.114]
        return rgb - lightness[..., None]

    np.testing.assert_allclose(chroma(image), chroma(picture), atol=1.5)


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
    assert presets("vgg19")["As in the book"] == BOOK
    assert "As in the book" not in presets("studio_vgg")


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


# Sketches


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
        *["sketch, scale 1 of 2, 114 x 69"] * 6,
        *["sketch, scale 2 of 2, 200 x 120"] * 4,
        *["scale 1 of 1, 200 x 120"] * 3,
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


# Steering


def test_a_steered_painting_follows_the_new_settings(picture, studio_vgg):
    run = stylize(picture, [STYLE], config(steps=16), studio_vgg)
    frame = next(run)
    while frame.step < 6:
        frame = next(run)
    usual = frame.metrics
    frame = run.send(config(steps=16, balance=0.9))
    assert frame.config is not None
    assert frame.config.balance == 0.9
    assert frame.metrics["content_loss"] > 2 * usual["content_loss"], "the photo counts more from the next step on"
    *_, last = run
    assert last.step == 16
    straight = result(picture, [STYLE], config(steps=16), studio_vgg)
    assert difference(last.image, picture) < difference(straight, picture)


def test_steering_forgets_the_curvature_and_may_change_the_optimizer(picture, studio_vgg):
    chosen = resolve(config(steps=30), studio_vgg)
    painting = StyleOptimizer(StyleInputs(picture, (STYLE,), (None,), None), chosen, studio_vgg)
    for _ in range(6):
        painting.step()
    assert isinstance(painting._optimizer, LBFGS)
    assert painting._optimizer.pairs > 0
    before = painting.best.numpy()
    painting.steer(dataclasses.replace(chosen, style_weight=3.0))
    assert painting._optimizer.pairs == 0
    np.testing.assert_array_equal(painting.best, before)
    painting.steer(dataclasses.replace(chosen, optimizer="adam"))
    assert isinstance(painting._optimizer, FirstOrder)
    np.testing.assert_array_equal(painting.best, before)
    painting.steer(chosen)
    assert isinstance(painting._optimizer, LBFGS)
    assert np.isfinite(painting.step().loss)


def test_what_a_painting_cannot_change_on_its_way_stays(picture, studio_vgg):
    run = stylize(picture, [STYLE], config(steps=4, size=64), studio_vgg)
    next(run)
    frame = run.send(config(steps=6, size=500, seed=9, start="noise", scales=3, blend=(1.0, 2.0)))
    assert frame.config is not None
    kept = (frame.config.size, frame.config.seed, frame.config.start, frame.config.scales, frame.config.blend)
    assert kept == (64, 0, "content", 1, ())
    *_, last = run
    assert (last.step, last.image.shape) == (6, (43, 64, 3))


def test_a_painting_whose_line_search_ends_goes_on_with_small_steps(picture, studio_vgg, monkeypatch):
    chosen = resolve(config(steps=12), studio_vgg)
    painting = StyleOptimizer(StyleInputs(picture, (STYLE,), (None,), None), chosen, studio_vgg)
    for _ in range(4):
        painting.step()
    best = painting.best.numpy()
    monkeypatch.setattr(painting._optimizer, "stuck", True)
    monkeypatch.setattr(painting._optimizer, "tell", lambda loss, gradient: None)
    painting.step()
    assert isinstance(painting._optimizer, FirstOrder)
    np.testing.assert_array_equal(painting.best, best)
    losses_there = [painting.step().loss for _ in range(7)]
    assert painting.finished
    assert losses_there[-1] < losses_there[0]


# Against SciPy


def test_it_descends_about_as_fast_as_scipy_on_the_same_painting(picture, studio_vgg):
    picture = picture[8:40, 12:60]
    chosen = resolve(config(steps=40), studio_vgg)
    frames = painted(picture, [STYLE], chosen, studio_vgg)
    painting = StyleOptimizer(StyleInputs(picture, (STYLE,), (None,), None), chosen, studio_vgg)
    shape = painting.best.shape

    def loss(x: np.ndarray):
        image = tf.constant(x.reshape(shape).astype(np.float32))
        evaluation = painting._perceptual_loss.evaluate(image, painting._targets, painting._weights, tile=16_384)
        return evaluation.loss, evaluation.gradient.numpy().ravel().astype(np.float64)

    first = loss(painting.best.numpy().ravel())[0]
    theirs = scipy_optimize.minimize(
        loss,
        painting.best.numpy().ravel().astype(np.float64),
        jac=True,
        method="L-BFGS-B",
        options={"maxfun": 40, "maxcor": 10},
    ).fun
    ours = min(losses(frames))
    assert theirs < 0.5 * first, "SciPy must get somewhere for this to say something"
    assert ours <= 1.1 * theirs


# Memory


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


# What is refused, and what is not


@pytest.mark.parametrize(
    ("content", "styles", "pictures", "words"),
    [
        (blobs(64, 64, 0), [], {}, "Choose a style image first"),
        (blobs(64, 64, 0), [STYLE] * 40, {}, f"There are 40 style images; use at most {MOST_STYLES}"),
        (blobs(64, 64, 0)[:15], [STYLE], {}, "16"),
        (blobs(64, 64, 0), [STYLE[:, :15]], {}, "16"),
        (blobs(64, 64, 0), [STYLE], {"start_image": STYLE[:5]}, "16"),
        (blobs(64, 64, 0).astype(np.float32), [STYLE], {}, "shape (height, width, 3)"),
        (blobs(64, 64, 0), [STYLE], {"masks": [np.zeros((64, 64, 3), np.uint8)]}, "region of style image 1 is empty"),
        (blobs(64, 64, 0), [STYLE], {"masks": [None, None]}, "2 masks for 1 style images"),
    ],
)
def test_pictures_that_cannot_be_used_are_refused_in_a_sentence(content, styles, pictures, words, studio_vgg):
    def start() -> None:
        next(stylize(content, styles, config(), studio_vgg, **pictures))

    assert words in refusal(ValueError, start)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: config(style_weight=0.0, content_weight=0.0, total_variation_weight=0.0), "All weights are zero"),
        (lambda: config(style_layers={"block1_conv1": 0.0}), "All style layers have weight zero"),
        (lambda: config(blend=(0.0, 0.0)), "All style images have weight zero"),
        (lambda: config(learning_rate=float("inf")), "Learning rate must be"),
        (lambda: config(balance=1.0), "Balance must be"),
        (lambda: config(optimizer="newton"), "Optimizer must be"),
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
def test_settings_that_do_not_suit_are_refused_in_a_sentence(picture, studio_vgg, changes, words):
    def start() -> None:
        next(stylize(picture, [STYLE], config(**changes), studio_vgg))

    assert words in refusal(ValueError, start)


def test_a_network_in_another_shape_is_refused_in_a_sentence(picture, studio_vgg):
    class Other:
        name = "inception_v3"
        architecture = type("Architecture", (), {"title": "InceptionV3"})()

    def start() -> None:
        next(stylize(picture, [STYLE], config(), Other()))  # type: ignore[arg-type]

    assert "InceptionV3 cannot be used" in refusal(ValueError, start)


def test_a_painting_that_runs_away_ends_with_a_sentence(picture, studio_vgg):
    def run() -> None:
        for frame in stylize(
            picture, [STYLE], config(optimizer="sgd", learning_rate=10_000.0, style_weight=1e9, steps=50), studio_vgg
        ):
            assert frame.image.dtype == np.uint8
            assert all(np.isfinite(value) for value in frame.metrics.values())

    assert "diverged" in refusal(ValueError, run)


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
def test_small_and_strange_pictures_are_painted(content, style, studio_vgg):
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
def test_a_larger_size_never_paints_a_smaller_picture(shape):
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

    assert "too long and narrow" in refusal(PictureError, start)


def test_a_long_and_narrow_painting_is_learnt_from_where_it_is_wide_enough(studio_vgg):
    frames = painted(blobs(64, 64, 0), [blobs(20, 640, 1)], config(), studio_vgg)
    assert losses(frames)[-1] < losses(frames)[0]
