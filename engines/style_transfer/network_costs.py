"""Strides, receptive field, memory and work of a network that is cut after some layers.

For VGG-type networks: a single chain of convolutions and poolings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def strides_and_reach(network, layers: Sequence[str]) -> tuple[dict[str, int], int]:
    """The stride of each of `layers`, and how far the deepest receptive field extends beyond its cell, in pixels."""
    stride, reach, strides = 1, 0, {}
    for layer in network.layers:
        kernel, pool = getattr(layer, "kernel_size", None), getattr(layer, "pool_size", None)
        if kernel:
            reach += kernel[0] // 2 * stride
        if pool:
            reach += (pool[0] - 1) * stride
            stride *= layer.strides[0]
        if layer.name in layers:
            strides[layer.name] = stride
    return strides, reach


def bytes_per_pixel(network, layers: Sequence[str]) -> float:
    """Memory of one evaluation with its gradient, in bytes per pixel processed at once.

    Activations are kept in the network's number format until the backward pass, whose gradients need as much again;
    those of `layers` are also needed in float32.
    """
    stride, total = 1, 0.0
    for layer in network.layers:
        if getattr(layer, "pool_size", None):
            stride *= layer.strides[0]
        channels = layer.output.shape[-1]
        size = 2 if "bfloat16" in str(layer.compute_dtype) else 4
        total += 2 * size * channels / stride**2
        if layer.name in layers:
            total += 4 * channels / stride**2
    return total


def work_per_pixel(network) -> int:
    """Multiplications of a forward pass per pixel."""
    stride, total = 1, 0.0
    for layer in network.layers:
        if getattr(layer, "pool_size", None):
            stride *= layer.strides[0]
        if getattr(layer, "kernel_size", None):
            total += math.prod(layer.kernel.shape) / stride**2
    return max(1, round(total))
