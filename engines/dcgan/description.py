"""Descriptions of the DCGAN engines."""

from typing import Any

from engines.core.description import TRAINING_FILES, Engine
from engines.dcgan.config import MODELS, STEERABLE

_NETWORK: dict[str, Any] = {
    "tab": "faces",
    "networks": MODELS,
    "loader": "engines.dcgan.model:load_gan",
    "reader": "engines.dcgan.model:read_gan",
    "weights": "dcgan_{}",
}
ENGINES = (
    Engine(
        name="dcgan",
        title="Face",
        does="Draw a contact sheet of faces with a DCGAN.",
        config="engines.dcgan:DrawConfig",
        function="engines.dcgan:draw",
        endpoint="dcgan_draw",
        **_NETWORK,
    ),
    Engine(
        name="dcgan_walk",
        title="Face walk",
        does="Make a video of a walk from face to face.",
        config="engines.dcgan:FaceWalkConfig",
        function="engines.dcgan:walk",
        video=True,
        **_NETWORK,
    ),
    Engine(
        name="dcgan_projection",
        title="Face search",
        does="Find the face of a DCGAN that is closest to a photo.",
        config="engines.dcgan.projection:ProjectionConfig",
        function="engines.dcgan.projection:project",
        inputs={"image": "A photo of the face; its middle square is used."},
        needed=("image",),
        **_NETWORK,
    ),
    Engine(
        name="dcgan_training",
        title="GAN training",
        does="Train a DCGAN: a generator and its discriminator.",
        tab="faces",
        config="engines.dcgan.config:DCGANTrainingConfig",
        function="engines.dcgan.training:training",
        files=TRAINING_FILES,
        data="A zip of images.",
        makes="dcgan",
        steerable=STEERABLE,
        left_out=("rollbacks",),
    ),
)
