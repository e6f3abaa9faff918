"""Training steps compiled by TensorFlow, or by JAX on a GPU.

On JAX a function's variables are what it takes and gives back, so a step is compiled as a function of their values and
the variables are set afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from engines.nn.data_parallel import mean_of, shards_of


def compiled_step(
    loss: Callable[[Any, Any], Any],
    weights: Sequence[Any],
    variables: Sequence[Any],
    apply: Callable[[Sequence[Any], Any], None],
    batch: int,
) -> Callable[[Any, Any, Any], Any]:
    """One step down a loss that is a weighted sum over the examples of a batch.

    Args:
        loss: of examples and their weights, (batch, ...) each -> a scalar.
        weights: Keras variables, by which the gradients are taken.
        variables: all that a step may change.
        apply: changes them, given the gradients of the weighted mean, and the rate's factor.
        batch: how many examples there are.

    Returns:
        examples, their weights, the rate's factor (arrays, a number) -> the weighted mean, a scalar tensor.
    """
    if keras.config.backend() == "jax":
        return _step_on_jax(loss, weights, variables, apply)
    return _step_on_tensorflow(loss, weights, apply, shards_of(batch))


def compiled_loss(loss: Callable[[Any, Any], Any], variables: Sequence[Any], batch: int) -> Callable[[Any, Any], Any]:
    """The same sum alone: examples and their weights -> a scalar tensor."""
    if keras.config.backend() == "jax":
        import jax

        compiled = jax.jit(lambda values, examples, there: _with(variables, values, loss, examples, there))
        return lambda examples, there: compiled([variable.value for variable in variables], examples, there)
    import tensorflow as tf

    shards = shards_of(batch)

    @tf.function(autograph=False)
    def total(examples: Any, there: Any) -> Any:
        parts = zip(tf.split(examples, shards), tf.split(there, shards), strict=True)
        return tf.add_n([loss(*part) for part in parts])

    return lambda examples, there: total(tf.constant(examples), tf.constant(there))


def _step_on_tensorflow(loss: Any, weights: Sequence[Any], apply: Any, shards: int) -> Callable[[Any, Any, Any], Any]:
    import tensorflow as tf

    @tf.function(autograph=False)
    def step(examples: Any, there: Any, factor: Any) -> Any:
        share = tf.reduce_sum(there) / shards
        losses, slopes = [], []
        for some, of_some in zip(tf.split(examples, shards), tf.split(there, shards), strict=True):
            with tf.GradientTape() as tape:
                mean = loss(some, of_some) / share
            losses.append(mean)
            # Of an embedding it comes in pieces.
            slopes.append([tf.convert_to_tensor(one) for one in tape.gradient(mean, weights)])
        apply([mean_of(list(one)) for one in zip(*slopes, strict=True)], factor)
        return mean_of(losses)

    return lambda examples, there, factor: step(
        tf.constant(examples), tf.constant(there), tf.constant(factor, tf.float32)
    )


def _step_on_jax(
    loss: Any, weights: Sequence[Any], variables: Sequence[Any], apply: Any
) -> Callable[[Any, Any, Any], Any]:
    import jax

    learnt = [next(i for i, variable in enumerate(variables) if variable is one) for one in weights]

    def changed(values: list[Any], examples: Any, there: Any, factor: Any) -> tuple[Any, list[Any]]:
        def mean_at(points: list[Any]) -> Any:
            moved = list(values)
            for i, point in zip(learnt, points, strict=True):
                moved[i] = point
            return _with(variables, moved, loss, examples, there) / there.sum()

        mean, slopes = jax.value_and_grad(mean_at)([values[i] for i in learnt])
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))) as scope:
            apply(slopes, factor)
        return mean, [scope.get_current_value(variable) for variable in variables]

    compiled = jax.jit(changed, donate_argnums=0)

    def step(examples: Any, there: Any, factor: Any) -> Any:
        mean, values = compiled([variable.value for variable in variables], examples, there, factor)
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        return mean

    return step


def _with(variables: Sequence[Any], values: Sequence[Any], function: Any, *arguments: Any) -> Any:
    """What a function gives when variables have these values."""
    with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
        return function(*arguments)
