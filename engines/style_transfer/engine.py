"""Neural style transfer: render a photo in the style of one or more images.

Gatys, Ecker & Bethge, "Image Style Transfer Using Convolutional Neural Networks" (2016), in the form of Chollet's "Deep
Learning with Python", section 12.3, and in a faster form: targets computed once, a network cut after its deepest layer,
coarse to fine, L-BFGS.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from engines.core.frames import Frame, Frames
from engines.core.messages import message
from engines.imaging.images import check_image
from engines.style_transfer.config import LAYERS, MAX_STYLES, StyleConfig

if TYPE_CHECKING:
    from engines.backbones.backbone import Backbone
    from engines.style_transfer.targets import StyleInputs

SKETCH_NETWORK = "studio_vgg"

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
    """Presets for a backbone, the default first."""
    ours = {
        "Balanced": StyleConfig(),
        "Bold": StyleConfig(balance=0.04, style_scale=1.2),
        "Faithful": StyleConfig(balance=0.5, style_scale=0.8),
        "Photo's colours": StyleConfig(color="photo"),
    }
    if backbone_name != SKETCH_NETWORK:  # slower networks get further from a sketch by the bundled one
        ours = {name: dataclasses.replace(config, start="sketch") for name, config in ours.items()}
    return ours | ({"Chollet's book": BOOK} if backbone_name == "vgg19" else {})


def resolve(config: StyleConfig, backbone: Backbone) -> StyleConfig:
    """Fill in the backbone's default layers.

    Raises:
        ValueError: a backbone that is not VGG-type, or a layer that it does not have.
    """
    if backbone.name not in LAYERS:
        raise ValueError(
            message(
                "{network} cannot be used for style transfer; choose a VGG-type network.",
                network=backbone.architecture.title,
            )
        )
    style_layers, content_layer = LAYERS[backbone.name]
    config = dataclasses.replace(
        config,
        style_layers=config.style_layers or style_layers,
        content_layer=config.content_layer or content_layer,
        # The sketching network needs no sketch of its own.
        start="content" if config.start == "sketch" and backbone.name == SKETCH_NETWORK else config.start,
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
    """Render a photo in the style of other images, yielding a Frame after every evaluation of the loss.

    Args:
        content_image: (H, W, 3) uint8 RGB, the photo.
        style_images: each (h, w, 3) uint8 RGB, of any aspect ratio.
        config: settings; `send` another resolved config to steer. With `seconds`, two timed evaluations choose size,
            scales and steps for this computer, and the steps are adjusted during the run.
        backbone: a VGG-type network.
        masks: for each style image (h, w, 3) uint8, white where it applies to the photo; None, or no entry, for a style
            image that applies wherever there is no mask.
        start_image: (h, w, 3) uint8 RGB to start from, at full size, instead of the photo.
        after: a frame, with its `position`, of an interrupted run with the same inputs, to resume from. `config` is
            then the one in force at that frame, with size, scales, steps and tiles chosen, and no `seconds`. Resuming
            from a frame is deterministic, but differs slightly from the interrupted run: the frame was rounded to
            bytes, and the optimiser's state is lost.

    Yields:
        Frames at the size of their scale; the last one is the result, at full size. Metrics: `loss` and its weighted
        terms `style_loss`, `content_loss`, `total_variation_loss`. `config` is set where the engine has changed the
        settings: on the first frame, and where the steps were adjusted. All have a `position`. Resumed runs continue
        the step count.

    Raises:
        ValueError: an image that is invalid or too small, no style image or too many, an empty mask, a layer that the
            backbone does not have, an optimisation that diverged, or a frame to resume from without a position or of
            a run with other inputs or settings.
    """
    from engines.backbones.backbone import bundled_backbone
    from engines.style_transfer.optimization import StyleInputs, StyleOptimizer

    config = resolve(config, backbone)
    inputs = StyleInputs(content_image, tuple(style_images), _aligned(masks, len(style_images)), start_image)
    _check(inputs, config)
    sketch_network = bundled_backbone() if config.start == "sketch" else None
    optimizer = StyleOptimizer(inputs, config, backbone, after, sketch_network)
    # What was chosen for this computer; a resumed run has reported it already.
    changed: StyleConfig | None = None if after and optimizer.config == config else optimizer.config
    done = after.step if after else 0
    while not optimizer.finished:
        evaluation = optimizer.step()
        done += 1
        new_config = yield Frame(
            step=done,
            total=done + optimizer.remaining,
            image=optimizer.image(),
            metrics={
                "loss": evaluation.loss,
                "style_loss": evaluation.style,
                "content_loss": evaluation.content,
                "total_variation_loss": evaluation.total_variation,
            },
            note=optimizer.note,
            progress=optimizer.progress,
            config=changed,
            position=optimizer.position,
        )
        changed = None
        if new_config is not None:
            changed = optimizer.steer(new_config)
        changed = optimizer.keep_pace() or changed


def _aligned(masks: Sequence[np.ndarray | None], count: int) -> tuple[np.ndarray | None, ...]:
    if len(masks) > count:
        raise ValueError(
            message(
                "There are {masks} masks for {count} style images; give at most one per style image.",
                masks=len(masks),
                count=count,
            )
        )
    return (*masks, *[None] * (count - len(masks)))


def _check(inputs: StyleInputs, config: StyleConfig) -> None:
    """Raise a ValueError for inputs that do not fit the config."""
    count = len(inputs.styles)
    if not count:
        raise ValueError(message("Choose a style image first: drop one, or click an example."))
    if count > MAX_STYLES:
        raise ValueError(message("There are {count} style images; use at most {most}.", count=count, most=MAX_STYLES))
    if config.blend and len(config.blend) != count:
        raise ValueError(
            message(
                "There are {weights} weights for {count} style images; give one weight per style image.",
                weights=len(config.blend),
                count=count,
            )
        )
    for image in (inputs.content, *inputs.styles, *([] if inputs.start is None else [inputs.start])):
        check_image(image)
    for number, mask in enumerate(inputs.masks, 1):
        if mask is not None and not (mask > 127).any():
            raise ValueError(
                message(
                    "The region of style image {number} is empty; paint part of the photo, or clear the region.",
                    number=number,
                )
            )
