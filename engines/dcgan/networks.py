"""Generator and discriminator architectures.

A generator maps latent vectors, (B, Z), to images, (B, H, W, 3) float32 in [0, 1]; a discriminator maps images to
logits, (B, 1) float32. Both run on any Keras backend.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
from keras import initializers, layers

from engines.dcgan.config import GROUP
from engines.nn.layers import (
    FusedBatchNormalization,
    MinibatchStandardDeviation,
    SpectralConv2D,
    SpectralDense,
    SteerableDropout,
)


@dataclass(frozen=True)
class Architecture:
    """A generator and a discriminator.

    Attributes:
        shape: (height, width, channels) of the images.
        latent_dim: length of the latent vectors.
        generator: latent input -> images.
        discriminator: image input -> logit.
        score_sign: 1.0 if a larger logit means a more realistic image, -1.0 if a smaller one does.
    """

    shape: tuple[int, int, int]
    latent_dim: int
    generator: Callable[[keras.KerasTensor], keras.KerasTensor]
    discriminator: Callable[[keras.KerasTensor], keras.KerasTensor]
    score_sign: float

    def build_generator(self) -> keras.Model:
        """Latent vectors -> images in [0, 1]."""
        inputs = keras.Input((self.latent_dim,), dtype="float32")
        return keras.Model(inputs, self.generator(inputs), name="generator")

    def build_discriminator(self) -> keras.Model:
        """Images in [0, 1] -> logits."""
        inputs = keras.Input(self.shape, dtype="float32")
        return keras.Model(inputs, self.discriminator(inputs), name="discriminator")


# Chollet's listing, section 12.5. The last layer's sigmoid is part of the loss here, for numerical stability. Generated
# images have label 1, so a smaller logit means a more realistic image.


def _notes_generator(z):
    x = layers.Reshape((8, 8, 128))(layers.Dense(8 * 8 * 128, name="first")(z))
    for width in (128, 256, 512):
        x = layers.LeakyReLU(negative_slope=0.2)(layers.Conv2DTranspose(width, 4, strides=2, padding="same")(x))
    x = layers.Conv2D(3, 5, padding="same")(x)
    return layers.Activation("sigmoid", dtype="float32")(x)


def _notes_discriminator(x):
    for width in (64, 128, 128):
        x = layers.LeakyReLU(negative_slope=0.2)(layers.Conv2D(width, 4, strides=2, padding="same")(x))
    x = SteerableDropout(0.2)(layers.Flatten()(x))
    return layers.Dense(1, dtype="float32")(x)


# Ours (after Radford et al. 2016 and Miyato et al. 2018): most channels at the lowest resolution. The listing does the
# opposite, which puts nine tenths of its arithmetic into one layer at 64 x 64 pixels.


def _normal():
    return initializers.RandomNormal(stddev=0.02)


def _faces_generator(z):
    x = layers.Reshape((4, 4, 384))(layers.Dense(4 * 4 * 384, use_bias=False, name="first")(z))
    x = layers.ReLU()(FusedBatchNormalization()(x))
    for width in (256, 128, 64):
        # A kernel size divisible by the stride avoids checkerboard artifacts (Odena et al. 2016), at a quarter of the
        # cost of upsampling before the convolution.
        x = layers.Conv2DTranspose(width, 4, strides=2, padding="same", use_bias=False, kernel_initializer=_normal())(x)
        x = layers.ReLU()(FusedBatchNormalization()(x))
    x = layers.Conv2DTranspose(3, 4, strides=2, padding="same", kernel_initializer=_normal())(x)
    return layers.Activation("sigmoid", dtype="float32")(x)


def _faces_discriminator(x):
    x = layers.Rescaling(2.0, offset=-1.0)(x)
    for width in (48, 96, 192, 256):
        x = layers.LeakyReLU(negative_slope=0.2)(SpectralConv2D(width, 4, strides=2)(x))
    x = SteerableDropout(0.0)(layers.Flatten()(MinibatchStandardDeviation(GROUP)(x)))
    return SpectralDense(1, dtype="float32")(x)


ARCHITECTURES = {
    "faces": Architecture((64, 64, 3), 128, _faces_generator, _faces_discriminator, 1.0),
    "notes": Architecture((64, 64, 3), 128, _notes_generator, _notes_discriminator, -1.0),
}
