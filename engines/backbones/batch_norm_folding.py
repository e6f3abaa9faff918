"""Fold batch normalisations into the convolutions before them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


def fold_batch_normalization(network: keras.Model, dtype: str) -> keras.Model:
    """Fold every batch normalisation that follows a convolution into it.

    The result computes the same function at inference, with weights and arithmetic in `dtype`. Batch normalisations
    after a convolution with an activation, or with several consumers, stay. Without any, and in `dtype` already, the
    network is returned as it is.
    """
    import keras
    import numpy as np
    from keras import layers

    normalised = any(isinstance(layer, layers.BatchNormalization) for layer in network.layers)
    if not normalised and all(layer.dtype_policy.name == dtype for layer in network.layers):
        return network
    folded: dict[str, keras.Layer] = {}
    for layer in network.layers:
        if not isinstance(layer, layers.BatchNormalization):
            continue
        source = layer.input._keras_history.operation
        alone = isinstance(source, layers.Conv2D | layers.SeparableConv2D) and len(source._outbound_nodes) == 1
        if alone and source.activation is keras.activations.linear:
            folded[source.name] = layer
    absorbed = {normalization.name for normalization in folded.values()}

    def clone(layer):
        if layer.name in absorbed:
            return layers.Identity(name=layer.name, dtype=dtype)
        config = layer.get_config() | {"dtype": dtype}
        if layer.name in folded:
            config["use_bias"] = True
        return type(layer).from_config(config)

    def call(layer, inputs, *args, **kwargs):
        # The Identity in place of a folded normalisation takes none of its arguments (training, mask).
        return inputs if isinstance(layer, layers.Identity) else layer(inputs, *args, **kwargs)

    clone_network = keras.models.clone_model(network, clone_function=clone, call_function=call)
    for layer in network.layers:
        if not layer.weights or layer.name in absorbed:
            continue
        values = layer.get_weights()
        if layer.name in folded:
            normalization = folded[layer.name]
            variance = normalization.moving_variance.numpy()
            scale = 1 / np.sqrt(variance + normalization.epsilon)
            if normalization.scale:
                scale = scale * normalization.gamma.numpy()
            *kernels, last = values[:-1] if layer.use_bias else values
            bias = values[-1] if layer.use_bias else 0
            offset = (bias - normalization.moving_mean.numpy()) * scale
            if normalization.center:
                offset = offset + normalization.beta.numpy()
            # The output channel is the last axis of both a kernel and a pointwise kernel.
            values = [*kernels, last * scale, offset]
        clone_network.get_layer(layer.name).set_weights(values)
    return clone_network
