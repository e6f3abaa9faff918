"""Latent spaces: their geometry, directions in them, walks through them."""
