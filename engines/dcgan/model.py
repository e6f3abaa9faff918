"""A trained generator and discriminator, and their file format."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.core.files import UNREADABLE, sha256_of
from engines.core.messages import message
from engines.dcgan.config import MAX_SEED
from engines.latent import geometry as latent
from engines.latent.directions import (
    PrincipalDirections,
    directions_of_features,
    first_layer_directions,
    pack_directions,
    unpack_directions,
)
from engines.weights.npz import pack_network, unpack_network
from engines.weights.store import WeightsError, WeightsStore

if TYPE_CHECKING:
    import keras

BATCH = 64
# Number and side length of the images from which the principal directions are computed.
IMAGES, THUMBNAIL_SIDE = 2048, 16
# For each method: SeFa and principal components.
DIRECTIONS = 6


@dataclass(frozen=True, eq=False)
class GAN:
    """A trained generator and discriminator.

    Attributes:
        name: key in `engines.dcgan.networks.ARCHITECTURES`.
        shape: (height, width, channels) of the images.
        latent_dim: length of the latent vectors.
        generator: latent vectors, (B, Z) -> images, (B, H, W, 3) in [0, 1].
        discriminator: images, (B, H, W, 3) in [0, 1] -> logits, (B, 1).
        score_sign: 1.0 if a larger logit means a more realistic image, -1.0 if a smaller one does.
        weights: SHA-256 of the file.
        seen: number of real images shown in training.
        held_out_percentiles: (101,) float32: percentiles of the scores of held-out images, or None.
        principal: the directions in which generated images vary most, or None.
        memory: compiled functions, cached so that a second run does not retrace.
    """

    name: str
    shape: tuple[int, int, int]
    latent_dim: int
    generator: keras.Model
    discriminator: keras.Model
    score_sign: float
    weights: str = ""
    seen: int = 0
    held_out_percentiles: np.ndarray | None = None
    principal: PrincipalDirections | None = None
    memory: dict[str, Any] = field(init=False, default_factory=dict, repr=False)

    def portable(self) -> dict[str, keras.Model]:
        """The networks by name, in float32, built from Keras's own layers only."""
        from engines.nn.portable import portable

        return {"generator": portable(self.generator), "discriminator": portable(self.discriminator)}

    def latents(self, seeds: Sequence[int], truncation: float = 1.0) -> np.ndarray:
        """Sample latent vectors from the prior N(0, I), (N, Z) float32, each determined by its seed.

        Args:
            truncation: scale of the vectors. Below 1, images are closer to the mean image: less varied but more
                realistic (the truncation trick of Karras et al. 2019).

        Raises:
            ValueError: a seed out of range.
        """
        if any(not 0 <= seed <= MAX_SEED for seed in seeds):
            raise ValueError(message("A seed must be between 0 and {most}.", most=MAX_SEED))
        rows = [np.random.default_rng(seed).standard_normal(self.latent_dim) for seed in seeds]
        return (truncation * np.reshape(rows, (-1, self.latent_dim))).astype(np.float32)

    def sample(self, seeds: Sequence[int], truncation: float = 1.0) -> np.ndarray:
        """Generate one image for each seed, (N, H, W, 3) uint8."""
        return self.decode(self.latents(seeds, truncation))

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Generate images from latent vectors, (N, Z) -> (N, H, W, 3) uint8.

        Raises:
            ValueError: vectors of another length, not finite, or out of range.
        """
        z = latent.check_latents(z, self.latent_dim)
        return np.concatenate([np.asarray(self._decode(z[at : at + BATCH])) for at in range(0, max(1, len(z)), BATCH)])

    def edited(
        self, first: Sequence[float], second: Sequence[float] | None, blend: float, along: Sequence[float]
    ) -> np.ndarray:
        """Blend a latent vector with another and move it along `directions`; returns (Z,) float32.

        Args:
            first: the vector to edit, (Z,).
            second: the vector to blend with, (Z,), by spherical interpolation.
            blend: share of `second`, in [0, 1].
            along: distance along each of the first `directions`.

        Raises:
            ValueError: vectors of another length, not finite, or out of range.
        """
        z: np.ndarray = latent.check_latents(first, self.latent_dim)[0]
        if second is not None and blend:
            z = latent.slerp(z, latent.check_latents(second, self.latent_dim)[0], blend)
        count = min(len(along), len(self.directions))
        z = z + np.array(along[:count], np.float32) @ self.directions[:count]
        return np.clip(z, -latent.MAX_COORDINATE, latent.MAX_COORDINATE).astype(np.float32)

    @functools.cached_property
    def directions(self) -> np.ndarray:
        """Directions that change images most, (D, Z) float32 of unit length: first those of the generator's first
        layer (SeFa), then the principal directions of its images (GANSpace)."""
        first = first_layer_directions(self._first_layer(), DIRECTIONS)
        return first if self.principal is None else np.concatenate([first, self.principal.directions])

    def _first_layer(self) -> np.ndarray:
        """The matrix of the generator's first layer, (Z, D), including the batch normalisation after it."""
        from engines.nn.layers import FusedBatchNormalization

        kernel = np.asarray(self.generator.get_layer("first").kernel)
        names = [layer.name for layer in self.generator.layers]
        # The batch normalisation follows the reshape, before any non-linearity.
        after = self.generator.layers[names.index("first") + 2]
        if not isinstance(after, FusedBatchNormalization):
            return kernel
        scale = np.asarray(after.gamma) / np.sqrt(np.asarray(after.moving_variance) + after.epsilon)
        return (kernel.reshape(len(kernel), -1, len(scale)) * scale).reshape(kernel.shape)

    def scores(self, images: np.ndarray) -> np.ndarray:
        """The discriminator's scores, (N, H, W, 3) uint8 -> (N,) float32: the larger, the more realistic.

        Raises:
            ValueError: images of another shape.
        """
        self._check(images)
        parts = [np.asarray(self._score(images[at : at + BATCH])) for at in range(0, max(1, len(images)), BATCH)]
        return np.concatenate(parts)

    def score_percentile(self, score: float) -> float | None:
        """The percentage of held-out real images with a lower score, in [0, 100]; None without
        `held_out_percentiles`."""
        if self.held_out_percentiles is None:
            return None
        return float(np.interp(score, self.held_out_percentiles, np.linspace(0, 100, len(self.held_out_percentiles))))

    def saliency_map(self, image: np.ndarray) -> np.ndarray:
        """SmoothGrad saliency of the discriminator's score, (H, W, 3) uint8 -> (H, W) float32 in [0, 1].

        The norm of the gradient over the channels (Simonyan et al. 2014), averaged over noisy copies of the image
        (Smilkov et al. 2017) and then blurred.

        Raises:
            ValueError: an image of another shape.
        """
        self._check(image[None])
        return np.asarray(self._saliency(image))

    def _check(self, images: np.ndarray) -> None:
        if images.dtype != np.uint8 or images.shape[1:] != self.shape:
            raise ValueError(
                message(
                    "This discriminator takes images of shape {size}, not {given}.",
                    size=self.shape,
                    given=images.shape[1:],
                )
            )

    @functools.cached_property
    def _decode(self) -> Any:
        import tensorflow as tf

        def decode(z):
            return tf.cast(tf.round(255 * tf.cast(self.generator(z, training=False), tf.float32)), tf.uint8)

        spec = tf.TensorSpec((None, self.latent_dim), tf.float32)
        return tf.function(decode, input_signature=[spec], autograph=False)

    @functools.cached_property
    def _score(self) -> Any:
        import tensorflow as tf

        def score(images):
            output = self.discriminator(tf.cast(images, tf.float32) / 255, training=False)
            return self.score_sign * tf.cast(output[:, 0], tf.float32)

        return tf.function(score, input_signature=[tf.TensorSpec((None, *self.shape), tf.uint8)], autograph=False)

    @functools.cached_property
    def _saliency(self) -> Any:
        import tensorflow as tf

        def saliency(image):
            noise = tf.random.stateless_normal((16, *self.shape), (0, 0), stddev=0.06)
            images = tf.cast(image, tf.float32)[None] / 255 + noise
            with tf.GradientTape() as tape:
                tape.watch(images)
                output = tf.reduce_sum(self.discriminator(images, training=False))
            magnitude = tf.norm(tape.gradient(output, images), axis=-1, keepdims=True)
            smooth = tf.reduce_mean(magnitude, axis=0, keepdims=True)
            for _ in range(2):
                smooth = tf.nn.avg_pool2d(smooth, 5, 1, "SAME")
            return (smooth / (tf.reduce_max(smooth) + 1e-12))[0, :, :, 0]

        return tf.function(saliency, input_signature=[tf.TensorSpec(self.shape, tf.uint8)], autograph=False)


def gan_from_networks(name: str, generator: keras.Model, discriminator: keras.Model) -> GAN:
    """Wrap a generator and a discriminator of the named architecture."""
    from engines.dcgan.networks import ARCHITECTURES

    architecture = ARCHITECTURES[name]
    return GAN(
        name=name,
        shape=architecture.shape,
        latent_dim=architecture.latent_dim,
        generator=generator,
        discriminator=discriminator,
        score_sign=architecture.score_sign,
    )


def principal_directions(gan: GAN, count: int = DIRECTIONS) -> PrincipalDirections:
    """The directions in which a generator's images vary most: `directions_of_features` of downsampled images."""
    latents = gan.latents(range(IMAGES))
    block = gan.shape[0] // THUMBNAIL_SIDE
    images = gan.decode(latents).astype(np.float32) / 255
    small = images.reshape(len(images), THUMBNAIL_SIDE, block, THUMBNAIL_SIDE, block, -1).mean((2, 4))
    return directions_of_features(latents, small.reshape(len(small), -1), count)


# Files


def save_gan(file: Any, gan: GAN) -> None:
    """Write the networks in float16, with percentiles and directions, into an open file, as .npz."""
    # The array names are part of the file format.
    arrays: dict[str, Any] = {"architecture": np.array(gan.name), "seen": np.array(gan.seen)}
    arrays |= pack_network("generator", gan.generator) | pack_network("critic", gan.discriminator)
    if gan.held_out_percentiles is not None:
        arrays["yardstick"] = gan.held_out_percentiles
    np.savez_compressed(file, **(arrays | pack_directions(gan.principal)))


def read_gan(path: Path) -> GAN:
    """Read what `save_gan` wrote.

    Raises:
        WeightsError: the file is damaged or holds another kind of network.
    """
    from engines.dcgan.networks import ARCHITECTURES

    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        name = str(arrays["architecture"])
        networks = ARCHITECTURES[name].build_generator(), ARCHITECTURES[name].build_discriminator()
        for part, network in zip(("generator", "critic"), networks, strict=True):
            unpack_network(part, network, arrays)
        principal = unpack_directions(arrays)
        seen, held_out_percentiles = int(arrays["seen"]), arrays.get("yardstick")
    except (*UNREADABLE, TypeError) as error:
        raise WeightsError(
            message("{file} is damaged or does not contain a DCGAN of this version; use another file.", file=path.name)
        ) from error
    return dataclasses.replace(
        gan_from_networks(name, *networks),
        weights=sha256_of(path),
        seen=seen,
        held_out_percentiles=held_out_percentiles,
        principal=principal,
    )


def load_gan(name: str, store: WeightsStore) -> GAN:
    """Load trained networks by name ("faces", "notes"), checking the file's hash.

    Raises:
        WeightsError: the file is missing or has another hash.
    """
    return read_gan(store.verified(f"dcgan_{name}").path)
