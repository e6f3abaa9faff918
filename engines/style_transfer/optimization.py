"""Coarse-to-fine optimisation of the image, within a given time."""

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
from engines.imaging.images import resize, to_float
from engines.style_transfer.config import StyleConfig
from engines.style_transfer.first_order import FirstOrder, Optimizer
from engines.style_transfer.lbfgs import LBFGS
from engines.style_transfer.losses import Evaluation
from engines.style_transfer.perceptual_loss import PerceptualLoss
from engines.style_transfer.schedule import CORRECTIONS, STEPS_FACTOR, Level, Planner
from engines.style_transfer.targets import StyleInputs, StyleTargets

if TYPE_CHECKING:
    from engines.backbones.backbone import Backbone

_CACHED_LOSSES = 4
_FALLBACK_LEARNING_RATE = 0.5
# An image that is already optimised needs a shorter first step; the line search would only undo a full one.
_RESUMED_FIRST_STEP = 0.1
_FIRST_STEP_ON_A_SKETCH = 0.3
_CANNOT_RESUME = message("The run cannot resume from this frame with these settings; start it again.")


class StyleOptimizer:
    """Coarse-to-fine optimisation of one image.

    Args:
        after: a frame, with its `position`, of a run with the same inputs, to resume from. `config` is then the one in
            force at that frame.
        sketch_network: a faster network, for a config that starts from a sketch.

    Attributes:
        config: the settings in force, with size, scales, steps and tiles as chosen.

    Raises:
        ValueError: the frame has no position, or belongs to another run.
    """

    def __init__(
        self,
        inputs: StyleInputs,
        config: StyleConfig,
        backbone: Backbone,
        after: Frame | None = None,
        sketch_network: Backbone | None = None,
    ):
        self._inputs, self._backbone = inputs, backbone
        self._began = time.monotonic()
        sketched = config.start == "sketch" and inputs.start is None
        self._planner = Planner(inputs, backbone, sketch_network if sketched else None, self._loss_for, self._began)
        self._time_limit = config.seconds
        self._rng = np.random.default_rng(config.seed)
        self._downsized = self._tiled = False  # to fit the available memory
        if after and config.seconds:
            raise ValueError(_CANNOT_RESUME)  # another choice of size and steps would be another run
        self.config = self._plan(config)
        self._levels = self._planner.levels(self.config)
        self._weights = (1.0, 1.0, 1.0)
        self._work_done = 0
        self._scale = 0
        if after:
            self._resume(after)
            return
        self._set_targets()
        self._set_weights(self._style_targets)
        self._optimizer = self._new_optimizer(self._initial_image())
        self._start_level()

    def _resume(self, frame: Frame) -> None:
        """Continue from another run's frame; only the optimiser's state is lost."""
        resumed, position = frame.image, frame.position
        shapes = [level.shape for level in self._levels]
        if resumed is None or position is None or shapes[position["scale"] :][:1] != [resumed.shape[:2]]:
            raise ValueError(_CANNOT_RESUME)
        self._downsized, self._tiled = bool(position["narrowed"]), bool(position["tiled"])
        self._work_done = position["work_below"]
        # The weights depend on the scale at which they were computed: computed there again they are the same.
        self._scale = position["weighed_at"]
        self._set_targets()
        self._set_weights(self._style_targets)
        if self._scale != position["scale"]:
            self._scale = position["scale"]
            self._set_targets()
        image = to_float(resumed)
        if self.config.color == "photo":  # only lightness is optimised; the frame has the photo's colours
            image = np.repeat(luminance(image)[..., None], 3, axis=-1)
        self._optimizer = self._new_optimizer(tf.constant(image), _RESUMED_FIRST_STEP)
        self._start_level(position["step"])

    # State

    @property
    def _level(self) -> Level:
        return self._levels[self._scale]

    @property
    def sketching(self) -> bool:
        """Whether the current level is the sketch, made with another network and loss."""
        return self._level.sketch

    @property
    def _levels_above(self) -> list[Level]:
        return self._levels[self._scale + 1 :]

    @property
    def _level_config(self) -> StyleConfig:
        """The settings in force at this level."""
        return self._level.config(self.config)

    @property
    def _steps_left(self) -> int:
        return max(0, self._level.steps(self.config.steps) - self._steps_done)

    @property
    def finished(self) -> bool:
        return not self._levels_above and not self._steps_left

    @property
    def remaining(self) -> int:
        return self._steps_left + sum(level.steps(self.config.steps) for level in self._levels_above)

    def _work(self, level: Level) -> int:
        return self._planner.step_cost(level, self.config)

    @property
    def progress(self) -> float:
        """Share of the work that is done, in [0, 1]."""
        done = self._work_done + self._steps_done * self._work(self._level)
        left = self._steps_left * self._work(self._level)
        left += sum(level.steps(self.config.steps) * self._work(level) for level in self._levels_above)
        return done / (done + left)

    @property
    def note(self) -> str:
        height, width = self._level.shape
        sizes = [level for level in self._levels if level.sketch == self._level.sketch]
        number = sizes.index(self._level) + 1
        place = {"number": number, "sizes": len(sizes), "width": width, "height": height}
        size = message("scale {number} of {sizes}, {width} × {height}", **place)
        if self._level.sketch:
            size = message("sketch, scale {number} of {sizes}, {width} × {height}", **place)
        total = max(self._level.steps(self.config.steps), self._steps_done)
        return joined(
            [size, message("step {step} of {total}", step=self._steps_done, total=total), *self._memory_notes]
        )

    @property
    def _memory_notes(self) -> list[str]:
        """Notes about what was changed to fit into memory."""
        words: list[str] = []
        if self._downsized:
            words.append(message("longest side reduced to {size} pixels, to fit in memory", size=self.config.size))
        if self._tiled:
            words.append(message("in tiles") if self._downsized else message("in tiles, to fit in memory"))
        return words

    @property
    def position(self) -> dict[str, int]:
        """The state that another run needs to resume here, besides the image, the config and the inputs."""
        return {
            "scale": self._scale,
            "step": self._steps_done,
            "work_below": self._work_done,
            "weighed_at": self._weighted_at,
            "narrowed": int(self._downsized),
            "tiled": int(self._tiled),
        }

    @property
    def best(self) -> tf.Tensor:
        """The best image so far, (1, h, w, 3) float32, beyond [-1, 1] in places."""
        return self._optimizer.x

    def image(self) -> np.ndarray:
        """`best` as (h, w, 3) uint8, in its final colours."""
        return self._style_targets.to_uint8(self.best)

    # Optimisation

    def step(self) -> Evaluation:
        """Evaluate the losses once and update the image; advances to the next level first if this one is finished.

        Returns the evaluation with its three terms weighted.

        Raises:
            ValueError: the optimisation diverged.
        """
        if not self._steps_left:
            self._next_level()
        evaluation = self._perceptual_loss.evaluate(
            self._optimizer.trial, self._targets, self._weights, tile=self.config.tile_size
        )
        self._optimizer.tell(evaluation.loss, evaluation.gradient)
        if self._optimizer.stuck:
            if not math.isfinite(evaluation.loss):
                raise ValueError(message("The image diverged; use a lower learning rate or lower weights."))
            # The line search stops at the rounding error of the loss; small gradient steps still make progress.
            self._optimizer = FirstOrder(self._optimizer.x, "adam", _FALLBACK_LEARNING_RATE)
        self._steps_done += 1
        style, content, variation = self._weights
        return dataclasses.replace(
            evaluation,
            style=style * evaluation.style,
            content=content * evaluation.content,
            total_variation=variation * evaluation.total_variation,
        )

    def steer(self, new_config: StyleConfig) -> StyleConfig:
        """Apply changed settings, except for those that are fixed during a run; returns the settings in force.

        Empty layer settings keep the current layers.
        """
        fixed = {
            name: getattr(self.config, name) for name in ("seconds", "size", "scales", "tile_size", "seed", "start")
        }
        if self._time_limit or new_config.seconds:  # the time limit decides them, also after resuming
            fixed["steps"] = self.config.steps
        if new_config.blend and len(new_config.blend) != len(self._inputs.styles):
            fixed["blend"] = self.config.blend
        fixed["style_layers"] = new_config.style_layers or self.config.style_layers
        fixed["content_layer"] = new_config.content_layer or self.config.content_layer
        old, self.config = self.config, dataclasses.replace(new_config, **fixed)
        new = self.config
        if dataclasses.replace(old, steps=new.steps) == new:
            return new
        remade = ("style_scale", "color", "pooling", "losses", "style_layers", "content_layer")
        if any(getattr(old, name) != getattr(new, name) for name in remade):
            self._set_targets()
        else:
            self._targets = self._style_targets.targets(self._level_config)
        self._set_weights(self._style_targets)
        before, here = self._level.config(old), self._level_config
        fell_back = here.optimizer == "lbfgs" and not isinstance(self._optimizer, LBFGS)
        if fell_back or (before.optimizer, before.learning_rate) != (here.optimizer, here.learning_rate):
            self._optimizer = self._new_optimizer(self._optimizer.x)
        self._optimizer.reset()
        return new

    def _set_targets(self) -> None:
        config, level = self._level_config, self._level
        self._perceptual_loss = self._loss_for(config, level.backbone)
        self._style_targets = StyleTargets(self._inputs, config, self._perceptual_loss, level.shape, config.tile_size)
        self._targets = self._style_targets.targets(config)

    def _start_level(self, done: int = 0) -> None:
        self._steps_done = done
        self._times: list[float] = [time.monotonic()]

    def _next_level(self) -> None:
        """Advance to the next level with image and curvature upsampled, or from the sketch to the other network."""
        below = self._level
        self._work_done += self._steps_done * self._work(below)
        before = self._style_targets.content
        self._scale += 1
        self._set_targets()
        shape = self._level.shape
        if below.backbone is not self._level.backbone:
            self._set_weights(self._style_targets)
            self._optimizer = self._new_optimizer(self._optimizer.x, _FIRST_STEP_ON_A_SKETCH)
            self._start_level()
            return

        def upsample(tensor: tf.Tensor) -> tf.Tensor:
            return tf.image.resize(tensor, shape, method="bicubic")

        # The photo's finest detail is missing from the smaller image.
        detail = self._style_targets.content - upsample(before)
        if isinstance(self._optimizer, LBFGS):
            shrink = below.area / self._level.area if self._level_config.losses == "relative" else 1.0
            optimizer = self._optimizer.resampled(upsample, first_step=self._first_step(), shrink=shrink)
            optimizer.x = optimizer.trial = optimizer.x + detail
            self._optimizer = optimizer
        else:
            self._optimizer = self._new_optimizer(upsample(self._optimizer.x) + detail)
        self._start_level()

    def _initial_image(self) -> tf.Tensor:
        if self._inputs.start is not None:
            return tf.constant(to_float(resize(self._inputs.start, self._level.shape)))
        if self.config.start == "noise":
            noise = self._rng.normal(0, 0.25, self._style_targets.content.shape)
            return tf.constant(noise.astype(np.float32))
        return tf.constant(self._style_targets.content)

    def _first_step(self) -> float:
        """Length of a step that changes every pixel by a few grey levels."""
        return 0.03 * math.sqrt(3 * self._level.area)

    def _new_optimizer(self, x: tf.Tensor, share: float = 1.0) -> Optimizer:
        config = self._level_config
        if config.optimizer == "lbfgs":
            return LBFGS(x, first_step=share * self._first_step(), corrections=CORRECTIONS)
        return FirstOrder(x, config.optimizer, config.learning_rate)

    def _loss_for(self, config: StyleConfig, backbone: Backbone) -> PerceptualLoss:
        """The traced losses for a config's layers, cached with the backbone."""
        layers = tuple(name for name in backbone.layers if config.style_layers.get(name))
        regions = self._inputs.regions
        book = config.losses == "book"
        key = ("perceptual", layers, config.content_layer, config.pooling, regions, book)
        cache = backbone.cache
        loss = cache.pop(key, None) or PerceptualLoss(
            backbone,
            layers,
            config.content_layer,
            pooling=config.pooling,
            regions=regions,
            centred=not book,
            mirror_padding=not book,
        )
        cache[key] = loss  # most recently used last
        kept = [k for k in cache if k[0] == "perceptual"]
        for old in kept[: len(kept) - _CACHED_LOSSES]:
            del cache[old]
        return loss

    def _set_weights(self, style_targets: StyleTargets) -> None:
        """Set the weights of the three losses.

        `balance` is the content loss's share of the gradient norm at an image halfway between photo and style image, so
        that it means the same for every photo, style image and network.
        """
        config = self._level_config
        self._weighted_at = self._scale
        content_weight = config.content_weight
        if config.balance and config.style_weight and content_weight:
            image = style_targets.midpoint()
            lengths = [
                float(
                    tf.norm(self._perceptual_loss.evaluate(image, self._targets, only, tile=config.tile_size).gradient)
                )
                for only in ((config.style_weight, 0.0, 0.0), (0.0, content_weight, 0.0))
            ]
            if min(lengths) > 0:
                content_weight *= config.balance / (1 - config.balance) * lengths[0] / lengths[1]
        self._weights = (config.style_weight, content_weight, config.total_variation_weight)

    # Time and memory

    def _plan(self, config: StyleConfig) -> StyleConfig:
        """The config with size, scales, steps and tiles chosen for this computer, and without a time limit."""
        if config.seconds:
            config = self._planner.fit_time(config)
        config = dataclasses.replace(config, seconds=0.0, size=self._planner.longest_side(config.size))
        if not config.tile_size:
            config, self._downsized, self._tiled = self._planner.fit_memory(config)
        return config

    def keep_pace(self) -> StyleConfig | None:
        """Adjust the number of steps to the time limit; returns the changed config, or None."""
        now = time.monotonic()
        self._times.append(now)
        if not self._time_limit or self.finished or len(self._times) < 4:
            return None
        recent = self._times[-8:]
        here = (recent[-1] - recent[0]) / (len(recent) - 1)
        left = self._began + self._time_limit - now
        done_here = 0 if self._level.sketch else self._steps_done
        per_step = 0.0 if self._level.sketch else here * STEPS_FACTOR**self._level.above
        left -= self._steps_left * here if self._level.sketch else 0.0
        for level in self._levels_above:
            each = here * self._planner.relative_step_time(level, self._level, self.config)
            left -= level.steps(0) * each if level.sketch else 0.0
            per_step += 0.0 if level.sketch else STEPS_FACTOR**level.above * each
        # At least one more step, so that a frame reports the adjusted number.
        least = 3 if self._levels_above else self._steps_done + 1
        steps = max(least, min(5000, round((left + done_here * here) / per_step)))
        if abs(steps - self.config.steps) <= 0.04 * self.config.steps:
            return None
        self.config = dataclasses.replace(self.config, steps=steps)
        return self.config
