"""The Muon optimizer, with Adam for everything that is not a matrix.

Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024. The kernel of a convolution is one
matrix, with a row for each weight of a window; `keras.optimizers.Muon` leaves such kernels to Adam. Matrices of one
shape are updated together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

# Coefficients of a x + b x^3 + c x^5. Iterating it maps singular values in (0, 1] to between 0.7 and 1.2.
_A, _B, _C = 3.4445, -4.7750, 2.0315
ITERATIONS = 5
MOMENTUM = 0.95
ADAM_BETAS = (0.9, 0.95)


def newton_schulz(matrices: Any, dtype: str = "float32") -> Any:
    """Orthogonalise matrices by Newton-Schulz iteration: same singular vectors, singular values near 1.

    Args:
        matrices: (K, n, m) float32 with n <= m.
        dtype: dtype of the matrix products; bfloat16 is precise enough.

    Returns:
        (K, n, m) float32.
    """
    norm = ops.sqrt(ops.sum(ops.square(matrices), axis=(1, 2), keepdims=True))
    x = ops.cast(matrices / (norm + 1e-7), dtype)
    for _ in range(ITERATIONS):
        gram = ops.matmul(x, ops.transpose(x, (0, 2, 1)))
        x = _A * x + ops.matmul(_B * gram + _C * ops.matmul(gram, gram), x)
    return ops.cast(x, "float32")


class Muon:
    """Muon for matrices, Adam for all other weights.

    Args:
        matrices: weights, (n, m) each, or several matrices side by side, (n, k m), with k in `parts`. All axes of a
            kernel but the last, such as (height, width, inputs, outputs), are its rows.
        parts: number of matrices in each of `matrices`.
        others: weights for Adam.
        rate: learning rate of the matrices. The singular values of an update are about the rate, times the square root
            of m / n if m > n.
        adam_rate: learning rate of the others.
        dtype: dtype of the matrix products in `newton_schulz`.
        decay: decoupled weight decay of the matrices, relative to the rate (Loshchilov & Hutter 2019).
    """

    def __init__(
        self,
        matrices: Sequence[Any],
        parts: Sequence[int],
        others: Sequence[Any],
        rate: float,
        adam_rate: float,
        dtype: str = "float32",
        decay: float = 0.0,
    ):
        self.matrices, self.parts, self.others = list(matrices), list(parts), list(others)
        self.rate, self.adam_rate, self.dtype, self.decay = rate, adam_rate, dtype, decay
        # Indices of the weights to batch, by the shape of their matrices, transposed if needed so that n <= m.
        self.groups: dict[tuple[int, int], list[int]] = {}
        for i, (weight, count) in enumerate(zip(self.matrices, self.parts, strict=True)):
            rows, columns = _rows(weight), weight.shape[-1] // count
            self.groups.setdefault((min(rows, columns), max(rows, columns)), []).append(i)
        self.momentum = [
            _zeros((sum(self.parts[i] for i in members), *shape)) for shape, members in self.groups.items()
        ]
        self.first = [_zeros(weight.shape) for weight in self.others]
        self.second = [_zeros(weight.shape) for weight in self.others]
        self.count = _zeros(())

    @property
    def weights(self) -> list[Any]:
        """The trained weights, in the order of the gradients."""
        return [*self.matrices, *self.others]

    @property
    def variables(self) -> list[Any]:
        """The optimizer's state."""
        return [*self.momentum, *self.first, *self.second, self.count]

    def apply(self, gradients: Sequence[Any], factor: Any = 1.0) -> None:
        """Do one step.

        Args:
            gradients: gradients of `weights`.
            factor: scale of both learning rates.
        """
        for momentum, (shape, members) in zip(self.momentum, self.groups.items(), strict=True):
            gradient = ops.concatenate([self._stack(gradients[i], i, shape) for i in members], axis=0)
            updated = momentum.assign(MOMENTUM * momentum + (1 - MOMENTUM) * gradient)
            steps = newton_schulz((1 - MOMENTUM) * gradient + MOMENTUM * updated, self.dtype)
            start = 0
            for i in members:
                self._update(i, steps[start : start + self.parts[i]], shape, factor)
                start += self.parts[i]
        count = self.count.assign(self.count + 1.0)
        for weight, gradient, first, second in zip(
            self.others, gradients[len(self.matrices) :], self.first, self.second, strict=True
        ):
            beta_1, beta_2 = ADAM_BETAS
            mean = first.assign(beta_1 * first + (1 - beta_1) * gradient) / (1 - beta_1**count)
            square = second.assign(beta_2 * second + (1 - beta_2) * ops.square(gradient)) / (1 - beta_2**count)
            weight.assign(weight - factor * self.adam_rate * mean / (ops.sqrt(square) + 1e-8))

    def _stack(self, gradient: Any, i: int, shape: tuple[int, int]) -> Any:
        """A weight's matrices stacked, (k, n, m), transposed if needed so that n <= m."""
        rows, columns = _rows(gradient), gradient.shape[-1]
        matrices = ops.transpose(ops.reshape(gradient, (rows, self.parts[i], columns // self.parts[i])), (1, 0, 2))
        return matrices if rows == shape[0] else ops.transpose(matrices, (0, 2, 1))

    def _update(self, i: int, step: Any, shape: tuple[int, int], factor: Any) -> None:
        weight, count = self.matrices[i], self.parts[i]
        rows, columns = _rows(weight), weight.shape[-1] // count
        if rows != shape[0]:
            step = ops.transpose(step, (0, 2, 1))
        step = ops.reshape(ops.transpose(step, (1, 0, 2)), weight.shape)
        # A matrix with more outputs than inputs needs a larger step to change its outputs as much.
        decayed = weight * (1 - factor * self.rate * self.decay) if self.decay else weight
        weight.assign(decayed - factor * self.rate * max(1.0, columns / rows) ** 0.5 * step)


def _rows(weight: Any) -> int:
    return math.prod(weight.shape[:-1])


def _zeros(shape: Sequence[int]) -> Any:
    return keras.Variable(ops.zeros(shape), trainable=False, autocast=False)
