"""Strides, receptive field, memory and work of a network that is cut after some layers.

For VGG-type networks: chains of convolutions and poolings that begin at the same input.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any


def strides_and_reach(network, layers: Sequence[str]) -> tuple[dict[str, int], int]:
    """The stride of each of `layers`, and how far the largest receptive field extends beyond its cell, in pixels."""
    strides: dict[str, int] = {}
    reach: dict[str, int] = {}
    for layer, before, stride in _with_strides(network):
        kernel, pool = getattr(layer, "kernel_size", None), getattr(layer, "pool_size", None)
        reach[layer.name] = reach.get(before, 0)
        if kernel:
            reach[layer.name] += kernel[0] // 2 * stride
        if pool:
            reach[layer.name] += (pool[0] - 1) * stride // layer.strides[0]
        if layer.name in layers:
            strides[layer.name] = stride
    return strides, max(reach.values())


def bytes_per_pixel(network, layers: Sequence[str]) -> float:
    """Memory of one evaluation with its gradient, in bytes per pixel processed at once.

    Activations are kept in the network's number format until the backward pass, whose gradients need as much again;
    those of `layers` are also needed in float32.
    """
    total = 0.0
    for layer, _, stride in _with_strides(network):
        channels = layer.output.shape[-1]
        size = 2 if "bfloat16" in str(layer.compute_dtype) else 4
        total += 2 * size * channels / stride**2
        if layer.name in layers:
            total += 4 * channels / stride**2
    return total


def work_per_pixel(network) -> int:
    """Multiplications of a forward pass per pixel."""
    total = 0.0
    for layer, _, stride in _with_strides(network):
        if getattr(layer, "kernel_size", None):
            total += math.prod(layer.kernel.shape) / stride**2
    return max(1, round(total))


def _with_strides(network) -> Iterator[tuple[Any, str, int]]:
    """Yield each layer in topological order, with the name of the one before it ("" for the input) and its stride, its
    own pooling included."""
    strides: dict[str, int] = {}
    for layer in network.layers:
        inbound = layer._inbound_nodes[0].parent_nodes
        before = inbound[0].operation.name if inbound else ""
        stride = strides.get(before, 1)
        if getattr(layer, "pool_size", None):
            stride *= layer.strides[0]
        strides[layer.name] = stride
        yield layer, before, stride
