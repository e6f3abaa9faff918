"""A trained generator and discriminator, and the file they are stored in."""

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
from engines.dcgan.config import MOST_SEED
from engines.latent import geometry as latent
from engines.latent.directions import (
    PrincipalDirections,
    directions_of_features,
    first_layer_directions,
    packed_directions,
    unpacked_directions,
)
from engines.weights.npz import packed_network, unpack_network
from engines.weights.store import WeightsError, WeightsStore

if TYPE_CHECKING:
    import keras

BATCH = 64
# How many pictures the principal directions are found from, and how small these are made for it.
PICTURES, SMALL = 2048, 16
# Of either kind.
DIRECTIONS = 6


@dataclass(frozen=True, eq=False)
class GAN:
    """A trained generator with its critic.

    Attributes:
        name: of the architecture (`engines.dcgan.networks.ARCHITECTURES`).
        title: what a person calls it.
        shape: (height, width, channels) of its pictures.
        latent_dim: length of its latent vectors.
        generator: latent vectors, (B, Z) -> pictures, (B, H, W, 3) in [0, 1].
        critic: pictures -> a number each, (B, 1).
        realness: 1.0 where a larger number means a realer picture, -1.0 where a smaller one does.
        weights: SHA-256 of the file they came from.
        seen: how many real pictures the critic was shown in training.
        yardstick: (101,) float32: the percentiles of what the critic says of pictures it was not trained on, or None.
        principal: the directions in which drawn pictures vary most, or None.
        memory: what engines keep with the networks so that a second run does not trace again.
    """

    name: str
    title: str
    shape: tuple[int, int, int]
    latent_dim: int
    generator: keras.Model
    critic: keras.Model
    realness: float
    weights: str = ""
    seen: int = 0
    yardstick: np.ndarray | None = None
    principal: PrincipalDirections | None = None
    memory: dict[str, Any] = field(init=False, default_factory=dict, repr=False)

    def portable(self) -> dict[str, keras.Model]:
        """Its networks by name, in float32, of Keras's own layers only: to be opened where this project is not."""
        from engines.nn.portable import portable

        return {"generator": portable(self.generator), "discriminator": portable(self.critic)}

    def latents(self, seeds: Sequence[int], truncation: float = 1.0) -> np.ndarray:
        """Latent vectors from the prior N(0, I), (N, Z) float32, each a function of its seed alone.

        Args:
            truncation: what they are multiplied by: below 1 they are drawn towards the mean picture, which costs
                variety and buys likelihood (the truncation trick of Karras et al. 2019).

        Raises:
            ValueError: a seed that is none.
        """
        if any(not 0 <= seed <= MOST_SEED for seed in seeds):
            raise ValueError(message("A seed must be between 0 and {most}.", most=MOST_SEED))
        rows = [np.random.default_rng(seed).standard_normal(self.latent_dim) for seed in seeds]
        return (truncation * np.reshape(rows, (-1, self.latent_dim))).astype(np.float32)

    def sample(self, seeds: Sequence[int], truncation: float = 1.0) -> np.ndarray:
        """Pictures from noise, (N, H, W, 3) uint8, one a seed."""
        return self.decode(self.latents(seeds, truncation))

    def decode(self, z: np.ndarray) -> np.ndarray:
        """What is drawn from latent vectors, (N, Z) -> (N, H, W, 3) uint8.

        Raises:
            ValueError: vectors of another length, not finite or far outside.
        """
        z = latent.checked(z, self.latent_dim)
        return np.concatenate([np.asarray(self._decode(z[at : at + BATCH])) for at in range(0, max(1, len(z)), BATCH)])

    def edited(
        self, first: Sequence[float], second: Sequence[float] | None, blend: float, along: Sequence[float]
    ) -> np.ndarray:
        """A latent vector, (Z,) float32, moved.

        Args:
            first: where it begins, (Z,).
            second: where it would be at a blend of 1, on a great arc.
            blend: share of the second, in [0, 1].
            along: how far along each of `directions`, from the first.

        Raises:
            ValueError: places of another length, not finite or far outside.
        """
        z: np.ndarray = latent.checked(first, self.latent_dim)[0]
        if second is not None and blend:
            z = latent.slerp(z, latent.checked(second, self.latent_dim)[0], blend)
        count = min(len(along), len(self.directions))
        z = z + np.array(along[:count], np.float32) @ self.directions[:count]
        return np.clip(z, -latent.MOST, latent.MOST).astype(np.float32)

    @functools.cached_property
    def directions(self) -> np.ndarray:
        """Directions that change pictures most, (D, Z) float32 of unit length: first those of the generator's first
        layer, in closed form, then the principal ones of what it draws."""
        first = first_layer_directions(self._first_layer(), DIRECTIONS)
        return first if self.principal is None else np.concatenate([first, self.principal.directions])

    def _first_layer(self) -> np.ndarray:
        """What the generator's first layer multiplies latent vectors with, (Z, D), its normalisation counted in."""
        from engines.nn.layers import FusedBatchNormalization

        kernel = np.asarray(self.generator.get_layer("first").kernel)
        names = [layer.name for layer in self.generator.layers]
        # The reshaped features are normalised channel by channel, before anything that is not linear.
        after = self.generator.layers[names.index("first") + 2]
        if not isinstance(after, FusedBatchNormalization):
            return kernel
        scale = np.asarray(after.gamma) / np.sqrt(np.asarray(after.moving_variance) + after.epsilon)
        return (kernel.reshape(len(kernel), -1, len(scale)) * scale).reshape(kernel.shape)

    def verdicts(self, images: np.ndarray) -> np.ndarray:
        """What the critic says of pictures, (N, H, W, 3) uint8 -> (N,) float32: the larger, the realer.

        Raises:
            ValueError: pictures of another shape.
        """
        self._check(images)
        parts = [np.asarray(self._judge(images[at : at + BATCH])) for at in range(0, max(1, len(images)), BATCH)]
        return np.concatenate(parts)

    def standing(self, verdict: float) -> float | None:
        """The share, in percent, of real pictures not used in training that the critic finds less real; None where
        it has none to compare with."""
        if self.yardstick is None:
            return None
        return float(np.interp(verdict, self.yardstick, np.linspace(0, 100, len(self.yardstick))))

    def attention(self, image: np.ndarray) -> np.ndarray:
        """Where the critic looks, (H, W, 3) uint8 -> (H, W) float32 in [0, 1].

        How much its verdict would change with each pixel: the length of the gradient over the channels (Simonyan et
        al. 2014), as the mean over slightly noisy copies of the picture (Smilkov et al. 2017), smoothed.

        Raises:
            ValueError: a picture of another shape.
        """
        self._check(image[None])
        return np.asarray(self._attend(image))

    def _check(self, images: np.ndarray) -> None:
        if images.dtype != np.uint8 or images.shape[1:] != self.shape:
            raise ValueError(
                message("This critic takes pictures of {size}, not {given}.", size=self.shape, given=images.shape[1:])
            )

    @functools.cached_property
    def _decode(self) -> Any:
        import tensorflow as tf

        def decode(z):
            return tf.cast(tf.round(255 * tf.cast(self.generator(z, training=False), tf.float32)), tf.uint8)

        spec = tf.TensorSpec((None, self.latent_dim), tf.float32)
        return tf.function(decode, input_signature=[spec], autograph=False)

    @functools.cached_property
    def _judge(self) -> Any:
        import tensorflow as tf

        def judge(images):
            said = self.critic(tf.cast(images, tf.float32) / 255, training=False)
            return self.realness * tf.cast(said[:, 0], tf.float32)

        return tf.function(judge, input_signature=[tf.TensorSpec((None, *self.shape), tf.uint8)], autograph=False)

    @functools.cached_property
    def _attend(self) -> Any:
        import tensorflow as tf

        def attend(image):
            noise = tf.random.stateless_normal((16, *self.shape), (0, 0), stddev=0.06)
            pictures = tf.cast(image, tf.float32)[None] / 255 + noise
            with tf.GradientTape() as tape:
                tape.watch(pictures)
                said = tf.reduce_sum(self.critic(pictures, training=False))
            length = tf.norm(tape.gradient(said, pictures), axis=-1, keepdims=True)
            smooth = tf.reduce_mean(length, axis=0, keepdims=True)
            for _ in range(2):
                smooth = tf.nn.avg_pool2d(smooth, 5, 1, "SAME")
            return (smooth / (tf.reduce_max(smooth) + 1e-12))[0, :, :, 0]

        return tf.function(attend, input_signature=[tf.TensorSpec(self.shape, tf.uint8)], autograph=False)


def gan_of_networks(name: str, generator: keras.Model, critic: keras.Model) -> GAN:
    """A pair of networks of an architecture, whatever their weights are."""
    from engines.dcgan.networks import ARCHITECTURES

    architecture = ARCHITECTURES[name]
    return GAN(
        name=name,
        title=architecture.title,
        shape=architecture.shape,
        latent_dim=architecture.latent_dim,
        generator=generator,
        critic=critic,
        realness=architecture.realness,
    )


def principal_directions(gan: GAN, count: int = DIRECTIONS) -> PrincipalDirections:
    """The directions in which what a generator draws varies most: `directions_of_features` of small pictures."""
    latents = gan.latents(range(PICTURES))
    block = gan.shape[0] // SMALL
    pictures = gan.decode(latents).astype(np.float32) / 255
    small = pictures.reshape(len(pictures), SMALL, block, SMALL, block, -1).mean((2, 4))
    return directions_of_features(latents, small.reshape(len(small), -1), count)


# Files


def save_gan(file: Any, gan: GAN) -> None:
    """Write a pair of networks in float16 with what goes with it, into an open file, as .npz."""
    arrays: dict[str, Any] = {"architecture": np.array(gan.name), "seen": np.array(gan.seen)}
    arrays |= packed_network("generator", gan.generator) | packed_network("critic", gan.critic)
    if gan.yardstick is not None:
        arrays["yardstick"] = gan.yardstick
    np.savez_compressed(file, **(arrays | packed_directions(gan.principal)))


def read_gan(path: Path) -> GAN:
    """Read what `save_gan` wrote.

    Raises:
        WeightsError: the file is damaged, or belongs to other networks.
    """
    from engines.dcgan.networks import ARCHITECTURES

    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        name = str(arrays["architecture"])
        networks = ARCHITECTURES[name].build_generator(), ARCHITECTURES[name].build_critic()
        for part, network in zip(("generator", "critic"), networks, strict=True):
            unpack_network(part, network, arrays)
        principal = unpacked_directions(arrays)
        seen, yardstick = int(arrays["seen"]), arrays.get("yardstick")
    except (*UNREADABLE, TypeError) as error:
        raise WeightsError(
            message("{file} holds no adversarial networks of this version, or is damaged.", file=path.name)
        ) from error
    return dataclasses.replace(
        gan_of_networks(name, *networks),
        weights=sha256_of(path),
        seen=seen,
        yardstick=yardstick,
        principal=principal,
    )


def load_gan(name: str, store: WeightsStore) -> GAN:
    """The trained networks by their name ("faces", "notes"), the file's hash checked.

    Raises:
        WeightsError: not there, or not the file that it should be.
    """
    return read_gan(store.verified(f"dcgan_{name}").path)
