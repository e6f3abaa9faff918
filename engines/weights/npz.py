"""Store networks as arrays in .npz files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def pack_network(part: str, network: Any, bits: int = 16) -> dict[str, np.ndarray]:
    """Arrays of a network's weights, with names "{part}/000", "{part}/001" ...

    Args:
        bits: 16 stores float32 weights as float16; 8 stores those with two or more axes as int8 with a scale for each
            index of the first axis. Other dtypes are kept.
    """
    arrays: dict[str, np.ndarray] = {}
    for i, weights in enumerate(network.get_weights()):
        key = f"{part}/{i:03d}"
        if weights.dtype != np.float32:
            arrays[key] = weights
        elif bits == 8 and weights.ndim > 1:
            scale = np.abs(weights).max(axis=tuple(range(1, weights.ndim)), keepdims=True) / 127
            arrays[key] = np.rint(weights / np.where(scale > 0, scale, 1)).astype(np.int8)
            arrays[f"scale/{key}"] = scale
        else:
            arrays[key] = weights.astype(np.float16)
    return arrays


def unpack_network(part: str, network: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Load arrays from `pack_network` into a network.

    Raises:
        ValueError: the arrays belong to another network.
    """
    keys = [key for key in sorted(arrays) if key.startswith(f"{part}/")]
    scales = {key: arrays[f"scale/{key}"] for key in keys if f"scale/{key}" in arrays}
    network.set_weights([arrays[key] * scales[key] if key in scales else arrays[key] for key in keys])
