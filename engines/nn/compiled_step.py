"""Training steps compiled by TensorFlow, or by JAX on a GPU.

JAX functions are pure, so there a step is compiled as a function of the variables' values, and the variables are
assigned afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from engines.nn.data_parallel import mean_over_shards, shard_count


def compiled_step(
    loss: Callable[[Any, Any], Any],
    weights: Sequence[Any],
    variables: Sequence[Any],
    apply: Callable[[Sequence[Any], Any], None],
    batch: int,
) -> Callable[[Any, Any, Any], Any]:
    """Compile an optimizer step for a loss that is a weighted sum over the examples of a batch.

    Args:
        loss: examples and their weights, (batch, ...) each -> scalar.
        weights: Keras variables to differentiate with respect to.
        variables: everything that a step may change.
        apply: updates them, given the gradients of the weighted mean and the learning rate factor.
        batch: number of examples.

    Returns:
        examples, their weights (arrays), learning rate factor -> weighted mean loss, a scalar tensor.
    """
    if keras.config.backend() == "jax":
        return _step_on_jax(loss, weights, variables, apply)
    return _step_on_tensorflow(loss, weights, apply, shard_count(batch))


def compiled_loss(loss: Callable[[Any, Any], Any], variables: Sequence[Any], batch: int) -> Callable[[Any, Any], Any]:
    """Compile the loss alone: examples and their weights -> scalar tensor."""
    if keras.config.backend() == "jax":
        import jax

        compiled = jax.jit(
            lambda values, examples, example_weights: _call_with_values(
                variables, values, loss, examples, example_weights
            )
        )
        return lambda examples, example_weights: compiled(
            [variable.value for variable in variables], examples, example_weights
        )
    import tensorflow as tf

    shards = shard_count(batch)

    @tf.function(autograph=False)
    def total(examples: Any, example_weights: Any) -> Any:
        parts = zip(tf.split(examples, shards), tf.split(example_weights, shards), strict=True)
        return tf.add_n([loss(*part) for part in parts])

    return lambda examples, example_weights: total(tf.constant(examples), tf.constant(example_weights))


def _step_on_tensorflow(loss: Any, weights: Sequence[Any], apply: Any, shards: int) -> Callable[[Any, Any, Any], Any]:
    import tensorflow as tf

    @tf.function(autograph=False)
    def step(examples: Any, example_weights: Any, factor: Any) -> Any:
        share = tf.reduce_sum(example_weights) / shards
        losses, gradients = [], []
        for shard, shard_weights in zip(tf.split(examples, shards), tf.split(example_weights, shards), strict=True):
            with tf.GradientTape() as tape:
                mean = loss(shard, shard_weights) / share
            losses.append(mean)
            # The gradient of an embedding is an IndexedSlices.
            gradients.append([tf.convert_to_tensor(one) for one in tape.gradient(mean, weights)])
        apply([mean_over_shards(list(one)) for one in zip(*gradients, strict=True)], factor)
        return mean_over_shards(losses)

    return lambda examples, example_weights, factor: step(
        tf.constant(examples), tf.constant(example_weights), tf.constant(factor, tf.float32)
    )


def _step_on_jax(
    loss: Any, weights: Sequence[Any], variables: Sequence[Any], apply: Any
) -> Callable[[Any, Any, Any], Any]:
    import jax

    trainable_indices = [next(i for i, variable in enumerate(variables) if variable is one) for one in weights]

    def update(values: list[Any], examples: Any, example_weights: Any, factor: Any) -> tuple[Any, list[Any]]:
        def mean_at(trainable_values: list[Any]) -> Any:
            all_values = list(values)
            for i, value in zip(trainable_indices, trainable_values, strict=True):
                all_values[i] = value
            return _call_with_values(variables, all_values, loss, examples, example_weights) / example_weights.sum()

        mean, gradients = jax.value_and_grad(mean_at)([values[i] for i in trainable_indices])
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))) as scope:
            apply(gradients, factor)
        return mean, [scope.get_current_value(variable) for variable in variables]

    compiled = jax.jit(update, donate_argnums=0)

    def step(examples: Any, example_weights: Any, factor: Any) -> Any:
        mean, values = compiled([variable.value for variable in variables], examples, example_weights, factor)
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        return mean

    return step


def _call_with_values(variables: Sequence[Any], values: Sequence[Any], function: Any, *arguments: Any) -> Any:
    """Call a function with the variables set to these values."""
    with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
        return function(*arguments)
