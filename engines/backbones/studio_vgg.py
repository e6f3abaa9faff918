"""The bundled backbone: a slim VGG-type network (Simonyan & Zisserman 2014) of two branches.

3x3 convolutions named as in VGG (`block1_conv1` ...), each followed by ReLU, with max pooling between blocks. Input:
RGB in [-1, 1].

The classifying branch has five blocks. Its last two are trained with batch normalisation if they begin at random; it is
folded into kernel and bias, and further training goes on without it. The style branch, `style_block1_conv1` ..., has
the architecture of the first three blocks, with weights distilled from VGG19. Style transfer compares its features.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from engines.core.messages import message
from engines.nn.layers import FusedBatchNormalization

BLOCKS: tuple[tuple[int, ...], ...] = ((32, 32), (64, 64), (128, 128, 128), (256, 256, 256), (320, 320))
# The blocks that are not trained with the classifier, and those of the style branch.
FIRST_BLOCKS = 3
# Prefix of the layers of the style branch.
STYLE = "style_"


def layer_names(blocks: int = len(BLOCKS), prefix: str = "") -> list[str]:
    """Convolutions of the first blocks from first to last, as in VGG: `block1_conv1` ..., with a prefix if given."""
    return [f"{prefix}block{b}_conv{c}" for b, block in enumerate(BLOCKS[:blocks], 1) for c in range(1, len(block) + 1)]


def build_features(blocks: int = len(BLOCKS), *, normalised: bool = False) -> keras.Model:
    """The convolutions of the classifying branch: (B, H, W, 3) in [-1, 1] -> those of the last block, (B, h, w, C).

    Args:
        blocks: number of blocks; each but the first halves height and width.
        normalised: with batch normalisation in the blocks after the first three, for training; without, as shipped
            (convolutions have a bias and a ReLU).
    """
    inputs = keras.Input((None, None, 3), dtype="float32")
    return keras.Model(inputs, _branch(inputs, blocks, normalised=normalised), name="studio_vgg")


def build_branches(*, dtype: str | None = None) -> keras.Model:
    """Both branches as shipped: (B, H, W, 3) in [-1, 1] -> [(B, H / 16, W / 16, 320), (B, H / 4, W / 4, 128)]."""
    inputs = keras.Input((None, None, 3), dtype="float32")
    outputs = [_branch(inputs, len(BLOCKS), dtype=dtype), _branch(inputs, FIRST_BLOCKS, prefix=STYLE, dtype=dtype)]
    return keras.Model(inputs, outputs, name="studio_vgg")


def _branch(x: Any, blocks: int, *, prefix: str = "", normalised: bool = False, dtype: str | None = None) -> Any:
    for b, block in enumerate(BLOCKS[:blocks], 1):
        if b > 1:
            x = layers.MaxPooling2D(2, name=f"{prefix}block{b - 1}_pool", dtype=dtype)(x)
        for c, channels in enumerate(block, 1):
            name = f"{prefix}block{b}_conv{c}"
            if normalised and b > FIRST_BLOCKS:
                x = layers.Conv2D(
                    channels,
                    3,
                    padding="same",
                    use_bias=False,
                    kernel_initializer="he_normal",
                    name=f"{name}_kernel",
                    dtype=dtype,
                )(x)
                x = FusedBatchNormalization(name=f"{name}_normalization", dtype=dtype)(x)
                x = layers.ReLU(name=name, dtype=dtype)(x)
            else:
                x = layers.Conv2D(channels, 3, padding="same", activation="relu", name=name, dtype=dtype)(x)
    return x


def build_classifier(classes: int, *, normalised: bool) -> keras.Model:
    """Features, global average pooling and a dense layer: (B, H, W, 3) in [-1, 1] -> (B, classes) logits, float32."""
    features = build_features(normalised=normalised)
    x = layers.GlobalAveragePooling2D(name="average")(features.output)
    logits = layers.Dense(classes, dtype="float32", name="logits")(x)
    return keras.Model(features.input, logits, name="studio_vgg_classifier")


def folded_weights(trained: keras.Model) -> dict[str, np.ndarray]:
    """The trained classifier's weights, with batch normalisation folded in where there is any.

    With scale = gamma / sqrt(variance + epsilon), the folded kernel is kernel * scale and the folded bias is
    beta - mean * scale: exactly the same function at inference. Layers without batch normalisation are unchanged.

    Returns:
        "<layer>/kernel" and "<layer>/bias" for each convolution and for "logits", float32.
    """
    weights = {}
    for name in layer_names():
        if isinstance(trained.get_layer(name), layers.Conv2D):
            weights[f"{name}/kernel"], weights[f"{name}/bias"] = trained.get_layer(name).get_weights()
            continue
        kernel = trained.get_layer(f"{name}_kernel").kernel.numpy()
        normalization = trained.get_layer(f"{name}_normalization")
        variance = normalization.moving_variance.numpy()
        scale = normalization.gamma.numpy() / np.sqrt(variance + normalization.epsilon)
        weights[f"{name}/kernel"] = kernel * scale
        weights[f"{name}/bias"] = normalization.beta.numpy() - normalization.moving_mean.numpy() * scale
    logits = trained.get_layer("logits")
    weights["logits/kernel"], weights["logits/bias"] = logits.kernel.numpy(), logits.bias.numpy()
    return weights


def set_weights(network: keras.Model, weights: Mapping[str, np.ndarray]) -> None:
    """Put folded weights into a network built with `normalised=False`.

    Raises:
        ValueError: a layer's weights are missing or have another shape.
    """
    for layer in network.layers:
        if isinstance(layer, layers.Conv2D | layers.Dense):
            try:
                layer.set_weights([weights[f"{layer.name}/kernel"], weights[f"{layer.name}/bias"]])
            except KeyError as error:
                raise ValueError(
                    message("The weights have no entry for the layer {layer}.", layer=layer.name)
                ) from error


def read_classifier(path: Path) -> keras.Model:
    """Read the classifying branch from a file of folded weights: (B, H, W, 3) -> (B, classes) logits.

    Raises:
        ValueError: a layer's weights are missing or have another shape.
    """
    with np.load(path, allow_pickle=False) as arrays:
        network = build_classifier(len(arrays["classes"]), normalised=False)
        set_weights(network, dict(arrays))
    return network
