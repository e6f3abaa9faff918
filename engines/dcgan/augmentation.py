"""Differentiable augmentation for the discriminator.

With few training images the discriminator memorises them. Random changes to both real and generated images prevent
that; because the changes are differentiable, the generator still learns to draw unchanged images (Zhao et al. 2020,
"Differentiable augmentation for data-efficient GAN training").
"""

from __future__ import annotations

from typing import Any

# From none to strongest.
AUGMENTATIONS = ("none", "colour", "colour and shift")
BRIGHTNESS, SATURATION, CONTRAST = 0.15, (0.4, 1.6), (0.7, 1.3)
# Largest shift in pixels, for images of 64 x 64.
SHIFT = 8


def augment(images: Any, seed: Any, kind: str) -> Any:
    """Augment images, (B, H, W, 3) float32 in [0, 1]. The result may leave that range.

    Args:
        seed: (2,) int32; the same seed gives the same changes.
        kind: one of AUGMENTATIONS. "colour" changes brightness, saturation and contrast; "colour and shift" also
            translates, filling with black.
    """
    if kind == "none":
        return images
    images = _jitter_colour(images, seed)
    return _translate(images, seed + 1) if kind == "colour and shift" else images


def _jitter_colour(images: Any, seed: Any) -> Any:
    import tensorflow as tf

    def uniform(low: float, high: float, sample: Any) -> Any:
        return (low + (high - low) * sample)[:, None, None, None]

    samples = tf.random.stateless_uniform((tf.shape(images)[0], 3), seed)
    images = images + uniform(-BRIGHTNESS, BRIGHTNESS, samples[:, 0])
    gray = tf.reduce_mean(images, axis=3, keepdims=True)
    images = gray + (images - gray) * uniform(*SATURATION, samples[:, 1])
    mean = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
    return mean + (images - mean) * uniform(*CONTRAST, samples[:, 2])


def _translate(images: Any, seed: Any) -> Any:
    import tensorflow as tf

    count, (height, width) = tf.shape(images)[0], images.shape[1:3]
    shifts = tf.random.stateless_uniform((count, 2), seed, -SHIFT, SHIFT + 1, tf.int32)

    def shift_matrices(side: int, shifts: Any) -> Any:
        rows, columns = tf.range(side)[None, :, None], tf.range(side)[None, None, :]
        return tf.cast(tf.equal(columns, rows + shifts[:, None, None]), images.dtype)

    # Multiplying by shifted identity matrices is as fast as slicing, and so is the gradient.
    images = tf.einsum("bkh,bhwc->bkwc", shift_matrices(height, shifts[:, 0]), images)
    return tf.einsum("blw,bkwc->bklc", shift_matrices(width, shifts[:, 1]), images)
