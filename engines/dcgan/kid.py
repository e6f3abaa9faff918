"""Kernel inception distance between two sets of images (Bińkowski et al. 2018).

Unlike the Fréchet distance it is unbiased, even for two thousand images.
"""

from __future__ import annotations

import numpy as np

from engines.weights.store import WeightsStore

NETWORK, LAYER, SIDE = "inception_v3", "mixed8", 299


def polynomial_kernel(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(x·y / D + 1)³ for each pair of rows, (M, D), (N, D) -> (M, N) float64."""
    return (first.astype(np.float64) @ second.T.astype(np.float64) / first.shape[1] + 1) ** 3


def kernel_distance(first: np.ndarray, second: np.ndarray) -> float:
    """The squared maximum mean discrepancy of two sets of features, (M, D), (N, D), under the polynomial kernel.

    The unbiased estimate (Gretton et al. 2012, equation 3). Near 0 for equal distributions, and possibly negative.

    Raises:
        ValueError: fewer than two features in a set.
    """
    if min(len(first), len(second)) < 2:
        raise ValueError("A kernel distance needs at least two pictures on either side.")

    def mean_off_diagonal(features: np.ndarray) -> float:
        kernel = polynomial_kernel(features, features)
        return (kernel.sum() - np.trace(kernel)) / (len(features) * (len(features) - 1))

    return float(mean_off_diagonal(first) + mean_off_diagonal(second) - 2 * polynomial_kernel(first, second).mean())


def features(images: np.ndarray, store: WeightsStore) -> np.ndarray:
    """InceptionV3's `mixed8` activations, averaged over each image: (N, H, W, 3) uint8 -> (N, 1280) float32.

    Raises:
        WeightsError: the store has no weights of InceptionV3.
    """
    import tensorflow as tf

    from engines.backbones.backbone import load_backbone

    extract = load_backbone(NETWORK, store).extractor([LAYER])

    def pooled(rows):
        resized = tf.image.resize(tf.cast(rows, tf.float32) / 127.5 - 1, (SIDE, SIDE))
        return tf.reduce_mean(tf.cast(extract(resized)[0], tf.float32), axis=(1, 2))

    pooled = tf.function(pooled, input_signature=[tf.TensorSpec((None, *images.shape[1:]), tf.uint8)], autograph=False)
    return np.concatenate([np.asarray(pooled(images[start : start + 100])) for start in range(0, len(images), 100)])
