"""Description of the style transfer engine."""

from engines.backbones.backbone import ARCHITECTURES
from engines.core.description import Engine, Network, sweep_of
from engines.style_transfer.config import LAYERS, MAX_STYLES

ENGINES: tuple[Engine, ...] = (
    Engine(
        name="style_transfer",
        title="Style transfer",
        does="Neural style transfer: render a photo in the style of one or more images.",
        tab="style",
        config="engines.style_transfer:StyleConfig",
        function="engines.style_transfer:stylize",
        inputs={
            "content_image": "The photo.",
            "style_images": f"The style images, at most {MAX_STYLES}.",
            "masks": "For each style image, a mask, white where it applies; without one it applies outside all masks.",
            "start_image": "An image to start from, at full size, instead of the photo.",
        },
        needed=("content_image", "style_images"),
        series=frozenset({"style_images", "masks"}),
        masks=frozenset({"masks"}),
        most=MAX_STYLES,
        networks={name: Network(ARCHITECTURES[name].title) for name in LAYERS},
        loader="engines.backbones.backbone:load_backbone",
        reader="engines.backbones.backbone:read_backbone",
        batch="content_image",
        batch_shares=("style_images",),
        batch_does="Apply style transfer to many photos with the same settings; the result is a zip.",
    ),
)
ENGINES += (
    sweep_of(
        ENGINES[0],
        "engines.jobs.sweep:StyleSweepConfig",
        "Make a contact sheet of style transfers that vary one or two settings of style_transfer.",
    ),
)
