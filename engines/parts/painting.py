"""A painting in the making: up the sizes, evaluation by evaluation, in the time that was promised."""

from __future__ import annotations

import dataclasses
import math
import time
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from engines.frames import Frame
from engines.parts.colors import luminance
from engines.parts.first_order import FirstOrder, Optimizer
from engines.parts.lbfgs import LBFGS
from engines.parts.memory import free_bytes
from engines.parts.perceptual import Evaluation, PerceptualLoss
from engines.parts.pictures import long_enough, to_float
from engines.parts.scene import Pictures, Scene, fitted
from engines.parts.style_config import MOST_SIDE, StyleConfig

if TYPE_CHECKING:
    from engines.parts.backbones import Backbone

# Each size is so much larger than the one before, and takes so many fewer steps.
SCALE_FACTOR = 1.75
STEPS_FACTOR = 1.4
LEAST_SHORT_SIDE = 48
LEAST_SIDE = 16
# What a run in a given time chooses from, and the steps at full size that it would like to have.
SIZES = (192, 256, 320, 384, 448, 512, 576, 640, 720, 800, 900, 1024, 1152, 1280, 1440)
# Photos that are longer than this many times their width get longer sizes, so that they have as many pixels as one that
# is just so long.
LONG = 4.0
STEPS_WANTED = 30
# More steps than these hardly change a painting any more: from here on time is better spent on size.
STEPS_ENOUGH = 250
PROBE_SIDE = 224
TILES = (1536, 1024, 768, 512, 384)
WHOLE = 16_384
_CORRECTIONS = 10
# Bytes a pixel of what stays from step to step: the history of L-BFGS and a dozen pictures, in float32.
_KEPT_PER_PIXEL = (2 * _CORRECTIONS + 14) * 3 * 4
_LOSSES_KEPT = 4
_LAST_LEARNING_RATE = 0.5
# A first step so much shorter suits a picture that is painted already: a whole one would only be taken back.
_SHORTER = 0.1
_NO_PLACE = "A painting cannot go on from this frame with these settings; begin it anew."


class Painting:
    """One painting on its way up the sizes.

    Args:
        after: a frame of a painting of the same pictures, with its `position`: begin there. The config is then what was
            in force at that frame.

    Attributes:
        config: the settings in force: what was asked for, with size, scales, steps and tiles as chosen.

    Raises:
        ValueError: the frame has no position, or is of another painting.
    """

    def __init__(self, pictures: Pictures, config: StyleConfig, backbone: Backbone, after: Frame | None = None):
        self._pictures, self._backbone = pictures, backbone
        self._began = time.monotonic()
        self._promise = config.seconds
        self._rng = np.random.default_rng(config.seed)
        self._narrowed = self._tiled = False  # to fit the memory
        if after and config.seconds:
            raise ValueError(_NO_PLACE)  # the lost run had chosen for its seconds, and to choose anew is another run
        self.config = self._planned(config)
        self._shapes = self._ladder(self.config)
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
        if picture is None or position is None or self._shapes[position["scale"] :][:1] != [picture.shape[:2]]:
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
    def _last(self) -> int:
        return len(self._shapes) - 1

    def _steps_at(self, scale: int, steps: float | None = None) -> int:
        steps = self.config.steps if steps is None else steps
        return max(1, round(steps * STEPS_FACTOR ** (self._last - scale)))

    @property
    def _scale_over(self) -> bool:
        return self._done_here >= self._steps_at(self._scale)

    @property
    def finished(self) -> bool:
        return self._scale == self._last and self._scale_over

    @property
    def remaining(self) -> int:
        here = 0 if self._scale_over else self._steps_at(self._scale) - self._done_here
        return here + sum(self._steps_at(scale) for scale in range(self._scale + 1, self._last + 1))

    def _area(self, scale: int) -> int:
        return math.prod(self._shapes[scale])

    @property
    def progress(self) -> float:
        """Share of the work that is done: a step costs as much as its size has pixels."""
        done = self._work_below + self._done_here * self._area(self._scale)
        left = (self._steps_at(self._scale) - self._done_here) * self._area(self._scale)
        left = 0 if self._scale_over else max(0, left)
        left += sum(self._steps_at(i) * self._area(i) for i in range(self._scale + 1, self._last + 1))
        return done / (done + left)

    @property
    def note(self) -> str:
        height, width = self._shapes[self._scale]
        size = f"size {self._scale + 1} of {len(self._shapes)}, {width} x {height}"
        step = f"step {self._done_here} of {max(self._steps_at(self._scale), self._done_here)}"
        return " · ".join([size, step, *self._fitting])

    @property
    def _fitting(self) -> list[str]:
        """What was done to fit the memory, in words."""
        words = []
        if self._narrowed:
            words.append(f"{self.config.size} pixels wide at most, to fit the memory")
        if self._tiled:
            words.append("in tiles" if self._narrowed else "in tiles, to fit the memory")
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
        if self._scale_over:
            self._enlarge()
        evaluation = self._scene_loss.evaluate(
            self._optimizer.trial, self._targets, self._weights, tile=self.config.tile_size
        )
        self._optimizer.tell(evaluation.loss, evaluation.gradient)
        if self._optimizer.stuck:
            if not math.isfinite(evaluation.loss):
                raise ValueError("The painting runs away to infinity; use a smaller learning rate or smaller weights.")
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

    def steer(self, changed: StyleConfig) -> StyleConfig:
        """Take up changed settings, except for those that a painting cannot change on its way; returns what holds."""
        fixed = {
            name: getattr(self.config, name) for name in ("seconds", "size", "scales", "tile_size", "seed", "start")
        }
        if self._promise or changed.seconds:  # the time decides them, also where it was another run's to keep
            fixed["steps"] = self.config.steps
        if changed.blend and len(changed.blend) != len(self._pictures.styles):
            fixed["blend"] = self.config.blend
        old, self.config = self.config, dataclasses.replace(changed, **fixed)
        new = self.config
        if dataclasses.replace(old, steps=new.steps) == new:
            return new
        remade = ("style_scale", "color", "pooling", "losses", "style_layers", "content_layer")
        if any(getattr(old, name) != getattr(new, name) for name in remade):
            self._open_scene()
        else:
            self._targets = self._scene.targets(new)
        self._weigh(self._scene)
        given_up = new.optimizer == "lbfgs" and not isinstance(self._optimizer, LBFGS)
        if given_up or (old.optimizer, old.learning_rate) != (new.optimizer, new.learning_rate):
            self._optimizer = self._new_optimizer(self._optimizer.x)
        self._optimizer.forget()
        return new

    def _open_scene(self) -> None:
        self._scene_loss = self._loss_for(self.config)
        shape = self._shapes[self._scale]
        self._scene = Scene(self._pictures, self.config, self._scene_loss, shape, self.config.tile_size)
        self._targets = self._scene.targets(self.config)

    def _begin_scale(self, done: int = 0) -> None:
        self._done_here = done
        self._times: list[float] = [time.monotonic()]

    def _enlarge(self) -> None:
        """Go on at the next size with the picture, and what is known of the curvature, carried up."""
        self._work_below += self._done_here * self._area(self._scale)
        before = self._scene.content
        self._scale += 1
        self._open_scene()
        shape = self._shapes[self._scale]

        def resize(tensor: tf.Tensor) -> tf.Tensor:
            return tf.image.resize(tensor, shape, method="bicubic")

        # The photo's finest detail cannot come from a smaller painting.
        detail = self._scene.content - resize(before)
        if isinstance(self._optimizer, LBFGS):
            shrink = self._area(self._scale - 1) / self._area(self._scale) if self.config.losses == "relative" else 1.0
            optimizer = self._optimizer.carried(resize, first_step=self._first_step(), shrink=shrink)
            optimizer.x = optimizer.trial = optimizer.x + detail
            self._optimizer = optimizer
        else:
            self._optimizer = self._new_optimizer(resize(self._optimizer.x) + detail)
        self._begin_scale()

    def _first_picture(self) -> tf.Tensor:
        if self._pictures.start is not None:
            return tf.constant(to_float(fitted(self._pictures.start, self._shapes[0])))
        if self.config.start == "noise":
            noise = self._rng.normal(0, 0.25, self._scene.content.shape)
            return tf.constant(noise.astype(np.float32))
        return tf.constant(self._scene.content)

    def _first_step(self) -> float:
        """A step that moves every pixel by a few grey levels."""
        return 0.03 * math.sqrt(3 * self._area(self._scale))

    def _new_optimizer(self, x: tf.Tensor, share: float = 1.0) -> Optimizer:
        if self.config.optimizer == "lbfgs":
            return LBFGS(x, first_step=share * self._first_step(), corrections=_CORRECTIONS)
        return FirstOrder(x, self.config.optimizer, self.config.learning_rate)

    def _loss_for(self, config: StyleConfig) -> PerceptualLoss:
        """The traced losses for a config's layers, kept with the backbone."""
        layers = tuple(name for name in self._backbone.layers if config.style_layers.get(name))
        regions = self._pictures.regions
        book = config.losses == "book"
        key = ("perceptual", layers, config.content_layer, config.pooling, regions, book)
        memory = self._backbone.memory
        loss = memory.pop(key, None) or PerceptualLoss(
            self._backbone,
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

    def _weigh(self, scene: Scene) -> None:
        """Set the weights of the three losses.

        With a balance, the photo's weight is such that it has this share of the gradient, next to the style's, at a
        picture half way between the two: a knob that means the same for every photo, painting and network.
        """
        config = self.config
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

    # Planning: size, scales and steps for the time and the memory that there are

    def _full_shape(self, size: int) -> tuple[int, int]:
        height, width = self._pictures.content.shape[:2]
        scale = self._raised(size) / max(height, width) if size else 1.0
        return max(1, round(height * scale)), max(1, round(width * scale))

    def _raised(self, size: int) -> int:
        """The longest side, raised where a long and narrow photo would have too few pixels across to be painted."""
        shape = self._pictures.content.shape[:2]
        # The same for all sizes of a photo: a larger one must not come out smaller.
        wanted = LEAST_SHORT_SIDE if max(shape) >= LONG * min(shape) else LEAST_SIDE
        across = min(wanted, min(shape), MOST_SIDE * min(shape) // max(shape))
        return long_enough(shape, size, max(across, LEAST_SIDE), MOST_SIDE)

    def _sizes(self) -> list[int]:
        """The sizes that a run in a given time chooses from."""
        height, width = self._pictures.content.shape[:2]
        stretch = math.sqrt(max(1.0, max(height, width) / min(height, width) / LONG))
        return sorted({self._raised(min(MOST_SIDE, round(size * stretch))) for size in SIZES})

    def _ladder(self, config: StyleConfig) -> list[tuple[int, int]]:
        """(height, width) of each size from small to full. Going on from a picture happens at full size."""
        height, width = self._full_shape(config.size)
        count = 1 if self._pictures.start is not None else config.scales
        shapes = [(round(height / SCALE_FACTOR**i), round(width / SCALE_FACTOR**i)) for i in range(count)]
        return [shape for shape in shapes if min(shape) >= LEAST_SHORT_SIDE][::-1] or [(height, width)]

    def _planned(self, config: StyleConfig) -> StyleConfig:
        """The config with size, scales, steps and tiles for this machine; `seconds` is then spent."""
        if config.seconds:
            config = self._timed(config)
        config = dataclasses.replace(config, seconds=0.0, size=self._raised(config.size))
        return config if config.tile_size else self._fitted(config)

    def _fitted(self, config: StyleConfig) -> StyleConfig:
        """The config with tiles, and a smaller size where even these would not do, for the memory that is free."""
        free = free_bytes()
        budget = 2 << 30 if free is None else min(free // 2, 3 << 30)
        each = self._loss_for(config).bytes_per_pixel
        height, width = self._full_shape(config.size)
        longest = max(height, width)
        # What the optimiser and the pictures take comes on top, tiles or not.
        most = math.inf if free is None else max(0.8 * free - TILES[-1] ** 2 * each, 0) / _KEPT_PER_PIXEL
        if height * width > most and longest > SIZES[0]:
            longest = self._raised(max(SIZES[0], int(longest * math.sqrt(most / (height * width)))))
            config = dataclasses.replace(config, size=longest)
            height, width = self._full_shape(longest)
            self._narrowed = True
        if each * height * width <= budget:
            return dataclasses.replace(config, tile_size=WHOLE)
        tile = next((tile for tile in TILES if each * tile**2 <= budget), TILES[-1])
        self._tiled = True
        return dataclasses.replace(config, tile_size=tile)

    def _timed(self, config: StyleConfig) -> StyleConfig:
        """Choose by two timed evaluations at a small size; the first also traces."""
        loss = self._loss_for(config)
        shape = self._full_shape(PROBE_SIDE)
        scene = Scene(self._pictures, config, loss, shape, WHOLE)
        targets, image = scene.targets(config), tf.constant(scene.content)
        times = []
        for _ in range(2):
            before = time.monotonic()
            loss.evaluate(image, targets, (1.0, 1.0, 1.0), tile=WHOLE)
            times.append(time.monotonic() - before)
        per_pixel = min(times) / math.prod(shape)
        left = config.seconds - (time.monotonic() - self._began)
        own = max(self._pictures.content.shape[:2])
        sizes = self._sizes()
        best = dataclasses.replace(config, size=sizes[0], scales=1, steps=1)
        for size in sizes:
            scales = 1 if self._pictures.start is not None else max(1, 1 + round(math.log(size / 160, SCALE_FACTOR)))
            tried = dataclasses.replace(config, size=size, scales=scales)
            shapes = self._ladder(tried)
            work = sum(math.prod(shape) * STEPS_FACTOR ** (len(shapes) - 1 - i) for i, shape in enumerate(shapes))
            steps = int(0.9 * left / (work * per_pixel))
            if steps < (STEPS_WANTED if size <= max(own, 512) else STEPS_ENOUGH) and size > sizes[0]:
                break
            best = dataclasses.replace(tried, steps=min(max(steps, 5), 2000))
        return best

    def keep_pace(self) -> StyleConfig | None:
        """Correct the steps so that the painting ends when it was promised; the changed config, or None."""
        now = time.monotonic()
        self._times.append(now)
        if not self._promise or self.finished or len(self._times) < 4:
            return None
        recent = self._times[-8:]
        here = (recent[-1] - recent[0]) / (len(recent) - 1)
        ahead = [here * self._area(i) / self._area(self._scale) for i in range(self._scale + 1, self._last + 1)]
        shares = [STEPS_FACTOR ** (self._last - i) for i in range(self._scale, self._last + 1)]
        per_step = sum(share * each for share, each in zip(shares, [here, *ahead], strict=True))
        left = self._began + self._promise - now
        # One step more than were done at full size, so that a frame tells what the steps were corrected to.
        least = self._done_here + 1 if self._scale == self._last else 3
        steps = max(least, min(5000, round((left + self._done_here * here) / per_step)))
        if abs(steps - self.config.steps) <= 0.04 * self.config.steps:
            return None
        self.config = dataclasses.replace(self.config, steps=steps)
        return self.config
