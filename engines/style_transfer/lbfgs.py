"""Limited-memory BFGS (Nocedal 1980; Liu & Nocedal 1989), one evaluation at a time.

The optimiser of Gatys et al. It never calls the function: it proposes where to evaluate and is told the result (an
ask-and-tell interface), so that the caller may show an image, stop, or change the function between two evaluations.

The two-loop recursion runs on dot products alone (Chen, Wang & Zhou 2014, "Large-scale L-BFGS using MapReduce"), which
reads the history twice a step instead of four times. The history is NumPy's: TensorFlow copies a variable that was
updated in part whenever it is read.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

# The Wolfe conditions: sufficient decrease of the loss, and of the slope.
SUFFICIENT_DECREASE = 1e-4
CURVATURE_CONDITION = 0.9
MAX_TRIALS = 8


class LBFGS:
    """Minimises a function of one float32 tensor.

    Ask for `trial`, evaluate there, and `tell` the loss and the gradient; repeat. `x` is the best point so far.

    Args:
        x: the starting point, any shape, float32.
        first_step: length (L2 norm) of the first step, before any curvature is known.
        corrections: how many curvature pairs are kept.

    Attributes:
        x: the best point so far.
        trial: the point to evaluate next.
        loss: the loss at `x`; infinite before the first evaluation.
        stuck: whether no further descent is possible at this precision; `tell` then changes nothing.
    """

    def __init__(self, x: tf.Tensor, *, first_step: float, corrections: int = 10):
        self.x = self.trial = tf.convert_to_tensor(x, tf.float32)
        self.loss = math.inf
        self.stuck = False
        self._first_step, self._corrections = first_step, corrections
        self._size = int(np.prod(self.x.shape))
        # Rows: the steps, then the gradient changes. The oldest slot is reused first.
        self._history = np.zeros((2 * corrections, self._size), np.float32)
        self._products = np.zeros((2 * corrections, 2 * corrections))
        self._order: list[int] = []
        self._gradient: np.ndarray | None = None
        self._best: tuple[tf.Tensor, float, np.ndarray] | None
        self._shortened: bool
        self._start_line_search(None, 0.0, 1.0)

    @property
    def pairs(self) -> int:
        """Number of curvature pairs."""
        return len(self._order)

    def reset(self) -> None:
        """Drop the curvature, after the function has changed; the next trial is the best point again."""
        self._order = []
        self._gradient, self.loss, self.stuck = None, math.inf, False
        self.trial = self.x

    def tell(self, loss: float, gradient: tf.Tensor) -> None:
        """Record the loss and the gradient (of the shape of `x`) at `trial`, and choose the next trial."""
        if self.stuck:
            return
        flat_gradient = _flat(tf.cast(gradient, tf.float32))
        finite = math.isfinite(loss) and bool(np.isfinite(flat_gradient).all())
        if self._gradient is None or self._direction is None:
            if not finite:
                self.stuck = True
                return
            self._accept(self.trial, loss, flat_gradient)
            return
        slope = _dot(flat_gradient, self._direction) if finite else math.nan
        self._trials += 1
        falls = finite and loss <= self.loss + SUFFICIENT_DECREASE * self._length * self._slope
        flat = falls and slope >= CURVATURE_CONDITION * self._slope
        if falls and (self._best is None or loss < self._best[1]):
            self._best = (self.trial, loss, flat_gradient)
        if flat or (self._best is not None and self._trials >= MAX_TRIALS):
            self._accept(*(self._best if self._best is not None and not flat else (self.trial, loss, flat_gradient)))
        elif self._trials >= MAX_TRIALS:
            self._restart_line_search()
        else:
            self._next_length(falls, loss if finite else math.inf)

    def _accept(self, x: tf.Tensor, loss: float, gradient: np.ndarray) -> None:
        if self._gradient is not None:
            self._store_pair(_flat(x - self.x), gradient - self._gradient)
        self.x, self.loss, self._gradient = x, loss, gradient
        direction, slope = self._search_direction()
        if not slope < 0:
            self._order = []
            direction, slope = self._search_direction()
        if not slope < 0:
            self.stuck = True  # the gradient is zero
            return
        self._start_line_search(direction, slope, 1.0)
        self._set_trial()

    def _restart_line_search(self) -> None:
        """No lower point along the direction: try steepest descent, and stop if it was that already."""
        if not self._order and self._shortened:
            self.stuck = True
            self.trial = self.x
            return
        self._order = []
        direction, slope = self._search_direction()
        self._start_line_search(direction, slope, 0.1)
        self._shortened = True
        self._set_trial()

    def _start_line_search(self, direction: np.ndarray | None, slope: float, length: float) -> None:
        self._direction, self._slope, self._length = direction, slope, length
        self._low, self._high = 0.0, math.inf
        self._trials = 0
        self._shortened = False
        self._best = None

    def _next_length(self, falls: bool, loss: float) -> None:
        """Choose another step length between one that is too short and one that is too long."""
        length = self._length
        if falls:
            self._low = length
            self._length = 0.5 * (length + self._high) if math.isfinite(self._high) else 3 * length
        else:
            self._high = length
            curvature = loss - self.loss - self._slope * length
            guess = -self._slope * length**2 / (2 * curvature) if 0 < curvature < math.inf else 0.1 * length
            low, high = self._low + 0.1 * (length - self._low), self._low + 0.5 * (length - self._low)
            self._length = min(max(guess, low), high)
        self._set_trial()

    def _set_trial(self) -> None:
        assert self._direction is not None
        self.trial = self.x + np.float32(self._length) * self._direction.reshape(self.x.shape)

    def _store_pair(self, step: np.ndarray, change: np.ndarray) -> None:
        """Store a curvature pair, unless the function is not convex along it."""
        if not _dot(step, change) > 1e-10 * _dot(change, change):
            return
        used = set(self._order)
        full = len(self._order) == self._corrections
        slot = self._order.pop(0) if full else next(i for i in range(self._corrections) if i not in used)
        self._order.append(slot)
        for row, vector in ((slot, step), (self._corrections + slot, change)):
            self._history[row] = vector
            self._products[:, row] = self._products[row, :] = self._history @ vector

    def _search_direction(self) -> tuple[np.ndarray, float]:
        """The direction -H g and its slope; without history, steepest descent with the length of the first step."""
        gradient = self._gradient
        assert gradient is not None
        norm = math.sqrt(max(_dot(gradient, gradient), 0.0))
        if not self._order:
            scale = self._first_step / norm if norm else 0.0
            return np.float32(-scale) * gradient, -scale * norm**2
        count = self._corrections
        with_gradient = (self._history @ gradient).astype(float)
        products = self._products
        # The direction as coefficients of the history's rows and of the gradient.
        rows, of_gradient = np.zeros(2 * count), -1.0
        alphas = {}
        for i in reversed(self._order):
            curvature = products[i, count + i]
            alphas[i] = (products[i] @ rows + with_gradient[i] * of_gradient) / curvature
            rows[count + i] -= alphas[i]
        newest = self._order[-1]
        scale = products[newest, count + newest] / products[count + newest, count + newest]
        rows, of_gradient = rows * scale, of_gradient * scale
        for i in self._order:
            beta = (products[count + i] @ rows + with_gradient[count + i] * of_gradient) / products[i, count + i]
            rows[i] += alphas[i] - beta
        direction = rows.astype(np.float32) @ self._history
        direction += np.float32(of_gradient) * gradient
        return direction, float(rows @ with_gradient + of_gradient * norm**2)

    def resampled(self, resize: Callable[[tf.Tensor], tf.Tensor], *, first_step: float, shrink: float) -> LBFGS:
        """An optimiser for the same problem on a finer grid, with the curvature resampled.

        Args:
            resize: maps a tensor of the shape of `x` to the new shape.
            first_step: as in the constructor.
            shrink: ratio of a single element's gradient on the new grid to that on the old one.
        """
        finer = LBFGS(resize(self.x), first_step=first_step, corrections=self._corrections)
        for slot in self._order:
            step, change = (
                _flat(resize(tf.constant(self._history[row].reshape(self.x.shape))))
                for row in (slot, self._corrections + slot)
            )
            finer._store_pair(step, change * shrink)
        return finer


def _flat(tensor: tf.Tensor) -> np.ndarray:
    return tensor.numpy().reshape(-1)


def _dot(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b)
