"""Encoder and decoder architectures.

An encoder maps images, (B, H, W, C) in [0, 1], to the mean and log-variance of a Gaussian over latent vectors, (B, Z)
each; a decoder maps latent vectors, (B, Z), to pixel logits, (B, H, W, C). Both run on any Keras backend.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
from keras import initializers, layers, ops


@dataclass(frozen=True)
class Architecture:
    """An encoder and a decoder.

    Attributes:
        shape: (height, width, channels) of the images.
        latent_dim: length of the latent vectors.
        encoder: image input -> features, before the two heads.
        decoder: latent input -> logits.
        refinement_steps: number of steps that refine the encoder's posterior (`engines.vae.inference`); only for
            images of one channel.
    """

    shape: tuple[int, int, int]
    latent_dim: int
    encoder: Callable[[keras.KerasTensor], keras.KerasTensor]
    decoder: Callable[[keras.KerasTensor], keras.KerasTensor]
    refinement_steps: int = 0

    def build_encoder(self) -> keras.Model:
        """Images -> [mean, log-variance]."""
        inputs = keras.Input(self.shape, dtype="float32")
        features = self.encoder(inputs)
        # In float32: rounding the mean would move the image in latent space.
        heads = [
            layers.Dense(self.latent_dim, name=name, dtype="float32")(features) for name in ("z_mean", "z_log_var")
        ]
        return keras.Model(inputs, heads, name="encoder")

    def build_decoder(self) -> keras.Model:
        """Latent vectors -> logits."""
        inputs = keras.Input((self.latent_dim,), dtype="float32")
        return keras.Model(inputs, self.decoder(inputs), name="decoder")


def _notes_encoder(x):
    # Chollet's listing, section 12.4.
    x = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2D(64, 3, strides=2, padding="same", activation="relu")(x)
    return layers.Dense(16, activation="relu")(layers.Flatten()(x))


def _notes_decoder(z):
    # The listing's last layer has a sigmoid, which is part of the loss here for numerical stability.
    x = layers.Reshape((7, 7, 64))(layers.Dense(7 * 7 * 64, activation="relu", dtype="float32")(z))
    x = layers.Conv2DTranspose(64, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2DTranspose(32, 3, strides=2, padding="same", activation="relu")(x)
    return layers.Conv2D(1, 3, padding="same")(x)


def _digits_encoder(x):
    # Dropout of a quarter of the pixels keeps the encoder from memorising the codes of its training digits.
    x = layers.Dropout(0.25)(layers.Flatten()(x))
    x = layers.Dense(512, activation="relu")(x)
    for _ in range(2):
        # In float32, like the heads: rounding would move the image in latent space.
        x = layers.Dense(512, activation="relu", dtype="float32")(x)
    return x


def _digits_decoder(z):
    # With two latent dimensions the decoder must learn high frequencies, which dense layers learn slowly; sine features
    # help (Tancik et al. 2020; Sitzmann et al. 2020). They start at random and are trained with the rest.
    x = layers.Dense(
        256,
        activation=ops.sin,
        kernel_initializer=initializers.RandomNormal(stddev=2.0),
        bias_initializer=initializers.RandomUniform(-3.14, 3.14),
        dtype="float32",
    )(z)
    for _ in range(3):
        x = layers.Dense(512, activation="relu")(x)
    return layers.Reshape((28, 28, 1))(layers.Dense(28 * 28, dtype="float32")(x))


def _residual(x, width: int):
    """Residual block of two 3x3 convolutions; the second starts at zero, so the block starts as the identity."""
    y = layers.Conv2D(width, 3, padding="same", activation="relu")(layers.ReLU()(x))
    return layers.Add()([x, layers.Conv2D(width, 3, padding="same", kernel_initializer="zeros")(y)])


def _faces_encoder(x):
    # 64 -> 32 -> 16 -> 8 -> 4 pixels.
    x = layers.Conv2D(32, 4, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2D(64, 4, strides=2, padding="same", activation="relu")(x)
    x = _residual(layers.Conv2D(128, 4, strides=2, padding="same")(x), 128)
    x = _residual(layers.Conv2D(256, 4, strides=2, padding="same")(layers.ReLU()(x)), 256)
    return layers.Flatten()(layers.ReLU()(x))


def _faces_decoder(z):
    x = layers.Reshape((4, 4, 256))(layers.Dense(4 * 4 * 256)(z))
    for width in (128, 64, 48):
        x = layers.ReLU()(_residual(x, x.shape[-1]))
        # Upsampling before the convolution avoids checkerboard artifacts (Odena et al. 2016).
        x = layers.Conv2D(width, 3, padding="same")(layers.UpSampling2D()(x))
    x = layers.ReLU()(_residual(x, 48))
    # Sub-pixel upsampling (Shi et al. 2016): a convolution at 64 x 64 pixels would take a third of the total time.
    x = layers.Conv2D(4 * 3, 3, padding="same", dtype="float32")(x)
    x = layers.Permute((1, 3, 2, 4, 5))(layers.Reshape((32, 32, 2, 2, 3))(x))
    return layers.Reshape((64, 64, 3))(x)


ARCHITECTURES = {
    "digits_notes": Architecture((28, 28, 1), 2, _notes_encoder, _notes_decoder),
    "digits": Architecture((28, 28, 1), 2, _digits_encoder, _digits_decoder, 20),
    "faces": Architecture((64, 64, 3), 256, _faces_encoder, _faces_decoder),
}
