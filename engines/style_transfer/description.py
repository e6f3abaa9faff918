"""What the studio knows of style transfer."""

from engines.core.description import Engine
from engines.style_transfer.config import LAYERS, MOST_STYLES

ENGINES = (
    Engine(
        name="style_transfer",
        title="Painting",
        does="Neural style transfer: paint a photo in the manner of paintings.",
        tab="style",
        config="engines.style_transfer:StyleConfig",
        function="engines.style_transfer:stylize",
        inputs={
            "content_image": "The photo.",
            "style_images": f"The paintings, at most {MOST_STYLES}.",
            "masks": "For each painting a picture that is white where it belongs on the photo; none for anywhere.",
            "start_image": "A picture to go on painting, instead of the photo.",
        },
        needed=("content_image", "style_images"),
        series=frozenset({"style_images", "masks"}),
        masks=frozenset({"masks"}),
        most=MOST_STYLES,
        networks=tuple(LAYERS),
        loader="engines.backbones.backbone:load_backbone",
        reader="engines.backbones.backbone:read_backbone",
        batch="content_image",
        batch_shares=("style_images",),
        batch_does="Paint many photos with the same settings; the result is a zip.",
    ),
)
