"""Kernel inception distance between two sets of pictures (Bińkowski et al. 2018).

Unlike the Fréchet distance it has no bias at two thousand pictures, so that a set can be held against a small one.
"""

from __future__ import annotations

import numpy as np

from engines.weights.store import WeightsStore

NETWORK, LAYER, SIDE = "inception_v3", "mixed8", 299


def polynomial_kernel(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(x·y / D + 1)³ of each pair, (M, D), (N, D) -> (M, N) float64."""
    return (first.astype(np.float64) @ second.T.astype(np.float64) / first.shape[1] + 1) ** 3


def kernel_distance(first: np.ndarray, second: np.ndarray) -> float:
    """The squared maximum mean discrepancy of two sets of features, (M, D), (N, D), under the polynomial kernel.

    The unbiased estimate (Gretton et al. 2012, equation 3), which is around 0, and may be below, for equal sources.

    Raises:
        ValueError: fewer than two features in a set.
    """
    if min(len(first), len(second)) < 2:
        raise ValueError("A kernel distance needs at least two pictures on either side.")

    def among(features: np.ndarray) -> float:
        kernel = polynomial_kernel(features, features)
        return (kernel.sum() - np.trace(kernel)) / (len(features) * (len(features) - 1))

    return float(among(first) + among(second) - 2 * polynomial_kernel(first, second).mean())


def features(images: np.ndarray, store: WeightsStore) -> np.ndarray:
    """What InceptionV3 sees in pictures, (N, H, W, 3) uint8 -> (N, 1280) float32: `mixed8`, averaged over the picture.

    Raises:
        WeightsError: InceptionV3's weights are not where the store looks.
    """
    import tensorflow as tf

    from engines.backbones.backbone import load_backbone

    extract = load_backbone(NETWORK, store).extractor([LAYER])

    def seen(rows):
        pictures = tf.image.resize(tf.cast(rows, tf.float32) / 127.5 - 1, (SIDE, SIDE))
        return tf.reduce_mean(tf.cast(extract(pictures)[0], tf.float32), axis=(1, 2))

    seen = tf.function(seen, input_signature=[tf.TensorSpec((None, *images.shape[1:]), tf.uint8)], autograph=False)
    return np.concatenate([np.asarray(seen(images[start : start + 100])) for start in range(0, len(images), 100)])
