"""Moving about in a latent space: grids, walks, interpolation, directions.

What a variational autoencoder and a generative adversarial network share. Latent vectors are (..., Z) float32.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

# Farther out than this no encoded picture lies, not even where the prior counts for little.
MOST = 40.0
SPACINGS = ("linear", "gaussian")


def checked(latents: np.ndarray | Sequence[float], length: int) -> np.ndarray:
    """Latent vectors as (N, length) float32.

    Raises:
        ValueError: of another length, not finite, or farther than MOST from the origin along an axis.
    """
    latents = np.atleast_2d(np.asarray(latents, np.float32))
    if latents.ndim != 2 or latents.shape[1] != length:
        raise ValueError(f"A latent vector here has {length} numbers, not {latents.shape[-1]}.")
    if not np.isfinite(latents).all():
        raise ValueError("A latent vector must be made of finite numbers.")
    if np.abs(latents).max(initial=0) > MOST:
        raise ValueError(f"A latent value must be between {-MOST:g} and {MOST:g}: there is nothing farther out.")
    return latents


def axis_values(count: int, reach: float, spacing: str) -> np.ndarray:
    """Where the points of a grid lie along an axis, (count,) float32, in increasing order, between -reach and reach.

    Args:
        reach: the outermost value.
        spacing: "linear": evenly; "gaussian": so that as much of the prior lies between each two (the quantile
            function of the standard normal distribution over even probabilities).
    """
    if count < 1 or not 0 < reach <= MOST or spacing not in SPACINGS:
        raise ValueError(f"A grid needs at least one point, a reach of up to {MOST:g}, and a spacing of {SPACINGS}.")
    if spacing == "linear":
        return np.linspace(-reach, reach, count, dtype=np.float32)
    normal = NormalDist()
    edge = normal.cdf(reach)
    return np.array([normal.inv_cdf(p) for p in np.linspace(1 - edge, edge, count)], np.float32)


def latent_grid(count: int, reach: float, spacing: str = "linear") -> np.ndarray:
    """A grid over a plane, (count, count, 2) float32: rows from the largest second coordinate down, as on a figure."""
    values = axis_values(count, reach, spacing)
    first, second = np.meshgrid(values, values[::-1])
    return np.stack([first, second], axis=-1)


def lerp(a: np.ndarray, b: np.ndarray, share: float | np.ndarray) -> np.ndarray:
    """The straight line from a (share 0) to b (share 1); `share` may be an array, one row each."""
    share = np.asarray(share, np.float32)[..., None]
    return (1 - share) * a + share * b


def slerp(a: np.ndarray, b: np.ndarray, share: float | np.ndarray) -> np.ndarray:
    """The great arc from a to b (Shoemake 1985), the length going evenly from one's to the other's.

    In many dimensions the middle of a straight line is shorter than nearly every sample of a Gaussian; an arc stays
    where samples are. Vectors that are parallel, opposite or zero have no such arc of their own: there it is the line.
    """
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    if min(lengths) < 1e-8:
        return lerp(a, b, share)
    cosine = float(np.clip(np.dot(a / lengths[0], b / lengths[1]), -1, 1))
    angle = np.arccos(cosine)
    if np.sin(angle) < 1e-4:
        return lerp(a, b, share)
    share = np.asarray(share, np.float32)[..., None]
    direction = (np.sin((1 - share) * angle) * (a / lengths[0]) + np.sin(share * angle) * (b / lengths[1])) / np.sin(
        angle
    )
    return (direction * ((1 - share) * lengths[0] + share * lengths[1])).astype(np.float32)


def walk(waypoints: np.ndarray, steps: int, *, spherical: bool = False, closed: bool = False) -> np.ndarray:
    """A path through waypoints, (N, Z) -> (M, Z) float32, `steps` points from each to the next, ends included.

    Args:
        steps: points a leg, the beginning of the next leg not counted.
        spherical: along great arcs instead of straight lines.
        closed: and back to the first.

    Raises:
        ValueError: fewer than two waypoints, or no steps.
    """
    points = np.asarray(waypoints, np.float32)
    if len(points) < 2:
        raise ValueError("A walk needs at least two places; set another.")
    if steps < 1:
        raise ValueError("A walk needs at least one step from each place to the next.")
    if closed:
        points = np.concatenate([points, points[:1]])
    between = slerp if spherical else lerp
    shares = np.arange(steps, dtype=np.float32) / steps
    legs = [between(a, b, shares) for a, b in itertools.pairwise(points)]
    return np.concatenate([*legs, points[-1:]]).astype(np.float32)


@dataclass(frozen=True)
class PrincipalDirections:
    """What latent vectors vary in most, in order.

    Attributes:
        mean: (Z,) float32.
        directions: (D, Z) float32, of unit length, orthogonal, the one of largest variance first.
        deviations: (D,) float32: the standard deviation along each.
    """

    mean: np.ndarray
    directions: np.ndarray
    deviations: np.ndarray


def principal_directions(latents: np.ndarray, count: int) -> PrincipalDirections:
    """The first principal components of latent vectors, (N, Z), each signed so that its largest number is positive."""
    mean = latents.mean(0)
    variances, vectors = np.linalg.eigh(np.cov((latents - mean).T.astype(np.float64)))
    order = np.argsort(variances)[::-1][:count]
    directions = _signed(vectors.T[order])
    deviations = np.sqrt(np.maximum(variances[order], 0))
    return PrincipalDirections(*(a.astype(np.float32) for a in (mean, directions, deviations)))


def first_layer_directions(matrix: np.ndarray, count: int) -> np.ndarray:
    """What a network's first layer answers to most, (count, Z) float32, orthogonal, of unit length, strongest first.

    The eigenvectors of A Aᵀ for the layer's matrix A, (Z, D), which maximise ‖Aᵀ n‖ (SeFa: Shen & Zhou 2021,
    "Closed-form factorization of latent semantics in GANs", equation 6), signed so that the largest number is positive.
    """
    values, vectors = np.linalg.eigh(matrix.astype(np.float64) @ matrix.T.astype(np.float64))
    return _signed(vectors.T[np.argsort(values)[::-1][:count]]).astype(np.float32)


def directions_of_features(latents: np.ndarray, features: np.ndarray, count: int) -> PrincipalDirections:
    """The directions of a standard normal latent space along which features vary most, made orthogonal.

    The features' principal components, each regressed on the latent vectors (GANSpace: Härkönen et al. 2020, section
    2.2). The mean is 0 and the deviations are 1, as the prior has them.

    Args:
        latents: (N, Z), from the prior.
        features: (N, D), of what was made from them.
    """
    centred = (features - features.mean(0)).astype(np.float64)
    _, _, components = np.linalg.svd(centred, full_matrices=False)
    scores = centred @ components[:count].T
    slopes = (latents - latents.mean(0)).T.astype(np.float64) @ scores
    orthogonal, _ = np.linalg.qr(slopes)
    directions = _signed(orthogonal.T)
    length, size = latents.shape[1], len(directions)
    return PrincipalDirections(np.zeros(length, np.float32), directions.astype(np.float32), np.ones(size, np.float32))


def difference_of_means(latents: np.ndarray, ratings: np.ndarray) -> np.ndarray:
    """How latent vectors differ, on average, for one standard deviation more of what is rated, (Z,) float32.

    The slopes of each coordinate on the rating. Where ratings are 0 and 1 it is the difference of the two groups' means
    (the attribute vectors of Larsen et al. 2016), per standard deviation.

    Args:
        latents: (N, Z).
        ratings: (N,), any scale; 0 and 1 for groups.

    Raises:
        ValueError: all ratings are the same.
    """
    centred = np.asarray(ratings, np.float64) - np.mean(ratings)
    deviation = float(centred.std())
    if deviation < 1e-12:
        raise ValueError("A concept needs pictures with it and pictures without it.")
    return ((latents - latents.mean(0)).T.astype(np.float64) @ centred / len(centred) / deviation).astype(np.float32)


def ridge_direction(latents: np.ndarray, ratings: np.ndarray, penalty: float) -> np.ndarray:
    """The direction along which ratings rise, (Z,) float32 of unit length: ridge regression on standardised ratings.

    Args:
        latents: (N, Z).
        ratings: (N,), any scale.
        penalty: how much large coefficients cost, per example.
    """
    centred = (latents - latents.mean(0)).astype(np.float64)
    target = (ratings - ratings.mean()) / max(float(ratings.std()), 1e-12)
    gram = centred.T @ centred + penalty * len(latents) * np.eye(latents.shape[1])
    return _unit(np.linalg.solve(gram, centred.T @ target))


def rank_correlation(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> float:
    """Spearman's: the correlation of the ranks, in [-1, 1]; equal values share the mean of their ranks."""
    return float(np.corrcoef(_ranks(np.asarray(a)), _ranks(np.asarray(b)))[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def _signed(directions: np.ndarray) -> np.ndarray:
    """Each direction, (D, Z), or its opposite: the one whose largest number is positive."""
    largest = np.take_along_axis(directions, np.abs(directions).argmax(1)[:, None], 1)
    return directions * np.sign(largest)


def _unit(vector: np.ndarray) -> np.ndarray:
    return (vector / max(float(np.linalg.norm(vector)), 1e-12)).astype(np.float32)
