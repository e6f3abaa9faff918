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
        does="Draw a sheet of faces from noise with a DCGAN.",
        config="engines.dcgan:DrawConfig",
        function="engines.dcgan:draw",
        endpoint="dcgan_draw",
        **_NETWORK,
    ),
    Engine(
        name="dcgan_walk",
        title="Walk among faces",
        does="Walk from face to face, as a film.",
        config="engines.dcgan:FaceWalkConfig",
        function="engines.dcgan:walk",
        film=True,
        **_NETWORK,
    ),
    Engine(
        name="dcgan_projection",
        title="Face found",
        does="Look for a given face among those that a DCGAN can draw.",
        config="engines.dcgan.projection:ProjectionConfig",
        function="engines.dcgan.projection:project",
        inputs={"image": "The face; the picture's middle square is taken."},
        needed=("image",),
        **_NETWORK,
    ),
    Engine(
        name="dcgan_training",
        title="Training on faces",
        does="Train a generator of pictures and its critic.",
        tab="faces",
        config="engines.dcgan.config:DCGANTrainingConfig",
        function="engines.dcgan.training:training",
        files=TRAINING_FILES,
        data="A zip of pictures.",
        makes="dcgan",
        steerable=STEERABLE,
        left_out=("rollbacks",),
    ),
)
