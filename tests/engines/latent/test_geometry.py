"""Latent space geometry: grids, walks, interpolation and directions against their definitions."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
import scipy.stats

from engines.latent import geometry as latent
from engines.latent.directions import difference_of_means, principal_directions, rank_correlation, ridge_direction
from engines.vae import latent_map as maps
from tests.engines.helpers import refusal


def test_an_even_grid_is_even_and_runs_as_on_a_figure():
    grid = latent.latent_grid(5, 2.0)
    assert grid.shape == (5, 5, 2)
    np.testing.assert_allclose(grid[0, :, 0], [-2, -1, 0, 1, 2])
    np.testing.assert_allclose(grid[:, 0, 1], [2, 1, 0, -1, -2])


def test_a_gaussian_grid_has_as_much_of_the_prior_between_each_two():
    axis = latent.axis_values(30, 2.5, "gaussian")
    shares = np.diff([NormalDist().cdf(value) for value in axis])
    np.testing.assert_allclose(shares, shares[0], rtol=1e-3)
    assert (axis[0], axis[-1]) == (pytest.approx(-2.5, abs=1e-4), pytest.approx(2.5, abs=1e-4))


def test_an_arc_keeps_its_ends_and_turns_evenly_while_its_length_goes_evenly():
    a, b = np.array([2.0, 0, 0], np.float32), np.array([0, 3.0, 3.0], np.float32)
    path = latent.slerp(a, b, np.linspace(0, 1, 9))
    np.testing.assert_allclose(path[[0, -1]], [a, b], atol=1e-6)
    lengths = np.linalg.norm(path, axis=1)
    np.testing.assert_allclose(np.diff(lengths), np.diff(lengths)[0], atol=1e-5)
    angles = np.arccos(path @ a / lengths / np.linalg.norm(a))
    np.testing.assert_allclose(np.diff(angles), np.pi / 2 / 8, atol=1e-4)


@pytest.mark.parametrize("b", [[0.0, 0.0], [2.0, 0.0], [-3.0, 0.0]])
def test_where_there_is_no_arc_it_is_the_line(b):
    a, b = np.array([1.0, 0.0], np.float32), np.array(b, np.float32)
    np.testing.assert_allclose(latent.slerp(a, b, np.array([0, 0.25, 1])), latent.lerp(a, b, np.array([0, 0.25, 1])))


@pytest.mark.parametrize("spherical", [False, True])
def test_a_walk_passes_its_waypoints_in_even_steps(spherical):
    points = np.array([[1, 0], [0, 1], [-1, 0]], np.float32)
    path = latent.walk(points, 10, spherical=spherical)
    assert path.shape == (21, 2)
    np.testing.assert_allclose(path[[0, 10, 20]], points, atol=1e-6)
    strides = np.linalg.norm(np.diff(path, axis=0), axis=1)
    np.testing.assert_allclose(strides, strides[0], rtol=1e-4)
    around = latent.walk(points, 10, spherical=spherical, closed=True)
    assert len(around) == 31
    np.testing.assert_allclose(around[-1], points[0], atol=1e-6)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: latent.walk(np.zeros((1, 2)), 5), "two waypoints"),
        (lambda: latent.walk(np.zeros((2, 2)), 0), "one step"),
        (lambda: latent.check_latents(np.array([[np.nan, 0]]), 2), "finite"),
        (lambda: latent.check_latents(np.array([[np.inf, 0]]), 2), "finite"),
        (lambda: latent.check_latents(np.array([[99.0, 0]]), 2), "between -40 and 40"),
        (lambda: latent.check_latents(np.zeros((4, 3)), 2), "2 numbers, not 3"),
        (lambda: latent.axis_values(0, 1.0, "linear"), "at least one point"),
        (lambda: latent.axis_values(3, 1.0, "round"), "spacing"),
        (lambda: difference_of_means(np.zeros((3, 2)), np.ones(3)), "without it"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(call, words):
    assert words in refusal(ValueError, call)


def test_principal_directions_are_those_of_a_singular_value_decomposition():
    rng = np.random.default_rng(0)
    latents = (rng.normal(size=(500, 6)) * [5, 3, 2, 1, 0.5, 0.1]) @ np.linalg.qr(rng.normal(size=(6, 6)))[0] + 2
    found = principal_directions(latents, 3)
    _, singular, rows = np.linalg.svd(latents - latents.mean(0), full_matrices=False)
    np.testing.assert_allclose(found.deviations, singular[:3] / np.sqrt(499), rtol=1e-4)
    np.testing.assert_allclose(np.abs((found.directions * rows[:3]).sum(1)), 1, atol=1e-4)
    np.testing.assert_allclose(found.mean, latents.mean(0), atol=1e-5)


def test_ridge_regression_finds_the_direction_along_which_ratings_rise():
    rng = np.random.default_rng(0)
    latents, wanted = rng.normal(size=(800, 8)), np.array([3, -2, 0, 0, 1, 0, 0, 0.0])
    ratings = 50 + 10 * latents @ wanted + rng.normal(size=800)
    found = ridge_direction(latents, ratings, 0.01)
    np.testing.assert_allclose(found, wanted / np.linalg.norm(wanted), atol=0.02)
    shrunk = ridge_direction(latents, ratings, 1e6)
    # With a penalty this large only the covariances' direction remains.
    covariances = (latents - latents.mean(0)).T @ (ratings - ratings.mean())
    np.testing.assert_allclose(shrunk, covariances / np.linalg.norm(covariances), atol=1e-3)
    np.testing.assert_allclose(difference_of_means(latents, ratings), covariances / 800 / ratings.std(), atol=1e-5)
    groups = ratings > 50
    means = latents[groups].mean(0) - latents[~groups].mean(0)
    np.testing.assert_allclose(difference_of_means(latents, groups), means * groups.std(), atol=1e-5)


def test_rank_correlation_is_spearmans():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, 200), rng.normal(size=200)
    expected = scipy.stats.spearmanr(a, a + 3 * b).statistic
    assert rank_correlation(a, a + 3 * b) == pytest.approx(expected, abs=1e-9)


def test_density_is_high_where_images_lie_and_has_the_orientation_of_the_grid():
    axis = latent.axis_values(9, 2.0, "linear")
    found = maps.density(np.array([[2.0, 1.0]] * 5 + [[-2.0, -2.0]]), axis)
    assert found.shape == (9, 9)
    assert np.unravel_index(found.argmax(), found.shape) == (2, 8)
    assert found.max() == 1
    assert 0.1 < found[8, 0] < 0.3


def test_sensitivity_is_the_length_of_the_slope():
    axis = latent.axis_values(11, 1.0, "gaussian")
    grid = latent.latent_grid(11, 1.0, "gaussian")
    # Pixels depend on z[0] in the right half only.
    rise = np.where(grid[..., 0] > 0, 200 * grid[..., 0], 0)
    found = maps.sensitivity(np.repeat(rise[..., None, None, None], 4, axis=2).astype(np.uint8), axis)
    assert found[:, :4].max() == 0
    assert found[:, 7:-1].min() > 0.9
