"""Coarse-to-fine optimisation of the picture, within a given time."""

from __future__ import annotations

import dataclasses
import math
import time
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from engines.core.frames import Frame
from engines.core.messages import joined, message
from engines.imaging.color import luminance
from engines.imaging.images import to_float
from engines.style_transfer.config import StyleConfig
from engines.style_transfer.first_order import FirstOrder, Optimizer
from engines.style_transfer.lbfgs import LBFGS
from engines.style_transfer.losses import Evaluation, PerceptualLoss
from engines.style_transfer.schedule import CORRECTIONS, STEPS_FACTOR, Level, Planner
from engines.style_transfer.targets import StyleInputs, StyleTargets, fitted

if TYPE_CHECKING:
    from engines.backbones.backbone import Backbone

_LOSSES_KEPT = 4
_LAST_LEARNING_RATE = 0.5
# A first step so much shorter suits a picture that is painted already: a whole one would only be taken back.
_SHORTER = 0.1
_NO_PLACE = message("A painting cannot go on from this frame with these settings; begin it anew.")


class StyleOptimizer:
    """One painting on its way up the sizes.

    Args:
        after: a frame of a painting of the same pictures, with its `position`: begin there. The config is then what was
            in force at that frame.
        sketcher: a quicker network, for a config that begins from a sketch.

    Attributes:
        config: the settings in force: what was asked for, with size, scales, steps and tiles as chosen.

    Raises:
        ValueError: the frame has no position, or is of another painting.
    """

    def __init__(
        self,
        pictures: StyleInputs,
        config: StyleConfig,
        backbone: Backbone,
        after: Frame | None = None,
        sketcher: Backbone | None = None,
    ):
        self._pictures, self._backbone = pictures, backbone
        self._began = time.monotonic()
        sketched = config.start == "sketch" and pictures.start is None
        self._planner = Planner(pictures, backbone, sketcher if sketched else None, self._loss_for, self._began)
        self._promise = config.seconds
        self._rng = np.random.default_rng(config.seed)
        self._narrowed = self._tiled = False  # to fit the memory
        if after and config.seconds:
            raise ValueError(_NO_PLACE)  # the lost run had chosen for its seconds, and to choose anew is another run
        self.config = self._planned(config)
        self._levels = self._planner.levels(self.config)
        self._weights = (1.0, 1.0, 1.0)
        self._work_below = 0
        self._scale = 0
        if after:
            self._begin_after(after)
            return
        self._open_scene()
        self._weigh(self._scene)
        self._optimizer = self._new_optimizer(self._first_picture())
        self._begin_scale()

    def _begin_after(self, frame: Frame) -> None:
        """Stand where another painting stood at its frame, but for what its optimiser knew."""
        picture, position = frame.image, frame.position
        places = [level.shape for level in self._levels]
        if picture is None or position is None or places[position["scale"] :][:1] != [picture.shape[:2]]:
            raise ValueError(_NO_PLACE)
        self._narrowed, self._tiled = bool(position["narrowed"]), bool(position["tiled"])
        self._work_below = position["work_below"]
        # The weights depend on the size at which they were found: found there again they are the same, and the picture
        # goes on towards where it was going.
        self._scale = position["weighed_at"]
        self._open_scene()
        self._weigh(self._scene)
        if self._scale != position["scale"]:
            self._scale = position["scale"]
            self._open_scene()
        image = to_float(picture)
        if self.config.color == "photo":  # lightness is painted; the colours in the frame were laid over it
            image = np.repeat(luminance(image)[..., None], 3, axis=-1)
        self._optimizer = self._new_optimizer(tf.constant(image), _SHORTER)
        self._begin_scale(position["step"])

    # Where it stands

    @property
    def _level(self) -> Level:
        return self._levels[self._scale]

    @property
    def sketching(self) -> bool:
        """Whether what is painted is a sketch, by another network and another loss."""
        return self._level.sketch

    @property
    def _above(self) -> list[Level]:
        return self._levels[self._scale + 1 :]

    @property
    def _here(self) -> StyleConfig:
        """The settings that are in force at this size."""
        return self._level.config(self.config)

    @property
    def _steps_left(self) -> int:
        return max(0, self._level.steps(self.config.steps) - self._done_here)

    @property
    def finished(self) -> bool:
        return not self._above and not self._steps_left

    @property
    def remaining(self) -> int:
        return self._steps_left + sum(level.steps(self.config.steps) for level in self._above)

    def _work(self, level: Level) -> int:
        return self._planner.cost(level, self.config)

    @property
    def progress(self) -> float:
        """Share of the work that is done."""
        done = self._work_below + self._done_here * self._work(self._level)
        left = self._steps_left * self._work(self._level)
        left += sum(level.steps(self.config.steps) * self._work(level) for level in self._above)
        return done / (done + left)

    @property
    def note(self) -> str:
        height, width = self._level.shape
        sizes = [level for level in self._levels if level.sketch == self._level.sketch]
        number = sizes.index(self._level) + 1
        place = {"number": number, "sizes": len(sizes), "width": width, "height": height}
        size = message("size {number} of {sizes}, {width} x {height}", **place)
        if self._level.sketch:
            size = message("sketch, size {number} of {sizes}, {width} x {height}", **place)
        total = max(self._level.steps(self.config.steps), self._done_here)
        return joined([size, message("step {step} of {total}", step=self._done_here, total=total), *self._fitting])

    @property
    def _fitting(self) -> list[str]:
        """What was done to fit the memory, in words."""
        words: list[str] = []
        if self._narrowed:
            words.append(message("{size} pixels wide at most, to fit the memory", size=self.config.size))
        if self._tiled:
            words.append(message("in tiles") if self._narrowed else message("in tiles, to fit the memory"))
        return words

    @property
    def position(self) -> dict[str, int]:
        """All that another painting needs to begin here, beside the picture, the config and the pictures it is of."""
        return {
            "scale": self._scale,
            "step": self._done_here,
            "work_below": self._work_below,
            "weighed_at": self._weighed_at,
            "narrowed": int(self._narrowed),
            "tiled": int(self._tiled),
        }

    @property
    def best(self) -> tf.Tensor:
        """The best picture so far as it is optimised: (1, h, w, 3) float32, beyond [-1, 1] in places."""
        return self._optimizer.x

    def picture(self) -> np.ndarray:
        """The same as a person sees it, (h, w, 3) uint8."""
        return self._scene.shown(self.best)

    # What it does

    def step(self) -> Evaluation:
        """Evaluate once and move; enters the next size first if this one is over.

        Raises:
            ValueError: the picture runs away to infinity.
        """
        if not self._steps_left:
            self._enlarge()
        evaluation = self._scene_loss.evaluate(
            self._optimizer.trial, self._targets, self._weights, tile=self.config.tile_size
        )
        self._optimizer.tell(evaluation.loss, evaluation.gradient)
        if self._optimizer.stuck:
            if not math.isfinite(evaluation.loss):
                raise ValueError(
                    message("The painting runs away to infinity; use a smaller learning rate or smaller weights.")
                )
            # A line search ends where the loss is rounded; small steps along the gradient still lead on.
            self._optimizer = FirstOrder(self._optimizer.x, "adam", _LAST_LEARNING_RATE)
        self._done_here += 1
        style, content, variation = self._weights
        return dataclasses.replace(
            evaluation,
            style=style * evaluation.style,
            content=content * evaluation.content,
            total_variation=variation * evaluation.total_variation,
        )

    def steer(self, new_config: StyleConfig) -> StyleConfig:
        """Take up changed settings, except for those that a painting cannot change on its way; returns what holds.

        Where no layers are named, those in force stay.
        """
        fixed = {
            name: getattr(self.config, name) for name in ("seconds", "size", "scales", "tile_size", "seed", "start")
        }
        if self._promise or new_config.seconds:  # the time decides them, also where it was another run's to keep
            fixed["steps"] = self.config.steps
        if new_config.blend and len(new_config.blend) != len(self._pictures.styles):
            fixed["blend"] = self.config.blend
        fixed["style_layers"] = new_config.style_layers or self.config.style_layers
        fixed["content_layer"] = new_config.content_layer or self.config.content_layer
        old, self.config = self.config, dataclasses.replace(new_config, **fixed)
        new = self.config
        if dataclasses.replace(old, steps=new.steps) == new:
            return new
        remade = ("style_scale", "color", "pooling", "losses", "style_layers", "content_layer")
        if any(getattr(old, name) != getattr(new, name) for name in remade):
            self._open_scene()
        else:
            self._targets = self._scene.targets(self._here)
        self._weigh(self._scene)
        before, here = self._level.config(old), self._here
        given_up = here.optimizer == "lbfgs" and not isinstance(self._optimizer, LBFGS)
        if given_up or (before.optimizer, before.learning_rate) != (here.optimizer, here.learning_rate):
            self._optimizer = self._new_optimizer(self._optimizer.x)
        self._optimizer.forget()
        return new

    def _open_scene(self) -> None:
        config, level = self._here, self._level
        self._scene_loss = self._loss_for(config, level.backbone)
        self._scene = StyleTargets(self._pictures, config, self._scene_loss, level.shape, config.tile_size)
        self._targets = self._scene.targets(config)

    def _begin_scale(self, done: int = 0) -> None:
        self._done_here = done
        self._times: list[float] = [time.monotonic()]

    def _enlarge(self) -> None:
        """Go on at the next size with the picture, and what is known of the curvature, carried up; or on the sketch,
        with another network."""
        below = self._level
        self._work_below += self._done_here * self._work(below)
        before = self._scene.content
        self._scale += 1
        self._open_scene()
        shape = self._level.shape
        if below.backbone is not self._level.backbone:
            self._weigh(self._scene)
            self._optimizer = self._new_optimizer(self._optimizer.x)
            self._begin_scale()
            return

        def resize(tensor: tf.Tensor) -> tf.Tensor:
            return tf.image.resize(tensor, shape, method="bicubic")

        # The photo's finest detail cannot come from a smaller painting.
        detail = self._scene.content - resize(before)
        if isinstance(self._optimizer, LBFGS):
            shrink = below.area / self._level.area if self._here.losses == "relative" else 1.0
            optimizer = self._optimizer.carried(resize, first_step=self._first_step(), shrink=shrink)
            optimizer.x = optimizer.trial = optimizer.x + detail
            self._optimizer = optimizer
        else:
            self._optimizer = self._new_optimizer(resize(self._optimizer.x) + detail)
        self._begin_scale()

    def _first_picture(self) -> tf.Tensor:
        if self._pictures.start is not None:
            return tf.constant(to_float(fitted(self._pictures.start, self._level.shape)))
        if self.config.start == "noise":
            noise = self._rng.normal(0, 0.25, self._scene.content.shape)
            return tf.constant(noise.astype(np.float32))
        return tf.constant(self._scene.content)

    def _first_step(self) -> float:
        """A step that moves every pixel by a few grey levels."""
        return 0.03 * math.sqrt(3 * self._level.area)

    def _new_optimizer(self, x: tf.Tensor, share: float = 1.0) -> Optimizer:
        config = self._here
        if config.optimizer == "lbfgs":
            return LBFGS(x, first_step=share * self._first_step(), corrections=CORRECTIONS)
        return FirstOrder(x, config.optimizer, config.learning_rate)

    def _loss_for(self, config: StyleConfig, backbone: Backbone) -> PerceptualLoss:
        """The traced losses for a config's layers, kept with the backbone."""
        layers = tuple(name for name in backbone.layers if config.style_layers.get(name))
        regions = self._pictures.regions
        book = config.losses == "book"
        key = ("perceptual", layers, config.content_layer, config.pooling, regions, book)
        memory = backbone.memory
        loss = memory.pop(key, None) or PerceptualLoss(
            backbone,
            layers,
            config.content_layer,
            pooling=config.pooling,
            regions=regions,
            centred=not book,
            mirrored=not book,
        )
        memory[key] = loss  # last in the dict: the oldest is the first to go
        kept = [k for k in memory if k[0] == "perceptual"]
        for old in kept[: len(kept) - _LOSSES_KEPT]:
            del memory[old]
        return loss

    def _weigh(self, scene: StyleTargets) -> None:
        """Set the weights of the three losses.

        With a balance, the photo's weight is such that it has this share of the gradient, next to the style's, at a
        picture half way between the two: a knob that means the same for every photo, painting and network.
        """
        config = self._here
        self._weighed_at = self._scale
        content_weight = config.content_weight
        if config.balance and config.style_weight and content_weight:
            image = scene.between()
            lengths = [
                float(tf.norm(self._scene_loss.evaluate(image, self._targets, only, tile=config.tile_size).gradient))
                for only in ((config.style_weight, 0.0, 0.0), (0.0, content_weight, 0.0))
            ]
            if min(lengths) > 0:
                content_weight *= config.balance / (1 - config.balance) * lengths[0] / lengths[1]
        self._weights = (config.style_weight, content_weight, config.total_variation_weight)

    # The time and the memory that there are

    def _planned(self, config: StyleConfig) -> StyleConfig:
        """The config with size, scales, steps and tiles for this machine; `seconds` is then spent."""
        if config.seconds:
            config = self._planner.timed(config)
        config = dataclasses.replace(config, seconds=0.0, size=self._planner.raised(config.size))
        if not config.tile_size:
            config, self._narrowed, self._tiled = self._planner.fitted(config)
        return config

    def keep_pace(self) -> StyleConfig | None:
        """Correct the steps so that the painting ends when it was promised; the changed config, or None."""
        now = time.monotonic()
        self._times.append(now)
        if not self._promise or self.finished or len(self._times) < 4:
            return None
        recent = self._times[-8:]
        here = (recent[-1] - recent[0]) / (len(recent) - 1)
        left = self._began + self._promise - now
        done_here = 0 if self._level.sketch else self._done_here
        per_step = 0.0 if self._level.sketch else here * STEPS_FACTOR**self._level.above
        left -= self._steps_left * here if self._level.sketch else 0.0
        for level in self._above:
            each = here * self._planner.slower(level, self._level, self.config)
            left -= level.steps(0) * each if level.sketch else 0.0
            per_step += 0.0 if level.sketch else STEPS_FACTOR**level.above * each
        # One step more than were done at full size, so that a frame tells what the steps were corrected to.
        least = 3 if self._above else self._done_here + 1
        steps = max(least, min(5000, round((left + done_here * here) / per_step)))
        if abs(steps - self.config.steps) <= 0.04 * self.config.steps:
            return None
        self.config = dataclasses.replace(self.config, steps=steps)
        return self.config
