"""Projection: find the latent vector whose image is most like a given one.

A generator has no encoder, so the latent vector is found by gradient descent on perceptual and pixel loss (Zhu et al.
2016; Abdal et al. 2019).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engines.core.frames import Frame, Frames
from engines.core.messages import message
from engines.dcgan.config import ProjectionConfig
from engines.dcgan.model import GAN
from engines.imaging.images import check_image, middle_square
from engines.latent.walk_frames import enlarged

CANDIDATES, BATCH = 512, 64
# The pixel loss is about a quarter of the perceptual loss; this brings them to the same scale.
PIXEL_SCALE = 4.0
_BETAS = (0.9, 0.99)


def resolve(config: ProjectionConfig, gan: GAN) -> ProjectionConfig:
    """Return the config unchanged: it fits every generator."""
    return config


def project(image: np.ndarray, config: ProjectionConfig, backbone: GAN) -> Frames[ProjectionConfig]:
    """Project an image, yielding the best result so far after every step. All settings but steps, starts and seed can
    be steered.

    Args:
        image: (H, W, 3) uint8 RGB; only its middle square is used.

    Yields:
        Frames with the generated image, its latent vector `z`, and the metrics `loss`, `pixel_error` (mean absolute,
        in [0, 1]) and `perceptual_loss`.

    Raises:
        ImageError: `image` is not an image.
    """
    check_image(image)
    target = middle_square(image, backbone.shape[0])
    search = _Search(backbone, target, config)
    for step in range(1, config.steps + 1):
        search.advance(step, config)
        changed = yield Frame(
            step=step,
            total=search.total,
            image=enlarged(backbone.decode(search.best)[0]),
            metrics=search.terms,
            note=message("searching for the closest face"),
            z=search.best,
        )
        if changed is not None:
            config = changed


class _Search:
    """Adam (Kingma & Ba 2015) on several latent vectors at once.

    Attributes:
        total: number of steps.
        best: the latent vector with the lowest loss so far, (Z,) float32.
        terms: the loss and its terms at `best`.
    """

    def __init__(self, gan: GAN, target: np.ndarray, config: ProjectionConfig):
        import tensorflow as tf

        from engines.backbones.perceptual_distance import perceptual_metric

        pixels = tf.constant(target[None], tf.float32) / 255
        self._target = pixels, perceptual_metric().features(pixels)
        losses, self._gradient = gan.memory.setdefault("projection", _compile(gan))
        rng = np.random.default_rng(config.seed)
        candidates = rng.standard_normal((CANDIDATES, gan.latent_dim)).astype(np.float32)
        parts = np.split(candidates, CANDIDATES // BATCH)
        candidate_losses = [np.asarray(losses(part, *self._target, _loss_weights(config))["loss"]) for part in parts]
        self._latents = candidates[np.argsort(np.concatenate(candidate_losses))[: config.starts]]
        self._first_moment, self._second_moment = np.zeros_like(self._latents), np.zeros_like(self._latents)
        self.total = config.steps
        self.best, self.terms = self._latents[0], {"loss": np.inf}
        self._last_weights = _loss_weights(config)

    def advance(self, step: int, config: ProjectionConfig) -> None:
        """Evaluate the current latent vectors, update `best`, and do step `step` (from 1)."""
        weights = _loss_weights(config)
        if (weights != self._last_weights).any():
            # Losses under different weights are not comparable.
            self._last_weights, self.terms = weights, {"loss": np.inf}
        terms, gradient = self._gradient(self._latents, *self._target, weights)
        best = int(np.argmin(terms["loss"]))
        if terms["loss"][best] < self.terms["loss"]:
            self.best = self._latents[best]
            self.terms = {name: float(values[best]) for name, values in terms.items()}
        self._first_moment = _BETAS[0] * self._first_moment + (1 - _BETAS[0]) * gradient.numpy()
        self._second_moment = _BETAS[1] * self._second_moment + (1 - _BETAS[1]) * gradient.numpy() ** 2
        first_moment, second_moment = (
            self._first_moment / (1 - _BETAS[0] ** step),
            self._second_moment / (1 - _BETAS[1] ** step),
        )
        rate = config.learning_rate * 0.5 * (1 + np.cos(np.pi * (step - 1) / self.total))
        self._latents = (self._latents - rate * first_moment / (np.sqrt(second_moment) + 1e-8)).astype(np.float32)


def _compile(gan: GAN) -> tuple[Any, Any]:
    """Two compiled functions of latent vectors: the loss terms, and the loss terms with the gradient."""
    import tensorflow as tf

    from engines.backbones.perceptual_distance import perceptual_metric

    def losses(z: Any, pixels: Any, target: Any, weights: Any) -> dict[str, Any]:
        images = tf.cast(gan.generator(z, training=False), tf.float32)
        pixel_error = tf.reduce_mean(tf.abs(images - pixels), axis=(1, 2, 3))
        perceptual_loss = perceptual_metric().distance(target, perceptual_metric().features(images))
        prior_loss = tf.reduce_mean(tf.square(z), axis=1)
        loss = weights[0] * perceptual_loss + PIXEL_SCALE * weights[1] * pixel_error + weights[2] * prior_loss
        return {"loss": loss, "pixel_error": pixel_error, "perceptual_loss": perceptual_loss}

    def gradient(z: Any, pixels: Any, target: Any, weights: Any) -> tuple[dict[str, Any], Any]:
        with tf.GradientTape() as tape:
            tape.watch(z)
            terms = losses(z, pixels, target, weights)
            total = tf.reduce_sum(terms["loss"])
        return terms, tape.gradient(total, z)

    options = {"autograph": False, "reduce_retracing": True}
    return tf.function(losses, **options), tf.function(gradient, **options)


def _loss_weights(config: ProjectionConfig) -> np.ndarray:
    return np.array([config.perceptual_weight, config.pixel_weight, config.prior_weight], np.float32)
