"""Adam and SGD with the ask-and-tell interface of `lbfgs`."""

from __future__ import annotations

import math
from typing import Protocol

import tensorflow as tf


class Optimizer(Protocol):
    """Proposes where to evaluate and is told the result; see `engines.style_transfer.lbfgs.LBFGS`."""

    x: tf.Tensor
    trial: tf.Tensor
    stuck: bool

    def tell(self, loss: float, gradient: tf.Tensor) -> None: ...

    def reset(self) -> None: ...


class FirstOrder:
    """Keras's Adam, or SGD whose learning rate decays by 4 % every 100 steps, as in Chollet's listing.

    Args:
        learning_rate: in grey levels for Adam; for SGD as in the listing, whose image is in grey levels too.
    """

    def __init__(self, x: tf.Tensor, kind: str, learning_rate: float):
        import keras

        self._variable = keras.Variable(x, dtype="float32")
        self.x = self.trial = tf.convert_to_tensor(x)
        self.stuck = False
        if kind == "adam":
            self._optimizer = keras.optimizers.Adam(learning_rate / 127.5)
        else:
            decay = keras.optimizers.schedules.ExponentialDecay(learning_rate / 127.5**2, 100, 0.96)
            self._optimizer = keras.optimizers.SGD(decay)

    def tell(self, loss: float, gradient: tf.Tensor) -> None:
        """Take a step."""
        self.stuck = not math.isfinite(loss)
        if self.stuck:
            return
        self._optimizer.apply([gradient], [self._variable])
        self.x = self.trial = tf.convert_to_tensor(self._variable)

    def reset(self) -> None:
        """Nothing to drop: the moments stay valid when the function changes."""
