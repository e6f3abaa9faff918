"""DeepDream: gradient ascent on an image that amplifies what a network detects in it.

Mordvintsev, Olah & Tyka, "Inceptionism" (2015), in the form of Chollet's "Deep Learning with Python", section 12.2.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.core.frames import Frame, Frames
from engines.core.messages import joined, message
from engines.deep_dream.config import MAX_SIDE, DreamConfig
from engines.imaging.images import MIN_SIDE, check_image, long_enough, resized, to_float, to_uint8
from engines.imaging.tiling import tile_size

if TYPE_CHECKING:
    import tensorflow as tf

    from engines.backbones.backbone import Backbone
    from engines.deep_dream.gradient_ascent import GradientAscent

GUIDE_SIDE = 224
_CACHED_ASCENTS = 6


def resolve(config: DreamConfig, backbone: Backbone) -> DreamConfig:
    """Fill in the backbone's default layers.

    Raises:
        ValueError: a layer or a channel that the backbone does not have.
    """
    if not config.layer_weights:
        config = dataclasses.replace(config, layer_weights=backbone.architecture.default_layers)
    backbone.check_layers(config.layer_weights)
    if config.channel is not None:
        channels = min(backbone.channels(name) for name, weight in config.layer_weights.items() if weight)
        if config.channel >= channels:
            raise ValueError(
                message(
                    "There is no channel {channel} in these layers; choose one from 0 to {last}.",
                    channel=config.channel,
                    last=channels - 1,
                )
            )
    return config


def octave_shapes(shape: tuple[int, int], octaves: int, octave_scale: float) -> list[tuple[int, int]]:
    """(height, width) of each octave from small to full: int(side / octave_scale ** i), as in the book."""
    height, width = shape
    shapes = [(int(height / octave_scale**i), int(width / octave_scale**i)) for i in range(octaves)]
    return shapes[::-1]


def dream(
    image: np.ndarray,
    config: DreamConfig,
    backbone: Backbone,
    guide: np.ndarray | None = None,
    after: Frame | None = None,
) -> Frames[DreamConfig]:
    """Run DeepDream on `image`, yielding a Frame after every step.

    Args:
        image: (H, W, 3) uint8 RGB.
        config: settings; `send` another resolved config to steer. The size of a panorama is raised to what the backbone
            needs.
        backbone: the network whose layers are amplified.
        guide: (H, W, 3) uint8 RGB; an image whose features are amplified, instead of the strongest activations.
        after: a frame, with a `position`, of an interrupted run with the same inputs, to resume from. `config` is then
            the one in force at that frame. Resuming from a frame is deterministic, but differs slightly from the
            interrupted run: the frame was clipped to [0, 255], and other random shifts follow.

    Yields:
        Frames at the size of their octave; the last one is the result, at full size. Metrics: `loss`. In a zoom video
        (`config.pictures` > 1) each finished image is a keyframe. `config` is set on the first frame if the size was
        raised. All have a `position`, except for the unfinished images of a video. Resumed runs continue the step
        count.

    Raises:
        ValueError: an image that is invalid or too small, a layer or channel that the backbone does not have, or a
            frame to resume from without a position or of a run with other inputs.
    """
    config = resolve(config, backbone)
    least = backbone.architecture.least
    # With a size, the image is enlarged to what the backbone needs.
    check_image(image, least=MIN_SIDE if config.size else least)
    if guide is not None:
        check_image(guide)
    size = long_enough(image.shape[:2], config.size, least, MAX_SIDE)
    changed = None if size == config.size else dataclasses.replace(config, size=size)
    config = changed or config
    image = resized(image, config.size)
    # A resumed run must not repeat the random shifts of its start.
    rng = np.random.default_rng(config.seed if after is None else (config.seed, after.step))
    pyramid = OctavePyramid(to_float(image), config, backbone, guide, rng)
    done, number = 0, 1
    if after is not None:
        resumed, position = _resume_point(after, image.shape[:2], config)
        pyramid.resume(resumed, position)
        done, number = after.step, position["picture"]
    while True:
        while not pyramid.finished:
            loss = pyramid.step()
            done += 1
            remaining = pyramid.remaining + (config.pictures - number) * pyramid.octaves * config.steps
            image_note = message("image {number} of {count}", number=number, count=config.pictures)
            new_config = yield Frame(
                step=done,
                total=done + remaining,
                image=to_uint8(pyramid.image),
                metrics={"loss": loss},
                note=joined([image_note, pyramid.note]) if config.pictures > 1 else pyramid.note,
                progress=(number - 1 + pyramid.progress) / config.pictures,
                keyframe=config.pictures == 1 or pyramid.finished,
                yield_point=pyramid.finished,
                config=changed,
                position={"picture": number, **pyramid.position} if config.pictures == 1 or pyramid.finished else None,
            )
            changed = None
            if new_config is not None:
                config = _merge_steered(config, new_config)
                pyramid.steer(config)
        if number >= config.pictures:
            return
        pyramid = OctavePyramid(zoomed(pyramid.image, config.zoom, config.turn), config, backbone, guide, rng)
        number += 1


def _resume_point(after: Frame, shape: tuple[int, int], config: DreamConfig) -> tuple[np.ndarray, Mapping[str, int]]:
    """The image and position to resume from; `shape` is the full (height, width).

    Raises:
        ValueError: the frame has no position, or belongs to another run.
    """
    image, position = after.image, after.position
    if image is not None and position is not None:
        height, width = image.shape[:2]
        fits = height <= shape[0] and width <= shape[1]
        if fits and (config.pictures == 1 or (height, width) == shape):
            return image, position
    raise ValueError(message("The run cannot resume from this frame; start it again."))


def _merge_steered(config: DreamConfig, new_config: DreamConfig) -> DreamConfig:
    """`new_config` without changes to what is fixed during a run: size, seed, number of images.

    Empty layer settings keep the current layers.
    """
    kept: dict[str, Any] = {"size": config.size, "seed": config.seed, "pictures": config.pictures}
    return dataclasses.replace(new_config, layer_weights=new_config.layer_weights or config.layer_weights, **kept)


class OctavePyramid:
    """Gradient ascent on one image, octave by octave."""

    def __init__(self, original: np.ndarray, config: DreamConfig, backbone: Backbone, guide, rng):
        import tensorflow as tf

        self._original = tf.constant(original)
        self._backbone, self._guide, self._rng = backbone, guide, rng
        self.config = config
        self._shapes = self._octave_shapes(config)  # of the current octave and those above it
        self._octave = 0
        self._octave_steps = 0
        self._octave_finished = False
        self._pixels_done = 0
        self.image = tf.image.resize(self._original, self._shapes[0])
        self._detail_shape = self._shapes[0]  # the size whose detail has been added to the image
        self._ascent, self._cells = gradient_ascent_for(backbone, config, guide)

    def _octave_shapes(self, config: DreamConfig) -> list[tuple[int, int]]:
        """(height, width) of each octave, without those too small for the backbone."""
        shape = tuple(self._original.shape[1:3])
        least = self._backbone.architecture.least
        shapes = octave_shapes(shape, config.octaves, config.octave_scale)
        return [octave for octave in shapes if min(octave) >= least] or [shape]

    def _octave_shapes_from(self, size: tuple[int, int], config: DreamConfig) -> list[tuple[int, int]]:
        """`size`, which need not be an octave of `config`, and the octaves above it."""
        return [size, *(shape for shape in self._octave_shapes(config) if shape[0] > size[0] or shape[1] > size[1])]

    @property
    def finished(self) -> bool:
        return self._octave_finished and len(self._shapes) == 1

    @property
    def octaves(self) -> int:
        return self._octave + len(self._shapes)

    @property
    def remaining(self) -> int:
        here = 0 if self._octave_finished else max(0, self.config.steps - self._octave_steps)
        return here + (len(self._shapes) - 1) * self.config.steps

    @property
    def progress(self) -> float:
        """Share of the work that is done, in [0, 1]; a step costs as much as its octave has pixels."""
        areas = [height * width for height, width in self._shapes]
        here = 1.0 if self._octave_finished else self._octave_steps / max(self.config.steps, self._octave_steps)
        return (self._pixels_done + here * areas[0]) / (self._pixels_done + sum(areas))

    @property
    def note(self) -> str:
        total = max(self.config.steps, self._octave_steps)
        return joined(
            [
                message("octave {octave} of {octaves}", octave=self._octave + 1, octaves=self.octaves),
                message("step {step} of {total}", step=self._octave_steps, total=total),
            ]
        )

    @property
    def position(self) -> dict[str, int]:
        """The state that `resume` needs besides the image, which has the size of the octave.

        Includes the state of the octaves below: after steering, it cannot be derived from the config.
        """
        return {
            "octave": self._octave,
            "step": self._octave_steps,
            "over": int(self._octave_finished),
            "pixels_below": self._pixels_done,
            "shrunk_height": self._detail_shape[0],
            "shrunk_width": self._detail_shape[1],
        }

    def resume(self, image: np.ndarray, position: Mapping[str, int]) -> None:
        """Continue from another run's image, (h, w, 3) uint8, and its `position`."""
        import tensorflow as tf

        self._shapes = self._octave_shapes_from(image.shape[:2], self.config)
        self._octave, self._octave_steps = position["octave"], position["step"]
        self._octave_finished = bool(position["over"])
        self._pixels_done = position["pixels_below"]
        self._detail_shape = position["shrunk_height"], position["shrunk_width"]
        self.image = tf.constant(to_float(image))

    def step(self) -> float:
        """One gradient-ascent step; advances to the next octave first if this one is finished. Returns the loss."""
        import tensorflow as tf

        if self._octave_finished:
            self._pixels_done += math.prod(self._shapes.pop(0))
            self._octave, self._octave_steps, self._octave_finished = self._octave + 1, 0, False
            self.image = tf.image.resize(self.image, self._shapes[0])
        config = self.config
        jitter = config.jitter
        down, right = self._rng.integers(-jitter, jitter + 1, 2)
        height, width = self._shapes[0]
        result = self._ascent.step(
            self.image,
            layer_weights=config.layer_weights,
            step_size=config.step_size,
            by_mean_absolute=config.normalization == "mean_absolute",
            shift=(int(down), int(right)),
            channel=config.channel,
            guide=self._cells,
            tile_size=tile_size(height * width, config.tile_size),
        )
        if not math.isfinite(result.loss):
            raise ValueError(message("The loss is no longer finite; use a smaller step size or smaller layer weights."))
        self.image = result.image
        self._octave_steps += 1
        crossed = bool(config.max_loss) and result.loss > config.max_loss
        if crossed or self._octave_steps >= config.steps:
            self._octave_finished = True
            self._reinject_detail()
        return result.loss

    def _reinject_detail(self) -> None:
        """Add the detail that the original lost by being downscaled to the previous octave.

        The downscaled original is updated at each octave; a misspelt name in the book's printed listing keeps it at the
        smallest size.
        """
        import tensorflow as tf

        shape = self._shapes[0]
        shrunk_original = tf.image.resize(self._original, self._detail_shape)
        self.image += tf.image.resize(self._original, shape) - tf.image.resize(shrunk_original, shape)
        self._detail_shape = shape

    def steer(self, config: DreamConfig) -> None:
        """Apply a changed config, from the next step on."""
        self._shapes = self._octave_shapes_from(self._shapes[0], config)
        if (config.layer_weights, config.channel) != (self.config.layer_weights, self.config.channel):
            self._ascent, self._cells = gradient_ascent_for(self._backbone, config, self._guide)
        self.config = config


def gradient_ascent_for(
    backbone: Backbone, config: DreamConfig, guide: np.ndarray | None
) -> tuple[GradientAscent, list[tf.Tensor] | None]:
    """The traced step for a config's objective, cached with the backbone, and the guide's features."""
    from engines.deep_dream.gradient_ascent import GradientAscent

    layers = tuple(name for name in backbone.layers if config.layer_weights.get(name))
    key: tuple[Any, ...] = ("ascent", layers, guide is not None, config.channel is not None)
    ascent = backbone.cache.pop(key, None) or GradientAscent(
        backbone, layers, guided=guide is not None, single_channel=config.channel is not None
    )
    backbone.cache[key] = ascent  # most recently used last
    kept = [k for k in backbone.cache if k[0] == "ascent"]
    for old in kept[: len(kept) - _CACHED_ASCENTS]:
        del backbone.cache[old]
    if guide is None:
        return ascent, None
    least = backbone.architecture.least
    small = resized(guide, long_enough(guide.shape[:2], GUIDE_SIDE, least, MAX_SIDE))
    check_image(small, least=least)
    return ascent, ascent.guide_features(to_float(small))


def zoomed(image: tf.Tensor, zoom: float, turn: float) -> np.ndarray:
    """The next image of a zoom video: (1, H, W, 3), enlarged by `zoom` and rotated by `turn` degrees about its centre.

    Clipped to [-1, 1]; mirrored beyond the edges.
    """
    import tensorflow as tf

    height, width = image.shape[1:3]
    cosine, sine = math.cos(math.radians(turn)) / zoom, math.sin(math.radians(turn)) / zoom
    center_x, center_y = (width - 1) / 2, (height - 1) / 2
    transform = [
        cosine,
        -sine,
        center_x - cosine * center_x + sine * center_y,
        sine,
        cosine,
        center_y - sine * center_x - cosine * center_y,
        0.0,
        0.0,
    ]
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.clip_by_value(image, -1.0, 1.0),
        transforms=tf.constant([transform], tf.float32),
        output_shape=tf.constant([height, width]),
        interpolation="BILINEAR",
        fill_mode="REFLECT",
        fill_value=0.0,
    )
    return moved.numpy()
