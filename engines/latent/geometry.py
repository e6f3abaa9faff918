"""Latent-space geometry: grids, walks, linear and spherical interpolation. Latent vectors are (..., Z) float32."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from engines.core.messages import message

# No encoded image has a coordinate beyond this, even in a weakly regularised space.
MAX_COORDINATE = 40.0
SPACINGS = ("linear", "gaussian")


def check_latents(latents: np.ndarray | Sequence[float], length: int) -> np.ndarray:
    """Convert latent vectors to (N, length) float32.

    Raises:
        ValueError: another length, not finite, or a coordinate beyond ±MAX_COORDINATE.
    """
    latents = np.atleast_2d(np.asarray(latents, np.float32))
    if latents.ndim != 2 or latents.shape[1] != length:
        raise ValueError(
            message(
                "The latent vector must have {needed} numbers, not {given}.", needed=length, given=latents.shape[-1]
            )
        )
    if not np.isfinite(latents).all():
        raise ValueError(message("All values of a latent vector must be finite."))
    if np.abs(latents).max(initial=0) > MAX_COORDINATE:
        raise ValueError(
            message(
                "Latent values must be between {low:g} and {most:g}.",
                low=-MAX_COORDINATE,
                most=MAX_COORDINATE,
            )
        )
    return latents


def axis_values(count: int, z_range: float, spacing: str) -> np.ndarray:
    """Coordinates of a grid along one axis, (count,) float32, increasing from -z_range to z_range.

    Args:
        z_range: the largest coordinate, in (0, MAX_COORDINATE].
        spacing: "linear" for even steps; "gaussian" for equal probability mass between neighbours under the standard
            normal distribution.

    Raises:
        ValueError: an argument out of range.
    """
    if count < 1 or not 0 < z_range <= MAX_COORDINATE or spacing not in SPACINGS:
        raise ValueError(
            message(
                "A grid needs at least one point, a range of at most {most:g} and one of these spacings: {spacings}.",
                most=MAX_COORDINATE,
                spacings=SPACINGS,
            )
        )
    if spacing == "linear":
        return np.linspace(-z_range, z_range, count, dtype=np.float32)
    normal = NormalDist()
    edge = normal.cdf(z_range)
    return np.array([normal.inv_cdf(p) for p in np.linspace(1 - edge, edge, count)], np.float32)


def latent_grid(count: int, z_range: float, spacing: str = "linear") -> np.ndarray:
    """A grid over a plane, (count, count, 2) float32: rows from the largest second coordinate down, as in a plot."""
    values = axis_values(count, z_range, spacing)
    first, second = np.meshgrid(values, values[::-1])
    return np.stack([first, second], axis=-1)


def lerp(a: np.ndarray, b: np.ndarray, t: float | np.ndarray) -> np.ndarray:
    """Linear interpolation from a (t = 0) to b (t = 1); with an array `t`, one row for each value."""
    t = np.asarray(t, np.float32)[..., None]
    return (1 - t) * a + t * b


def slerp(a: np.ndarray, b: np.ndarray, t: float | np.ndarray) -> np.ndarray:
    """Spherical interpolation from a to b (Shoemake 1985), with linear interpolation of the norm.

    In high dimensions the midpoint of a straight line has a smaller norm than almost any Gaussian sample; an arc stays
    where the samples are. Falls back to `lerp` for vectors that are parallel, opposite or zero.
    """
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    if min(lengths) < 1e-8:
        return lerp(a, b, t)
    cosine = float(np.clip(np.dot(a / lengths[0], b / lengths[1]), -1, 1))
    angle = np.arccos(cosine)
    if np.sin(angle) < 1e-4:
        return lerp(a, b, t)
    t = np.asarray(t, np.float32)[..., None]
    direction = (np.sin((1 - t) * angle) * (a / lengths[0]) + np.sin(t * angle) * (b / lengths[1])) / np.sin(angle)
    return (direction * ((1 - t) * lengths[0] + t * lengths[1])).astype(np.float32)


def walk(waypoints: np.ndarray, steps: int, *, spherical: bool = False, closed: bool = False) -> np.ndarray:
    """A path through waypoints, (N, Z) -> (M, Z) float32, both ends included.

    Args:
        steps: points from each waypoint up to the next, without the latter.
        spherical: use `slerp` instead of `lerp`.
        closed: return to the first waypoint.

    Raises:
        ValueError: fewer than two waypoints, or no steps.
    """
    points = np.asarray(waypoints, np.float32)
    if len(points) < 2:
        raise ValueError(message("A walk needs at least two waypoints; add another."))
    if steps < 1:
        raise ValueError(message("A walk needs at least one step between waypoints."))
    if closed:
        points = np.concatenate([points, points[:1]])
    interpolate = slerp if spherical else lerp
    ts = np.arange(steps, dtype=np.float32) / steps
    legs = [interpolate(a, b, ts) for a, b in itertools.pairwise(points)]
    return np.concatenate([*legs, points[-1:]]).astype(np.float32)
