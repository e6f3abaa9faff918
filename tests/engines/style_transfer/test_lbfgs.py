"""L-BFGS, one evaluation at a time: against SciPy's, against a plain two-loop recursion, and where it must not fail."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.optimize as scipy_optimize
import tensorflow as tf

from engines.style_transfer.lbfgs import LBFGS

Function = Callable[[np.ndarray], tuple[float, np.ndarray]]


def rosenbrock(x: np.ndarray) -> tuple[float, np.ndarray]:
    """Its only minimum is 0, at ones, at the end of a curved valley."""
    return float(scipy_optimize.rosen(x)), scipy_optimize.rosen_der(x)


def quadratic(x: np.ndarray) -> tuple[float, np.ndarray]:
    """An ellipse a hundred thousand times as long as it is wide, with its minimum of 0 at ones."""
    scales = np.logspace(0, 5, len(x))
    return float(0.5 * np.sum(scales * (x - 1) ** 2)), scales * (x - 1)


def minimised(function: Function, start: np.ndarray, evaluations: int, **options) -> tuple[LBFGS, list[float]]:
    """The optimiser after so many evaluations, or stuck before, and the losses at its best points."""
    optimizer = LBFGS(tf.constant(start, tf.float32), **{"first_step": 0.1, **options})
    losses = []
    for _ in range(evaluations):
        loss, gradient = function(optimizer.trial.numpy().astype(np.float64))
        optimizer.tell(loss, tf.constant(gradient, tf.float32))
        losses.append(optimizer.loss)
        if optimizer.stuck:
            break
    return optimizer, losses


def evaluations_of_scipy(function: Function, start: np.ndarray, least: float) -> int:
    """How many evaluations SciPy's L-BFGS-B needs to come below a loss."""
    losses: list[float] = []

    def counted(x):
        loss, gradient = function(x)
        losses.append(loss)
        return loss, gradient

    scipy_optimize.minimize(counted, start, jac=True, method="L-BFGS-B", options={"maxcor": 10, "ftol": 0, "gtol": 0})
    return next(i for i, loss in enumerate(losses, 1) if loss <= least)


@pytest.mark.parametrize(
    ("function", "start"),
    [
        (rosenbrock, np.array([-1.2, 1.0])),
        (rosenbrock, np.tile([-1.2, 1.0], 5)),
        (quadratic, np.zeros(8)),
    ],
    ids=["Rosenbrock in 2", "Rosenbrock in 10", "quadratic in 8"],
)
def test_a_minimum_is_found_in_at_most_twice_the_evaluations_of_scipy(function, start):
    theirs = evaluations_of_scipy(function, start, 1e-5)
    optimizer, losses = minimised(function, start, 2 * theirs)
    assert min(losses) <= 1e-5, f"{min(losses)} after {len(losses)} evaluations; SciPy took {theirs}"
    assert function(optimizer.x.numpy().astype(np.float64))[0] == pytest.approx(min(losses), abs=1e-6)


def test_the_loss_at_the_best_point_never_rises():
    _, losses = minimised(rosenbrock, np.tile([-1.2, 1.0], 10), 80)
    assert all(after <= before for before, after in itertools.pairwise(losses))


def test_the_direction_is_that_of_the_plain_two_loop_recursion():
    """Nocedal & Wright 2006, algorithm 7.4, in float64, on the pairs that the optimiser kept."""
    rng = np.random.default_rng(0)
    optimizer = LBFGS(tf.zeros((4, 5)), first_step=1.0, corrections=4)
    steps = rng.normal(size=(6, 20))
    # Gradient changes of a convex function, so that none of them is left out.
    root = rng.normal(size=(20, 20))
    changes = steps @ (root @ root.T + np.eye(20))
    for step, change in zip(steps, changes, strict=True):
        optimizer._store_pair(step.astype(np.float32), change.astype(np.float32))
    assert optimizer.pairs == 4
    gradient = rng.normal(size=20)
    optimizer._gradient = gradient.astype(np.float32)
    direction, slope = optimizer._search_direction()
    q, alphas = gradient.copy(), []
    for s, y in zip(steps[:1:-1], changes[:1:-1], strict=True):
        alphas.append(s @ q / (s @ y))
        q -= alphas[-1] * y
    r = q * (steps[-1] @ changes[-1]) / (changes[-1] @ changes[-1])
    for s, y, alpha in zip(steps[2:], changes[2:], alphas[::-1], strict=True):
        r += s * (alpha - y @ r / (s @ y))
    np.testing.assert_allclose(direction, -r, rtol=2e-3, atol=1e-4 * np.abs(r).max())
    assert slope == pytest.approx(float(-r @ gradient), rel=2e-3)


def test_a_pair_along_which_the_function_is_not_convex_is_left_out():
    optimizer = LBFGS(tf.zeros(3), first_step=1.0)
    optimizer._store_pair(np.float32([1, 0, 0]), np.float32([-1, 0, 0]))
    assert optimizer.pairs == 0


def test_a_changed_function_makes_it_forget_and_it_goes_on_from_where_it_was():
    optimizer, _ = minimised(rosenbrock, np.array([-1.2, 1.0]), 20)
    assert optimizer.pairs > 0
    best = optimizer.x.numpy()
    optimizer.reset()
    assert (optimizer.pairs, optimizer.loss) == (0, math.inf)
    np.testing.assert_array_equal(optimizer.trial, best)
    for _ in range(60):
        loss, gradient = quadratic(optimizer.trial.numpy().astype(np.float64))
        optimizer.tell(loss, tf.constant(gradient, tf.float32))
    assert optimizer.loss < 1e-6


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_makes_the_step_shorter(bad):
    def walled(x):
        loss, gradient = quadratic(x)
        return (bad, np.full_like(x, math.nan)) if np.abs(x).max() > 1.5 else (loss, gradient)

    optimizer, losses = minimised(walled, np.zeros(3), 80, first_step=1000.0)
    assert np.isfinite(optimizer.x).all()
    assert losses[-1] < 1e-3


def test_a_gradient_that_is_not_finite_counts_like_such_a_loss():
    def walled(x):
        loss, gradient = quadratic(x)
        return loss, gradient if np.abs(x).max() < 1.5 else np.full_like(x, math.inf)

    optimizer, losses = minimised(walled, np.zeros(3), 80, first_step=1000.0)
    assert np.isfinite(optimizer.x).all()
    assert losses[-1] < 1e-3


def test_it_gives_up_where_it_begins_if_nothing_is_finite_there():
    optimizer, _ = minimised(lambda x: (math.nan, x), np.ones(3), 5)
    assert optimizer.stuck
    np.testing.assert_array_equal(optimizer.x, np.ones(3))


def test_it_is_done_where_the_gradient_is_zero():
    optimizer, losses = minimised(lambda x: (7.0, np.zeros_like(x)), np.ones(3), 5)
    assert optimizer.stuck
    assert losses == [7.0]


def test_it_gives_up_after_some_trials_if_the_gradient_points_the_wrong_way():
    optimizer, losses = minimised(lambda x: (quadratic(x)[0], -quadratic(x)[1]), np.zeros(4), 100)
    assert optimizer.stuck
    assert len(losses) < 40
    np.testing.assert_array_equal(optimizer.x, np.zeros(4))
    optimizer.tell(0.0, tf.zeros(4))
    np.testing.assert_array_equal(optimizer.x, np.zeros(4))


def test_what_is_known_of_the_curvature_goes_along_to_a_finer_grid():
    """The mean over pixels of a quadratic: each pixel's share of the gradient is a quarter on a grid twice as fine."""
    wanted = np.linspace(-1, 1, 8)[:, None] * np.linspace(1, 2, 8)[None, :]

    def smooth(x):
        size = x.shape[1]
        target = tf.image.resize(wanted[None, ..., None], (size, size), method="bicubic").numpy().astype(np.float64)
        difference = x - target
        weights = np.linspace(1, 50, size)[None, :, None, None]
        return float(np.mean(weights * difference**2)), 2 * weights * difference / x.size

    optimizer, _ = minimised(smooth, np.zeros((1, 8, 8, 1)), 15, first_step=1.0)
    assert optimizer.pairs > 3
    finer = optimizer.resampled(
        lambda tensor: tf.image.resize(tensor, (16, 16), method="bicubic"), first_step=2.0, shrink=0.25
    )
    assert finer.pairs == optimizer.pairs
    assert finer.x.shape == (1, 16, 16, 1)
    losses = []
    for _ in range(25):
        loss, gradient = smooth(finer.trial.numpy().astype(np.float64))
        finer.tell(loss, tf.constant(gradient, tf.float32))
        losses.append(loss)
    assert finer.loss < 0.05 * losses[0]
