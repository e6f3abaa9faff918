"""Latent-space geometry: grids, walks, linear and spherical interpolation.

What a variational autoencoder and a generative adversarial network share. Latent vectors are (..., Z) float32.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from engines.core.messages import message

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
        raise ValueError(
            message("A latent vector here has {needed} numbers, not {given}.", needed=length, given=latents.shape[-1])
        )
    if not np.isfinite(latents).all():
        raise ValueError(message("A latent vector must be made of finite numbers."))
    if np.abs(latents).max(initial=0) > MOST:
        raise ValueError(
            message(
                "A latent value must be between {low:g} and {most:g}: there is nothing farther out.",
                low=-MOST,
                most=MOST,
            )
        )
    return latents


def axis_values(count: int, reach: float, spacing: str) -> np.ndarray:
    """Where the points of a grid lie along an axis, (count,) float32, in increasing order, between -reach and reach.

    Args:
        reach: the outermost value.
        spacing: "linear": evenly; "gaussian": so that as much of the prior lies between each two (the quantile
            function of the standard normal distribution over even probabilities).
    """
    if count < 1 or not 0 < reach <= MOST or spacing not in SPACINGS:
        raise ValueError(
            message(
                "A grid needs at least one point, a reach of up to {most:g}, and a spacing of {spacings}.",
                most=MOST,
                spacings=SPACINGS,
            )
        )
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
        raise ValueError(message("A walk needs at least two places; set another."))
    if steps < 1:
        raise ValueError(message("A walk needs at least one step from each place to the next."))
    if closed:
        points = np.concatenate([points, points[:1]])
    between = slerp if spherical else lerp
    shares = np.arange(steps, dtype=np.float32) / steps
    legs = [between(a, b, shares) for a, b in itertools.pairwise(points)]
    return np.concatenate([*legs, points[-1:]]).astype(np.float32)
