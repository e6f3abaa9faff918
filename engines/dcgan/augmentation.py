"""Differentiable augmentation for the discriminator.

A critic that sees few pictures again and again learns them by heart. Changed at random before it sees them, they stay
new; as drawn pictures are changed in the same way, and the change has a gradient, what is learnt is still to draw
unchanged ones (Zhao et al. 2020, "Differentiable augmentation for data-efficient GAN training").
"""

from __future__ import annotations

from typing import Any

# Names, from the first that does nothing.
AUGMENTATIONS = ("none", "colour", "colour and shift")
BRIGHTNESS, SATURATION, CONTRAST = 0.15, (0.4, 1.6), (0.7, 1.3)
# By how many pixels a side of 64 is shifted at most.
SHIFT = 8


def augmented(images: Any, seed: Any, kind: str) -> Any:
    """Pictures, (B, H, W, 3) float32 in [0, 1], changed at random; they may leave that range.

    Args:
        seed: (2,) int32; the same seed changes in the same way.
        kind: one of AUGMENTATIONS: brightness, saturation and contrast; these and shifts, black coming in.
    """
    if kind == "none":
        return images
    images = _colour(images, seed)
    return _shifted(images, seed + 1) if kind == "colour and shift" else images


def _colour(images: Any, seed: Any) -> Any:
    import tensorflow as tf

    def between(low: float, high: float, share: Any) -> Any:
        return (low + (high - low) * share)[:, None, None, None]

    shares = tf.random.stateless_uniform((tf.shape(images)[0], 3), seed)
    images = images + between(-BRIGHTNESS, BRIGHTNESS, shares[:, 0])
    gray = tf.reduce_mean(images, axis=3, keepdims=True)
    images = gray + (images - gray) * between(*SATURATION, shares[:, 1])
    mean = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
    return mean + (images - mean) * between(*CONTRAST, shares[:, 2])


def _shifted(images: Any, seed: Any) -> Any:
    import tensorflow as tf

    count, (height, width) = tf.shape(images)[0], images.shape[1:3]
    by = tf.random.stateless_uniform((count, 2), seed, -SHIFT, SHIFT + 1, tf.int32)

    def matrices(side: int, shifts: Any) -> Any:
        rows, columns = tf.range(side)[None, :, None], tf.range(side)[None, None, :]
        return tf.cast(tf.equal(columns, rows + shifts[:, None, None]), images.dtype)

    # As products with shifted unit matrices, which are as fast as cutting out would be and whose gradient is too.
    images = tf.einsum("bkh,bhwc->bkwc", matrices(height, by[:, 0]), images)
    return tf.einsum("blw,bkwc->bklc", matrices(width, by[:, 1]), images)
