"""Networks rebuilt from Keras's own layers, for export."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from engines.nn.layers import (
    FusedBatchNormalization,
    MinibatchStandardDeviation,
    SpectralConv2D,
    SpectralDense,
    SteerableDropout,
)


def portable(network: keras.Model) -> keras.Model:
    """Rebuild a network for inference in float32.

    Args:
        network: a functional model of Keras's layers and those of `engines.nn.layers`.
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
        if _is_custom_activation(config.get("activation")):
            config["activation"] = "linear"  # applied in `call` instead
        return type(layer).from_config(config)

    def call(layer: keras.Layer, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        original = network.get_layer(layer.name)
        if isinstance(original, MinibatchStandardDeviation):
            deviation = ops.full_like(inputs[..., :1], float(original.moving_deviation))
            return ops.concatenate([inputs, deviation], axis=-1)
        if isinstance(original, SteerableDropout):
            kwargs.pop("training", None)
        outputs = layer(inputs, *args, **kwargs)
        if _is_custom_activation(original.get_config().get("activation")):
            outputs = original.activation(outputs)
        return outputs

    rebuilt = keras.models.clone_model(network, clone_function=clone, call_function=call)
    for layer in network.layers:
        if isinstance(layer, MinibatchStandardDeviation | SteerableDropout) or not layer.weights:
            continue
        values = layer.get_weights()
        if isinstance(layer, SpectralConv2D | SpectralDense):
            values = [ops.convert_to_numpy(layer.normalized_kernel()), ops.convert_to_numpy(layer.bias)]
        rebuilt.get_layer(layer.name).set_weights([np.asarray(value, np.float32) for value in values])
    return rebuilt


def _is_custom_activation(activation: Any) -> bool:
    """Whether an activation in a layer's config is not one of `keras.activations`."""
    name = activation.get("config") if isinstance(activation, dict) else activation
    return isinstance(name, str) and not hasattr(keras.activations, name)
