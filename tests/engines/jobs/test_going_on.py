"""Resuming a lost run from a frame: nothing skipped, nothing repeated, nearly the same image."""

from __future__ import annotations

import dataclasses
import functools
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from engines.core.frames import Frame, Frames
from engines.deep_dream import DreamConfig, dream
from engines.deep_dream.gradient_ascent import GradientAscent
from engines.style_transfer import StyleConfig, stylize
from engines.style_transfer import resolve as style_resolve
from engines.style_transfer import schedule as painting_plan
from engines.style_transfer.optimization import StyleOptimizer
from engines.style_transfer.targets import StyleInputs
from tests.engines.helpers import refusal


def dream_config(**changes) -> DreamConfig:
    """Twelve steps, four at each of three octaves."""
    settings = {"size": 0, "octaves": 3, "octave_scale": 1.3, "steps": 4, "step_size": 0.02, "jitter": 0}
    return DreamConfig(**settings | {"layer_weights": {"block2_conv2": 1.0, "block3_conv2": 2.0}} | changes)


def style_config(**changes) -> StyleConfig:
    """24 steps, 14 at the smaller size and 10 at the full one."""
    return StyleConfig(**{"seconds": 0.0, "size": 0, "scales": 2, "steps": 10} | changes)


def blobs(height: int, width: int, seed: int) -> np.ndarray:
    """(height, width, 3) uint8: smooth blobs of colour."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (height // 8 + 2, width // 8 + 2, 3))
    return tf.image.resize(coarse, (height, width), method="bicubic").numpy().clip(0, 255).astype(np.uint8)


# Far from black and white, where a frame clips a dream's values.
PHOTO, STYLE = blobs(90, 130, 0) // 2 + np.uint8(64), blobs(60, 50, 1)


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Mean difference in grey levels."""
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


def plan(frames: list[Frame]) -> list[tuple[Any, ...]]:
    """Everything that frames say about progress."""
    return [
        (frame.step, frame.total, frame.progress, frame.note, frame.keyframe, frame.yield_point, frame.position, shape)
        for frame in frames
        for shape in [frame.image.shape if frame.image is not None else None]
    ]


def losses(frames: list[Frame]) -> list[float]:
    return [frame.metrics["loss"] for frame in frames]


def steered(frames: Any, at: int, changed: Any) -> list[Frame]:
    """A run's frames, with a config sent after one of them."""
    seen = []
    frame = next(frames, None)
    while frame is not None:
        seen.append(frame)
        try:
            frame = frames.send(changed if frame.step == at else None)
        except StopIteration:
            frame = None
    return seen


def survived(frame: Frame) -> Frame:
    """The frame as received from another process."""
    return pickle.loads(pickle.dumps(frame))


@dataclasses.dataclass(frozen=True)
class Whole:
    """A complete run.

    Attributes:
        frames: all of it.
        go_on: a frame, and what is another in the config -> the frames of a run that goes on from there.
        next_error: by how many grey levels the next image may be another than if it had never stopped.
        likeness: how much nearer than the photo is to its result a run that goes on must come.
        loss_error: by what share of it the last loss may be another.
    """

    frames: list[Frame]
    go_on: Callable[..., Frames[Any]]
    next_error: float
    likeness: float
    loss_error: float


@pytest.fixture(scope="module")
def run_of(studio_vgg) -> Callable[[str], Whole]:
    """An engine's run, "dream" or "painting", made once."""

    @functools.cache
    def made(name: str) -> Whole:
        if name == "dream":
            return Whole(
                list(dream(PHOTO, dream_config(), studio_vgg)),
                lambda frame, **changes: dream(PHOTO, dream_config(**changes), studio_vgg, after=frame),
                next_error=1,
                likeness=0.25,
                loss_error=0.3,
            )
        frames = list(stylize(PHOTO, [STYLE], style_config(), studio_vgg))
        return Whole(
            frames,
            lambda frame, **changes: stylize(
                PHOTO, [STYLE], dataclasses.replace(frames[0].config, **changes), studio_vgg, after=frame
            ),
            next_error=8,
            likeness=0.4,
            loss_error=0.05,
        )

    return made


@pytest.fixture
def dreamt(run_of) -> list[Frame]:
    return run_of("dream").frames


@pytest.fixture
def painted(run_of) -> list[Frame]:
    return run_of("painting").frames


@pytest.fixture
def in_force(painted) -> StyleConfig:
    return painted[0].config


# Dreams and paintings


@pytest.mark.parametrize(
    ("name", "step"),
    [*(("dream", step) for step in (1, 4, 5, 7, 11)), *(("painting", step) for step in (1, 8, 14, 15, 23))],
)
def test_a_run_goes_on_where_it_was(run_of, name, step):
    run = run_of(name)
    rest = list(run.go_on(survived(run.frames[step - 1])))
    assert plan(rest) == plan(run.frames[step:])
    assert rest[0].config is None, "nothing was chosen anew"
    assert difference(rest[0].image, run.frames[step].image) < run.next_error
    usual = difference(run.frames[-1].image, PHOTO)
    assert difference(rest[-1].image, run.frames[-1].image) < run.likeness * usual
    assert losses(rest)[-1] == pytest.approx(losses(run.frames)[-1], rel=run.loss_error)


@pytest.mark.parametrize(("name", "step"), [("dream", 6), ("painting", 21)])
def test_a_run_always_goes_on_the_same(run_of, name, step):
    run = run_of(name)
    first, again = (list(run.go_on(run.frames[step - 1])) for _ in range(2))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.image, two.image)
        assert one.metrics == two.metrics


@pytest.mark.parametrize("name", ["dream", "painting"])
def test_after_the_last_frame_of_a_run_there_is_none(run_of, name):
    run = run_of(name)
    assert list(run.go_on(run.frames[-1])) == []


@pytest.mark.parametrize(
    ("name", "others"),
    [("dream", [(-2, {"size": 64}), (4, {"pictures": 2})]), ("painting", [(4, {"size": 64}), (-2, {"scales": 1})])],
)
def test_a_run_does_not_go_on_from_a_frame_that_is_not_its_own(run_of, name, others):
    run = run_of(name)
    frame = run.frames[4]
    for one, changes in [
        (dataclasses.replace(frame, position=None), {}),
        (dataclasses.replace(frame, image=None), {}),
        *((run.frames[at], changes) for at, changes in others),
    ]:
        assert "cannot resume from this frame" in refusal(ValueError, next, run.go_on(one, **changes))


# Dreams


def test_no_detail_of_the_photo_is_lost_or_put_back_twice(studio_vgg):
    still = dream_config(step_size=0.0)
    for lost in list(dream(PHOTO, still, studio_vgg))[:-1]:
        *_, last = dream(PHOTO, still, studio_vgg, after=lost)
        assert np.abs(last.image.astype(int) - PHOTO).max() <= 1, lost.step


@pytest.mark.parametrize("at", [1, 4, 6])
def test_a_dream_that_was_steered_goes_on_up_the_ladder_that_it_was_on(studio_vgg, at):
    changed = dream_config(octaves=5, octave_scale=1.15, steps=3, step_size=0.0)
    frames = steered(dream(PHOTO, dream_config(step_size=0.0), studio_vgg), at, changed)
    assert len(frames) != 12, "the ladder must be another for this to say something"
    for lost in frames[at::2]:
        rest = list(dream(PHOTO, changed, studio_vgg, after=lost))
        assert plan(rest) == plan(frames[lost.step :])
        assert np.abs((rest or [lost])[-1].image.astype(int) - PHOTO).max() <= 1


def test_a_dream_that_goes_on_can_be_steered(studio_vgg, dreamt):
    changed = dream_config(steps=6, step_size=0.04)
    expected = steered(dream(PHOTO, dream_config(), studio_vgg), 6, changed)
    rest = steered(dream(PHOTO, dream_config(), studio_vgg, after=dreamt[4]), 6, changed)
    assert plan(rest) == plan(expected[5:])
    usual = difference(dreamt[-1].image, expected[-1].image)
    assert difference(rest[-1].image, expected[-1].image) < 0.5 * usual


def test_an_octave_that_was_left_early_is_not_entered_again(studio_vgg):
    chosen = dream_config(max_loss=1e-9)
    frames = list(dream(PHOTO, chosen, studio_vgg))
    assert len(frames) == 3
    assert plan(list(dream(PHOTO, chosen, studio_vgg, after=frames[0]))) == plan(frames[1:])


def test_a_dream_goes_on_with_shifts_of_its_own_and_always_the_same(studio_vgg, monkeypatch):
    shifts: list[tuple[int, int]] = []
    real = GradientAscent.step

    def step(self, *arguments, **options):
        shifts.append(options["shift"])
        return real(self, *arguments, **options)

    monkeypatch.setattr(GradientAscent, "step", step)
    chosen = dream_config(jitter=8, seed=3)
    whole = list(dream(PHOTO, chosen, studio_vgg))
    first, again = (list(dream(PHOTO, chosen, studio_vgg, after=whole[5])) for _ in range(2))
    *_, other = dream(PHOTO, dataclasses.replace(chosen, seed=4), studio_vgg, after=whole[5])
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.image, two.image)
    of_whole, of_first, of_again, of_other = np.split(np.array(shifts), [12, 18, 24])
    np.testing.assert_array_equal(of_first, of_again)
    assert (of_first != of_whole[:6]).any(axis=1).sum() >= 5, "not the shifts of the beginning again"
    assert (of_first != of_other).any()
    assert difference(other.image, first[-1].image) > 0


def test_a_video_goes_on_after_its_last_finished_image(studio_vgg):
    chosen = dream_config(pictures=3, octaves=2, steps=2, zoom=1.2, turn=5.0)
    frames = list(dream(PHOTO, chosen, studio_vgg))
    assert [frame.step for frame in frames if frame.position is not None] == [4, 8, 12]
    for step in (4, 8):
        rest = list(dream(PHOTO, chosen, studio_vgg, after=frames[step - 1]))
        assert plan(rest) == plan(frames[step:])
        assert max(difference(a.image, b.image) for a, b in zip(rest, frames[step:], strict=True)) < 3
    assert rest[0].note.startswith("image 3 of 3 · ")


def test_after_the_last_frame_of_a_video_there_is_none(studio_vgg):
    video = dream_config(pictures=2, octaves=1, steps=1)
    *_, last = dream(PHOTO, video, studio_vgg)
    assert list(dream(PHOTO, video, studio_vgg, after=last)) == []


# Paintings


@pytest.mark.parametrize("at", [None, 3, 10], ids=["not steered", "at the smaller size", "at full size"])
def test_a_painting_goes_on_with_the_weights_and_the_loss_that_it_had(studio_vgg, at):
    images = StyleInputs(PHOTO, (STYLE,), (None,), None)
    chosen = style_resolve(style_config(steps=5, style_scale=0.7, style_weight=2.0), studio_vgg)
    lost = StyleOptimizer(images, chosen if at is None else dataclasses.replace(chosen, style_weight=1.0), studio_vgg)
    for step in range(1, 12):
        evaluation = lost.step()
        if step == at:
            lost.steer(chosen)
    frame = Frame(step=11, total=12, image=lost.image(), position=lost.position)
    goes_on = StyleOptimizer(images, lost.config, studio_vgg, after=frame)
    assert goes_on._weights == lost._weights
    assert goes_on.step().loss == pytest.approx(evaluation.loss, rel=0.02)
    lost._set_weights(lost._style_targets)
    assert (goes_on._weights == lost._weights) == (at == 10), "weights must differ by size for this to say something"


def test_a_painting_in_the_colours_of_the_photo_goes_on_in_lightness(studio_vgg):
    chosen = style_config(color="photo", steps=6)
    frames = list(stylize(PHOTO, [STYLE], chosen, studio_vgg))
    rest = list(stylize(PHOTO, [STYLE], frames[0].config, studio_vgg, after=frames[11]))
    assert plan(rest) == plan(frames[12:])
    assert difference(rest[0].image, frames[11].image) < 0.1
    assert difference(rest[-1].image, frames[-1].image) < 2
    assert losses(rest)[-1] == pytest.approx(losses(frames)[-1], rel=0.2)


def test_a_painting_from_noise_or_from_an_image_goes_on_from_the_frame(studio_vgg):
    for changes, images in (({"start": "noise"}, {}), ({}, {"start_image": blobs(90, 130, 5)})):
        frames = list(stylize(PHOTO, [STYLE], style_config(steps=5, **changes), studio_vgg, **images))
        rest = list(stylize(PHOTO, [STYLE], frames[0].config, studio_vgg, **images, after=frames[3]))
        assert plan(rest) == plan(frames[4:])
        assert difference(rest[0].image, frames[3].image) < 0.1


def test_a_painting_that_was_promised_in_seconds_goes_on_by_the_steps_that_were_chosen(studio_vgg):
    asked = StyleConfig(seconds=0.6)
    frames = list(stylize(PHOTO, [STYLE], asked, studio_vgg))
    lost = frames[len(frames) // 3]
    config = next(frame.config for frame in reversed(frames[: lost.step]) if frame.config)
    run = stylize(PHOTO, [STYLE], config, studio_vgg, after=lost)
    first = next(run)
    assert (first.step, first.total) == (lost.step + 1, lost.total)
    second = run.send(dataclasses.replace(asked, balance=0.5))
    assert second.config == dataclasses.replace(config, balance=0.5), "steps are still not for a person to change"
    *_, last = run
    assert last.step == last.total == lost.total
    assert last.image.shape == frames[-1].image.shape
    assert "cannot resume" in refusal(ValueError, next, stylize(PHOTO, [STYLE], asked, studio_vgg, after=lost))


def test_a_painting_that_goes_on_can_be_steered(studio_vgg, painted, in_force):
    run = stylize(PHOTO, [STYLE], in_force, studio_vgg, after=painted[16])
    next(run)
    frame = run.send(style_config(balance=0.9, steps=15))
    assert frame.config == dataclasses.replace(in_force, balance=0.9, steps=15)
    assert frame.metrics["content_loss"] > 2 * painted[18].metrics["content_loss"]
    *_, last = run
    assert last.step == last.total == frame.total == painted[16].total + 5


def test_what_was_done_to_fit_the_memory_is_still_told(studio_vgg, monkeypatch):
    monkeypatch.setattr(painting_plan, "free_bytes", lambda: 1 << 20)
    photo = blobs(300, 400, 0)
    frames = list(stylize(photo, [STYLE], style_config(scales=1, steps=3), studio_vgg))
    monkeypatch.undo()
    rest = list(stylize(photo, [STYLE], frames[0].config, studio_vgg, after=frames[0]))
    assert "longest side reduced to 192 pixels, to fit in memory" in rest[0].note
    assert plan(rest) == plan(frames[1:])
