"""The evidence lower bound, and posterior refinement by gradient ascent.

An encoder amortises inference over all images, so its posterior is slightly off for images that it was not trained
on. In a two-dimensional latent space, where neighbouring points differ a lot, that matters. A few steps of gradient
descent on each image's own loss close most of the gap (Kim et al. 2018, "Semi-amortized variational autoencoders";
Cremer et al. 2018, "Inference suboptimality in variational autoencoders").
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

LEARNING_RATE = 0.06
_BETAS = (0.8, 0.95)


def kl_loss(mean: Any, log_variance: Any) -> Any:
    """KL divergence of N(mean, exp(log_variance)) from N(0, 1) in nats, (B, Z), (B, Z) -> (B,).

    Summed over the latent dimensions (Kingma & Welling 2014, appendix B); Chollet's listing averages over them.
    """
    return -0.5 * tf.reduce_sum(1 + log_variance - tf.square(mean) - tf.exp(log_variance), axis=-1)


def binary_cross_entropy(images: Any, logits: Any) -> Any:
    """Cross-entropy in nats, summed over the pixels: (B, H, W, C) in [0, 1], logits of the same shape -> (B,)."""
    return tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(images, logits), axis=(1, 2, 3))


def refine_posterior(
    negative_elbo: Callable[[Any, Any, Any], Any], mean: Any, log_variance: Any, steps: int
) -> tuple[Any, Any]:
    """Refine each image's posterior with Adam, starting from the encoder's mean and log-variance, (B, Z) float32.

    The result for an image does not depend on the rest of its batch.

    Args:
        negative_elbo: mean, log-variance and latent samples, (B, Z) each -> the negative ELBO in nats, (B,).
        steps: number of steps; the learning rate decays linearly to zero.

    Returns:
        the refined mean and log-variance, (B, Z) float32 each.
    """
    latent_dim = mean.shape[-1]
    parameters = tf.concat([mean, log_variance], axis=-1)

    def gradient_at(parameters: Any, step: Any) -> Any:
        # One sample for all images, and its negative: antithetic sampling reduces the gradient's variance.
        noise = tf.random.stateless_normal((1, latent_dim), (0, step))
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            mean, log_variance = parameters[:, :latent_dim], parameters[:, latent_dim:]
            deviation = tf.exp(0.5 * log_variance)
            bounds = [negative_elbo(mean, log_variance, mean + sign * deviation * noise) for sign in (1.0, -1.0)]
            bound = 0.5 * tf.add_n(bounds)
        return tape.gradient(bound, parameters)

    def descend(step: Any, parameters: Any, first_moment: Any, second_moment: Any) -> tuple[Any, ...]:
        gradient = gradient_at(parameters, step)
        first_moment = _BETAS[0] * first_moment + (1 - _BETAS[0]) * gradient
        second_moment = _BETAS[1] * second_moment + (1 - _BETAS[1]) * tf.square(gradient)
        t = tf.cast(step + 1, tf.float32)
        rate = LEARNING_RATE * (1 - tf.cast(step, tf.float32) / steps)
        unbiased = first_moment / (1 - _BETAS[0] ** t), second_moment / (1 - _BETAS[1] ** t)
        return step + 1, parameters - rate * unbiased[0] / (tf.sqrt(unbiased[1]) + 1e-8), first_moment, second_moment

    state = (tf.constant(0), parameters, tf.zeros_like(parameters), tf.zeros_like(parameters))
    _, parameters, _, _ = tf.while_loop(lambda step, *_: step < steps, descend, state)
    return parameters[:, :latent_dim], parameters[:, latent_dim:]
