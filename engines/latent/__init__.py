"""Latent spaces: geometry, directions and walks."""
