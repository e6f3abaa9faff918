"""Projection: the latent vector whose picture is most like a given one.

A generator has no encoder: a latent vector is looked for, by gradient descent, whose picture is as much like the given
one as can be, to the eyes of the bundled backbone and pixel by pixel (Zhu et al. 2016; Abdal et al. 2019).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engines.core.frames import Frame, Frames
from engines.core.messages import message
from engines.dcgan.config import ProjectionConfig
from engines.dcgan.model import GAN
from engines.imaging.images import check_picture, middle_square
from engines.latent.walk_frames import enlarged

CANDIDATES, BATCH = 512, 64
# An error of a pixel is about a fourth of how differently pictures are seen; counted so, the two weigh alike.
PIXELS = 4.0
_DECAYS = (0.9, 0.99)


def resolve(config: ProjectionConfig, gan: GAN) -> ProjectionConfig:
    """The config as it is: any generator will do."""
    return config


def project(image: np.ndarray, config: ProjectionConfig, backbone: GAN) -> Frames[ProjectionConfig]:
    """Look for a picture, yielding the best found so far after every step; steerable but for steps, starts and seed.

    Args:
        image: (H, W, 3) uint8 RGB; its middle square is taken.

    Yields:
        Frames with the drawn picture, its latent vector `z`, and its `loss`, `pixel_error` (mean absolute, in [0, 1])
        and `perceptual_loss`.

    Raises:
        PictureError: no picture.
    """
    check_picture(image)
    target = middle_square(image, backbone.shape[0])
    search = _Search(backbone, target, config)
    for step in range(1, config.steps + 1):
        search.advance(step, config)
        changed = yield Frame(
            step=step,
            total=search.total,
            image=enlarged(backbone.decode(search.best)[0]),
            metrics=search.terms,
            note=message("looking for this picture"),
            z=search.best,
        )
        if changed is not None:
            config = changed


class _Search:
    """Adam (Kingma & Ba 2015) on several latent vectors at once.

    Attributes:
        total: how many steps there will be.
        best: the latent vector of least loss so far, (Z,) float32.
        terms: of its loss.
    """

    def __init__(self, gan: GAN, target: np.ndarray, config: ProjectionConfig):
        import tensorflow as tf

        from engines.backbones.perceptual_distance import likeness

        pixels = tf.constant(target[None], tf.float32) / 255
        self._wanted = pixels, likeness().features(pixels)
        losses, self._gradient = gan.memory.setdefault("projection", _compiled(gan))
        rng = np.random.default_rng(config.seed)
        candidates = rng.standard_normal((CANDIDATES, gan.latent_dim)).astype(np.float32)
        parts = np.split(candidates, CANDIDATES // BATCH)
        found = [np.asarray(losses(part, *self._wanted, _weights(config))["loss"]) for part in parts]
        self._places = candidates[np.argsort(np.concatenate(found))[: config.starts]]
        self._first, self._second = np.zeros_like(self._places), np.zeros_like(self._places)
        self.total = config.steps
        self.best, self.terms = self._places[0], {"loss": np.inf}
        self._weighed = _weights(config)

    def advance(self, step: int, config: ProjectionConfig) -> None:
        """Look at where it is, and go a step (counted from 1) from there."""
        weights = _weights(config)
        if (weights != self._weighed).any():
            # The best by other weights is none to compare with.
            self._weighed, self.terms = weights, {"loss": np.inf}
        terms, slope = self._gradient(self._places, *self._wanted, weights)
        nearest = int(np.argmin(terms["loss"]))
        if terms["loss"][nearest] < self.terms["loss"]:
            self.best = self._places[nearest]
            self.terms = {name: float(values[nearest]) for name, values in terms.items()}
        self._first = _DECAYS[0] * self._first + (1 - _DECAYS[0]) * slope.numpy()
        self._second = _DECAYS[1] * self._second + (1 - _DECAYS[1]) * slope.numpy() ** 2
        first, second = self._first / (1 - _DECAYS[0] ** step), self._second / (1 - _DECAYS[1] ** step)
        rate = config.learning_rate * 0.5 * (1 + np.cos(np.pi * (step - 1) / self.total))
        self._places = (self._places - rate * first / (np.sqrt(second) + 1e-8)).astype(np.float32)


def _compiled(gan: GAN) -> tuple[Any, Any]:
    """The terms of the loss of latent vectors, and the same with the gradient; compiled when they are first called."""
    import tensorflow as tf

    from engines.backbones.perceptual_distance import likeness

    def losses(z: Any, pixels: Any, wanted: Any, weights: Any) -> dict[str, Any]:
        pictures = tf.cast(gan.generator(z, training=False), tf.float32)
        pixel_error = tf.reduce_mean(tf.abs(pictures - pixels), axis=(1, 2, 3))
        perceptual_loss = likeness().distance(wanted, likeness().features(pictures))
        strayed = tf.reduce_mean(tf.square(z), axis=1)
        loss = weights[0] * perceptual_loss + PIXELS * weights[1] * pixel_error + weights[2] * strayed
        return {"loss": loss, "pixel_error": pixel_error, "perceptual_loss": perceptual_loss}

    def gradient(z: Any, pixels: Any, wanted: Any, weights: Any) -> tuple[dict[str, Any], Any]:
        with tf.GradientTape() as tape:
            tape.watch(z)
            terms = losses(z, pixels, wanted, weights)
            whole = tf.reduce_sum(terms["loss"])
        return terms, tape.gradient(whole, z)

    options = {"autograph": False, "reduce_retracing": True}
    return tf.function(losses, **options), tf.function(gradient, **options)


def _weights(config: ProjectionConfig) -> np.ndarray:
    return np.array([config.perceptual_weight, config.pixel_weight, config.prior_weight], np.float32)
