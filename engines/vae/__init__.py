"""Variational autoencoders: a latent space of pictures, and walks through it."""

from engines.vae.engine import WalkConfig, resolve, walk

__all__ = ["WalkConfig", "resolve", "walk"]
