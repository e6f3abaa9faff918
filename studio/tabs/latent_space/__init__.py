"""The tab latent space, and what only it has."""
