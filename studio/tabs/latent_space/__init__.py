"""Latent space tab: variational autoencoders."""
