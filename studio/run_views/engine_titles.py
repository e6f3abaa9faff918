"""Display titles of the engines."""

from __future__ import annotations

# What a person calls what an engine makes, and the tab that it is made on.
TITLES = {
    "deep_dream": ("Dream", "dream"),
    "style_transfer": ("Painting", "style"),
    "deep_dream_sweep": ("Sweep of dreams", "dream"),
    "style_transfer_sweep": ("Sweep of paintings", "style"),
    "vae": ("Walk among digits", "latent"),
    "vae_training": ("Training of an autoencoder", "latent"),
    "dcgan": ("Face", "faces"),
    "dcgan_walk": ("Walk among faces", "faces"),
    "dcgan_projection": ("Face found", "faces"),
    "dcgan_training": ("Training on faces", "faces"),
    "language_model": ("Text", "text"),
    "language_training": ("Training on a text", "text"),
}
