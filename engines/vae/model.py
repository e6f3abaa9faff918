"""A trained autoencoder, and its file format."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.core.files import UNREADABLE, sha256_of
from engines.core.messages import message
from engines.latent import geometry as latent
from engines.latent.directions import PrincipalDirections, pack_directions, unpack_directions
from engines.weights.npz import pack_network, unpack_network
from engines.weights.store import WeightsError, WeightsStore

if TYPE_CHECKING:
    import keras

MAX_POINTS = 40 * 40
BATCH = 256


@dataclass(frozen=True)
class Concept:
    """A semantic direction in a latent space.

    Attributes:
        name: what increases along the direction.
        direction: (Z,) float32: the average change of the latent vector for a rating one standard deviation higher. For
            editing.
        probe: (Z,) float32 of unit length: the linear probe that predicts the rating best. For measuring; moving along
            it hardly changes an image.
        correlation: Spearman's rank correlation between the ratings of held-out images and their projection on
            `probe`.
    """

    name: str
    direction: np.ndarray
    probe: np.ndarray
    correlation: float


# Array names in the file, by field of `Concept`.
_CONCEPT_ARRAYS = {"direction": "direction", "probe": "gauge"}


@dataclass(frozen=True, eq=False)
class VAE:
    """A trained encoder and decoder.

    Attributes:
        name: key in `engines.vae.networks.ARCHITECTURES`.
        shape: (height, width, channels) of the images.
        latent_dim: length of the latent vectors.
        encoder: images, (B, H, W, C) in [0, 1] -> mean and log-variance, (B, Z) each.
        decoder: latent vectors, (B, Z) -> logits, (B, H, W, C).
        weights: SHA-256 of the file.
        principal: the principal directions of encoded training images, or None.
        concepts: named directions.
        refinement_steps: number of steps that refine the encoder's posterior (`engines.vae.inference`).
        examples: encoded held-out images, (N, Z) float32, and their classes, (N,) uint8; or None.
    """

    name: str
    shape: tuple[int, int, int]
    latent_dim: int
    encoder: keras.Model
    decoder: keras.Model
    weights: str = ""
    principal: PrincipalDirections | None = None
    concepts: tuple[Concept, ...] = ()
    examples: tuple[np.ndarray, np.ndarray] | None = None
    refinement_steps: int = 0

    def portable(self) -> dict[str, keras.Model]:
        """The networks by name, in float32, built from Keras's own layers only."""
        from engines.nn.portable import portable

        return {"encoder": portable(self.encoder), "decoder": portable(self.decoder)}

    def encode(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Encode images to means and log-variances, (N, Z) float32 each.

        Args:
            images: (N, H, W, C) uint8.

        Raises:
            ValueError: images of another shape.
        """
        if images.dtype != np.uint8 or images.shape[1:] != self.shape:
            raise ValueError(
                message(
                    "These networks take images of shape {size}, not {given}.", size=self.shape, given=images.shape[1:]
                )
            )
        means, log_variances = zip(*(self._encode(rows) for rows in _batches(images)), strict=True)
        return np.concatenate([np.asarray(m) for m in means]), np.concatenate([np.asarray(v) for v in log_variances])

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Decode latent vectors, (N, Z) -> (N, H, W, C) uint8.

        Raises:
            ValueError: vectors of another length, not finite, or out of range.
        """
        z = latent.check_latents(z, self.latent_dim)
        return np.concatenate([np.asarray(self._decode(rows)) for rows in _batches(z)])

    def sample(self, count: int, seed: int) -> np.ndarray:
        """Sample images from the prior, (count, H, W, C) uint8.

        With principal directions, the prior is a Gaussian fitted to the encoded training images, because they do not
        follow the standard normal distribution in a lightly regularised space.
        """
        return self.decode(self.sample_latents(count, seed))

    def sample_latents(self, count: int, seed: int, *, spread: float = 1.0) -> np.ndarray:
        """Sample latent vectors from the prior, (count, Z) float32; `spread` scales the standard deviation."""
        rng = np.random.default_rng(seed)
        if self.principal is None:
            return (spread * rng.standard_normal((count, self.latent_dim))).astype(np.float32)
        principal = self.principal
        along = spread * rng.standard_normal((count, len(principal.deviations))) * principal.deviations
        return (principal.mean + along @ principal.directions).astype(np.float32)

    def posterior_samples(self, mean: np.ndarray, log_variance: np.ndarray, count: int, seed: int) -> np.ndarray:
        """Sample latent vectors, (count, Z) float32, from the posterior with this mean and log-variance, (Z,) each."""
        noise = np.random.default_rng(seed).standard_normal((count, self.latent_dim))
        return (mean + np.exp(0.5 * log_variance) * noise).astype(np.float32)

    def reconstruct(self, images: np.ndarray, seed: int | None = None) -> np.ndarray:
        """Encode and decode (N, H, W, C) uint8: from the posterior's mean, or with a seed from one sample."""
        mean, log_variance = self.encode(images)
        return self.decode(mean if seed is None else self.posterior_samples(mean, log_variance, len(mean), seed))

    def posterior_of(self, image: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """An image's posterior: mean and standard deviation, (Z,) each, and the images decoded from the mean and
        from `count` samples, (1 + count, H, W, C) uint8."""
        mean, log_variance = (rows[0] for rows in self.encode(image[None]))
        samples = self.posterior_samples(mean, log_variance, count, seed)
        latents = np.clip(np.concatenate([mean[None], samples]), -latent.MAX_COORDINATE, latent.MAX_COORDINATE)
        return latents[0], np.exp(0.5 * log_variance), self.decode(latents)

    def locate(self, image: np.ndarray) -> tuple[np.ndarray, float]:
        """Encode one image, (H, W, C) uint8, to its mean, (Z,), with its mean absolute error in [0, 1].

        A large error means that the image is unlike the training data.
        """
        mean = np.clip(self.encode(image[None])[0][0], -latent.MAX_COORDINATE, latent.MAX_COORDINATE)
        error = np.abs(self.decode(mean)[0].astype(np.float32) - image).mean() / 255
        return mean, float(error)

    def edited(
        self,
        first: Sequence[float],
        second: Sequence[float] | None,
        blend: float,
        amounts: Mapping[str, float],
        along: Sequence[float],
    ) -> np.ndarray:
        """Blend a latent vector with another and move it along concepts and principal directions.

        Args:
            first: the vector to edit, (Z,).
            second: the vector to blend with, (Z,), by spherical interpolation.
            blend: share of `second`, in [0, 1].
            amounts: distance along each concept by name, in standard deviations; unknown names are ignored.
            along: distance along each of the first principal directions, in standard deviations.

        Returns:
            (Z,) float32.

        Raises:
            ValueError: vectors of another length, not finite, or out of range.
        """
        z: np.ndarray = latent.check_latents(first, self.latent_dim)[0]
        if second is not None and blend:
            z = latent.slerp(z, latent.check_latents(second, self.latent_dim)[0], blend)
        for concept in self.concepts:
            z = z + amounts.get(concept.name, 0.0) * concept.direction
        if self.principal is not None:
            count = min(len(along), len(self.principal.deviations))
            steps = np.array(along[:count], np.float32) * self.principal.deviations[:count]
            z = z + steps @ self.principal.directions[:count]
        return np.clip(z, -latent.MAX_COORDINATE, latent.MAX_COORDINATE).astype(np.float32)

    def latent_grid(self, count: int, z_range: float, spacing: str = "linear") -> np.ndarray:
        """Decode a grid over a two-dimensional latent space, (count, count, H, W, C) uint8, in one batch.

        Rows run from the largest z[1] down, columns from the smallest z[0] up, as in a plot. `z_range` and `spacing`
        are as for `engines.latent.geometry.axis_values`.

        Raises:
            ValueError: a latent space of other than two dimensions, too many points, or an invalid z_range or spacing.
        """
        if self.latent_dim != 2:
            raise ValueError(message("A map needs a two-dimensional latent space."))
        if count * count > MAX_POINTS:
            raise ValueError(message("A map can have at most {most} points; use a coarser grid.", most=MAX_POINTS))
        points = latent.latent_grid(count, z_range, spacing).reshape(-1, 2)
        return np.asarray(self._decode(points)).reshape(count, count, *self.shape)

    @functools.cached_property
    def _encode(self) -> Any:
        import tensorflow as tf

        from engines.vae.inference import binary_cross_entropy, kl_loss, refine_posterior

        def encode(images):
            images = tf.cast(images, tf.float32) / 255
            mean, log_variance = self.encoder(images, training=False)
            if not self.refinement_steps:
                return mean, log_variance

            def negative_elbo(mean, log_variance, z):
                logits = tf.cast(self.decoder(z, training=False), tf.float32)
                return binary_cross_entropy(images, logits) + kl_loss(mean, log_variance)

            return refine_posterior(negative_elbo, mean, log_variance, self.refinement_steps)

        spec = tf.TensorSpec((None, *self.shape), tf.uint8)
        return tf.function(encode, input_signature=[spec], autograph=False)

    @functools.cached_property
    def _decode(self) -> Any:
        import tensorflow as tf

        def decode(z):
            pixels = tf.sigmoid(tf.cast(self.decoder(z, training=False), tf.float32))
            return tf.cast(tf.round(pixels * 255), tf.uint8)

        spec = tf.TensorSpec((None, self.latent_dim), tf.float32)
        return tf.function(decode, input_signature=[spec], autograph=False)


def _batches(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[start : start + BATCH] for start in range(0, max(1, len(rows)), BATCH)]


def vae_from_networks(name: str, encoder: keras.Model, decoder: keras.Model) -> VAE:
    """Wrap an encoder and a decoder of the named architecture."""
    from engines.vae.networks import ARCHITECTURES

    architecture = ARCHITECTURES[name]
    return VAE(
        name=name,
        shape=architecture.shape,
        latent_dim=architecture.latent_dim,
        encoder=encoder,
        decoder=decoder,
        refinement_steps=architecture.refinement_steps,
    )


# Files


def save_vae(
    file: Any,
    name: str,
    encoder: keras.Model,
    decoder: keras.Model,
    principal: PrincipalDirections | None = None,
    concepts: Sequence[Concept] = (),
    examples: tuple[np.ndarray, np.ndarray] | None = None,
) -> None:
    """Write the networks in float16, with directions, concepts and examples, into an open file, as .npz."""
    arrays: dict[str, Any] = {"architecture": np.array(name)}
    arrays |= pack_network("encoder", encoder) | pack_network("decoder", decoder) | pack_directions(principal)
    if examples is not None:
        arrays |= {"examples/latents": examples[0].astype(np.float16), "examples/labels": examples[1]}
    for i, concept in enumerate(concepts):
        arrays |= {f"concept/{i:03d}/{key}": getattr(concept, field) for field, key in _CONCEPT_ARRAYS.items()}
    table = [{"name": concept.name, "correlation": concept.correlation} for concept in concepts]
    np.savez_compressed(file, concepts=np.array(json.dumps(table)), **arrays)


def read_vae(path: Path) -> VAE:
    """Read what `save_vae` wrote.

    Raises:
        WeightsError: the file is damaged or holds another kind of network.
    """
    from engines.vae.networks import ARCHITECTURES

    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        name = str(arrays["architecture"])
        networks = ARCHITECTURES[name].build_encoder(), ARCHITECTURES[name].build_decoder()
        for part, network in zip(("encoder", "decoder"), networks, strict=True):
            unpack_network(part, network, arrays)
        principal = unpack_directions(arrays)
        examples = None
        if "examples/latents" in arrays:
            examples = arrays["examples/latents"].astype(np.float32), arrays["examples/labels"]
        table = json.loads(str(arrays["concepts"]))
        concepts = tuple(
            Concept(**row, **{field: arrays[f"concept/{i:03d}/{key}"] for field, key in _CONCEPT_ARRAYS.items()})
            for i, row in enumerate(table)
        )
    except (*UNREADABLE, TypeError) as error:
        raise WeightsError(
            message(
                "{file} is damaged or does not contain an autoencoder of this version; use another file.",
                file=path.name,
            )
        ) from error
    return dataclasses.replace(
        vae_from_networks(name, *networks),
        weights=sha256_of(path),
        principal=principal,
        concepts=concepts,
        examples=examples,
    )


def load_vae(name: str, store: WeightsStore) -> VAE:
    """Load trained networks by name ("digits", "digits_notes", "faces"), checking the file's hash.

    Raises:
        WeightsError: the file is missing or has another hash.
    """
    return read_vae(store.verified(f"vae_{name}").path)
