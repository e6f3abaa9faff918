"""Descriptions of the VAE engines."""

from engines.core.description import TRAINING_FILES, Engine
from engines.vae.config import MODELS

ENGINES = (
    Engine(
        name="vae",
        title="Digit walk",
        does="Make a video of a walk through a VAE's latent space.",
        tab="latent",
        config="engines.vae:WalkConfig",
        function="engines.vae:walk",
        video=True,
        networks=MODELS,
        loader="engines.vae.model:load_vae",
        reader="engines.vae.model:read_vae",
        weights="vae_{}",
        endpoint="vae_walk",
    ),
    Engine(
        name="vae_training",
        title="Autoencoder training",
        does="Train a variational autoencoder.",
        tab="latent",
        config="engines.vae.config:VAETrainingConfig",
        function="engines.vae.training:training",
        files=TRAINING_FILES,
        data="A zip of images, or mnist.npz.",
        makes="vae",
    ),
)
