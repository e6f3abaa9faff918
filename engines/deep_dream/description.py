"""Description of the DeepDream engine."""

from engines.backbones.backbone import ARCHITECTURES
from engines.core.description import Engine, Network, sweep_of
from engines.deep_dream.preset_configs import PRESETS

ENGINES: tuple[Engine, ...] = (
    Engine(
        name="deep_dream",
        title="DeepDream",
        does="DeepDream: amplify what a network detects in an image.",
        tab="dream",
        config="engines.deep_dream:DreamConfig",
        function="engines.deep_dream:dream",
        inputs={"image": "The photo.", "guide": "An image whose features are amplified."},
        needed=("image",),
        networks={name: Network(ARCHITECTURES[name].title) for name in PRESETS},
        loader="engines.backbones.backbone:load_backbone",
        reader="engines.backbones.backbone:read_backbone",
        batch="image",
        batch_shares=("guide",),
        batch_does="Apply DeepDream to many photos with the same settings; the result is a zip.",
    ),
)
ENGINES += (
    sweep_of(
        ENGINES[0],
        "engines.jobs.sweep:DreamSweepConfig",
        "Make a contact sheet of dreams that vary one or two settings of deep_dream.",
    ),
)
