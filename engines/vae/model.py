"""A trained autoencoder, and the file it is stored in."""

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
from engines.latent.directions import PrincipalDirections, packed_directions, unpacked_directions
from engines.weights.npz import packed_network, unpack_network
from engines.weights.store import WeightsError, WeightsStore

if TYPE_CHECKING:
    import keras

MOST_POINTS = 40 * 40
BATCH = 256


@dataclass(frozen=True)
class Concept:
    """A direction in a latent space along which pictures get more of something.

    Attributes:
        name: what there is more of.
        direction: (Z,) float32: what a picture's latent vector changes by, on average, where there is one standard
            deviation more of it. For editing.
        gauge: (Z,) float32 of unit length: the direction whose coordinate tells best how much there is. For measuring;
            moving along it changes as little else as can be, and so hardly anything that one sees.
        correlation: Spearman's rank correlation of held-out pictures' ratings with their coordinate along the gauge.
    """

    name: str
    direction: np.ndarray
    gauge: np.ndarray
    correlation: float


@dataclass(frozen=True, eq=False)
class VAE:
    """A trained pair of networks.

    Attributes:
        name: of the architecture (`engines.vae.networks.ARCHITECTURES`).
        title: what a person calls it.
        shape: (height, width, channels) of its pictures.
        latent_dim: length of its latent vectors.
        encoder: pictures, (B, H, W, C) in [0, 1] -> mean and log-variance, (B, Z).
        decoder: latent vectors, (B, Z) -> logits, (B, H, W, C).
        weights: SHA-256 of the file they came from.
        principal: the directions in which encoded training pictures vary most, or None.
        concepts: directions that have a name.
        refinement_steps: by how many steps the encoder's guess is refined (`engines.vae.inference`).
        examples: encoded held-out pictures, (N, Z) float32, and their classes, (N,) uint8, or None.
    """

    name: str
    title: str
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
        """Its networks by name, in float32, of Keras's own layers only: to be opened where this project is not."""
        from engines.nn.portable import portable

        return {"encoder": portable(self.encoder), "decoder": portable(self.decoder)}

    def encode(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where pictures lie: means and log-variances, (N, Z) float32 each.

        Args:
            images: (N, H, W, C) uint8, C as the networks have it.

        Raises:
            ValueError: pictures of another shape.
        """
        if images.dtype != np.uint8 or images.shape[1:] != self.shape:
            raise ValueError(
                message("These networks take pictures of {size}, not {given}.", size=self.shape, given=images.shape[1:])
            )
        means, log_variances = zip(*(self._encode(rows) for rows in _batches(images)), strict=True)
        return np.concatenate([np.asarray(m) for m in means]), np.concatenate([np.asarray(v) for v in log_variances])

    def decode(self, z: np.ndarray) -> np.ndarray:
        """What lies at latent vectors, (N, Z) -> (N, H, W, C) uint8.

        Raises:
            ValueError: vectors of another length, not finite or far outside.
        """
        z = latent.checked(z, self.latent_dim)
        return np.concatenate([np.asarray(self._decode(rows)) for rows in _batches(z)])

    def sample(self, count: int, seed: int) -> np.ndarray:
        """Pictures drawn from the prior, (count, H, W, C) uint8.

        With principal directions the prior is the Gaussian that encoded pictures follow on the whole, which a
        lightly regularised space has in place of the standard one.
        """
        return self.decode(self.sample_latents(count, seed))

    def sample_latents(self, count: int, seed: int, *, spread: float = 1.0) -> np.ndarray:
        """The latent vectors of `sample`, (count, Z) float32; `spread` scales the standard deviation."""
        rng = np.random.default_rng(seed)
        if self.principal is None:
            return (spread * rng.standard_normal((count, self.latent_dim))).astype(np.float32)
        principal = self.principal
        along = spread * rng.standard_normal((count, len(principal.deviations))) * principal.deviations
        return (principal.mean + along @ principal.directions).astype(np.float32)

    def posterior_samples(self, mean: np.ndarray, log_variance: np.ndarray, count: int, seed: int) -> np.ndarray:
        """Latent vectors that a picture may have come from, (count, Z) float32, given its mean and log-variance."""
        noise = np.random.default_rng(seed).standard_normal((count, self.latent_dim))
        return (mean + np.exp(0.5 * log_variance) * noise).astype(np.float32)

    def reconstruct(self, images: np.ndarray, seed: int | None = None) -> np.ndarray:
        """Encode and decode, (N, H, W, C) uint8 -> the same; from the mean, or with a seed from one sample."""
        mean, log_variance = self.encode(images)
        return self.decode(mean if seed is None else self.posterior_samples(mean, log_variance, len(mean), seed))

    def posterior_of(self, image: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A picture's posterior: mean and standard deviation, (Z,) each, and what is decoded at the mean and then at
        samples, (1 + count, H, W, C) uint8."""
        mean, log_variance = (rows[0] for rows in self.encode(image[None]))
        samples = self.posterior_samples(mean, log_variance, count, seed)
        places = np.clip(np.concatenate([mean[None], samples]), -latent.MOST, latent.MOST)
        return places[0], np.exp(0.5 * log_variance), self.decode(places)

    def place_of(self, image: np.ndarray) -> tuple[np.ndarray, float]:
        """Where a picture, (H, W, C) uint8, lies: its mean, (Z,), and the mean absolute error of what is decoded there,
        in [0, 1], by which one sees whether it is the kind of picture that these networks know."""
        mean = np.clip(self.encode(image[None])[0][0], -latent.MOST, latent.MOST)
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
        """A latent vector, (Z,) float32, moved.

        Args:
            first: where it begins, (Z,).
            second: where it would be at a blend of 1, on an arc.
            blend: share of the second, in [0, 1].
            amounts: how far along each concept, by its name, in standard deviations; unknown names do nothing.
            along: how far along each principal direction, from the first, in standard deviations.

        Raises:
            ValueError: places of another length, not finite or far outside.
        """
        z: np.ndarray = latent.checked(first, self.latent_dim)[0]
        if second is not None and blend:
            z = latent.slerp(z, latent.checked(second, self.latent_dim)[0], blend)
        for concept in self.concepts:
            z = z + amounts.get(concept.name, 0.0) * concept.direction
        if self.principal is not None:
            count = min(len(along), len(self.principal.deviations))
            steps = np.array(along[:count], np.float32) * self.principal.deviations[:count]
            z = z + steps @ self.principal.directions[:count]
        return np.clip(z, -latent.MOST, latent.MOST).astype(np.float32)

    def latent_grid(self, count: int, reach: float, spacing: str = "linear") -> np.ndarray:
        """What lies on a grid over a latent plane, (count, count, H, W, C) uint8, in one batch.

        Rows run from the largest z[1] down, columns from the smallest z[0] up, as on a figure. `spacing` is as for
        `engines.latent.geometry.axis_values`.

        Raises:
            ValueError: a latent space that is no plane, too many points, a reach or spacing that is none.
        """
        if self.latent_dim != 2:
            raise ValueError(message("A map needs a latent space of two dimensions."))
        if count * count > MOST_POINTS:
            raise ValueError(message("A map has at most {most} points; use a coarser grid.", most=MOST_POINTS))
        points = latent.latent_grid(count, reach, spacing).reshape(-1, 2)
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

            def negative_bound(mean, log_variance, z):
                logits = tf.cast(self.decoder(z, training=False), tf.float32)
                return binary_cross_entropy(images, logits) + kl_loss(mean, log_variance)

            return refine_posterior(negative_bound, mean, log_variance, self.refinement_steps)

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


def vae_of_networks(name: str, encoder: keras.Model, decoder: keras.Model) -> VAE:
    """A pair of networks of an architecture, whatever their weights are."""
    from engines.vae.networks import ARCHITECTURES

    architecture = ARCHITECTURES[name]
    return VAE(
        name=name,
        title=architecture.title,
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
    """Write a pair of networks in float16 with what goes with it, into an open file, as .npz."""
    arrays: dict[str, Any] = {"architecture": np.array(name)}
    arrays |= packed_network("encoder", encoder) | packed_network("decoder", decoder) | packed_directions(principal)
    if examples is not None:
        arrays |= {"examples/latents": examples[0].astype(np.float16), "examples/labels": examples[1]}
    for i, concept in enumerate(concepts):
        arrays |= {f"concept/{i:03d}/{key}": getattr(concept, key) for key in ("direction", "gauge")}
    table = [{"name": concept.name, "correlation": concept.correlation} for concept in concepts]
    np.savez_compressed(file, concepts=np.array(json.dumps(table)), **arrays)


def read_vae(path: Path) -> VAE:
    """Read what `save_vae` wrote.

    Raises:
        WeightsError: the file is damaged, or belongs to another network.
    """
    from engines.vae.networks import ARCHITECTURES

    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        name = str(arrays["architecture"])
        networks = ARCHITECTURES[name].build_encoder(), ARCHITECTURES[name].build_decoder()
        for part, network in zip(("encoder", "decoder"), networks, strict=True):
            unpack_network(part, network, arrays)
        principal = unpacked_directions(arrays)
        examples = None
        if "examples/latents" in arrays:
            examples = arrays["examples/latents"].astype(np.float32), arrays["examples/labels"]
        table = json.loads(str(arrays["concepts"]))
        concepts = tuple(
            Concept(**row, **{key: arrays[f"concept/{i:03d}/{key}"] for key in ("direction", "gauge")})
            for i, row in enumerate(table)
        )
    except (*UNREADABLE, TypeError) as error:
        raise WeightsError(
            message("{file} holds no autoencoder of this version, or is damaged.", file=path.name)
        ) from error
    return dataclasses.replace(
        vae_of_networks(name, *networks),
        weights=sha256_of(path),
        principal=principal,
        concepts=concepts,
        examples=examples,
    )


def load_vae(name: str, store: WeightsStore) -> VAE:
    """The trained networks by their name ("digits", "digits_notes", "faces"), the file's hash checked.

    Raises:
        WeightsError: not there, or not the file that it should be.
    """
    return read_vae(store.verified(f"vae_{name}").path)
