"""Description of the DeepDream engine."""

from engines.core.description import Engine
from engines.deep_dream.presets import PRESETS

ENGINES = (
    Engine(
        name="deep_dream",
        title="DeepDream",
        does="DeepDream: amplify what a network detects in an image.",
        tab="dream",
        config="engines.deep_dream:DreamConfig",
        function="engines.deep_dream:dream",
        inputs={"image": "The photo.", "guide": "An image whose features are amplified."},
        needed=("image",),
        networks=tuple(PRESETS),
        loader="engines.backbones.backbone:load_backbone",
        reader="engines.backbones.backbone:read_backbone",
        batch="image",
        batch_shares=("guide",),
        batch_does="Apply DeepDream to many photos with the same settings; the result is a zip.",
    ),
)
