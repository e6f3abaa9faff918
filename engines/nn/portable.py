"""Networks rebuilt from Keras's own layers, for export."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from engines.nn.layers import BatchDeviation, FusedBatchNormalization, SpectralConv2D, SpectralDense, SteerableDropout


def portable(network: keras.Model) -> keras.Model:
    """The same function at inference, in float32.

    Args:
        network: built of layers by the functional interface, those of `engines.nn.layers` among them.
    """

    def clone(layer: keras.Layer) -> keras.Layer:
        settings: dict[str, Any] = {"name": layer.name, "dtype": "float32"}
        if isinstance(layer, FusedBatchNormalization):
            return layers.BatchNormalization(momentum=layer.momentum, epsilon=layer.epsilon, **settings)
        if isinstance(layer, SpectralConv2D):
            return layers.Conv2D(layer.units, layer.kernel_size, layer.strides, "same", **settings)
        if isinstance(layer, SpectralDense):
            return layers.Dense(layer.units, **settings)
        if isinstance(layer, SteerableDropout | layers.Dropout):
            return layers.Dropout(float(getattr(layer, "rate", 0.0)), **settings)
        config = layer.get_config() | {"dtype": "float32"}
        if _is_an_operation(config.get("activation")):
            config["activation"] = "linear"  # the operation comes after it, see `call`
        return type(layer).from_config(config)

    def call(layer: keras.Layer, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        original = network.get_layer(layer.name)
        if isinstance(original, BatchDeviation):
            usual = ops.full_like(inputs[..., :1], float(original.usual))
            return ops.concatenate([inputs, usual], axis=-1)
        if isinstance(original, SteerableDropout):
            kwargs.pop("training", None)
        outputs = layer(inputs, *args, **kwargs)
        if _is_an_operation(original.get_config().get("activation")):
            outputs = original.activation(outputs)
        return outputs

    made = keras.models.clone_model(network, clone_function=clone, call_function=call)
    for layer in network.layers:
        if isinstance(layer, BatchDeviation | SteerableDropout) or not layer.weights:
            continue
        values = layer.get_weights()
        if isinstance(layer, SpectralConv2D | SpectralDense):
            values = [ops.convert_to_numpy(layer.normalized_kernel()), ops.convert_to_numpy(layer.bias)]
        made.get_layer(layer.name).set_weights([np.asarray(value, np.float32) for value in values])
    return made


def _is_an_operation(activation: Any) -> bool:
    """Whether what a layer's config says of its activation is a function that is none of `keras.activations`."""
    name = activation.get("config") if isinstance(activation, dict) else activation
    return isinstance(name, str) and not hasattr(keras.activations, name)
