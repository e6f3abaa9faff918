"""Variational autoencoders: a latent space of pictures, and walks through it."""

from engines.vae.config import WalkConfig
from engines.vae.engine import resolve, walk

__all__ = ["WalkConfig", "resolve", "walk"]
