"""Networks, and the directions that go with them, as arrays of an .npz file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from engines.parts.latent import PrincipalDirections

_DIRECTIONS = ("mean", "directions", "deviations")


def packed_network(part: str, network: Any) -> dict[str, np.ndarray]:
    """A network's weights in float16 (other than float32 ones as they are), by names that begin with "part/"."""
    weights = enumerate(network.get_weights())
    return {f"{part}/{i:03d}": w.astype(np.float16) if w.dtype == np.float32 else w for i, w in weights}


def unpack_network(part: str, network: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Put into a network what `packed_network` took out of one.

    Raises:
        ValueError: they are another network's.
    """
    network.set_weights([arrays[key] for key in sorted(arrays) if key.startswith(f"{part}/")])


def packed_directions(principal: PrincipalDirections | None) -> dict[str, np.ndarray]:
    """Principal directions, if there are any."""
    return {} if principal is None else {f"principal/{key}": getattr(principal, key) for key in _DIRECTIONS}


def unpacked_directions(arrays: Mapping[str, np.ndarray]) -> PrincipalDirections | None:
    """What `packed_directions` was given."""
    if "principal/mean" not in arrays:
        return None
    return PrincipalDirections(*(arrays[f"principal/{key}"] for key in _DIRECTIONS))
