"""Perceptual distance between two images (Johnson et al. 2016; Zhang et al. 2018)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from engines.backbones.backbone import load_backbone
from engines.weights.store import WeightsStore

# Layers of the bundled backbone whose features are compared.
LAYERS = ("block1_conv2", "block2_conv2", "block3_conv3")


class PerceptualMetric:
    """Distance between images in the bundled backbone's features; images are (B, H, W, 3) float32 in [0, 1]."""

    def __init__(self) -> None:
        self._extract = load_backbone("studio_vgg", WeightsStore()).extractor(LAYERS)

    def features(self, images: Any) -> list[Any]:
        """Features of images, one float32 tensor per layer."""
        return [tf.cast(layer, tf.float32) for layer in self._extract(2 * images - 1)]

    def distance(self, wanted: list[Any], seen: list[Any]) -> Any:
        """Mean absolute difference of features relative to those of the target, averaged over layers, (B,).

        `wanted`, the target's features, may have a batch of one.
        """
        terms = [
            tf.reduce_mean(tf.abs(a - b), axis=(1, 2, 3)) / (tf.reduce_mean(tf.abs(a)) + 1e-6)
            for a, b in zip(wanted, seen, strict=True)
        ]
        return tf.add_n(terms) / len(terms)


@functools.cache
def perceptual_metric() -> PerceptualMetric:
    """The shared instance."""
    return PerceptualMetric()


def perceptual_loss() -> Callable[[Any, Any], Any]:
    """A loss of images and reconstructions, both (B, H, W, 3) in [0, 1] -> (B,). Only the reconstructions have a
    gradient."""
    metric = perceptual_metric()

    def loss(images: Any, reconstructions: Any) -> Any:
        wanted = [tf.stop_gradient(layer) for layer in metric.features(images)]
        return metric.distance(wanted, metric.features(reconstructions))

    return loss
