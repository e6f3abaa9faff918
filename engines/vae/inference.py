"""The evidence lower bound, and posterior refinement by gradient ascent.

An encoder answers for all pictures with one network, and on pictures that it was not trained on its guess is a little
off; on a plane that is folded finely a little is much. A few steps of gradient descent on the picture's own loss mend
most of it (Kim et al. 2018, "Semi-amortized variational autoencoders"; Cremer et al. 2018, "Inference
suboptimality in variational autoencoders").
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

LEARNING_RATE = 0.06
_DECAYS = (0.8, 0.95)


def kl_loss(mean: Any, log_variance: Any) -> Any:
    """Kullback-Leibler divergence of N(mean, exp(log_variance)) from N(0, 1) in nats, (B, Z), (B, Z) -> (B,).

    Summed over the latent dimensions (Kingma & Welling 2014, appendix B); Chollet's listing takes their mean.
    """
    return -0.5 * tf.reduce_sum(1 + log_variance - tf.square(mean) - tf.exp(log_variance), axis=-1)


def binary_cross_entropy(images: Any, logits: Any) -> Any:
    """In nats, summed over the pixels: (B, H, W, C) in [0, 1], logits of the same shape -> (B,)."""
    return tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(images, logits), axis=(1, 2, 3))


def refine_posterior(
    negative_bound: Callable[[Any, Any, Any], Any], mean: Any, log_variance: Any, steps: int
) -> tuple[Any, Any]:
    """Adam on each picture's mean and log-variance, (B, Z) float32 each, from an encoder's guess; the same for a
    picture in whatever batch it is.

    Args:
        negative_bound: of mean, log-variance and latent vectors drawn from these, (B, Z) each -> (B,) in nats.
        steps: of gradient descent, with a rate that falls to nothing.
    """
    latent_dim = mean.shape[-1]
    place = tf.concat([mean, log_variance], axis=-1)

    def gradient(place: Any, step: Any) -> Any:
        # The same draw for all pictures, and its mirror image, which takes most of the chance out of the gradient.
        noise = tf.random.stateless_normal((1, latent_dim), (0, step))
        with tf.GradientTape() as tape:
            tape.watch(place)
            mean, log_variance = place[:, :latent_dim], place[:, latent_dim:]
            deviation = tf.exp(0.5 * log_variance)
            both = [negative_bound(mean, log_variance, mean + sign * deviation * noise) for sign in (1.0, -1.0)]
            bound = 0.5 * tf.add_n(both)
        return tape.gradient(bound, place)

    def descend(step: Any, place: Any, first: Any, second: Any) -> tuple[Any, ...]:
        slope = gradient(place, step)
        first = _DECAYS[0] * first + (1 - _DECAYS[0]) * slope
        second = _DECAYS[1] * second + (1 - _DECAYS[1]) * tf.square(slope)
        count = tf.cast(step + 1, tf.float32)
        rate = LEARNING_RATE * (1 - tf.cast(step, tf.float32) / steps)
        unbiased = first / (1 - _DECAYS[0] ** count), second / (1 - _DECAYS[1] ** count)
        return step + 1, place - rate * unbiased[0] / (tf.sqrt(unbiased[1]) + 1e-8), first, second

    state = (tf.constant(0), place, tf.zeros_like(place), tf.zeros_like(place))
    _, place, _, _ = tf.while_loop(lambda step, *_: step < steps, descend, state)
    return place[:, :latent_dim], place[:, latent_dim:]
