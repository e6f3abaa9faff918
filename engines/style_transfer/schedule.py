"""Choose sizes and steps to fit the time and memory available."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tensorflow as tf

from engines.core.memory import free_bytes
from engines.imaging.images import long_enough
from engines.style_transfer.config import LAYERS, MOST_SIDE, StyleConfig
from engines.style_transfer.losses import PerceptualLoss
from engines.style_transfer.targets import StyleInputs, StyleTargets

if TYPE_CHECKING:
    from engines.backbones.backbone import Backbone

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
# A sketch takes so many steps at full size; what is painted on it wants fewer.
SKETCH_STEPS = 20
STEPS_WANTED_ON_A_SKETCH = 12
PROBE_SIDE = 224
TILES = (1536, 1024, 768, 512, 384)
WHOLE = 16_384
# Pairs of steps and of changes of the gradient that L-BFGS keeps.
CORRECTIONS = 10
# Bytes a pixel of what stays from step to step: the history of L-BFGS and a dozen pictures, in float32.
_KEPT_PER_PIXEL = (2 * CORRECTIONS + 14) * 3 * 4
# A sketch is for what is painted on it, and may stray from the photo.
_SKETCH_BALANCE = 0.02


@dataclass(frozen=True, eq=False)
class Level:
    """A size that a painting is painted at.

    Attributes:
        shape: (height, width).
        backbone: the network whose eyes it is painted with.
        sketch: whether the painting proper only begins later, with another network.
        above: how many sizes with the same network are to come.
    """

    shape: tuple[int, int]
    backbone: Backbone
    sketch: bool
    above: int

    @property
    def area(self) -> int:
        return math.prod(self.shape)

    def steps(self, at_full_size: float) -> int:
        """How many steps it takes, of a painting with so many at full size."""
        return max(1, round((SKETCH_STEPS if self.sketch else at_full_size) * STEPS_FACTOR**self.above))

    def config(self, config: StyleConfig) -> StyleConfig:
        """A painting's settings as they are in force here."""
        if not self.sketch:
            return config
        layers, content = LAYERS[self.backbone.name]
        standard, kept = StyleConfig(), ("blend", "style_scale", "color", "tile_size", "seed")
        chosen = {name: getattr(config, name) for name in kept}
        return dataclasses.replace(
            standard, **chosen, balance=_SKETCH_BALANCE, style_layers=layers, content_layer=content
        )


class Planner:
    """What is chosen for one photo.

    Args:
        backbone: the network that paints.
        sketcher: the one that paints what the other begins from, if there is one.
        loss_for: the losses that a network paints by with given settings.
        began: when the painting was asked for (time.monotonic).
    """

    def __init__(
        self,
        pictures: StyleInputs,
        backbone: Backbone,
        sketcher: Backbone | None,
        loss_for: Callable[[StyleConfig, Backbone], PerceptualLoss],
        began: float,
    ):
        self._pictures, self._backbone, self._sketcher = pictures, backbone, sketcher
        self._loss_for, self._began = loss_for, began
        self._photo: tuple[int, int] = pictures.content.shape[:2]
        # Seconds a pixel of a step, by network, once they were measured.
        self._seconds: dict[str, float] = {}

    def cost(self, level: Level, config: StyleConfig) -> int:
        """How much work a step is, in multiplications."""
        return level.area * self._loss_for(level.config(config), level.backbone).work_per_pixel

    def slower(self, level: Level, than: Level, config: StyleConfig) -> float:
        """How many times as long a step takes on one level as on another."""
        if {level.backbone.name, than.backbone.name} <= set(self._seconds):
            each = self._seconds[level.backbone.name] / self._seconds[than.backbone.name]
            return each * level.area / than.area
        return self.cost(level, config) / self.cost(than, config)

    def levels(self, config: StyleConfig) -> list[Level]:
        """The sizes from small to full. Going on from a picture happens at full size."""
        height, width = self._full_shape(config.size)
        count = 1 if self._pictures.start is not None else config.scales
        shapes = [(round(height / SCALE_FACTOR**i), round(width / SCALE_FACTOR**i)) for i in range(count)]
        shapes = [shape for shape in shapes if min(shape) >= LEAST_SHORT_SIDE][::-1] or [(height, width)]
        sketcher = self._sketcher
        each = [
            Level(shape, sketcher or self._backbone, sketcher is not None, len(shapes) - 1 - number)
            for number, shape in enumerate(shapes)
        ]
        return [*each, Level(shapes[-1], self._backbone, False, 0)] if sketcher else each

    def _full_shape(self, size: int) -> tuple[int, int]:
        height, width = self._photo
        scale = self.raised(size) / max(height, width) if size else 1.0
        return max(1, round(height * scale)), max(1, round(width * scale))

    def raised(self, size: int) -> int:
        """The longest side, raised where a long and narrow photo would have too few pixels across to be painted."""
        shape = self._photo
        # The same for all sizes of a photo: a larger one must not come out smaller.
        wanted = LEAST_SHORT_SIDE if max(shape) >= LONG * min(shape) else LEAST_SIDE
        across = min(wanted, min(shape), MOST_SIDE * min(shape) // max(shape))
        return long_enough(shape, size, max(across, LEAST_SIDE), MOST_SIDE)

    def _sizes(self) -> list[int]:
        """The sizes that a run in a given time chooses from."""
        height, width = self._photo
        stretch = math.sqrt(max(1.0, max(height, width) / min(height, width) / LONG))
        return sorted({self.raised(min(MOST_SIDE, round(size * stretch))) for size in SIZES})

    def fitted(self, config: StyleConfig) -> tuple[StyleConfig, bool, bool]:
        """The config with tiles, and a smaller size where even these would not do, for the memory that is free.

        Returns:
            it, whether the painting was made smaller, and whether it is painted in tiles.
        """
        free = free_bytes()
        budget = 2 << 30 if free is None else min(free // 2, 3 << 30)
        levels, narrowed = self.levels(config), False
        each = max(self._loss_for(level.config(config), level.backbone).bytes_per_pixel for level in levels)
        height, width = self._full_shape(config.size)
        longest = max(height, width)
        # What the optimiser and the pictures take comes on top, tiles or not.
        most = math.inf if free is None else max(0.8 * free - TILES[-1] ** 2 * each, 0) / _KEPT_PER_PIXEL
        if height * width > most and longest > SIZES[0]:
            longest = self.raised(max(SIZES[0], int(longest * math.sqrt(most / (height * width)))))
            config = dataclasses.replace(config, size=longest)
            height, width = self._full_shape(longest)
            narrowed = True
        if each * height * width <= budget:
            return dataclasses.replace(config, tile_size=WHOLE), narrowed, False
        tile = next((tile for tile in TILES if each * tile**2 <= budget), TILES[-1])
        return dataclasses.replace(config, tile_size=tile), narrowed, True

    def timed(self, config: StyleConfig) -> StyleConfig:
        """The config with size, scales and steps that take its seconds here, by two timed evaluations at a small size,
        of which the first also traces."""
        shape = self._full_shape(PROBE_SIDE)
        for level in self.levels(config):
            if level.backbone.name not in self._seconds:
                self._seconds[level.backbone.name] = self._probed(level, shape, config) / math.prod(shape)
        left = config.seconds - (time.monotonic() - self._began)
        own = max(self._photo)
        sizes = self._sizes()
        best = dataclasses.replace(config, size=sizes[0], scales=1, steps=1)
        enough = STEPS_WANTED_ON_A_SKETCH if self._sketcher else STEPS_WANTED
        for size in sizes:
            scales = 1 if self._pictures.start is not None else max(1, 1 + round(math.log(size / 160, SCALE_FACTOR)))
            tried = dataclasses.replace(config, size=size, scales=scales)
            levels = self.levels(tried)
            each = [(level, level.area * self._seconds[level.backbone.name]) for level in levels]
            sketched = sum(level.steps(0) * seconds for level, seconds in each if level.sketch)
            a_step = sum(STEPS_FACTOR**level.above * seconds for level, seconds in each if not level.sketch)
            steps = int((0.9 * left - sketched) / a_step)
            if steps < (enough if size <= max(own, 512) else STEPS_ENOUGH) and size > sizes[0]:
                break
            best = dataclasses.replace(tried, steps=min(max(steps, 5), 2000))
        return best

    def _probed(self, level: Level, shape: tuple[int, int], config: StyleConfig) -> float:
        """Seconds of a step at a small size."""
        settings = level.config(config)
        loss = self._loss_for(settings, level.backbone)
        scene = StyleTargets(self._pictures, settings, loss, shape, WHOLE)
        targets, image = scene.targets(settings), tf.constant(scene.content)
        times = []
        for _ in range(2):
            before = time.monotonic()
            loss.evaluate(image, targets, (1.0, 1.0, 1.0), tile=WHOLE)
            times.append(time.monotonic() - before)
        return min(times)
