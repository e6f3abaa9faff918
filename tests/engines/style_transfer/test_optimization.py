"""The descent of a painting: steered, past the end of a line search, and about as fast as SciPy's."""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.optimize as scipy_optimize
import tensorflow as tf

from engines.style_transfer import resolve, stylize
from engines.style_transfer.first_order import FirstOrder
from engines.style_transfer.lbfgs import LBFGS
from engines.style_transfer.optimization import StyleOptimizer
from engines.style_transfer.targets import StyleInputs
from tests.engines.style_transfer.helpers import STYLE, config, difference, losses, painted, result

# Steering


def test_a_steered_painting_follows_the_new_settings(sample_image, studio_vgg):
    run = stylize(sample_image, [STYLE], config(steps=16), studio_vgg)
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
    straight = result(sample_image, [STYLE], config(steps=16), studio_vgg)
    assert difference(last.image, sample_image) < difference(straight, sample_image)


def test_steering_forgets_the_curvature_and_may_change_the_optimizer(sample_image, studio_vgg):
    chosen = resolve(config(steps=30), studio_vgg)
    painting = StyleOptimizer(StyleInputs(sample_image, (STYLE,), (None,), None), chosen, studio_vgg)
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


def test_what_a_painting_cannot_change_on_its_way_stays(sample_image, studio_vgg):
    run = stylize(sample_image, [STYLE], config(steps=4, size=64), studio_vgg)
    next(run)
    frame = run.send(config(steps=6, size=500, seed=9, start="noise", scales=3, blend=(1.0, 2.0)))
    assert frame.config is not None
    kept = (frame.config.size, frame.config.seed, frame.config.start, frame.config.scales, frame.config.blend)
    assert kept == (64, 0, "content", 1, ())
    *_, last = run
    assert (last.step, last.image.shape) == (6, (43, 64, 3))


def test_a_painting_whose_line_search_ends_goes_on_with_small_steps(sample_image, studio_vgg, monkeypatch):
    chosen = resolve(config(steps=12), studio_vgg)
    painting = StyleOptimizer(StyleInputs(sample_image, (STYLE,), (None,), None), chosen, studio_vgg)
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


def test_it_descends_about_as_fast_as_scipy_on_the_same_painting(sample_image, studio_vgg):
    sample_image = sample_image[8:40, 12:60]
    chosen = resolve(config(steps=40), studio_vgg)
    frames = painted(sample_image, [STYLE], chosen, studio_vgg)
    painting = StyleOptimizer(StyleInputs(sample_image, (STYLE,), (None,), None), chosen, studio_vgg)
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
