"""What the studio knows of DeepDream."""

from engines.core.description import Engine
from engines.deep_dream.presets import PRESETS

ENGINES = (
    Engine(
        name="deep_dream",
        title="Dream",
        does="DeepDream: change a picture so that a network sees more of what it sees in it.",
        tab="dream",
        config="engines.deep_dream:DreamConfig",
        function="engines.deep_dream:dream",
        inputs={"image": "The photo.", "guide": "A picture of what the dream should look for."},
        needed=("image",),
        networks=tuple(PRESETS),
        loader="engines.backbones.backbone:load_backbone",
        reader="engines.backbones.backbone:read_backbone",
        batch="image",
        batch_shares=("guide",),
        batch_does="Dream on many pictures with the same settings; the result is a zip.",
    ),
)
