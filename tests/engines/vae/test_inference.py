"""Posterior refinement: against a closed-form posterior, and on the networks that use it."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from engines.vae.inference import kl_loss, refine_posterior
from engines.vae.model import VAE, vae_from_networks
from engines.vae.networks import ARCHITECTURES
from engines.vae.training import scores


@pytest.fixture(scope="module")
def digits() -> VAE:
    keras.utils.set_random_seed(0)
    return vae_from_networks("digits", ARCHITECTURES["digits"].build_encoder(), ARCHITECTURES["digits"].build_decoder())


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 28, 28, 1)).astype(np.uint8)


def test_it_ends_at_the_posterior_of_a_gaussian_likelihood():
    # With a standard normal prior and x being z plus noise of variance v, the posterior of z is Gaussian
    # with mean x / (1 + v) and variance v / (1 + v) (Bishop 2006, equation 2.116).
    seen = tf.constant([[0.3, -0.5], [-0.2, 0.6]])
    variance = 0.5

    def negative_bound(mean, log_variance, z):
        return tf.reduce_sum(tf.square(seen - z), axis=-1) / (2 * variance) + kl_loss(mean, log_variance)

    compiled = tf.function(lambda guess: refine_posterior(negative_bound, guess, guess, 1000), autograph=False)
    mean, log_variance = compiled(tf.zeros_like(seen))
    np.testing.assert_allclose(mean, seen / (1 + variance), atol=0.05)
    np.testing.assert_allclose(tf.exp(log_variance), variance / (1 + variance), rtol=0.25)


def test_no_steps_leave_the_guess():
    guess = tf.constant([[1.0, 2.0]])
    mean, log_variance = refine_posterior(lambda *_: tf.zeros(1), guess, guess, 0)
    np.testing.assert_array_equal(mean, guess)
    np.testing.assert_array_equal(log_variance, guess)


def test_an_image_lies_where_it_lies_whatever_is_beside_it(digits, images):
    together, alone = digits.encode(images), digits.encode(images[3:4])
    for some, one in zip(together, alone, strict=True):
        np.testing.assert_allclose(some[3:4], one, atol=1e-3)


def test_the_bound_of_held_out_images_is_better_than_by_the_encoder_alone(digits, images):
    by_encoder = dataclasses.replace(digits, refinement_steps=0)
    assert scores(digits, images)["total"] < scores(by_encoder, images)["total"]


def test_only_our_own_digits_are_refined():
    assert [name for name, one in ARCHITECTURES.items() if one.refinement_steps] == ["digits"]
