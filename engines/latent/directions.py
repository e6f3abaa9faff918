"""Directions in a latent space: principal components, and directions fitted to ratings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engines.core.messages import message


@dataclass(frozen=True)
class PrincipalDirections:
    """Principal components of latent vectors.

    Attributes:
        mean: (Z,) float32.
        directions: (D, Z) float32, orthonormal, sorted by decreasing variance.
        deviations: (D,) float32: the standard deviation along each direction.
    """

    mean: np.ndarray
    directions: np.ndarray
    deviations: np.ndarray


def principal_directions(latents: np.ndarray, count: int) -> PrincipalDirections:
    """The first `count` principal components of latent vectors, (N, Z); the largest component of each is positive."""
    mean = latents.mean(0)
    variances, vectors = np.linalg.eigh(np.cov((latents - mean).T.astype(np.float64)))
    order = np.argsort(variances)[::-1][:count]
    directions = _fix_signs(vectors.T[order])
    deviations = np.sqrt(np.maximum(variances[order], 0))
    return PrincipalDirections(*(a.astype(np.float32) for a in (mean, directions, deviations)))


def first_layer_directions(matrix: np.ndarray, count: int) -> np.ndarray:
    """The directions to which a network's first layer responds most, (count, Z) float32, orthonormal, strongest first.

    The eigenvectors of A Aᵀ for the layer's matrix A, (Z, D), which maximise ‖Aᵀ n‖ (SeFa: Shen & Zhou 2021,
    "Closed-form factorization of latent semantics in GANs", equation 6). The largest component of each is positive.
    """
    values, vectors = np.linalg.eigh(matrix.astype(np.float64) @ matrix.T.astype(np.float64))
    return _fix_signs(vectors.T[np.argsort(values)[::-1][:count]]).astype(np.float32)


def directions_of_features(latents: np.ndarray, features: np.ndarray, count: int) -> PrincipalDirections:
    """Orthogonal directions of a standard normal latent space along which features vary most.

    The features' principal components, regressed on the latent vectors (GANSpace: Härkönen et al. 2020, section 2.2).
    The mean is 0 and the deviations are 1, as in the prior.

    Args:
        latents: (N, Z), sampled from the prior.
        features: (N, D), of the images generated from them.
    """
    centred = (features - features.mean(0)).astype(np.float64)
    _, _, components = np.linalg.svd(centred, full_matrices=False)
    scores = centred @ components[:count].T
    coefficients = (latents - latents.mean(0)).T.astype(np.float64) @ scores
    orthogonal, _ = np.linalg.qr(coefficients)
    directions = _fix_signs(orthogonal.T)
    mean, deviations = np.zeros(latents.shape[1], np.float32), np.ones(len(directions), np.float32)
    return PrincipalDirections(mean, directions.astype(np.float32), deviations)


def difference_of_means(latents: np.ndarray, ratings: np.ndarray) -> np.ndarray:
    """The average change of latent vectors for a rating one standard deviation higher, (Z,) float32.

    The regression slope of each coordinate on the rating. With ratings of 0 and 1 it is the difference between the
    groups' means (the attribute vectors of Larsen et al. 2016), scaled to one standard deviation.

    Args:
        latents: (N, Z).
        ratings: (N,), on any scale.

    Raises:
        ValueError: all ratings are equal.
    """
    centred = np.asarray(ratings, np.float64) - np.mean(ratings)
    deviation = float(centred.std())
    if deviation < 1e-12:
        raise ValueError(message("A concept needs images with it and images without it."))
    return ((latents - latents.mean(0)).T.astype(np.float64) @ centred / len(centred) / deviation).astype(np.float32)


def ridge_direction(latents: np.ndarray, ratings: np.ndarray, penalty: float) -> np.ndarray:
    """The direction that predicts ratings, (Z,) float32 of unit length, by ridge regression on standardised ratings.

    Args:
        latents: (N, Z).
        ratings: (N,), on any scale.
        penalty: regularisation strength per example.
    """
    centred = (latents - latents.mean(0)).astype(np.float64)
    target = (ratings - ratings.mean()) / max(float(ratings.std()), 1e-12)
    gram = centred.T @ centred + penalty * len(latents) * np.eye(latents.shape[1])
    return _normalized(np.linalg.solve(gram, centred.T @ target))


def rank_correlation(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> float:
    """Spearman's rank correlation, in [-1, 1]; tied values get the mean of their ranks."""
    return float(np.corrcoef(_ranks(np.asarray(a)), _ranks(np.asarray(b)))[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def _fix_signs(directions: np.ndarray) -> np.ndarray:
    """Flip directions, (D, Z), so that the component with the largest absolute value is positive."""
    largest = np.take_along_axis(directions, np.abs(directions).argmax(1)[:, None], 1)
    return directions * np.sign(largest)


def _normalized(vector: np.ndarray) -> np.ndarray:
    return (vector / max(float(np.linalg.norm(vector)), 1e-12)).astype(np.float32)


_DIRECTIONS = ("mean", "directions", "deviations")


def pack_directions(principal: PrincipalDirections | None) -> dict[str, np.ndarray]:
    """Arrays to store in an .npz file; none for None."""
    return {} if principal is None else {f"principal/{key}": getattr(principal, key) for key in _DIRECTIONS}


def unpack_directions(arrays: Mapping[str, np.ndarray]) -> PrincipalDirections | None:
    """Read what `pack_directions` returned."""
    if "principal/mean" not in arrays:
        return None
    return PrincipalDirections(*(arrays[f"principal/{key}"] for key in _DIRECTIONS))
