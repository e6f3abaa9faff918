"""The optimizer of the backbone's training and distillation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engines.nn.muon import Muon
from engines.nn.precision import compute_dtype

# Adam's learning rate, relative to Muon's.
ADAM_RATE_RATIO = 0.1


def convolution_optimizer(weights: Sequence[Any], rate: float, decay: float = 0.0) -> Muon:
    """Muon for the kernels of convolutions; Adam for a first layer, which sees RGB, and for everything else.

    Args:
        weights: trainable weights in any order; `Muon.weights` gives the order of the gradients.
        rate: Muon's learning rate.
        decay: decoupled weight decay of the kernels, relative to the rate.
    """
    kernels = [w for w in weights if len(w.shape) == 4 and w.shape[2] > 3]
    known = {id(kernel) for kernel in kernels}
    others = [w for w in weights if id(w) not in known]
    return Muon(kernels, [1] * len(kernels), others, rate, ADAM_RATE_RATIO * rate, compute_dtype(), decay)
