"""DeepDream: gradient ascent that makes a picture show what a network sees in it.

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
from engines.deep_dream.config import MOST_SIDE, DreamConfig
from engines.imaging.images import check_picture, long_enough, resized, to_float
from engines.imaging.tiling import tile_size

if TYPE_CHECKING:
    import tensorflow as tf

    from engines.backbones.backbone import Backbone
    from engines.deep_dream.gradient_ascent import GradientAscent

GUIDE_SIDE = 224
_ASCENTS_KEPT = 6


def resolve(config: DreamConfig, backbone: Backbone) -> DreamConfig:
    """The config as it will run on this backbone: with its layers where none are named.

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
                    "Channel {channel} does not exist here; these layers have 0 to {last}.",
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
    """Dream over `image`, yielding a Frame after every step.

    Args:
        image: (H, W, 3) uint8 RGB.
        config: settings; `send` others to steer, as `resolve` returns them: they are not checked again. The size of a
            long and narrow picture is raised to what the backbone needs.
        backbone: the network whose layers are amplified.
        guide: (H, W, 3) uint8 RGB; what the dream should look for, instead of whatever is strongest.
        after: a frame, with a `position`, of a run with the same inputs that was lost: go on from it. `config` is then
            what was in force at that frame. The same frame always gives the same dream, but not quite that of the lost
            run: beyond black and white its picture was cut off, so that the loss is smaller, and other random shifts
            follow.

    Yields:
        Frames of the octave's size; the last one is the result, at full size. Metrics: `loss`. In a zoom film
        (`config.pictures` > 1) each finished picture is a keyframe. `config` is set on the first frame where the size
        was raised. All have a `position`, except for a film's
        unfinished pictures. After a frame, they count on from it; after the last there are none.

    Raises:
        ValueError: the picture is no picture or too small, a layer or channel that the backbone does not have, a frame
            to go on from without a position or of a run with other inputs.
    """
    config = resolve(config, backbone)
    least = backbone.architecture.least
    # With a size, the picture is made large enough for the backbone.
    check_picture(image, least=16 if config.size else least)
    if guide is not None:
        check_picture(guide)
    size = long_enough(image.shape[:2], config.size, least, MOST_SIDE)
    told = None if size == config.size else dataclasses.replace(config, size=size)
    config = told or config
    image = resized(image, config.size)
    # After a frame, the shifts of the beginning are not to come again.
    rng = np.random.default_rng(config.seed if after is None else (config.seed, after.step))
    run = OctavePyramid(to_float(image), config, backbone, guide, rng)
    done, number = 0, 1
    if after is not None:
        picture, position = _place(after, image.shape[:2], config)
        run.go_on_from(picture, position)
        done, number = after.step, position["picture"]
    while True:
        while not run.finished:
            loss = run.step()
            done += 1
            remaining = run.remaining + (config.pictures - number) * run.octaves * config.steps
            place = message("picture {number} of {count}", number=number, count=config.pictures)
            new_config = yield Frame(
                step=done,
                total=done + remaining,
                image=to_uint8(run.image),
                metrics={"loss": loss},
                note=joined([place, run.note]) if config.pictures > 1 else run.note,
                progress=(number - 1 + run.progress) / config.pictures,
                keyframe=config.pictures == 1 or run.finished,
                yield_point=run.finished,
                config=told,
                position={"picture": number, **run.position} if config.pictures == 1 or run.finished else None,
            )
            told = None
            if new_config is not None:
                config = _steered(config, new_config)
                run.steer(config)
        if number >= config.pictures:
            return
        run = OctavePyramid(zoomed(run.image, config.zoom, config.turn), config, backbone, guide, rng)
        number += 1


def _place(after: Frame, shape: tuple[int, int], config: DreamConfig) -> tuple[np.ndarray, Mapping[str, int]]:
    """The picture and the position to go on from, in a dream of (height, width) at full size.

    Raises:
        ValueError: the frame has none, or is of another run.
    """
    picture, position = after.image, after.position
    if picture is not None and position is not None:
        height, width = picture.shape[:2]
        fits = height <= shape[0] and width <= shape[1]
        if fits and (config.pictures == 1 or (height, width) == shape):
            return picture, position
    raise ValueError(message("A dream cannot go on from this frame; begin it anew."))


def _steered(config: DreamConfig, new_config: DreamConfig) -> DreamConfig:
    """What may change in the middle: all but what the picture and the random numbers were made from.

    Where no layers are named, those in force stay.
    """
    kept: dict[str, Any] = {"size": config.size, "seed": config.seed, "pictures": config.pictures}
    return dataclasses.replace(new_config, layer_weights=new_config.layer_weights or config.layer_weights, **kept)


class OctavePyramid:
    """One picture on its way up the octaves."""

    def __init__(self, original: np.ndarray, config: DreamConfig, backbone: Backbone, guide, rng):
        import tensorflow as tf

        self._original = tf.constant(original)
        self._backbone, self._guide, self._rng = backbone, guide, rng
        self.config = config
        self._shapes = self._ladder(config)  # of this octave and those above it
        self._octave = 0
        self._octave_steps = 0
        self._over = False
        self._pixels_below = 0
        self.image = tf.image.resize(self._original, self._shapes[0])
        self._shrunk_to = self._shapes[0]  # the size whose detail the picture has got
        self._ascent, self._cells = ascent_for(backbone, config, guide)

    def _ladder(self, config: DreamConfig) -> list[tuple[int, int]]:
        """The octaves' shapes; those too small for the backbone are left out."""
        shape = tuple(self._original.shape[1:3])
        least = self._backbone.architecture.least
        ladder = octave_shapes(shape, config.octaves, config.octave_scale)
        return [octave for octave in ladder if min(octave) >= least] or [shape]

    def _ladder_from(self, size: tuple[int, int], config: DreamConfig) -> list[tuple[int, int]]:
        """A size, which need not be one of the ladder's, and the ladder's octaves above it."""
        return [size, *(shape for shape in self._ladder(config) if shape[0] > size[0] or shape[1] > size[1])]

    @property
    def finished(self) -> bool:
        return self._over and len(self._shapes) == 1

    @property
    def octaves(self) -> int:
        return self._octave + len(self._shapes)

    @property
    def remaining(self) -> int:
        here = 0 if self._over else max(0, self.config.steps - self._octave_steps)
        return here + (len(self._shapes) - 1) * self.config.steps

    @property
    def progress(self) -> float:
        """Share of this picture's work that is done: a step costs as much as its octave has pixels."""
        areas = [height * width for height, width in self._shapes]
        here = 1.0 if self._over else self._octave_steps / max(self.config.steps, self._octave_steps)
        return (self._pixels_below + here * areas[0]) / (self._pixels_below + sum(areas))

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
        """All that `go_on_from` needs beside the picture; its size is that of the octave.

        Of the octaves below it says all that still counts: after steering, no config tells their sizes.
        """
        return {
            "octave": self._octave,
            "step": self._octave_steps,
            "over": int(self._over),
            "pixels_below": self._pixels_below,
            "shrunk_height": self._shrunk_to[0],
            "shrunk_width": self._shrunk_to[1],
        }

    def go_on_from(self, picture: np.ndarray, position: Mapping[str, int]) -> None:
        """Stand where another run stood: its (h, w, 3) uint8 picture, and its `position` at that moment."""
        import tensorflow as tf

        self._shapes = self._ladder_from(picture.shape[:2], self.config)
        self._octave, self._octave_steps = position["octave"], position["step"]
        self._over = bool(position["over"])
        self._pixels_below = position["pixels_below"]
        self._shrunk_to = position["shrunk_height"], position["shrunk_width"]
        self.image = tf.constant(to_float(picture))

    def step(self) -> float:
        """One gradient-ascent step, entering the next octave first if this one is over; returns the loss."""
        import tensorflow as tf

        if self._over:
            self._pixels_below += math.prod(self._shapes.pop(0))
            self._octave, self._octave_steps, self._over = self._octave + 1, 0, False
            self.image = tf.image.resize(self.image, self._shapes[0])
        config = self.config
        jitter = config.jitter
        down, right = self._rng.integers(-jitter, jitter + 1, 2)
        height, width = self._shapes[0]
        result = self._ascent.step(
            self.image,
            layer_weights=config.layer_weights,
            step_size=config.step_size,
            normalize=config.normalization == "mean_absolute",
            shift=(int(down), int(right)),
            channel=config.channel,
            guide=self._cells,
            tile_size=tile_size(height * width, config.tile_size),
        )
        if not math.isfinite(result.loss):
            raise ValueError(
                message("The dream has run away to infinity; use a smaller step size or a smaller layer weight.")
            )
        self.image = result.image
        self._octave_steps += 1
        crossed = bool(config.max_loss) and result.loss > config.max_loss
        if crossed or self._octave_steps >= config.steps:
            self._over = True
            self._put_back_detail()
        return result.loss

    def _put_back_detail(self) -> None:
        """Add what the original lost by having been shrunk to the octave before.

        The shrunken original is brought up to date at each octave; the book's printed listing misspells it there and
        so puts back the detail lost since the smallest size each time.
        """
        import tensorflow as tf

        shape = self._shapes[0]
        shrunk_original = tf.image.resize(self._original, self._shrunk_to)
        self.image += tf.image.resize(self._original, shape) - tf.image.resize(shrunk_original, shape)
        self._shrunk_to = shape

    def steer(self, config: DreamConfig) -> None:
        """Take up a changed config: at once, and for the octaves above this one."""
        self._shapes = self._ladder_from(self._shapes[0], config)
        if (config.layer_weights, config.channel) != (self.config.layer_weights, self.config.channel):
            self._ascent, self._cells = ascent_for(self._backbone, config, self._guide)
        self.config = config


def ascent_for(
    backbone: Backbone, config: DreamConfig, guide: np.ndarray | None
) -> tuple[GradientAscent, list[tf.Tensor] | None]:
    """The traced step for a config's objective, kept with the backbone, and the guide's features."""
    from engines.deep_dream.gradient_ascent import GradientAscent

    layers = tuple(name for name in backbone.layers if config.layer_weights.get(name))
    key: tuple[Any, ...] = ("ascent", layers, guide is not None, config.channel is not None)
    ascent = backbone.memory.pop(key, None) or GradientAscent(
        backbone, layers, guided=guide is not None, single_channel=config.channel is not None
    )
    backbone.memory[key] = ascent  # last in the dict: the oldest is the first to go
    kept = [k for k in backbone.memory if k[0] == "ascent"]
    for old in kept[: len(kept) - _ASCENTS_KEPT]:
        del backbone.memory[old]
    if guide is None:
        return ascent, None
    least = backbone.architecture.least
    small = resized(guide, long_enough(guide.shape[:2], GUIDE_SIDE, least, MOST_SIDE))
    check_picture(small, least=least)
    return ascent, ascent.guide_features(to_float(small))


def zoomed(image: tf.Tensor, zoom: float, turn: float) -> np.ndarray:
    """The next picture of a zoom film: (1, H, W, 3), enlarged by `zoom` and turned by `turn` degrees about its centre.

    Clipped to [-1, 1]; beyond the edge the picture is mirrored.
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


def to_uint8(image: tf.Tensor) -> np.ndarray:
    """(1, H, W, 3) float32 in [-1, 1] or beyond -> (H, W, 3) uint8, clipped and rounded."""
    import tensorflow as tf

    return tf.cast(tf.clip_by_value(tf.round((image[0] + 1) * 127.5), 0, 255), tf.uint8).numpy()
