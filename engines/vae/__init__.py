"""Variational autoencoders, and walks through their latent spaces."""

from engines.vae.config import WalkConfig
from engines.vae.engine import resolve, walk

__all__ = ["WalkConfig", "resolve", "walk"]
