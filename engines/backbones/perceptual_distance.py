"""Perceptual distance between two pictures (Johnson et al. 2016; Zhang et al. 2018)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from engines.backbones.backbone import load_backbone
from engines.weights.store import WeightsStore

# Layers of the bundled backbone at which pictures should look alike, up to a quarter of a picture's side.
LAYERS = ("block1_conv2", "block2_conv2", "block3_conv3")


class Likeness:
    """The bundled backbone's opinion; pictures are (B, H, W, 3) float32 in [0, 1]."""

    def __init__(self) -> None:
        self._extract = load_backbone("studio_vgg", WeightsStore()).extractor(LAYERS)

    def features(self, images: Any) -> list[Any]:
        """What is seen in pictures, a layer each, float32."""
        return [tf.cast(layer, tf.float32) for layer in self._extract(2 * images - 1)]

    def distance(self, wanted: list[Any], seen: list[Any]) -> Any:
        """How differently pictures are seen, from the features of either, (B,): each layer by the size of what is
        wanted. The wanted features may be of a single picture."""
        terms = [
            tf.reduce_mean(tf.abs(a - b), axis=(1, 2, 3)) / (tf.reduce_mean(tf.abs(a)) + 1e-6)
            for a, b in zip(wanted, seen, strict=True)
        ]
        return tf.add_n(terms) / len(terms)


@functools.cache
def likeness() -> Likeness:
    """The one that all share."""
    return Likeness()


def perceptual_loss() -> Callable[[Any, Any], Any]:
    """A function of pictures and reconstructions, (B, H, W, 3) in [0, 1] -> (B,): how differently they are seen. Only
    the reconstructions have a gradient."""
    eyes = likeness()

    def loss(images: Any, reconstructions: Any) -> Any:
        wanted = [tf.stop_gradient(layer) for layer in eyes.features(images)]
        return eyes.distance(wanted, eyes.features(reconstructions))

    return loss
