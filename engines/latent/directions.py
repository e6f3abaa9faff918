"""Directions in a latent space: principal components, and those fitted to ratings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engines.core.messages import message


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
        raise ValueError(message("A concept needs pictures with it and pictures without it."))
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


_DIRECTIONS = ("mean", "directions", "deviations")


def packed_directions(principal: PrincipalDirections | None) -> dict[str, np.ndarray]:
    """Principal directions, if there are any."""
    return {} if principal is None else {f"principal/{key}": getattr(principal, key) for key in _DIRECTIONS}


def unpacked_directions(arrays: Mapping[str, np.ndarray]) -> PrincipalDirections | None:
    """What `packed_directions` was given."""
    if "principal/mean" not in arrays:
        return None
    return PrincipalDirections(*(arrays[f"principal/{key}"] for key in _DIRECTIONS))
