"""Pretrained ConvNets as feature extractors, each with its own preprocessing.

Everywhere outside this file an image is (1, H, W, 3) float32 RGB in [-1, 1]; each backbone converts it to the input
range of its network. Batch normalisation is folded into the convolution before it, and an extractor ends at the deepest
layer that is asked for.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.backbones.batch_norm_folding import fold_batch_normalization
from engines.core.files import UNREADABLE, sha256_of
from engines.core.messages import message
from engines.nn.precision import compute_dtype
from engines.weights.store import WeightsError, WeightsStore

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Architecture:
    """Properties of a backbone that are known before it is loaded.

    Attributes:
        title: display name.
        layers: regular expressions of the layers offered, one for each branch of the network.
        default_layers: default layer weights of DeepDream.
        least: shortest side of an image, in pixels, for which every layer has an output.
        caffe: whether the network takes BGR minus the ImageNet mean instead of RGB in [-1, 1].
    """

    title: str
    layers: tuple[str, ...]
    default_layers: dict[str, float]
    caffe: bool = False
    least: int = 16


ARCHITECTURES = {
    "studio_vgg": Architecture("Studio VGG", (r"block\d_conv\d", r"style_block\d_conv\d"), {"block5_conv1": 1.0}),
    "inception_v3": Architecture(
        "InceptionV3", (r"mixed\d+",), {"mixed4": 1.0, "mixed5": 1.5, "mixed6": 2.0, "mixed7": 2.5}, least=75
    ),
    "vgg16": Architecture("VGG16", (r"block\d_conv\d",), {"block4_conv3": 1.0, "block5_conv2": 1.0}, caffe=True),
    "vgg19": Architecture("VGG19", (r"block\d_conv\d",), {"block4_conv4": 1.0, "block5_conv2": 1.0}, caffe=True),
    "xception": Architecture("Xception", (r"block\d+_sepconv\d_act",), {"block8_sepconv2_act": 1.0}),
    "resnet50": Architecture("ResNet50", (r"conv\d_block\d_out",), {"conv4_block4_out": 1.0}, caffe=True),
}
_CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)


@dataclass(eq=False)
class Backbone:
    """A loaded network.

    Attributes:
        name: its key in `ARCHITECTURES`.
        network: Keras model from (B, H, W, 3) in the network's own range to the last features of each branch.
        weights: SHA-256 of the weights file; empty for untrained weights.
        source: where the weights came from: "folder", "cache", "bundled" or "untrained".
        cache: traced functions that engines keep with a backbone, so that a second run does not trace again.
    """

    name: str
    network: keras.Model
    weights: str = ""
    source: str = "untrained"
    cache: dict[Any, Any] = field(default_factory=dict, repr=False)

    @property
    def architecture(self) -> Architecture:
        return ARCHITECTURES[self.name]

    @property
    def layers(self) -> list[str]:
        """Layers to choose from, from the first to the last of each branch."""
        names = [layer.name for layer in self.network.layers]
        return [name for branch in self.architecture.layers for name in names if re.fullmatch(branch, name)]

    def channels(self, layer: str) -> int:
        """Number of channels of a layer."""
        return int(self.network.get_layer(layer).output.shape[-1])

    def check_layers(self, layers: Iterable[str]) -> None:
        """Raise a ValueError that lists the layers if one of `layers` does not exist."""
        known = self.layers
        for layer in layers:
            if layer not in known:
                title = self.architecture.title
                raise ValueError(
                    message(
                        "{title} has no layer {layer!r}; use one of {known}.",
                        title=title,
                        layer=str(layer)[:40],
                        known=", ".join(known),
                    )
                )

    def portable(self) -> dict[str, keras.Model]:
        """The network in float32, of standard Keras layers only, for use without this project."""
        from engines.nn.portable import portable

        return {"": portable(self.network)}

    def cut(self, layers: Sequence[str], *, pooling: str = "max") -> keras.Model:
        """The part of the network up to these layers, from its own input range to one output per layer.

        Args:
            pooling: "max" as trained, or "average", which lets gradients reach every pixel (Gatys et al. 2016).

        Raises:
            ValueError: a layer that does not exist.
        """
        import keras

        self.check_layers(layers)
        network = self.network if pooling == "max" else _with_average_pooling(self.network)
        return keras.Model(network.input, [network.get_layer(layer).output for layer in layers])

    def extractor(self, layers: Sequence[str], *, pooling: str = "max") -> Callable[[Any], list[Any]]:
        """A function from images, (B, H, W, 3) float32 RGB in [-1, 1], to one feature tensor per layer.

        Only the part of the network up to these layers runs. `pooling` is as for `cut`.

        Raises:
            ValueError: a layer that does not exist.
        """
        import keras

        cut = self.cut(layers, pooling=pooling)
        caffe = self.architecture.caffe

        def features(images):
            # A network with a single output returns it bare.
            return keras.tree.flatten(cut(_caffe_input(images) if caffe else images, training=False))

        return features


def _with_average_pooling(network: keras.Model) -> keras.Model:
    """The same network and weights with each max pooling replaced by average pooling."""
    import keras
    from keras import layers

    def clone(layer):
        if isinstance(layer, layers.MaxPooling2D):
            return layers.AveragePooling2D(
                layer.pool_size, layer.strides, layer.padding, name=layer.name, dtype=layer.dtype_policy
            )
        return type(layer).from_config(layer.get_config())

    averaging = keras.models.clone_model(network, clone_function=clone)
    averaging.set_weights(network.get_weights())
    return averaging


def _caffe_input(images):
    """RGB in [-1, 1] -> BGR in [0, 255] minus ImageNet's mean, as VGG and ResNet50 were trained."""
    import keras

    # Not by an index, whose gradient runs on one core.
    return keras.ops.flip(images, axis=-1) * 127.5 + (127.5 - _as_row(_CAFFE_MEAN_BGR))


def _as_row(values: Sequence[float]):
    import numpy as np

    return np.array(values, np.float32)


def load_backbone(name: str, store: WeightsStore, *, dtype: str | None = None) -> Backbone:
    """Load a backbone by name, by default in the fastest number format of this computer.

    Raises:
        WeightsError: unknown name, or weights that are missing, damaged or of another network.
    """
    if name not in ARCHITECTURES:
        raise WeightsError(
            message("Unknown network {name!r}; use one of {known}.", name=name[:40], known=", ".join(ARCHITECTURES))
        )
    located = store.verified(name)
    try:
        network = _studio_vgg(located.path) if name == "studio_vgg" else _official(name, str(located.path))
    except UNREADABLE as error:
        raise WeightsError(
            message(
                "{file} does not contain valid weights for {network}; replace the file.",
                file=located.path.name,
                network=ARCHITECTURES[name].title,
            )
        ) from error
    network = fold_batch_normalization(network, dtype or compute_dtype())
    return Backbone(name, network, sha256_of(located.path), located.source)


@functools.cache
def bundled_backbone() -> Backbone:
    """The bundled network, loaded once; for engines that need it in addition to the chosen one."""
    return load_backbone("studio_vgg", WeightsStore())


def untrained_backbone(name: str, *, dtype: str = "float32") -> Backbone:
    """A backbone with random weights, for tests."""
    from engines.backbones import studio_vgg

    network = studio_vgg.build_branches() if name == "studio_vgg" else _official(name, None)
    return Backbone(name, fold_batch_normalization(network, dtype))


def _studio_vgg(path) -> keras.Model:
    import numpy as np

    from engines.backbones import studio_vgg

    network = studio_vgg.build_branches(dtype="float32")
    with np.load(path, allow_pickle=False) as arrays:
        studio_vgg.set_weights(network, dict(arrays))
    return network


def read_backbone(path: Path) -> Backbone:
    """Load a file of the same format as the bundled network's, in float32.

    Raises:
        WeightsError: a file that is damaged or of another network.
    """
    try:
        return Backbone("studio_vgg", _studio_vgg(path), sha256_of(path))
    except UNREADABLE as error:
        raise WeightsError(
            message("{file} is damaged or does not contain a Studio VGG network; use another file.", file=path.name)
        ) from error


def _official(name: str, weights: str | None) -> keras.Model:
    import keras

    builders = {
        "inception_v3": keras.applications.InceptionV3,
        "vgg16": keras.applications.VGG16,
        "vgg19": keras.applications.VGG19,
        "xception": keras.applications.Xception,
        "resnet50": keras.applications.ResNet50,
    }
    return builders[name](weights=weights, include_top=False)
