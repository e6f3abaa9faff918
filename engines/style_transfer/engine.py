"""Neural style transfer: paint a photo in the style of one or more paintings.

Gatys, Ecker & Bethge, "Image Style Transfer Using Convolutional Neural Networks" (2016), in the form of Chollet's "Deep
Learning with Python", section 12.3, and a form of our own: targets computed once, one picture through a network cut
after its deepest layer, coarse to fine, L-BFGS.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from engines.core.frames import Frame, Frames
from engines.core.messages import message
from engines.imaging.images import check_picture
from engines.style_transfer.config import LAYERS, MOST_STYLES, StyleConfig

if TYPE_CHECKING:
    from engines.backbones.backbone import Backbone
    from engines.style_transfer.targets import StyleInputs

LEAST_SIDE = 16
SKETCHER = "studio_vgg"


BOOK = StyleConfig(
    seconds=0.0,
    balance=0.0,
    size=533,
    scales=1,
    steps=4000,
    style_weight=1e-6,
    content_weight=2.5e-8,
    total_variation_weight=1e-6,
    optimizer="sgd",
    learning_rate=100.0,
    pooling="max",
    losses="book",
    style_layers={f"block{block}_conv1": 1.0 for block in range(1, 6)},
    content_layer="block5_conv2",
)


def presets(backbone_name: str) -> dict[str, StyleConfig]:
    """Named settings that suit a backbone, the default first."""
    ours = {
        "Painted": StyleConfig(),
        "Bold": StyleConfig(balance=0.04, style_scale=1.2),
        "Faithful": StyleConfig(balance=0.5, style_scale=0.8),
        "My colours": StyleConfig(color="photo"),
    }
    if backbone_name != SKETCHER:  # a slower one, which gets further from what the quicker one has begun
        ours = {name: dataclasses.replace(config, start="sketch") for name, config in ours.items()}
    return ours | ({"As in the book": BOOK} if backbone_name == "vgg19" else {})


def resolve(config: StyleConfig, backbone: Backbone) -> StyleConfig:
    """The config as it will run on this backbone: with its layers where none are named.

    Raises:
        ValueError: a backbone that this engine has no layers for, or a layer that the backbone does not have.
    """
    if backbone.name not in LAYERS:
        raise ValueError(
            message(
                "{network} cannot paint: style transfer needs a network in the shape of VGG.",
                network=backbone.architecture.title,
            )
        )
    style_layers, content_layer = LAYERS[backbone.name]
    config = dataclasses.replace(
        config,
        style_layers=config.style_layers or style_layers,
        content_layer=config.content_layer or content_layer,
        # What it would sketch, it paints.
        start="content" if config.start == "sketch" and backbone.name == SKETCHER else config.start,
    )
    backbone.check_layers([*config.style_layers, config.content_layer])
    return config


def stylize(
    content_image: np.ndarray,
    style_images: Sequence[np.ndarray],
    config: StyleConfig,
    backbone: Backbone,
    *,
    masks: Sequence[np.ndarray | None] = (),
    start_image: np.ndarray | None = None,
    after: Frame | None = None,
) -> Frames[StyleConfig]:
    """Paint a photo, yielding a Frame after every evaluation of the loss.

    Args:
        content_image: (H, W, 3) uint8 RGB, the photo.
        style_images: the paintings, each (h, w, 3) uint8 RGB; each keeps its own shape.
        config: settings; `send` others to steer, as `resolve` returns them: they are not checked again. With
            `seconds`, two timed evaluations choose size, scales and steps for this machine, and the steps are
            corrected on the way.
        backbone: a network in the shape of VGG.
        masks: for each painting (h, w, 3) uint8, white where it belongs on the photo; None, or no entry, for a
            painting that goes wherever no mask is.
        start_image: (h, w, 3) uint8 RGB: go on painting this, at full size.
        after: a frame, with its `position`, of a run with the same inputs that was lost: go on from it. `config` is
            then what was in force at that frame, as the run's frames have said: with size, scales, steps and tiles
            chosen, and no `seconds`. The same frame always gives the same painting, but not quite that of the lost run:
            its picture was rounded to bytes, and the optimiser begins anew.

    Yields:
        Frames of the scale's size; the last one is the result, at full size. Metrics: `loss`, `style_loss`,
        `content_loss`, `total_variation_loss`, weighted as they count. `config` is set where the engine itself has
        changed the settings: on the first frame to what was chosen, later where the steps were corrected. All have a
        `position`. After a frame, they count on from it; after the last there are none.

    Raises:
        ValueError: a picture that is none or too small, no painting or too many, an empty mask, a layer that the
            backbone does not have, a painting that runs away to infinity, a frame to go on from without a position or
            of a run with other inputs or settings.
    """
    from engines.backbones.backbone import bundled_backbone
    from engines.style_transfer.optimization import StyleInputs, StyleOptimizer

    config = resolve(config, backbone)
    pictures = StyleInputs(content_image, tuple(style_images), _aligned(masks, len(style_images)), start_image)
    _check(pictures, config)
    sketcher = bundled_backbone() if config.start == "sketch" else None
    painting = StyleOptimizer(pictures, config, backbone, after, sketcher)
    # What was chosen for this machine; a run that goes on has chosen already.
    told: StyleConfig | None = None if after and painting.config == config else painting.config
    done = after.step if after else 0
    while not painting.finished:
        evaluation = painting.step()
        done += 1
        new_config = yield Frame(
            step=done,
            total=done + painting.remaining,
            image=painting.picture(),
            metrics={
                "loss": evaluation.loss,
                "style_loss": evaluation.style,
                "content_loss": evaluation.content,
                "total_variation_loss": evaluation.total_variation,
            },
            note=painting.note,
            progress=painting.progress,
            config=told,
            position=painting.position,
        )
        told = None
        if new_config is not None:
            told = painting.steer(new_config)
        told = painting.keep_pace() or told


def _aligned(masks: Sequence[np.ndarray | None], count: int) -> tuple[np.ndarray | None, ...]:
    if len(masks) > count:
        raise ValueError(
            message(
                "There are {masks} masks for {count} paintings; give each painting at most one.",
                masks=len(masks),
                count=count,
            )
        )
    return (*masks, *[None] * (count - len(masks)))


def _check(pictures: StyleInputs, config: StyleConfig) -> None:
    """Refuse what cannot be painted, with a sentence."""
    count = len(pictures.styles)
    if not count:
        raise ValueError(message("Choose a painting first: drop one, or click one of the examples."))
    if count > MOST_STYLES:
        raise ValueError(message("These are {count} paintings; use at most {most}.", count=count, most=MOST_STYLES))
    if config.blend and len(config.blend) != count:
        raise ValueError(
            message(
                "There are {weights} painting weights for {count} paintings; give one for each.",
                weights=len(config.blend),
                count=count,
            )
        )
    for image in (pictures.content, *pictures.styles, *([] if pictures.start is None else [pictures.start])):
        check_picture(image, least=LEAST_SIDE)
    for number, mask in enumerate(pictures.masks, 1):
        if mask is not None and not (mask > 127).any():
            raise ValueError(
                message(
                    "The region of painting {number} is empty; paint some of the photo for it, or clear it.",
                    number=number,
                )
            )
